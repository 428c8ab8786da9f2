"""The place in the current reading: the transport's logic, without its buttons.

The player treats recordings and live readings alike: it walks through the chunks that
have been read, and after the last of them a live reading reads one more.
"""

from dataclasses import dataclass

from app import arrival, cache, session
from lab.reading.session import Reading
from lab.traces import Trace


BUDGET = 0.35  # seconds that a live picture may read, so that a button is heard soon
LEAST = 16  # tokens that a picture reads at least, however short a chunk is


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
        return self.chunk >= self.trace.filled and not (more or self.lagging)

    @property
    def lagging(self) -> list[Reading]:
        """Readings of other models that have not come as far as this one."""
        reached = self.reading.reached if self.reading else 0
        return [o for o in beside().values() if o.reached < reached and not o.done]

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
    return _recorded(name) if name else None


def _recorded(name: str) -> Player | None:
    try:
        return Player(cache.recording(name), None)
    except (ValueError, OSError) as problem:
        # The file was whole when it was listed.
        session.put(recording=None, problem=str(problem), playing=False)
        return None


def beside() -> dict[str, Reading]:
    """The readings of other models on the same text, by the models' names."""
    if session.get("source") != "live":
        return {}
    found = session.get("companions").items()
    return {name: one for name, one in found if isinstance(one, Reading)}


def per_picture(chunk: int) -> int:
    """Chunks that a live picture reads, if time allows, for chunks of that length."""
    return session.get("speed") * max(1, LEAST // max(1, chunk))


def settings(shown: Player | None) -> dict:
    """The lasting values of what is on screen, for the page's address."""
    values = session.everything()
    if shown is None or session.get("source") == "live":
        return values
    return values | arrival.described(shown.trace.header)


def advance(player: Player, *, chunks: int | None = None) -> Player:
    """Advance by one picture: by `chunks`, read before or, as time allows, now.

    `chunks`: None for as many as the speed asks for. The player waits while a program
    that it needs compiles, and stops at the end.
    """
    asked, chunks = chunks, chunks or session.get("speed")
    for other in player.lagging:
        other.follow(player.reading.reached, BUDGET)
    if player.waiting:
        return player
    if player.chunk < player.trace.filled:
        step = min(chunks, player.trace.filled - player.chunk)
        move(player.chunk + step)
    elif player.reading and not player.reading.done:
        least = 1 if asked else max(1, LEAST // player.trace.header.chunk)
        player.reading.read_for(BUDGET, chunks * least)
        move(player.reading.filled)
    player = current() or player
    if player.ended:
        session.put(playing=False)
    return player


def advance_or_say(player: Player, *, chunks: int | None = None) -> Player:
    """`advance`, where a chunk that cannot be read is a sentence and ends the play."""
    try:
        return advance(player, chunks=chunks)
    except ValueError as problem:
        session.put(problem=str(problem), playing=False)
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
    session.put(
        reading=reading, playing=True, problem=None, text_place=None, form=False
    )
