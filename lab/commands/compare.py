"""`ttt-lab eval compare`: systems on the same text, paired by novel.

ttt-lab eval compare tiny-e2e tiny-swa --corpus eltec-eng/val sotu-chronicle
"""

from typing import Annotated

from rich.table import Table

from lab.commands.options import (
    Models,
    Output,
    Reading,
    finish,
    option,
    read,
    systems_and_text,
    warn,
)
from lab.commands.tables import say, signed, span, spans
from lab.commands.terminal import Terminal
from lab.measure.positions import short
from lab.measure.texts import Text


def compare(
    models: Models,
    /,
    text: Text = Text(),
    ceiling: Annotated[str | None, option("MODEL")] = None,
    reading: Reading = Reading(),
    output: Output = Output(),
):
    """Losses of systems on the same texts, paired by novel, and by position.

    The first model is compared with every other, and each learner with its frozen twin,
    on one text after another. Readings are kept in .runs/readings: run the command
    again to continue.

    Args:
        models: published names, runs or paths.
        ceiling: one of them, which sees the whole text: what share of its lead over
            each frozen twin does learning win back?
    """
    from lab.evals import compare as numbers

    for one in _those_here(text):
        found, opened = systems_and_text(models, one, reading)
        numbers.check_ceiling(found, ceiling)
        readers = {k: v for system in found for k, v in system.readers.items()}
        passages = opened.passages()
        readings = read(readers, passages, reading)
        about = opened.about(passages)
        result = numbers.compare(found, readings, about, ceiling)
        finish(result, f"{result.reference}-{result.text.name}", output, show)


def _those_here(text: Text) -> tuple[Text, ...]:
    """The texts, without those of several that are not on this machine."""
    if text.stands_in:
        warn(text.stands_in)
    texts = text.each()
    here = tuple(one for one in texts if not one.missing)
    for one in texts if here else ():
        if one.missing:
            warn(f"{one.missing}; it is left out.")
    return here or texts


def show(result):
    """Losses, gaps, gaps in each doubling of the position, and whether they last."""
    console = Terminal()
    of_gaps = (_gaps, _doublings, _lasting) if result.gaps else ()  # one plain model
    of_shares = (_shares,) if result.shares else ()
    for table in (_losses, *of_gaps, *of_shares):
        console.print(table(result))
    say(result.notes, console)


def _losses(result) -> Table:
    heads = ("system", "trained to", "read to", "nats per token")
    table = Table(*heads, title=str(result.text))
    for label, loss in result.losses.items():
        one = result.systems[label.removesuffix(", frozen")]
        trained = f"{one.trained_to:,}" if one.trained_to else "unknown"
        to = min(one.reads_to or result.longest, result.longest)
        table.add_row(label, trained, f"{to:,}", f"{loss.overall.mean:.4f}")
    return table


def _gaps(result) -> Table:
    unit = result.text.unit
    table = Table("better", "than", "by", unit, "the least")
    table.title = f"paired differences, nats per token, ± 95 % over {unit}"
    for gap in result.gaps:
        least = min(value for value in gap.by_novel if value == value)
        cells = (gap.better, gap.than, signed(gap.overall))
        table.add_row(*cells, str(gap.overall.novels), f"{least:+.3f}")
    return table


def _doublings(result) -> Table:
    table = Table("position")
    for gap in result.gaps:
        table.add_column(gap.words, overflow="fold")  # names are broken, never cut
    table.title = f"in each doubling, ± 95 % over {result.text.unit} (* = extrapolated)"
    longest = max(result.gaps, key=lambda gap: gap.to).curves["doublings"]
    for i, where in enumerate(spans(longest)):
        table.add_row(where, *(_cell(gap, i) for gap in result.gaps))
    return table


def _shares(result) -> Table:
    ceiling, unit = result.shares[0].ceiling, result.text.unit
    table = Table("learner", "tokens", f"{ceiling} leads by", "learning saves", "share")
    table.title = f"share of the lead over its frozen twin, ± 95 % over {unit}"
    for one in result.shares:
        where, share = span(one.start, one.stop), "not known"
        if one.lead.sign < 0:
            share = "no lead"
        if one.share.is_known:
            share = f"{one.share.mean:.0%} ±{one.share.half:.0%}"
        table.add_row(one.learner, where, signed(one.lead), signed(one.saved), share)
    return table


def _cell(gap, i: int) -> str:
    curve = gap.curves["doublings"]
    if i >= len(curve):
        return "not read"
    beyond = gap.trained_to and curve.edges[i + 1] > gap.trained_to
    return signed(curve.at(i)) + ("*" if beyond else "")


def _lasting(result) -> Table:
    table = Table("gap", "from", "to", "per doubling", "so it")
    unit = result.text.unit
    table.title = f"does the gap last? its change with position, ± 95 % over {unit}"
    for gap in result.gaps:
        for slope in gap.slopes:
            ends = short(slope.start), short(slope.stop)
            table.add_row(gap.words, *ends, signed(slope.change), slope.verdict)
        if growth := gap.growth:
            late, early = span(*growth.late), span(*growth.early)
            words = f"{late}: {signed(growth.change)} against {early}"
            table.add_row("", "", "", "", words)
    return table
