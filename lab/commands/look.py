"""`ttt-lab inspect all`: every look at one model after one document, one by one.

A look NAME is the module `lab.commands.NAME`: `look_at(opened)` gives its result with
default options, `show(result)` prints it, and `headline(result)` says in a sentence
what was found.
"""

import hashlib
import importlib
import importlib.util
import time
from pathlib import Path

from rich.table import Column, Table

from lab import results, runs
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output
from lab.commands.progress import duration
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.stopping import Stopped


# Every `inspect NAME`, in the order in which they are taken. A test holds the list to
# the verbs.
LOOKS = (
    "words",
    "retention",
    "influence",
    "forgetting",
    "anatomy",
    "directions",
    "interference",
    "strength",
    "access",
    "ceiling",
)
# What a look may meet in some model or text, while others can still be taken.
REFUSALS = (ValueError, FileNotFoundError, FloatingPointError, ImportError)


def all_(look: Look = Look(), again: bool = False, output: Output = Output()):
    """Every look at one model after one document, with one page of all figures.

    Each look is kept as it is done: a stopped command goes on where it was.

    Args:
        again: take looks again that are kept.

    **Raises** `ValueError` for a model that never learns, and at the end if a look
    could not be taken.
    """
    opened = look.open()
    if not opened.model.config.learns:
        raise ValueError(
            f"{opened.name} does not learn while reading, so nothing of a text gets "
            "into its weights; choose one that learns, such as tiny-e2e."
        )
    album = _Album(opened, output, again)
    refused = album.take()
    album.show(refused)
    if output.figures:
        album.draw(output.figures)
    if refused:
        many = f"{len(refused)} of {len(LOOKS)} looks"
        raise ValueError(f"{many} could not be taken: {', '.join(refused)}.")


class _Album:
    """Looks as they are taken, and the file that lists them."""

    def __init__(self, opened: Opened, output: Output, again: bool):
        self.opened, self.publish = opened, output.publish
        self.stem = opened.subject.stem
        self.folder = results.PUBLISHED if output.publish else runs.folder("evals")
        self.commit = runs.commit()
        self.seen = {} if again else self._kept()

    def take(self) -> dict[str, str]:
        """Take every look that is not kept; a sentence for each that was refused."""
        refused = {}
        try:
            for number, name in enumerate(LOOKS, 1):
                self._say(number, name)
                if name in self.seen:
                    continue
                try:
                    self._take(name)
                except REFUSALS as error:
                    refused[name] = str(error)
        except KeyboardInterrupt as error:
            raise Stopped(self._stopped(name)) from error
        return refused

    def show(self, refused: dict[str, str]):
        """One line per look: what was found, in which time, in which file."""
        title = str(self.opened.subject)
        file = Column("file", overflow="fold")
        table = Table("look", "what was found", "time", file, title=title)
        for name in LOOKS:
            if name in self.seen:
                one = self.seen[name]
                table.add_row(name, one.headline, duration(one.seconds), one.file)
            else:
                table.add_row(name, refused[name], "", "none")
        console = Terminal()
        console.print(table)
        total = duration(sum(one.seconds for one in self.seen.values()))
        say(
            [
                f"{len(self.seen)} looks took {total}; the files are in "
                f"{runs.shown(self.folder)}."
            ],
            console,
        )

    def draw(self, folder: Path):
        """One page with all figures."""
        from lab import files, plots
        from lab.analysis import looks
        from lab.plots.page import Section, album

        sections = []
        for name in filter(self.seen.get, LOOKS):
            one = self.seen[name]
            found = results.open_result(self.folder / one.file, _type(name))
            figures = plots.result_figures(name, found)
            words = looks.LOOKS[name].words
            sections.append(Section(name, one.headline, figures, words))
        title = f"What got into the weights: {self.opened.subject}"
        subject = self.opened.subject
        lead = f"{subject.title}. Model {subject.model}, sha256 {subject.sha256[:12]}."
        path = folder / f"inspect-{self.stem}.html"
        folder.mkdir(parents=True, exist_ok=True)
        files.write(path, album(title, lead, sections))
        Terminal().print(f"figures: {runs.shown(path)}", soft_wrap=True)

    def _take(self, name: str):
        module, began = _module(name), time.monotonic()
        result = module.look_at(self.opened)
        seconds = time.monotonic() - began
        path = results.keep(result, self.stem, publish=self.publish)
        module.show(result)
        self.seen[name] = _seen(module, result, path, seconds, self.commit)
        self._keep()

    def _keep(self):
        from lab.analysis.overview import Overview

        found = Overview(self.opened.subject, self.seen)
        results.keep(found, self.stem, publish=self.publish)

    def _kept(self) -> dict:
        """Looks that the same source took at the same subject, if their files stand."""
        from lab.analysis.overview import Overview

        path = self.folder / f"all-{self.stem}.json"
        try:
            found = results.open_result(path, Overview)
        except (ValueError, OSError):  # there is none, or it is damaged
            return {}
        if found.subject != self.opened.subject:
            return {}
        return {n: one for n, one in found.looks.items() if self._stands(n, one)}

    def _stands(self, name: str, one) -> bool:
        path = self.folder / one.file
        same = one.commit == self.commit and name in LOOKS
        return same and path.is_file() and _hash(path) == one.sha256

    def _say(self, number: int, name: str):
        state = "is kept" if name in self.seen else "..."
        said = f"look {number} of {len(LOOKS)}: {name} {state}"
        Terminal(error=True).print(said, style="bold")

    def _stopped(self, name: str) -> str:
        if not self.seen:
            return f"stopped while taking {name}; the same command begins again"
        kept = ", ".join(self.seen)
        return (
            f"stopped while taking {name}; kept: {kept}. The same command goes on from "
            "there"
        )


def _module(name: str):
    """The module of a look.

    **Raises** `ImportError` if this copy of the lab does not have it.
    """
    if importlib.util.find_spec(f"lab.commands.{name}") is None:
        raise ImportError(f"this copy of the lab has no `inspect {name}`")
    return importlib.import_module(f"lab.commands.{name}")


def _type(name: str):
    from lab.plots.results import TYPES

    return TYPES[name]


def _seen(module, result, path: Path, seconds: float, commit: str):
    from lab.analysis.overview import Seen

    return Seen(module.headline(result), seconds, path.name, _hash(path), commit)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
