"""Where do a document's parts begin: chapters of a novel, addresses of the chronicle?

A heading stands in a line of its own, and either names what begins ("CHAPTER IV", "Book
the First", "LETTER 3.") or is a number that counts ("IV", "4. In the Toils"). A number
alone may be anything, a year or a page, so numbers are headings only where they go up
one by one from one. Of headings without a sentence between them, as in a table of
contents, the last one counts.
"""

import functools
import re
from typing import NamedTuple

from lab.data import addresses
from lab.data.documents import Document


LONGEST = 90  # characters of a heading
_ONES = "one two three four five six seven eight nine ten eleven twelve".split()
_NTH = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_NTH += "eleventh twelfth last".split()
_KEY = r"chapter|book|part|volume|letter|canto|scene|act|stave|section"
_NUMBER = rf"(?:[ivxlc]+|\d{{1,3}}|{'|'.join(_ONES)}|(?:the )?(?:{'|'.join(_NTH)}))"
_NAMED = re.compile(
    rf"(?P<name>(?:{_KEY})[ \t]+{_NUMBER}(?!\w)\.?)(?P<rest>.*)", re.IGNORECASE
)
_ALONE = re.compile(r"(?:preface|prologue|epilogue|introduction|conclusion)\.?", re.I)
_COUNTED = re.compile(
    r"(?P<name>(?P<number>[IVXLC]+|\d{1,3})\.?)(?P<rest>(?:[.:—].*| [^a-z]*)?)"
)
_LINE = re.compile(r"^[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_SENTENCE = re.compile(rf"[a-z][.,;!?]|[^\n]{{{LONGEST + 1}}}")
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


class Chapter(NamedTuple):
    """A heading: its first byte in the text's UTF-8, and its words."""

    start: int
    words: str

    @property
    def name(self) -> str:
        """The heading without its title, such as "CHAPTER IV."."""
        found = _NAMED.fullmatch(self.words) or _COUNTED.fullmatch(self.words)
        return " ".join((found["name"] if found else self.words).split())


@functools.lru_cache(maxsize=16)
def chapters(text: bytes) -> tuple[Chapter, ...]:
    """The headings of a text, in order; none in a text without chapters.

    >>> [found.words for found in chapters(b"PART I\\n\\nIn PART 2, ships.")]
    ['PART I']
    """
    words = text.decode("utf-8", "replace")
    lines = [m for m in _LINE.finditer(words) if len(m[1]) <= LONGEST]
    lines = [m for m in lines if _is_alone(words, m)]
    counted = _counting([(m, _count(m[1])) for m in lines])
    found = [m for m in lines if m in counted or _is_named(m[1])]
    found = _with_text(words, found)
    starts = _bytes_before(words, [m.start(1) for m in found])
    return tuple(Chapter(at, m[1]) for at, m in zip(starts, found, strict=True))


def _is_alone(words: str, line: re.Match) -> bool:
    """Whether a blank line, or the text's start, stands before the line."""
    before = words[max(0, line.start() - 2) : line.start()]
    return not before.strip(" \t\n") and (line.start() < 2 or before == "\n\n")


def _is_named(line: str) -> bool:
    if _ALONE.fullmatch(line):
        return True
    named = _NAMED.fullmatch(line)
    # "Part one of the story is told" is a sentence, "Part One. The Story" is none.
    return bool(named) and not re.match(r" [a-z]", named["rest"])


def _count(line: str) -> int:
    """The number that a line begins with, 0 if the line is no numbered heading."""
    if not (found := _COUNTED.fullmatch(line)):
        return 0
    number = found["number"]
    return int(number) if number.isdecimal() else _roman(number)


def _roman(number: str) -> int:
    """A Roman number, 0 for letters that are none.

    >>> _roman("XIV"), _roman("IIX")
    (14, 0)
    """
    values = [_ROMAN[letter] for letter in number]
    later = [*values[1:], 0]
    total = sum(-v if v < w else v for v, w in zip(values, later, strict=True))
    return total if _as_roman(total) == number else 0


def _as_roman(number: int) -> str:
    steps = (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX")
    written = ""
    for value, letters in (*steps, (5, "V"), (4, "IV"), (1, "I")):
        written += letters * (number // value)
        number %= value
    return written


def _counting(lines: list[tuple[re.Match, int]]) -> set[re.Match]:
    """The lines whose numbers go up one by one from one, as far as two at least."""
    found, run = set(), []
    for line, number in lines:
        if number == 1:
            run = [line]
        elif run and number == len(run) + 1:
            run.append(line)
            found.update(run)
    return found


def _with_text(words: str, found: list[re.Match]) -> list[re.Match]:
    """The headings that a sentence follows, before the next one."""
    ends = [*(m.start(1) for m in found), len(words)][1:]
    pairs = zip(found, ends, strict=True)
    return [m for m, end in pairs if _SENTENCE.search(words, m.end(), end)]


def _bytes_before(words: str, places: list[int]) -> list[int]:
    """For rising places among the characters, how many bytes stand before each."""
    found, done, last = [], 0, 0
    for place in places:
        done += len(words[last:place].encode())
        last = place
        found.append(done)
    return found


def headings(document: Document) -> list[tuple[int, str]]:
    """`(first byte in UTF-8, name)` of each part, in order.

    >>> headings(Document("a", "A", "CHAPTER I.\\n\\nFog.\\n", "", ""))
    [(0, 'CHAPTER I.')]
    """
    if document.name == "sotu-chronicle":
        return [(at, name) for name, at in addresses.starts().items()]
    return [(one.start, one.name) for one in chapters(document.text.encode())]


def at_tokens(
    document: Document, tokenizer, ids, start: int = 0
) -> list[tuple[int, str]]:
    """`(token, name)` of the parts that begin within `ids`, the tokens from `start`.

    Tokens are counted within `ids`.
    """
    before = tokenizer.encode(document.text)[:start] if start else []
    skipped = int(tokenizer.lengths[before].sum()) if len(before) else 0
    ends = skipped + tokenizer.lengths[ids].cumsum()
    found = [
        (int(ends.searchsorted(at, "right")), name)
        for at, name in headings(document)
        if at >= skipped
    ]
    return [(token, name) for token, name in found if token < len(ids)]
