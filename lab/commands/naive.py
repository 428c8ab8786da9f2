"""TTT-naive: plainly trained weights that learn while reading, at a tuned inner rate.

Nothing is trained. The new card points at the weights of another model and differs from
that model's card in the inner loop only. Rate and clip are chosen on passages of the
*train* split, on which no result is reported, and are written on the card. If the best
value is the smallest or largest tried, more values are tried, so that naive is as good
as it can be.
"""

import json
import math
from pathlib import Path

import numpy as np

from lab import checkpoints, files, results, runs
from lab.commands.progress import counting
from lab.commands.tune_inner import show
from lab.evals import tune_inner
from lab.evals.tune_inner import Trial, Tuning
from lab.measure.nats import read_all
from lab.measure.readers import Reader, find_weights, trained_length, with_inner
from lab.measure.texts import Passage, TextRead


PASSAGES = 8
WIDEN = 3.0  # factor to the next value beyond the smallest or largest
MOST_WIDENED = 4  # the search is widened at most this many times


def tune(
    name: str, weights: str, rates: tuple[float, ...], clips: tuple[float, ...]
) -> Path:
    """Write the card `name` over the weights of `weights`, at the best rate and clip.

    The rate is searched under the weights' own clip, then the clip at that rate, then
    the rate again. `weights` comes from its run folder if it was trained here, else
    from the published models.

    Returns:
        The path of the card, in the run folder `name`.

    **Raises** `FileNotFoundError` if there are no such weights.
    """
    source = find_weights(weights)
    card = checkpoints.card(source)
    passages, text = open_text(card)
    search = _Search(source, card["sha256"], passages, text)
    best = search.along("lr", rates, float(card["config"]["inner"]["clip"]))
    best = search.along("clip", clips, best.lr)
    best = search.along("lr", rates, best.clip)
    show(search.result())
    told = results.to_json(search.result()) | {"chosen": _numbers(best)}
    return write_card(name, source, best, told)


def open_text(card: dict) -> tuple[list[Passage], TextRead]:
    """Passages of a model's training text, as long as its longest sequences.

    Returns:
        The passages, and the facts about their text for a result.
    """
    from lab.data import sources
    from lab.training import held_out

    corpus, tokenizer = card["experiment"]["stages"][-1]["corpus"], card["tokenizer"]
    length = max(held_out.CARD["length"], trained_length(card))
    total = sources.count_windows(corpus, tokenizer, "train", length)
    found = sources.open_passages(
        corpus, tokenizer, "train", count=min(PASSAGES, total), length=length
    )
    text = held_out.text_of(corpus)
    tune_inner.check_text(text, "train")
    rows = zip(found.names, found.offsets, found.tokens, strict=True)
    passages = [Passage(name, offset, row[1:]) for name, offset, row in rows]
    about = TextRead(
        corpus=text,
        split="train",
        tokenizer=tokenizer,
        text_hash=sources.data_hash(corpus, tokenizer, "train"),
        unit="documents",
        units=tuple(dict.fromkeys(found.names)),
        length=length,
        passages=len(passages),
    )
    return passages, about


def write_card(name: str, source: Path, best: Trial, found: dict) -> Path:
    """Write a card that points at the weights beside `source` into a run folder."""
    card = json.loads(source.read_text("utf-8"))
    card["config"]["inner"] |= _numbers(best)
    described = card | {
        "name": name,
        "recipe": name,
        "weights": source.stem,
        **runs.environment(),
        "tuning": found,
    }
    if card["held_out"]:
        described["held_out"] = card["held_out"] | _held_out(source, card, best)
    folder = runs.folder(name)
    weights = source.with_suffix(".safetensors")
    files.write(folder / weights.name, weights.read_bytes())
    path = folder / f"{name}.json"
    return files.write(path, json.dumps(described, indent=1, ensure_ascii=False) + "\n")


class _Search:
    """Trials on the same passages; readings are kept and never repeated."""

    def __init__(
        self, source: Path, sha256: str, passages: list[Passage], text: TextRead
    ):
        self.model, self.sha256 = str(source), sha256
        self.passages, self.text = passages, text
        self.readers: dict[str, Reader] = {}

    def along(self, axis: str, values: tuple[float, ...], other: float) -> Trial:
        """The best of `values` of "lr" or "clip", with the other one fixed.

        More values are tried until the best is neither the smallest nor the largest.
        """
        for _ in range(MOST_WIDENED + 1):
            grid = (values, (other,)) if axis == "lr" else ((other,), values)
            readers = tune_inner.readers(self.model, *grid)
            self.readers |= readers
            best = min(self._tuning(readers).trials, key=_order)
            value = getattr(best, axis)
            if min(values) < value < max(values) or math.isinf(value):
                break
            values += (value / WIDEN if value == min(values) else value * WIDEN,)
        return best

    def result(self) -> Tuning:
        """All trials; `best` is None if no trial beats not learning."""
        return self._tuning(self.readers)

    def _tuning(self, readers: dict[str, Reader]) -> Tuning:
        with counting(f"{len(readers) - 1} rates and clips:", "tokens") as report:
            knobs = {"workers": runs.usable_cores(), "strict": False, "report": report}
            found = read_all(readers, self.passages, **knobs)
        name = Path(self.model).stem
        return tune_inner.tune(found, readers, self.text, name, self.sha256)


def _order(trial: Trial) -> float:
    return trial.loss if math.isfinite(trial.loss) else math.inf


def _numbers(trial: Trial) -> dict:
    clip = trial.clip if math.isfinite(trial.clip) else "inf"
    return {"lr": trial.lr, "clip": clip}


def _held_out(source: Path, card: dict, best: Trial) -> dict:
    """The loss at the chosen rate, on the passages of the weights' own card."""
    from lab.training import held_out

    told, model = card["held_out"], checkpoints.load(source)
    corpus = told["text"].rpartition("/")[0]
    found = held_out.passages(
        corpus, card["tokenizer"], told["passages"], told["tokens_each"]
    )
    learner = with_inner(model, lr=best.lr, clip=best.clip)
    loss = float(np.mean(held_out.losses(learner, found.tokens)))
    return {"loss_learning": round(loss, 4)}
