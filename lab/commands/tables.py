"""Evaluations as tables on the screen. Takes the plain data that is also published."""

from rich.console import Console
from rich.table import Table

from lab.measure.positions import short


def comparison(result: dict, title: str):
    """Losses, gaps, gaps in each doubling of the position, and whether they last."""
    console = Console()
    console.print(_losses(result, title))
    console.print(_gaps(result["gaps"]))
    console.print(_doublings(result["gaps"]))
    console.print(_lasting(result["gaps"]))
    _say(console, result["notes"])


def decomposition(result: dict, title: str):
    """Total, start and learning in each doubling of the position."""
    console, parts = Console(), _parts(result)
    table = Table("position", *parts, title=title)
    starts = result["before_first_update"]
    if starts:
        first = result["total"]["curves"]["doublings"]["edges"][1]
        words = f"0-{first}, at {starts['places']} places"
        empty = [""] * (len(parts) - 2)
        table.add_row(words, signed(starts), signed(starts), *empty)
    curves = [gap["curves"]["doublings"] for gap in parts.values()]
    for i, span in enumerate(_spans(curves[0])):
        table.add_row(span, *(signed(_bin(curve, i)) for curve in curves))
    table.add_section()
    table.add_row("all", *(signed(gap["overall"]) for gap in parts.values()))
    console.print(table)
    if result["share_of_start"] is not None:
        console.print(f"The better start is {result['share_of_start']:.0%} of the gap.")
    _say(console, result.get("notes", ()))


def contexts(result: dict, title: str):
    """Every system's loss at every context, then its gap to the reference there."""
    console, rows = Console(), _by_label(result["scores"])
    heads = [short(context) for context in result["contexts"]]
    table = _contexts_table(title, *heads, "worth")
    for label, found in rows.items():
        cells = (_loss_cell(found.get(context)) for context in result["contexts"])
        said = [score["worth"] for score in found.values() if score["worth"]]
        table.add_row(label, *cells, signed(said[-1]) if said else "")
    console.print(table)
    title = f"worse than {result['reference']} by, ± 95 % over documents, paired"
    table = _contexts_table(title, *heads)
    for label, found in rows.items():
        gaps = [(found.get(c) or {}).get("gap") for c in result["contexts"]]
        if any(gaps):
            table.add_row(label, *(signed(gap) if gap else "-" for gap in gaps))
    console.print(table)
    words = "worth: what the longest context saves over the shortest."
    marks = "*: longer than the training sequences. -: not read, or nothing to claim."
    _say(console, [words, marks, *result["notes"]])


def _contexts_table(title: str, *heads: str) -> Table:
    """A table whose first column keeps its width: in a narrow terminal intervals are
    broken into lines, never names."""
    table = Table(title=title)
    table.add_column("nats per token", no_wrap=True)
    for words in heads:
        table.add_column(words)
    return table


def _by_label(scores: list[dict]) -> dict[str, dict[int, dict]]:
    found: dict[str, dict[int, dict]] = {}
    for score in scores:
        found.setdefault(score["system"], {})[score["context"]] = score
    return found


def _loss_cell(score: dict | None) -> str:
    if score is None:
        return "-"
    return f"{score['loss']['mean']:.4f}" + ("*" if score["extrapolated"] else "")


def tuning(result: dict, title: str):
    """Every rate and clip, the best one marked."""
    table = Table("inner rate", "clip", "nats per token", "gain over frozen, ± 95 %")
    table.title = title
    table.add_row("frozen", "", f"{result['frozen']:.4f}", "")
    best = result["best"]
    for trial in result["trials"]:
        loss = "not finite" if trial["loss"] is None else f"{trial['loss']:.4f}"
        cells = (f"{trial['lr']:g}", str(trial["clip"]), loss, signed(trial["gain"]))
        table.add_row(*cells, style="bold" if trial == best else None)
    console = Console()
    console.print(table)
    if best is None:
        console.print("No rate tried is better than not learning; try smaller ones.")
        return
    console.print(f"Best: inner rate {best['lr']:g}, clip {best['clip']}.")
    words = {"lr": "--rates", "clip": "--clips"}
    for name in result["best_at_edge_of"]:
        console.print(f"The best {name} is at the edge of {words[name]}: widen them.")


