"""`ttt-lab eval attention`: how far back attention looks."""

from rich.table import Table

from lab.commands.options import (
    Models,
    Output,
    finish,
    systems_and_text,
)
from lab.commands.progress import counting
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.texts import Text


def attention(
    models: Models,
    /,
    text: Text = Text(length=2048, per_novel=1),
    output: Output = Output(),
):
    """How far back attention looks: its shares by distance, head by head.

    The queries of a passage's second half count.

    Args:
        models: published names, runs or paths.
    """
    from lab.analysis import attention as numbers
    from lab.measure.readers import load

    found, opened = systems_and_text(models, text)
    passages, blocks = opened.passages(), {}
    with Kept("attention", "passages") as keep:
        for one in found:
            with counting(one.name, "passages") as show_count:
                report = lambda done, tell=show_count: tell(done, len(passages))
                model = load(one.frozen)
                blocks[one.name] = numbers.look(model, passages, report, keep)
    about = opened.about(passages)
    result = numbers.Attention(
        text=about,
        distances=tuple(numbers.bins(about.length)),
        sha256={one.name: one.sha256 for one in found},
        blocks=blocks,
    )
    finish(result, "-".join(blocks), output, show)


def show(result):
    """One table per model: one line per head, and the numbers of even heads."""
    console = Terminal()
    for name, blocks in result.blocks.items():
        heads = ("block", "mixer", "head", *result.distances, "spread")
        table = Table(*heads, title=f"{name}: attention by distance, {result.text}")
        for i, block in enumerate(blocks, 1):
            for j, head in enumerate(block.heads, 1):
                table.add_row(str(i), block.kind, str(j), *_cells(head))
            if not block.heads:
                table.add_row(str(i), block.kind, "no attention")
        table.add_section()
        for kind, even in {b.kind: b.even for b in blocks if b.heads}.items():
            table.add_row("", kind, "evenly", *_cells(even))
        console.print(table)
    say(["spread: an even head over this many tokens has the same entropy."], console)


def _cells(head) -> list[str]:
    return [*(f"{share:.1%}" for share in head.shares), f"{head.spread:,.1f}"]
