"""Writing in any script: which characters stand together, which words take a space.

A reader sees a family emoji or a Devanagari syllable as one character, and Unicode
stores several code points for it (a *grapheme cluster*, Unicode annex 29). `joined`
says where a text must not be cut: the rules of the annex, from the character database
of Python, and the vowels that Thai and Lao write before their consonant.
"""

import unicodedata


# Scripts that put no space between two words: first and last code point of each block.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x312F),  # Han radicals, marks of Chinese and Japanese, kana, bopomofo
    (0x3190, 0xA4CF),  # Han, Yi
    (0xF900, 0xFAFF),  # Han
    (0xFE30, 0xFE4F),  # marks of vertical lines
    (0xFF01, 0xFF9F),  # wide letters and marks, narrow kana
    (0x20000, 0x3FFFF),  # Han
)
_JOINER = "\u200d"
_BEFORE_CONSONANT = "\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4"
_VIRAMA = 9  # canonical combining class of the sign that ties two consonants
# The mark that ends a sentence, by the script of the sentence's last letter.
_STOPS = {
    "CJK": "。",
    "HIRAGANA": "。",
    "KATAKANA": "。",
    "THAI": "",
    "DEVANAGARI": "।",
}


def joined(text: str, index: int) -> bool:
    """Whether the characters before and at `index` must stay together.

    >>> joined("e\u0301", 1), joined("ab", 1)
    (True, False)
    """
    if not 0 < index < len(text):
        return False
    before, at = text[index - 1], text[index]
    if before == "\r" and at == "\n":
        return True
    if before.isspace() or _is_control(before) or _is_control(at):
        return False
    return (
        _extends(at)
        or before == _JOINER
        or before in _BEFORE_CONSONANT
        or (unicodedata.combining(before) == _VIRAMA and at.isalpha())
        or _is_one_syllable(before, at)
        or (_is_flag_half(at) and _flag_halves_before(text, index) % 2 == 1)
    )


def clusters(text: str) -> list[str]:
    """The text cut into what a reader takes for single characters.

    >>> clusters("ok\U0001f44d\U0001f3fd")[2:]
    ['👍🏽']
    """
    ends = [i for i in range(1, len(text)) if not joined(text, i)]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if b]


def whole(text: str, index: int) -> int:
    """The last index up to `index` at which the text may be cut."""
    while joined(text, index):
        index -= 1
    return index


def is_unspaced(character: str) -> bool:
    """Whether the script of a character puts no space between words."""
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


def is_picture(character: str) -> bool:
    """Whether a character is an emoji or another sign that is no letter or mark."""
    return unicodedata.category(character) == "So" or character == "\ufe0f"


def gap(before: str, after: str) -> str:
    """What stands between two words: a space, or nothing where their scripts have none.

    >>> gap("the cat", "sat"), gap("密码是", "四一八二")
    (' ', '')
    """
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return ""
    return "" if is_unspaced(before[-1]) or is_unspaced(after[0]) else " "


def full_stop(sentence: str) -> str:
    """The mark that ends a sentence in the script of its last letter."""
    letters = [c for c in sentence if unicodedata.category(c)[0] == "L"]
    name = unicodedata.name(letters[-1], "") if letters else ""
    return _STOPS.get(name.partition(" ")[0], ".")


def _extends(character: str) -> bool:
    """Whether a character belongs to the one before it."""
    return (
        unicodedata.category(character)[0] == "M"
        or character in (_JOINER, "\u200c", "\u0e33", "\u0eb3")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # flags of regions
        or character in "\uff9e\uff9f"
    )


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def _is_one_syllable(before: str, at: str) -> bool:
    """Whether two parts of Korean letters make one syllable: first, middle, last."""
    first, last = "\u1100" <= before <= "\u115f", "\u11a8" <= at <= "\u11ff"
    if first:
        return "\u1100" <= at <= "\u11a7" or "가" <= at <= "힣"
    middle = "\u1160" <= before <= "\u11a7" or "가" <= before <= "힣"
    return last and (middle or "\u11a8" <= before <= "\u11ff")


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_halves_before(text: str, index: int) -> int:
    first = index
    while first and _is_flag_half(text[first - 1]):
        first -= 1
    return index - first
