"""Shared by all commands: options, documented once, and the way down and up.

A command opens its systems and its text, reads (`read`), and hands a typed result to
`finish`, which keeps it and draws its figures.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeAlias

from tyro.conf import Positional, arg

from lab import results, runs
from lab.commands.progress import counting, waiting
from lab.commands.terminal import Terminal
from lab.measure.texts import Source, Text


def option(metavar: str):
    """How the list of options shows an option: `metavar` for its value.

    An empty default is not shown, because the words beside it say what happens then.
    """
    hint = lambda default: (
        "" if default in ("", "''", "None") else f"(default: {default})"
    )
    return arg(metavar=metavar, help_behavior_hint=hint)


@dataclasses.dataclass(frozen=True)
class Output:
    """Where results go.

    Args:
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """

    figures: Annotated[Path | None, option("FOLDER")] = None
    publish: bool = False


@dataclasses.dataclass(frozen=True)
class Reading:
    """How passages are read.

    Args:
        full_to: full attention reads this many tokens (default: as trained).
        workers: passages read side by side (default: one per core).
    """

    full_to: Annotated[int | None, option("TOKENS")] = None
    workers: Annotated[int | None, option("N")] = None


# The flags of these dataclasses have no prefix, because `lab.cli` sets it so in tyro.
Model: TypeAlias = Positional[Annotated[str, arg(metavar="MODEL")]]
Models: TypeAlias = Positional[Annotated[tuple[str, ...], option("MODEL [MODEL ...]")]]


def read(readers: dict, passages: list, reading: Reading, *, strict: bool = True):
    """Nats of every reader for every passage, with progress; stored ones are reused.

    **Raises** `ValueError` for fewer than one worker, `Stopped` if interrupted.
    """
    from lab.measure.nats import read_all

    many = runs.usable_cores() if reading.workers is None else reading.workers
    if many < 1:
        raise ValueError(f"--workers must be >= 1: got {many}.")
    with counting("reading", "tokens") as report:
        knobs = {"workers": many, "strict": strict, "report": report}
        return read_all(readers, passages, **knobs)


def systems_and_text(models: tuple[str, ...], text: Text, reading: Reading = Reading()):
    """The systems, ready to be compared, and the text that they read."""
    from lab.measure.readers import systems

    found = systems(models, full_to=reading.full_to)
    with opening(text):
        return found, text.open(found[0].tokenizer)


def warn(sentence: str):
    """Print a sentence that a person at the terminal should not miss."""
    Terminal(error=True).print(sentence, style="yellow", soft_wrap=True)


@contextlib.contextmanager
def opening(text: Source):
    """A context in which a text is opened, which takes a while the first time."""
    if said := text.stands_in:
        warn(said)
    with waiting(f"opening {text.only().corpus[0]}"):
        yield


def finish(result, name: str, output: Output, show: Callable):
    """Keep a result in the run folder or among the published, show it, and draw its
    figures if asked.

    The result is kept first: nothing that fails on the way to the screen may lose it.
    """
    try:
        path = results.keep(result, name, publish=output.publish)
    except OSError:
        show(result)  # if it cannot be kept, it can still be seen
        raise
    show(result)
    Terminal().print(f"numbers: {runs.shown(path)}", soft_wrap=True)
    if output.figures:
        draw(result, path.stem, output.figures)


def draw(result, stem: str, folder: Path):
    """Write the figures of a result as HTML."""
    from lab import plots

    folder.mkdir(parents=True, exist_ok=True)
    for part, figure in plots.result_figures(result.KIND, result).items():
        path = folder / f"{stem}-{part}.html"
        bar = {"displaylogo": False}
        figure.write_html(path, include_plotlyjs="directory", config=bar)
        Terminal().print(f"figure: {runs.shown(path)}", soft_wrap=True)
