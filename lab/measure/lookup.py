"""Which passage of what was read suits a question? BM25, as search engines use it.

Passages overlap: each begins an eighth of its length after the one before, so that
nothing shorter than seven eighths of a passage is cut in every passage. All have as
many tokens, so BM25's correction for length is off: it would favour a passage whose
answer is cut off, since that passage has a word less. An answer mostly follows the
words that ask for it. So of passages that suit equally well one is taken with three
times as much after those words as before them, and at the end of a text the last one.
"""

from typing import NamedTuple

import numpy as np

from lab.data.tokenizers import AbstractTokenizer


OVERLAP = 8  # passages that hold a token, but for tokens at the ends of a text
ALIKE = 1e-6  # scores closer than this are equal: they are rounded to single precision


class Passage(NamedTuple):
    """Tokens `[start, stop)` of a text."""

    start: int
    stop: int


class Lookup:
    """Passages of a text, indexed, to be looked up by words.

    Args:
        tokens: `int [length]`, the text.
        tokenizer: the tokenizer of the text.
        length: of a passage, in tokens.

    **Raises** `ImportError` with the command that installs `bm25s`.
    """

    def __init__(self, tokens: np.ndarray, tokenizer: AbstractTokenizer, length: int):
        self._tokenizer = tokenizer
        self.passages = _cut(len(tokens), length)
        texts = [tokenizer.decode(tokens[a:b].tolist()) for a, b in self.passages]
        words = _words(texts)
        self._known = {word for some in words for word in some}
        self._index = _bm25().BM25(b=0.0)
        if self._known:
            self._index.index(words, show_progress=False)

    def best(self, question: np.ndarray) -> Passage | None:
        """The passage that suits a question's tokens best; None if none has a word."""
        (asked,) = _words([self._tokenizer.decode(question.tolist())])
        known = [word for word in asked if word in self._known]
        if not known:
            return None
        scores = self._index.get_scores(known)
        (best,) = np.nonzero(scores >= scores.max() - ALIKE)
        at_end = best[-1] == len(self.passages) - 1
        return self.passages[int(best[-1] if at_end else best[3 * len(best) // 4])]


def _cut(total: int, length: int) -> list[Passage]:
    """Passages of `length` tokens; a text that is shorter is one passage."""
    step = max(1, length // OVERLAP)
    starts = [*range(0, max(total - length, 0), step), max(total - length, 0)]
    return [Passage(start, min(start + length, total)) for start in starts]


def _words(texts: list[str]) -> list[list[str]]:
    """The words of each text, in small letters, without the commonest."""
    knobs = dict(stopwords="en", return_ids=False, show_progress=False)
    return _bm25().tokenize(texts, **knobs)


def _bm25():
    try:
        import bm25s
    except ImportError as error:
        raise ImportError(
            "Looking passages up needs bm25s, a small library: pip install bm25s"
        ) from error
    return bm25s