def signed(value: dict) -> str:
    """`+0.351 ±0.036`; the mean alone where one novel gives no interval."""
    if value["mean"] is None:
        return "none"
    if value["interval_95"] is None:
        return f"{value['mean']:+.3f}"
    low, high = value["interval_95"]
    return f"{value['mean']:+.3f} ±{(high - low) / 2:.3f}"


def _losses(result: dict, title: str) -> Table:
    table = Table("system", "trained to", "read to", "nats per token", title=title)
    for label, loss in result["losses"].items():
        one = result["systems"][label.removesuffix(", frozen")]
        trained = f"{one['trained_to']:,}" if one["trained_to"] else "unknown"
        read = min(one["reads_to"] or result["longest"], result["longest"])
        table.add_row(label, trained, f"{read:,}", f"{loss['mean']:.4f}")
    return table


def _gaps(gaps: list[dict]) -> Table:
    table = Table("better", "than", "by", "novels", "least novel")
    table.title = "paired differences, nats per token, ± 95 % over novels"
    for gap in gaps:
        least = min(value for value in gap["by_novel"] if value is not None)
        cells = (gap["better"], gap["than"], signed(gap["overall"]))
        table.add_row(*cells, str(gap["overall"]["novels"]), f"{least:+.3f}")
    return table


def _doublings(gaps: list[dict]) -> Table:
    names = [f"{gap['better']} against {gap['than']}" for gap in gaps]
    table = Table(
        "position",
        *names,
        title="in each doubling, ± 95 % over novels (* = extrapolated)",
    )
    longest = max(gaps, key=lambda gap: gap["to"])["curves"]["doublings"]
    for i, span in enumerate(_spans(longest)):
        table.add_row(span, *(_cell(gap, i) for gap in gaps))
    return table


def _cell(gap: dict, i: int) -> str:
    curve = gap["curves"]["doublings"]
    if i >= len(curve["mean"]):
        return "not read"
    beyond = gap["trained_to"] and curve["edges"][i + 1] > gap["trained_to"]
    return signed(_bin(curve, i)) + ("*" if beyond else "")


def _lasting(gaps: list[dict]) -> Table:
    table = Table("gap", "from", "to", "per doubling", "so it")
    table.title = "does the gap last? its change with position, ± 95 % over novels"
    for gap in gaps:
        name = f"{gap['better']} against {gap['than']}"
        for slope in gap["slope_per_doubling"]:
            span = short(slope["from"]), short(slope["to"])
            table.add_row(name, *span, signed(slope), slope["verdict"])
        if growth := gap["growth"]:
            late, early = (_span(*growth[end]) for end in ("to", "from"))
            words = f"{late}: {signed(growth)} more than {early}"
            table.add_row("", "", "", "", words)
    return table


def _parts(result: dict) -> dict[str, dict]:
    better, than = result["better"], result["than"]
    found = {
        f"{better} against {than}": result["total"],
        "= better start": result["start"],
        f"+ {better} learning": result["learning"],
    }
    if result["rival"]:
        found[f"- {than} learning"] = result["rival"]
    return found


def _spans(curve: dict) -> list[str]:
    edges = curve["edges"]
    return [_span(*span) for span in zip(edges[:-1], edges[1:], strict=True)]


def _span(start: int, stop: int) -> str:
    return f"{short(start)}-{short(stop)}"


def _bin(curve: dict, i: int) -> dict:
    low, high = curve["low"][i], curve["high"][i]
    interval = None if low is None else [low, high]
    return {"mean": curve["mean"][i], "interval_95": interval}


def _say(console: Console, notes):
    for note in notes:
        console.print(f"[dim]{note}[/dim]")
