"""TTT-naive: plainly trained weights that learn while reading, at a tuned inner rate.

Nothing is trained. The new card points at the weights of another model and differs from
that model's card in the inner loop only. Rate and clip are chosen on passages of the
*train* split, on which no result is reported, and the card names them. Where the best
value is the least or the greatest one tried, more are tried, so that naive is as good
as it can be.
"""

import json
import math
from pathlib import Path

import numpy as np
from rich.console import Console

from lab import checkpoints, files, runs
from lab.commands import tables
from lab.evals import tuning
from lab.evals.tuning import Trial
from lab.measure.nats import read_all
from lab.measure.readers import Reader, trained_length
from lab.measure.texts import Passage


PASSAGES = 8
WIDEN = 3.0  # factor to the next value beyond the least or greatest
MOST_WIDENED = 4  # times


def tune(
    name: str, weights: str, rates: tuple[float, ...], clips: tuple[float, ...]
) -> Path:
    """Write the card `name` over the weights of `weights`, at the best rate and clip.

    The rate is searched under the weights' own clip, then the clip at that rate, then
    the rate again. `weights` is taken from its run folder if it was trained here, else
    from what is published. Returns the card's path, in the run folder `name`.

    **Raises** `FileNotFoundError` where there are no such weights.
    """
    source = find_weights(weights)
    card = checkpoints.card(source)
    passages, about = open_text(card)
    search = _Search(source, passages)
    best = search.along("lr", rates, float(card["config"]["inner"]["clip"]))
    best = search.along("clip", clips, best.lr)
    best = search.along("lr", rates, best.clip)
    found = about | search.result(best)
    tables.tuning(found, f"{name}: {weights} learning while it reads {about['text']}")
    return write_card(name, source, best, found)


def find_weights(name: str) -> Path:
    """The card of `name`: of its finished run here, else the published one."""
    here = runs.folder(name) / f"{name}.json"
    path = here if here.exists() else checkpoints.PUBLISHED / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{name} has neither been trained here nor is it published: "
            f"`ttt-lab train {name}` first."
        )
    return path


def open_text(card: dict) -> tuple[list[Passage], dict]:
    """Passages of a model's training text, as long as its longest sequences, and the
    lines on them for a card."""
    from lab.data import sources
    from lab.training import held_out

    corpus, tokenizer = card["experiment"]["stages"][-1]["corpus"], card["tokenizer"]
    length = max(held_out.CARD["length"], trained_length(card))
    total = sources.count_windows(corpus, tokenizer, "train", length)
    found = sources.open_passages(
        corpus, tokenizer, "train", count=min(PASSAGES, total), length=length
    )
    text = f"{held_out.text_of(corpus)}/train"
    tuning.check_text(*text.rsplit("/", 1))
    passages = [
        Passage(f"{name} from {offset}", offset, row[1:])
        for name, offset, row in zip(
            found.names, found.offsets, found.tokens, strict=True
        )
    ]
    return passages, {"text": text, "passages": len(passages), "tokens_each": length}


def write_card(name: str, source: Path, best: Trial, found: dict) -> Path:
    """A card that points at the weights beside `source`, kept in a run folder."""
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
    """Trials on the same passages; a reading is kept and not made again."""

    def __init__(self, source: Path, passages: list[Passage]):
        self.model, self.passages = str(source), passages
        self.readers: dict[str, Reader] = {}

    def along(self, axis: str, values: tuple[float, ...], other: float) -> Trial:
        """The best of `values` of "lr" or "clip", the other one held; more values are
        tried until the best is not the least or greatest."""
        for _ in range(MOST_WIDENED + 1):
            grid = (values, (other,)) if axis == "lr" else ((other,), values)
            readers = tuning.readers(self.model, *grid)
            self.readers |= readers
            best = min(self._tuning(readers).trials, key=_order)
            value = getattr(best, axis)
            if min(values) < value < max(values) or math.isinf(value):
                break
            values += (value / WIDEN if value == min(values) else value * WIDEN,)
        return best

    def result(self, best: Trial) -> dict:
        """All trials as JSON data; `best` in it is None where none beats not learning,
        `chosen` is always there."""
        found = tuning.as_json(self._tuning(self.readers))
        return found | {"chosen": _numbers(best)}

    def _tuning(self, readers: dict[str, Reader]) -> tuning.Tuning:
        with Console().status(f"reading at {len(readers) - 1} rates and clips"):
            workers = runs.usable_cores()
            found = read_all(readers, self.passages, workers=workers, strict=False)
        return tuning.tune(found, readers)


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
    learner = held_out.with_inner(model, lr=best.lr, clip=best.clip)
    loss = float(np.mean(held_out.losses(learner, found.tokens)))
    return {"loss_learning": round(loss, 4)}
