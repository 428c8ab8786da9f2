"""The place in the current reading: the transport's logic, without its buttons.

The player treats recordings and live readings alike: it walks through the chunks that
have been read, and after the last of them a live reading reads one more.
"""

from dataclasses import dataclass

import streamlit as st

from app import cache, session
from lab.data import needles
from lab.reading.session import Reading
from lab.traces import Header, Trace


@dataclass(frozen=True)
class Player:
    """The contents of the screen: a trace, and the reading that extends it, or None."""

    trace: Trace
    reading: Reading | None

    @property
    def chunk(self) -> int:
        """Number of chunks shown; the session may ask for more than there are."""
        asked = session.get("chunk")
        return self.trace.filled if asked is None else min(asked, self.trace.filled)

    @property
    def total(self) -> int:
        """Number of chunks in the whole document, or in the part that was recorded."""
        return self.trace.header.chunks if self.reading else self.trace.filled

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to play."""
        more = self.reading is not None and not self.reading.done
        return self.chunk >= self.trace.filled and not more

    @property
    def waiting(self) -> str | None:
        """Words on a program that the next chunk needs and that is still compiling."""
        at_the_end = self.chunk >= self.trace.filled
        return self.reading.waiting if self.reading and at_the_end else None

    @property
    def shown(self) -> Trace:
        """The trace up to the chunk on screen."""
        return self.trace.upto(self.chunk)


def current() -> Player | None:
    """The player for what the session shows; None if nothing is recorded yet."""
    reading = session.get("reading")
    if session.get("source") == "live" and reading is not None:
        return Player(reading.trace, reading)
    name = session.get("recording")
    return Player(cache.recording(name), None) if name else None


def arrive() -> None:
    """On the first visit, show the recording or start the live reading of the URL.

    Without parameters in the URL, show a recording with a needle, if there is one.
    """
    headers, asked = cache.recordings(), set(st.query_params)
    _check_model("model" in asked)
    fitting = {
        name: header
        for name, header in headers.items()
        if ("doc" not in asked or header.document == session.get("document"))
        and ("needle" not in asked or _planted(header) == sentence())
    }
    exact = {n for n, h in fitting.items() if asked and _planted(h) == sentence()}
    showy = {n for n, h in fitting.items() if h.needle}
    if best := [*sorted(exact), *sorted(showy), *fitting][:1]:
        choose_recording(best[0])
        return
    live = "live" if {"doc", "needle"} & asked else "recorded"
    session.put(recording=next(iter(headers), None), source=live)


def _check_model(asked: bool) -> None:
    models, wanted = cache.models(), session.get("model")
    if models and wanted not in models:
        first = next(
            (name for name, remark in models.items() if not remark), min(models)
        )
        problem = f"There is no model {wanted!r} here; {first!r} takes its place."
        session.put(model=first, problem=problem if asked else None)


def _planted(header: Header) -> str:
    return header.needle.sentence if header.needle else ""


def sentence() -> str:
    """The sentence that the session's settings would plant; empty without a needle."""
    if session.get("needle") == "passkey":
        return needles.passkey(session.get("seed")).sentence
    return session.get("sentence") if session.get("needle") == "sentence" else ""


def choose_recording(name: str) -> None:
    """Show a recording, and set up live reading for the same document and needle."""
    header = cache.recordings()[name]
    session.put(recording=name, document=header.document)
    if header.needle is None:
        session.put(needle="none")
        return
    depth = round(20 * header.needle.start / max(1, header.total)) / 20
    session.put(needle="sentence", sentence=header.needle.sentence, depth=depth)
    seed = header.provenance.get("seed")
    if seed is not None and needles.passkey(seed).sentence == header.needle.sentence:
        session.put(needle="passkey", seed=seed, sentence="")


def advance(player: Player, *, chunks: int) -> Player:
    """Advance by one picture: by `chunks` that have been read, or by one read live.

    The player waits while a program that it needs compiles, and stops at the end.
    """
    if player.waiting:
        return player
    if player.chunk < player.trace.filled:
        step = min(chunks, player.trace.filled - player.chunk)
        move(player.chunk + step)
    elif player.reading and not player.reading.done:
        player.reading.step()
        move(player.reading.filled)
    player = current()
    if player.ended:
        session.put(playing=False)
    return player


def move(chunk: int | None) -> None:
    """Show `chunk`, None for the last, and replace the scrubber by a new widget."""
    session.put(chunk=chunk, moves=session.get("moves") + 1)


def scrub(chunk: int) -> None:
    """Show `chunk`, after the visitor has moved the scrubber there."""
    session.put(chunk=chunk)


def show(reading: Reading) -> None:
    """Show a new reading from its beginning, and play."""
    move(0)
    session.put(reading=reading, playing=True, problem=None)
