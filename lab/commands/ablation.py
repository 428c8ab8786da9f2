"""`ttt-lab eval ablation`: what do window, chunk and number of fast blocks matter?"""

import dataclasses
from typing import Annotated, Literal

from rich.table import Table
from tyro.conf import Positional, arg

from lab.commands.options import Output, finish, opening, option
from lab.commands.progress import counting
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.evals.trained import Difference
from lab.measure.intervals import signed
from lab.measure.parts import Kept
from lab.measure.texts import Text
from lab.quick import is_quick
from lab.recipes.grids import AXES, BUDGETS, Budget


HEADS = {
    "window": "window",
    "chunk": "chunk",
    "layers": "fast blocks",
}


@dataclasses.dataclass(frozen=True)
class Trained:
    """What is trained for the answer.

    Args:
        size: nano (minutes) or tiny (hours).
        tokens: tokens of each training, of `compute` the usual one's (default: 1.2
            million for nano, of `compute` 300,000; 500,000 for tiny).
        seeds: trainings of each setting.
        set: overrides of the recipe, as `lr=2e-3 model.clip=0.5`.
        quick: a tenth of the tokens, one seed and few settings, to see how it goes.
    """

    size: Literal["nano", "tiny"] = "nano"
    tokens: Annotated[float | None, option("TOKENS")] = None
    seeds: int = 2
    set: Annotated[tuple[str, ...], option("NAME=VALUE")] = ()
    quick: bool = False

    @property
    def is_small(self) -> bool:
        """Whether little is to be trained."""
        return self.quick or is_quick()

    def budget(self, lengths: dict[str, int] = BUDGETS) -> Budget:
        """What all trainings have in common; `lengths`: tokens by size."""
        tokens = lengths[self.size] if self.tokens is None else self.tokens
        if not self.is_small:
            return Budget(self.size, tokens, self.seeds, self.set)
        few = 4_096 if is_quick() else lengths[self.size] / 10
        return Budget(self.size, min(tokens, few), 1, self.set)

    def few(self, values: tuple) -> tuple:
        """The values, or of several only the last (the usual one is always added)."""
        return values[-1:] if self.is_small else values


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What the trained models read.

    Args:
        corpus: a text as `ttt-lab data list` names it, NAME/SPLIT (default: the
            held-out part of the training text).
        length: tokens per passage.
        per_novel: passages per document, evenly spread.
        novels: read at most this many documents.
    """

    corpus: Annotated[str, option("TEXT")] = ""
    length: int = 4096
    per_novel: int = 1
    novels: int = 24

    def text(self, trained_on: str) -> Text:
        """The text, for models that were trained on the text of that name."""
        name = self.corpus or f"{trained_on}/val"
        knobs = {"per_novel": self.per_novel, "novels": self.novels}
        return Text((name,), length=self.length, **knobs)


def ablation(
    axis: Positional[Annotated[str, arg(metavar="window|chunk|layers")]],
    /,
    values: Annotated[tuple[int, ...], option("N")] = (),
    trained: Trained = Trained(),
    read: HeldOut = HeldOut(),
    output: Output = Output(),
):
    """Loss against window, chunk or fast blocks, from trainings of a fixed budget.

    Each value is trained anew, to learn while reading and plainly, and reads held-out
    documents of the training text. Trainings are kept: run the command again to resume.

    Args:
        axis: window (tokens that attention sees), chunk (tokens between two inner
            steps) or layers (blocks with fast weights).
        values: values to train (default: some around the size's own).
    """
    from lab.evals.ablation import ABLATIONS, rows
    from lab.names import choose
    from lab.recipes import grids

    kind = ABLATIONS[choose("ablation", axis, AXES)]
    budget = trained.budget()
    pairs = grids.ablation(
        axis, budget, trained.few(values or AXES[axis][trained.size])
    )
    about, scores = train_and_read(budget, pairs, read)
    usual = grids.own_value(axis, budget)
    result = kind(
        text=about,
        recipe=budget.usual.name,
        settings=trained.set,
        tokens=pairs[0].tokens,
        seq=budget.usual.stages[0].seq,
        seeds=budget.seeds,
        usual=usual,
        rows=rows(scores, usual),
    )
    finish(result, name_of(trained), output, show)


def train_and_read(budget: Budget, pairs: list, read: HeldOut):
    """Train what is missing, and read held-out documents of the training text.

    Returns:
        The facts about the text, and each setting's losses.
    """
    from lab.commands.trainings import train_all
    from lab.evals import trained as numbers

    usual = budget.usual
    text = read.text(usual.stages[0].corpus)
    with opening(text):
        opened = text.open(usual.tokenizer)
        passages = opened.passages()
    cards = train_all(pairs)
    with Kept("trained", "models") as keep, counting("reading", "tokens") as report:
        scores = numbers.measure(pairs, cards, passages, report=report, keep=keep)
    return opened.about(passages), scores


def name_of(trained: Trained) -> str:
    """What the result is called after its kind."""
    tokens = [] if trained.tokens is None else [f"{trained.tokens:.0f}"]
    small = ["quick"] if trained.is_small else []
    return "-".join([trained.size, *tokens, *trained.set, *small])


def show(result):
    """What learning saves at each setting; then each beside the usual one."""
    head = HEADS[result.AXIS]
    saves = Table(head, "learning", "plain", "over plain", "over frozen")
    saves.title = f"{result.recipe}, nats per token of {result.text}"
    usual = f"over {result.usual}"
    beside = Table(head, "weights", f"learning {usual}", f"plain {usual}")
    for row in result.rows:
        value = f"{row.value:,}"
        losses = [f"{one.overall.mean:.3f}" for one in (row.learning, row.plain)]
        saves.add_row(value, *losses, told(row.over_plain), told(row.gain))
        gaps = [told(row.over_usual), told(row.plain_over_usual)]
        gaps = ["usual", "usual"] if row.value == result.usual else gaps
        beside.add_row(value, f"{row.weights:,}", *gaps)
    console = Terminal()
    console.print(saves)
    console.print(beside)
    say([*result.notes, AGREE], console)


AGREE = (
    "± 95 % over documents; * = the interval excludes zero and several seeds agree. "
    "over: nats a token saved."
)


def told(found: Difference) -> str:
    """A difference with its interval, marked where seeds agree with documents."""
    return signed(found.overall) + "*" * bool(found.sign)
