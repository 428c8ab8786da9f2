"""Text of people as it is written: characters that act instead of being seen are shown.

A text may contain characters that move the cursor, ring the bell or turn the reading
direction of everything after them. On a screen these become signs that are seen; a text
without such characters is left alone, in every script.
"""

import re


# Zero-width joiners stay: emoji and Indian scripts are written with them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""`text` with visible signs for its control characters, but tab and newline.

    >>> visible("red\x1b[31m, \u202eturned\u202c")
    'red␛[31m, ⟨U+202E⟩turned⟨U+202C⟩'
    """
    return _UNSEEN.sub(_sign, text)


def one_line(text: str) -> str:
    r"""`visible(text)` on one line: line ends and tabs are shown too.

    >>> one_line("one\ntwo\r\n")
    'one↵two↵'
    """
    return visible(text.replace("\r\n", "\n")).replace("\n", "↵").replace("\t", "␉")


def _sign(found: re.Match) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
