"""`ttt-lab eval breaking`: failures of learning while reading, provoked on purpose.

ttt-lab eval breaking rate
ttt-lab eval breaking saturation --model tiny-e2e-recall
"""

import math
from pathlib import Path
from typing import Annotated

from rich.table import Table
from tyro.conf import Positional, arg

from lab.commands.progress import counting
from lab.commands.terminal import Terminal
from lab.reading import breaking as numbers
from lab.reading import failures


def breaking(
    name: Annotated[Positional[str], arg(metavar="FAILURE")],
    /,
    model: str = "tiny-e2e",
    document: str = numbers.DOCUMENT,
) -> Path:
    """What breaks a model that learns while it reads: rate, clip, own, poison, ...

    The explorer's page "When it breaks" shows what was kept.

    Args:
        name: rate, clip, own, poison, saturation or tail.
        model: a published name, a run or a path.
        document: a name from `ttt-lab data list`.

    Returns:
        The path of the numbers.
    """
    with counting(f"breaking {name}", "readers") as report:
        failure = numbers.provoke(name, model, document=document, report=report)
    Terminal().print(table(failure))
    path = failures.save(failure)
    Terminal(error=True).print(f"kept in {path}", soft_wrap=True)
    return path


def table(failure: failures.Failure) -> Table:
    """One line a reader: its last losses, how far it moved, what was refused."""
    heads = ("reader", "last loss", "drift", "refused", "held back")
    title = f"{failure.name}: {failure.model} on {failure.document}, nats per token"
    found = Table(*heads, title=title)
    for line in failure.lines:
        refused = f"{sum(line.refused)} of {len(line.refused)}"
        cells = (_number(line.loss[-1]), _number(line.drift[-1]), refused)
        found.add_row(line.name, *cells, _number(line.probe[-1]))
    return found


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "none"
