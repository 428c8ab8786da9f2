"""`ttt-lab eval toy`: the toy experiment's five curves, printed, kept and drawn."""

import dataclasses
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tyro.conf import Positional

from lab.commands.compare import finish
from lab.commands.tables import signed
from lab.quick import quick
from lab.recipes.toy import LENGTH, PAPER, PAPER_AT, VARIANTS


TUNING = 4  # sequences of each training novel that naive's rate is chosen on


def toy(
    models: Positional[tuple[str, ...]] = (),
    /,
    corpus: str = "eltec-eng",
    split: str = "val",
    length: int = LENGTH,
    per_novel: int = 1024,
    rates: tuple[float, ...] = (),
    figures: Path | None = None,
    publish: bool = False,
):
    """Loss at each position of short sequences: learning weights against attention.

    Args:
        models: names or paths (default: toy, toy-b16, toy-full and toy-none as trained
            here). The one that neither learns nor attends is read as naive too.
        corpus: a name from `ttt-lab data list`.
        split: train, val or all.
        length: tokens of a sequence.
        per_novel: sequences of each document, evenly spread.
        rates: inner rates tried for naive, on the train split.
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.data import shards
    from lab.evals import toy as numbers
    from lab.measure import texts

    found = _models(models or _trained_here())
    tokenizer = next(iter(found.values())).system.tokenizer
    opened = shards.open(corpus, tokenizer, split)
    count = quick(per_novel, min(per_novel, 4))
    passages = texts.passages(opened, length=length, per_novel=count)
    curves = [one.curve(kind, passages) for kind, one in found.items()]
    notes = _notes(length)
    if "none" in found:
        sizes = {"length": length, "per_novel": quick(TUNING, 1)}
        train = texts.passages(shards.open(corpus, tokenizer, "train"), **sizes)
        tried = rates or quick(numbers.NAIVE_RATES, numbers.NAIVE_RATES[:2])
        curves.append(found["none"].naive(passages, train, tried))
        notes += _rate_notes(curves[-1].about, split)
    result = {
        "corpus": opened.corpus,
        "split": split,
        "tokenizer": tokenizer,
        "text_hash": opened.data_hash,
        "sequences": len(passages),
        **numbers.as_json(curves),
        "paper": {"at": list(PAPER_AT), "loss": {k: list(v) for k, v in PAPER.items()}},
        "notes": notes,
    }
    _print(result)
    finish("toy", found[next(iter(found))].system.name, result, figures, publish)


@dataclasses.dataclass(frozen=True)
class _Model:
    """A model of the experiment: what its card says, and its weights."""

    system: object
    model: object

    def curve(self, kind: str, passages):
        """Its losses as its card says."""
        from lab.evals import toy as numbers

        nll = _with_progress(self.system.name, self.model, passages)
        return numbers.Curve(kind, numbers.by_novel(nll, passages), self.about)

    def naive(self, passages, train, rates: tuple[float, ...]):
        """Its losses when it learns at the best of `rates`."""
        from lab.evals import toy as numbers
        from lab.training.held_out import with_inner

        learner = with_inner(self.model, lr=1.0)
        with Console().status(f"naive: {len(rates)} rates on {len(train)} sequences"):
            best, tried = numbers.choose_rate(learner, train, rates)
        nll = _with_progress("naive", learner, passages, best)
        about = self.about | {
            "rate": best,
            "clip": self.model.config.inner.clip,
            "tried": {f"{one.rate:g}": round(one.loss, 4) for one in tried},
        }
        return numbers.Curve("naive", numbers.by_novel(nll, passages), about)

    @property
    def about(self) -> dict:
        """Which model, for the result."""
        one = self.system
        named = {"model": one.name, "sha256": one.sha256}
        return named | {"tokens_seen": one.tokens_seen, "trained_to": one.trained_to}


def _models(names: tuple[str, ...]) -> dict[str, _Model]:
    """The models by kind of curve."""
    from lab import checkpoints
    from lab.evals.toy import kind_of
    from lab.measure.readers import systems

    found = {}
    for name, system in zip(names, systems(names), strict=True):
        config = checkpoints.config_from_dict(checkpoints.card(name)["config"])
        kind = kind_of(system.name, config)
        if kind in found:
            raise ValueError(
                f"{system.name} and {found[kind].system.name} draw the same curve "
                f"({kind}); name one of them."
            )
        found[kind] = _Model(system, checkpoints.load(name))
    return found


def _trained_here() -> tuple[str, ...]:
    """The four models as they were trained here, else as published."""
    from lab.commands.naive import find_weights

    return tuple(str(find_weights(name)) for name in VARIANTS)


def _with_progress(name: str, model, passages, rate: float = 1.0):
    from lab.evals import toy as numbers

    with Progress(transient=True) as progress:
        task = progress.add_task(name, total=len(passages))
        report = lambda done: progress.advance(task, done)
        return numbers.read(model, passages, rate, report)


def _notes(length: int) -> list[str]:
    notes = ["At t = 1 only the start of a sequence is known, not a token before it."]
    if length > LENGTH:
        notes.append(f"Trained on sequences of {LENGTH}; beyond, all extrapolate.")
    return notes


def _rate_notes(about: dict, split: str) -> list[str]:
    notes, rates = [], [float(rate) for rate in about["tried"]]
    if len(rates) > 1 and about["rate"] in (min(rates), max(rates)):
        notes.append("Naive's best rate is at the edge of --rates: widen them.")
    if split != "val":
        notes.append("Naive's rate was chosen on text that is reported here.")
    return notes


def _print(result: dict):
    """Loss at the paper's positions, and what each curve gains on no attention."""
    at = [t for t in result["paper"]["at"] if t <= result["length"]]
    late = f"{result['late_from']}-{result['length']}"
    losses = Table("curve", *(f"t={t}" for t in at), "mean")
    losses.title = (
        f"nats per token, {result['sequences']:,} sequences of "
        f"{result['novels']} documents of {result['corpus']}/{result['split']}"
    )
    saved = Table("curve", "all positions", late, "of full attention's")
    saved.title = "saved over no attention, ± 95 % over documents"
    gains = result.get("late", {})
    for kind, curve in result["curves"].items():
        found = [f"{curve['loss']['mean'][t - 1]:.3f}" for t in at]
        losses.add_row(curve["label"], *found, f"{curve['overall']['mean']:.4f}")
        if "gain_overall" in curve:
            end = gains.get(kind, {})
            share = f"{end['share_of_full']:.0%}" if "share_of_full" in end else ""
            gain = signed(curve["gain_overall"])
            saved.add_row(curve["label"], gain, signed(end) if end else "", share)
    console = Console()
    console.print(losses)
    if saved.row_count:
        console.print(saved)
    for note in result["notes"]:
        console.print(f"[dim]{note}[/dim]")
