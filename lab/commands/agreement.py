"""`ttt-lab eval agreement`: how far the gradients of different texts agree."""

import math

from rich.table import Table

from lab.commands.options import (
    Models,
    Output,
    finish,
    systems_and_text,
)
from lab.commands.progress import counting
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.texts import Text


def agreement(
    models: Models,
    /,
    text: Text = Text(split="train", length=2048, per_novel=2, novels=16),
    output: Output = Output(),
):
    """What a passage's gradient shares with others: of all novels, of its own, none.

    Two passages of each novel are read.

    Args:
        models: published names, runs or paths; learners are read with and without
            learning.
    """
    from lab.analysis import agreement as numbers
    from lab.measure.readers import load

    systems, opened = systems_and_text(models, text)
    chosen = numbers.pairs(opened.passages(), text.novels)
    readers = {k: v for one in systems for k, v in one.readers.items()}
    found = {}
    with Kept("agreement", "gradients") as keep:
        for label, reader in readers.items():
            with counting(label, "passages") as show_count:
                report = lambda done, tell=show_count: tell(done, len(chosen))
                products = numbers.gram(load(reader), chosen, report, keep)
            found[label] = numbers.agreement(products)
    hashes = {one.name: one.sha256 for one in systems}
    result = numbers.Agreements(opened.about(chosen), hashes, found)
    finish(result, "-".join(hashes), output, show)
    keep.forget()


def show(result):
    """One line per label: norm, shares, and the batch that is half noise."""
    heads = ("gradient of", "norm", "all novels", "its novel", "it alone")
    table = Table(*heads, "half noise at")
    table.title = f"squared gradients, {result.text}, ± 95 %"
    for label, found in result.found.items():
        shares = map(_share, (found.shared, found.novel, found.passage))
        batch = found.passages
        noise = f"{batch:.1f} passages" if math.isfinite(batch) else "never"
        table.add_row(label, f"{found.norm:.3f}", *shares, noise)
    Terminal().print(table)


def _share(part) -> str:
    return f"{part.mean:.1%}" + (f" ±{part.half:.1%}" if part.is_known else "")
