"""Where a document's parts begin: chapters of a novel, addresses of the chronicle."""

import re

from lab.data import addresses
from lab.data.documents import Document


_NAMES = "CHAPTER|Chapter|BOOK|Book|PART|Part|VOLUME|Volume|VOL\\.?|Vol\\.?"
_NUMBERS = (
    "[IVXLC]+|[0-9]+|[A-Z]{3,}|(?:The )?(?:First|Second|Third|Fourth|Fifth|Last)|One|"
    "Two|Three|Four|Five|Six|Seven|Eight|Nine|Ten"
)
HEADING = re.compile(rf"^[ \t]*((?:{_NAMES})[ \t]+(?:{_NUMBERS})\b\.?)", re.MULTILINE)


def headings(document: Document) -> list[tuple[int, str]]:
    """`(first byte in UTF-8, name)` of each part, in order.

    >>> headings(Document("a", "A", "CHAPTER I.\\n\\nFog.\\n", "", ""))
    [(0, 'CHAPTER I.')]
    """
    if document.name == "sotu-chronicle":
        return [(at, name) for name, at in addresses.starts().items()]
    found, byte, last = [], 0, 0
    for match in HEADING.finditer(document.text):
        byte += len(document.text[last : match.start(1)].encode())
        last = match.start(1)
        found.append((byte, " ".join(match[1].split())))
    return found


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
