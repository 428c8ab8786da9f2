"""What a model writes, token by token, as text that can be shown at once.

A token may end inside a character, and a string that ends the writing may come in
parts. So text is held back until its characters are whole and can no longer be the
beginning of such a string.
"""

import codecs
from collections.abc import Iterator, Sequence


def check_stops(stops: Sequence[str]):
    """**Raises** `ValueError` for an empty string."""
    if "" in stops:
        raise ValueError("A stop string is empty: every text would end at once.")


class Written:
    """The text of tokens that come one by one.

    Args:
        tokenizer: knows the bytes of each token.
        stops: the writing ends before the first of these strings; none is shown.

    Attributes:
        text: all that has been given out so far.
        stopped: whether one of `stops` was met.

    **Raises** `ValueError` for an empty string among `stops`.
    """

    def __init__(self, tokenizer, stops: Sequence[str] = ()):
        check_stops(stops)
        self.text, self.stopped = "", False
        self._pieces, self._stops, self._held = tokenizer.pieces, tuple(stops), ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def add(self, token: int) -> str:
        """The characters that are certain with this token; empty once stopped."""
        if self.stopped:
            return ""
        self._held += self._decode(self._pieces[token])
        places = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        self.stopped = bool(places)
        ready = min(places) if places else len(self._held) - self._doubtful()
        return self._give(ready)

    def end(self) -> str:
        """What was held back. Half a character is left out."""
        return "" if self.stopped else self._give(len(self._held))

    def _doubtful(self) -> int:
        """Length of the longest end of the text that may begin a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        lengths = range(min(longest, len(self._held)), 0, -1)
        begins = lambda n: any(s.startswith(self._held[-n:]) for s in self._stops)
        return next((n for n in lengths if begins(n)), 0)

    def _give(self, count: int) -> str:
        given, self._held = self._held[:count], self._held[count:]
        self.text += given
        return given


def write(
    model,
    state,
    tokenizer,
    prompt: Sequence[int],
    length: int,
    *,
    stops: Sequence[str] = (),
    seed: int = 0,
    learns: bool = True,
    **dials,
) -> Iterator[str]:
    """What follows on `prompt`, in pieces of whole characters, on a fork of `state`.

    `learns`: whether the fork goes on learning from the prompt and from what it writes.
    `dials`: those of `ttt_core.decode.Dials`.
    """
    from itertools import islice

    import jax

    import ttt_core as ttt
    from ttt_core.decode import Dials
    from ttt_core.decode import write as draw

    rate = float(learns)
    state, _ = ttt.read(model, state, prompt, rate=rate)
    knobs = {"key": jax.random.key(seed), "seen": prompt, "rate": rate}
    endless = draw(model, state, dials=Dials(**dials), **knobs)
    written = Written(tokenizer, stops)
    for token, _ in islice(endless, length):
        yield written.add(token)
        if written.stopped:
            return
    yield written.end()
