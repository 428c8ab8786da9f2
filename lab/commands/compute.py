"""`ttt-lab eval compute`: does what learning saves shrink with size and tokens?"""

from typing import Annotated

from rich.table import Table

from lab.commands.ablation import AGREE, HeldOut, Trained, name_of, told, train_and_read
from lab.commands.options import Output, finish, option
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.recipes.grids import SHARES, WIDTHS


def compute(
    widths: Annotated[tuple[float, ...], option("X")] = WIDTHS,
    budgets: Annotated[tuple[float, ...], option("X")] = SHARES,
    trained: Trained = Trained(),
    read: HeldOut = HeldOut(),
    output: Output = Output(),
):
    """What learning saves, by size of the model and by tokens of its training.

    Each model is trained anew, to learn while reading and plainly, with a schedule of
    its own for each budget. Trainings are kept: run the command again to resume.

    Args:
        widths: of the model, times its usual width; as many tokens per weight.
        budgets: tokens of the usual model's training, times its usual number.
    """
    from lab.evals.compute import Compute
    from lab.recipes import grids

    budget = trained.budget(grids.USUAL)
    wide = grids.widths(budget, trained.few(widths[::-1]))
    long = grids.budgets(budget, trained.few(budgets[::-1]))
    about, scores = train_and_read(budget, [*wide, *long], read)
    found = [_row(pair, s) for pair, s in zip([*wide, *long], scores, strict=True)]
    result = Compute(
        text=about,
        recipe=budget.usual.name,
        settings=trained.set,
        seeds=budget.seeds,
        widths=tuple(found[: len(wide)]),
        budgets=tuple(found[len(wide) :]),
    )
    finish(result, name_of(trained), output, show)


def _row(pair, score):
    from lab.evals import compute as numbers
    from lab.training.flops import train_flops_per_token

    counted = lambda one: train_flops_per_token(
        one.model, one.stages[0].seq, one.method
    )
    flops = counted(pair.learning[0]), counted(pair.plain[0])
    return numbers.row(score, flops)


def show(result):
    """A table for sizes, and one for budgets."""
    console = Terminal()
    for title, rows in (
        ("by size of the model", result.widths),
        ("by tokens of the training", result.budgets),
    ):
        table = Table("weights", "tokens", "learning", "plain")
        table.title = f"{result.recipe}, {title}"
        table.add_column("over plain")
        table.add_column("over frozen")
        for row in rows:
            cells = [f"{row.weights:,}", f"{row.tokens / 1e6:.2f} M"]
            cells += [f"{one.overall.mean:.3f}" for one in (row.learning, row.plain)]
            table.add_row(*cells, told(row.over_plain), told(row.gain))
        console.print(table)
    say([f"Nats per token of {result.text}.", *result.notes, AGREE], console)
