"""Text that somebody else wrote, as it may be printed: shown, never obeyed.

A document, a needle, a file name or an error can hold characters that a terminal takes
for orders: they move the cursor, change colours or the title, turn the direction of
writing round. `visible` writes them as escapes. Joiners, which emoji and Indic scripts
need, stay.
"""

import re


# Controls (not the line feed and the tabulator), line and paragraph separators, marks
# of direction, and halves of characters that stand for bytes that are not UTF-8.
_ORDERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""`text` with every character that a terminal would obey as an escape.

    >>> print(visible("\x1b[31mred"))
    \x1b[31mred
    """
    return _ORDERS.sub(lambda found: ascii(found[0])[1:-1], text)
