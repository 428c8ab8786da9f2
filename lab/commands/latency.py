"""`ttt-lab eval latency`: from where on is learning cheaper than looking back?"""

import math
from pathlib import Path

from rich.table import Table

from lab import runs
from lab.commands.bench import build_or_load, turning
from lab.commands.options import Models, Output, finish
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.positions import short
from lab.quick import is_quick
from lab.recipes.family import EIGHT


SEVEN = tuple(name for name in EIGHT if name != "tiny-naive")  # costs as tiny-e2e does
THREE = ("tiny-e2e", "tiny-full", "tiny-swa")


def latency(
    models: Models = SEVEN,
    /,
    contexts: tuple[int, ...] = (2048, 8192, 32_768, 131_072),
    seqs: tuple[int, ...] = (512, 2048, 8192),
    tokens: int = 16_384,
    repeats: int = 3,
    quick: bool = False,
    output: Output = Output(),
):
    """Time per token of prompt, writing and training against context, in one run.

    The first model is what the others are set against. A run that was stopped goes on
    with the parts that are missing; a finished one is measured anew.

    Args:
        models: presets, published models, runs or paths. Presets are built afresh:
            times do not depend on weights.
        contexts: tokens read before a token is timed.
        seqs: tokens of the training sequences.
        tokens: tokens of a training step (at least one sequence for each core).
        repeats: turns of all systems; the best turn counts.
        quick: three systems and short contexts, to see how it goes.
    """
    from lab.evals import latency as numbers

    if quick or is_quick():
        models = models if models != SEVEN else THREE
        contexts, seqs, tokens = (1024, 2048), (256, 1024), 2048
        repeats = 1
    if tokens < 1:
        raise ValueError(f"--tokens must be >= 1: got {tokens}.")
    from lab.training.devices import use_all_cores

    use_all_cores(max(1, tokens // max(seqs)))
    built = {Path(name).stem: build_or_load(name) for name in models}
    turns = len(models) * ((1 + len(contexts)) * (1 + repeats) + len(seqs))
    with Kept("latency", "parts") as keep, turning(turns, "{:,} tokens") as report:
        peaks, rows = numbers.measure(
            built,
            contexts=contexts,
            seqs=seqs,
            tokens=tokens,
            repeats=repeats,
            report=report,
            keep=keep,
        )
        keep.forget()  # times grow old: the next run measures again
    cores = runs.usable_cores()
    crossed = numbers.crossings(rows, _growing(built))
    result = numbers.Latency(cores, repeats, peaks, rows, crossed)
    name = "" if models == SEVEN else next(iter(built))
    finish(result, "quick" if quick or is_quick() else name, output, show)


def _growing(models: dict) -> list[str]:
    """The models whose caches grow with the context."""
    from ttt_core.mixers import kinds_of

    grows = lambda model: any(kind.grows for kind in kinds_of(model.config))
    return [name for name, model in models.items() if grows(model)]


TITLES = {
    "prompt": "reading a prompt of that length, ms per token",
    "writing": "writing there, ms per token",
    "training": "training on sequences of that length, ms per token",
}


def show(result):
    """A table for each act: system by context; then where lines cross."""
    console, first = Terminal(), result.rows[0]
    for act, title in TITLES.items():
        ours = getattr(first, act)
        heads = [f"{at:,}" for at in ours.at]
        table = Table("system", *heads, "late", "ratio", "cheaper")
        table.title = title
        for row in result.rows:
            found = getattr(row, act)
            ratios = f"{found.late_over_early:.2f}", f"{found.ms[-1] / ours.ms[-1]:.2f}"
            cells = [f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}" for ms in found.ms]
            table.add_row(
                row.system, *cells, *ratios, _crossed(result, act, row.system)
            )
        console.print(table)
    said = (
        "late: the last column over the first; ratio: the last column over "
        f"{first.system}'s; cheaper: the context from which on {first.system} is the "
        "cheaper one."
    )
    say([said, *result.notes], console)


def _crossed(result, act: str, other: str) -> str:
    found = [c for c in result.crossings if (c.act, c.other) == (act, other)]
    if not found:
        return ""
    one = found[0]
    if math.isnan(one.at):
        return "not here"
    return "everywhere" if one.always else f"from {short(round(one.at))}"
