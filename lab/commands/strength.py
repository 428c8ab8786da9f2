"""`ttt-lab inspect strength`: how much of what was learned is best?"""

from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish
from lab.commands.progress import counting
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.measure.intervals import signed


def strength(look: Look = Look(), output: Output = Output()):
    """What the change of the weights is worth taken 0 to 1.5 times, by kind of text."""
    result = look_at(look.open())
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened):
    """The result for a model and a document that are open."""
    from lab.analysis import strength as numbers
    from lab.analysis.walk import cut

    walk = opened.walk()
    config = opened.model.config
    room = numbers.PASSAGES * config.chunk
    with counting("the memory, taken 0 to 1.5 times", "strengths") as report:
        return numbers.measure(
            opened.model,
            walk,
            subject=opened.subject,
            unread=cut(opened.later[:room], config),
            unrelated=cut(opened.other[:room], config),
            report=report,
        )


def show(result):
    """A row for each alpha, and what the columns are."""
    from rich.table import Table

    console = Terminal()
    kinds = result.passages
    table = Table("alpha", title=f"The memory, taken alpha times: {result.subject}")
    for kind in kinds:
        table.add_column(f"{kind}: saved", justify="right")
    for i, alpha in enumerate(result.alphas):
        told = (signed(found.saved[i]) for found in kinds.values())
        table.add_row(f"{alpha:g}", *told)
    console.print(table)
    say(_notes(result), console)


def _notes(result) -> list[str]:
    said = {
        "read": "passages of the text that were learned from",
        "unread": "what follows in the text and was never read",
        "unrelated": f"{result.subject.null}, another text",
    }
    lines = [
        "saved: nats a token less than with alpha 0, the weights before reading; an "
        "empty window each time, so what is saved comes from the weights (± 95 %)."
    ]
    for kind, found in result.passages.items():
        cost = found.costs[0]
        lines.append(
            f"{kind}: {said[kind]}; {found.chunks} chunks, {cost:.3f} nats a token at "
            f"alpha 0, least at {result.best(kind):g}."
        )
    return lines
