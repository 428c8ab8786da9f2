"""Which words is a text made of, and of what kind is each?

A text is cut into *units*: words, numbers, and single marks. Words are told apart as a
reader without a dictionary may tell them:

* function words: a closed list of English ones (`FUNCTION`).
* names: capitalised inside a sentence, or at its start if the text never has the word
  in lower case and has it capitalised inside a sentence.
* rare words: fewer than `RARE` times in a million words, by given counts.
* common words: all others.

`corpus_counts` counts the words of the training novels, where these are prepared.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from lab.data import eltec


RARE = 10  # times in a million words
COVERED = 0.8  # share of a text's words that a corpus must know, to be its measure
CORPUS = "eltec-eng/train"
KINDS = (
    "names",
    "rare words",
    "common words",
    "function words",
    "later pieces of words",
    "numbers",
    "punctuation",
    "white space",
)
_UNIT = re.compile(
    r"(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)|(?P<number>\d+(?:[.,]\d+)*)|\S"
)
# What stands before a word that begins a sentence, and what ends none.
_BEGINS = re.compile(r"(?:^|[.!?]|\n\s*\n|[.!?][\"'”’)\]]+)[\s\"'“‘(\[]*$")
_TITLES = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Messrs|Gen|Col|Capt|Rev|Hon|Esq)\.\s*$")
_BEFORE = 12  # characters looked at before a word

FUNCTION = frozenset(
    "a an the and or but nor if then than that this these those of in on at by for to "
    "from with without within into onto upon over under between among through during "
    "before after above below about against across along around behind beside beyond "
    "up down out off again further once here there when where why how what which who "
    "whom whose while because as until although though since so such no not only own "
    "same too very just even ever never also both each few more most other some any "
    "all every either neither another much many i me my mine myself we us our ours "
    "ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves thou thee thy one is am "
    "are was were be been being have has had having do does did doing done will would "
    "shall should can could may might must ought let unto toward towards whether yet "
    "it's i'm i've i'll don't can't won't didn't isn't wasn't couldn't wouldn't that's "
    "there's he's she's we've you're they're".split()
)


@dataclasses.dataclass(frozen=True, eq=False)
class Units:
    """The units of a text, in its order.

    `words`: each unit in lower case. `spans [units, 2]`: bytes, first and one past the
    last. `kinds [units]`: indices of `KINDS`, of a unit's first token.
    """

    words: tuple[str, ...]
    spans: np.ndarray
    kinds: np.ndarray


def units(data: bytes, counts: Mapping[str, int] | None = None) -> tuple[Units, bool]:
    """Words, numbers and marks of a text, and whether `counts` decided what is rare.

    Counts that do not know four fifths of the text's words are of another language or
    time: the text's own words are counted instead.
    """
    text = data.decode("utf-8", "surrogateescape")
    found = list(_UNIT.finditer(text))
    plain = [_straight(one[0]) for one in found]
    words = [word for one, word in zip(found, plain, strict=True) if one["word"]]
    fits = bool(counts) and _covers(counts, words)
    rare = _rare(counts if fits else Counter(words))
    names = _Names(text, found, plain)
    kinds = [
        KINDS.index(_kind(one, word, names, rare))
        for one, word in zip(found, plain, strict=True)
    ]
    at = _bytes_before(text)
    spans = at[np.array([one.span() for one in found], int).reshape(-1, 2)]
    return Units(tuple(plain), spans, np.array(kinds, int)), fits


def corpus_counts() -> Counter | None:
    """Times that each word occurs in the training novels; None without the novels."""
    if not eltec.is_prepared():
        return None
    return count(eltec.text(novel) for novel in eltec.novels("train"))


def count(texts: Iterable[str]) -> Counter:
    """Times that each word occurs, in lower case."""
    found = Counter()
    for text in texts:
        found.update(_straight(one[0]) for one in _UNIT.finditer(text) if one["word"])
    return found


def of_tokens(units: Units, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unit and the kind of each token.

    A token belongs to the unit that its first visible byte is in. What does not begin
    a word is a later piece of one.

    Args:
        spans: first byte of each token and one past its last, `[tokens, 2]`.

    Returns:
        `(unit, kind)`: `int [tokens]` each; the unit of white space is -1.
    """
    starts, stops = units.spans.T
    unit = np.searchsorted(stops, spans[:, 0], side="right")  # ends after the token's 0
    there = unit < len(starts)
    at = np.minimum(unit, max(0, len(starts) - 1))
    if not len(starts):
        return np.full(len(spans), -1), np.full(len(spans), KINDS.index("white space"))
    there &= starts[at] < spans[:, 1]
    kind = units.kinds[at]
    inside = (starts[at] < spans[:, 0]) & (kind < KINDS.index("later pieces of words"))
    kind = np.where(inside, KINDS.index("later pieces of words"), kind)
    kind = np.where(there, kind, KINDS.index("white space"))
    return np.where(there, at, -1), kind


class _Names:
    """Which capitalised words are names."""

    def __init__(self, text: str, found: list, plain: list[str]):
        self.text, self._lower, self._inside = text, set(), set()
        for one, word in zip(found, plain, strict=True):
            if one["word"] and one[0][0].islower():
                self._lower.add(word)
            elif one["word"] and not self._begins(one):
                self._inside.add(word)

    def __contains__(self, one_word) -> bool:
        one, word = one_word
        if not one[0][0].isupper() or word in FUNCTION:
            return False
        shouts = len(word) > 1 and one[0].isupper() and word in self._lower
        if not self._begins(one):
            return not shouts
        return word in self._inside and word not in self._lower

    def _begins(self, one) -> bool:
        before = self.text[max(0, one.start() - _BEFORE) : one.start()]
        return bool(_BEGINS.search(before) and not _TITLES.search(before))


def _kind(one, word: str, names: _Names, rare) -> str:
    if one["number"]:
        return "numbers"
    if not one["word"]:
        return "punctuation"
    if word in FUNCTION:
        return "function words"
    if (one, word) in names:
        return "names"
    return "rare words" if rare(word) else "common words"


def _rare(counts: Mapping[str, int]):
    """Whether a word is rare by these counts; a word met once in a short text is."""
    most = RARE * sum(counts.values()) / 1e6
    return lambda word: counts.get(word, 0) <= max(1, most)


def _covers(counts: Mapping[str, int], words: list[str]) -> bool:
    known = sum(word in counts for word in words)
    return known >= COVERED * len(words)


def _straight(word: str) -> str:
    """A word in lower case with a straight apostrophe."""
    return word.lower().replace("’", "'")


def _bytes_before(text: str) -> np.ndarray:
    """Bytes before each character, and before the end, `[characters + 1]`.

    A byte that is no text stands as a surrogate, and counts as one.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    sizes = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
    sizes = np.where((codes >= 0xDC80) & (codes <= 0xDCFF), 1, sizes)
    return np.concatenate([[0], np.cumsum(sizes)])
