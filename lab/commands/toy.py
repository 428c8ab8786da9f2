"""`ttt-lab eval toy`: the toy experiment's five curves, printed, kept and drawn."""

import dataclasses
from typing import Annotated

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lab.commands.options import Models, Output, finish, option
from lab.commands.tables import say, signed
from lab.measure.texts import Text
from lab.quick import quick
from lab.recipes.toy import LENGTH, PAPER, PAPER_AT, VARIANTS


TUNING = 4  # sequences per training novel for the choice of naive's rate


def toy(
    models: Models = (),
    /,
    rates: Annotated[tuple[float, ...], option("RATE")] = (),
    text: Text = Text(length=LENGTH, per_novel=1024),
    output: Output = Output(),
):
    """Loss at each position of short sequences: learning weights against attention.

    Args:
        models: names or paths (default: toy, toy-b16, toy-full and toy-none as trained
            here). The model that neither learns nor attends is read as naive too.
        rates: inner rates to try for naive, on the train split.
    """
    from lab.evals import toy as numbers

    found = _models(models or _trained_here())
    first = next(iter(found.values())).system
    opened = text.open(first.tokenizer)
    passages = opened.passages()
    curves = [one.curve(kind, passages) for kind, one in found.items()]
    notes = _notes(text.length)
    if "none" in found:
        train = _training(text, first.tokenizer)
        tried = rates or quick(numbers.NAIVE_RATES, numbers.NAIVE_RATES[:2])
        curves.append(found["none"].naive(passages, train, tried))
        notes += _rate_notes(curves[-1].about, opened.shards.split)
    result = numbers.Toy(
        text=opened.about(passages),
        length=len(passages[0].tokens),
        late_from=numbers.late_from(curves),
        curves=numbers.lines(curves),
        paper_at=tuple(PAPER_AT),
        paper={kind: tuple(losses) for kind, losses in PAPER.items()},
        notes=tuple(notes),
    )
    finish(result, first.name, output, show)


def _training(text: Text, tokenizer: str) -> list:
    """A few sequences of every training novel."""
    few = dataclasses.replace(text.only(), split="train", per_novel=quick(TUNING, 1))
    return dataclasses.replace(few, novels=10**6).open(tokenizer).passages()


@dataclasses.dataclass(frozen=True)
class _Model:
    """A model of the experiment: the facts on its card, and its weights."""

    system: object
    model: object

    def curve(self, kind: str, passages):
        """The losses of the model as its card says."""
        from lab.evals import toy as numbers

        nll = _with_progress(self.system.name, self.model, passages)
        return numbers.Read(kind, numbers.by_novel(nll, passages), self.about)

    def naive(self, passages, train, rates: tuple[float, ...]):
        """The losses of the model when it learns at the best of `rates`."""
        from lab.evals import toy as numbers
        from lab.measure.readers import with_inner

        learner = with_inner(self.model, lr=1.0)
        with Console().status(f"naive: {len(rates)} rates on {len(train)} sequences"):
            best, tried = numbers.choose_rate(learner, train, rates)
        nll = _with_progress("naive", learner, passages, best)
        chosen = {"rate": best, "clip": self.model.config.inner.clip}
        about = dataclasses.replace(self.about, **chosen, tried=tuple(tried))
        return numbers.Read("naive", numbers.by_novel(nll, passages), about)

    @property
    def about(self):
        """The facts about the model that a result records."""
        from lab.evals.toy import About

        one = self.system
        return About(one.name, one.sha256, one.tokens_seen, one.trained_to)


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
    """The four models as trained on this machine, else as published."""
    from lab.measure.readers import find_weights

    return tuple(str(find_weights(name)) for name in VARIANTS)


def _with_progress(name: str, model, passages, rate: float = 1.0):
    from lab.evals import toy as numbers

    with Progress(transient=True) as progress:
        task = progress.add_task(name, total=len(passages))
        report = lambda done: progress.advance(task, done)
        return numbers.read(model, passages, rate, report)


def _notes(length: int) -> list[str]:
    notes = ["At t = 1 only the start of a sequence is known, and no token yet."]
    if length > LENGTH:
        notes.append(
            f"Trained on sequences of {LENGTH}; all models extrapolate beyond."
        )
    return notes


def _rate_notes(about, split: str) -> list[str]:
    notes, rates = [], [one.rate for one in about.tried]
    if len(rates) > 1 and about.rate in (min(rates), max(rates)):
        notes.append("Naive's best rate is at the edge of --rates: widen them.")
    if split != "val":
        notes.append("Naive's rate was chosen on text that is reported here.")
    return notes


def show(result):
    """Loss at the paper's positions, and each curve's gain over no attention."""
    at = [t for t in result.paper_at if t <= result.length]
    losses = Table("curve", *(f"t={t}" for t in at), "mean")
    losses.title = f"nats per token, {result.text}"
    late = f"{result.late_from}-{result.length}"
    saved = Table("curve", "all positions", late, "of full attention's")
    saved.title = f"saved over no attention, ± 95 % over {result.text.unit}"
    for line in result.curves.values():
        found = [f"{line.loss.mean[t - 1]:.3f}" for t in at]
        losses.add_row(line.label, *found, f"{line.overall.mean:.4f}")
        if line.gain_overall is not None:
            share = "" if line.share_of_full is None else f"{line.share_of_full:.0%}"
            gains = signed(line.gain_overall), signed(line.gain_late)
            saved.add_row(line.label, *gains, share)
    console = Console()
    console.print(losses)
    if saved.row_count:
        console.print(saved)
    say(result.notes, console)
