"""Text of people as Markdown that shows it as written: the one way onto the page.

Streamlit reads captions, errors and tables as Markdown with mathematics, colours,
icons, emoji codes and arrows. Names, needles, paths and the errors that quote them are
none of these.
"""

import html
import re

from lab.visible import visible


# Everything that can begin a piece of Markdown; a backslash makes it a plain sign.
_MARKS = re.compile(r"([!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])")

# Streamlit replaces these after the backslashes are gone: emoji codes and icons, arrows
# and dashes, addresses. A character of no width in the middle keeps the parts apart.
_APART = "\u2060"
_REPLACED = re.compile(
    r":(?=[\w+/-]+:)"
    r"|(?<!\S)(?:<->|->|<-|--|>=|<=|~=)(?!\S)"
    r"|(?i:www)(?=\.)|(?i:https?|ftp)(?=://)|@"
)


def one_line(text: str) -> str:
    r"""`text` on one line, with signs for line ends, tabs and control characters.

    >>> print(one_line("one\r\n\ttwo\x1b"))
    one↵␉two\x1b
    """
    ends = text.replace("\r\n", "\n").replace("\n", "↵").replace("\t", "␉")
    return visible(ends)


def plain(text: object) -> str:
    """Markdown that shows `text` as it is written, on one line, controls made visible.

    >>> print(plain("$5 and *six*"))
    \\$5 and \\*six\\*
    """
    kept = _REPLACED.sub(lambda found: _divided(found[0]), one_line(str(text)))
    # Four spaces at the start would make a block of code.
    return _MARKS.sub(r"\\\1", kept).strip(" ")


def as_html(text: str) -> str:
    """HTML that shows `text` as it is written, in lines, controls made visible.

    >>> print(as_html("<b>\x1b"))
    &lt;b&gt;\\x1b
    """
    return html.escape(visible(text))


def _divided(found: str) -> str:
    if len(found) == 1 or found.isalpha():
        return found + _APART
    return found[0] + _APART + found[1:]
