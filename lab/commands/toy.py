"""`ttt-lab eval toy`: the toy experiment's five curves, printed, kept and drawn."""

import contextlib
import dataclasses
from typing import Annotated

from rich.table import Table

from lab.commands.options import Models, Output, finish, opening, option
from lab.commands.progress import counting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
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
    with opening(text):
        opened = text.open(first.tokenizer)
        passages = opened.passages()
    notes = _notes(text.length)
    with Kept("toy", f"batches of {numbers.AT_ONCE} passages") as keep:
        curves = [one.curve(kind, passages, keep) for kind, one in found.items()]
        if "none" in found:
            train = _training(text, first.tokenizer)
            tried = rates or quick(numbers.NAIVE_RATES, numbers.NAIVE_RATES[:2])
            curves.append(found["none"].naive(passages, train, tried, keep))
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

    def curve(self, kind: str, passages, keep):
        """The losses of the model as its card says."""
        from lab.evals import toy as numbers

        with _counting(self.system.name, len(passages)) as report:
            nll = numbers.read(self.model, passages, 1.0, report, keep)
        return numbers.Read(kind, numbers.by_novel(nll, passages), self.about)

    def naive(self, passages, train, rates: tuple[float, ...], keep):
        """The losses of the model when it learns at the best of `rates`."""
        from lab.evals import toy as numbers
        from lab.measure.readers import with_inner

        learner = with_inner(self.model, lr=1.0)
        with _counting(
            f"naive, {len(rates)} rates:", len(rates) * len(train)
        ) as report:
            best, tried = numbers.choose_rate(learner, train, rates, report, keep)
        with _counting("naive", len(passages)) as report:
            nll = numbers.read(learner, passages, best, report, keep)
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


@contextlib.contextmanager
def _counting(title: str, total: int):
    """A `report(n)` for each `n` passages more, that is shown."""
    done = 0
    with counting(title, "passages") as show_count:

        def report(more: int):
            nonlocal done
            done += more
            show_count(done, total)

        yield report


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
    console = Terminal()
    console.print(losses)
    if saved.row_count:
        console.print(saved)
    say(result.notes, console)
