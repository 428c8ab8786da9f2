"""`ttt-lab plot`: the figures of a recorded reading as one HTML page.

ttt-lab stream sotu/1981-Carter-1 --out carter.npz
ttt-lab plot carter.npz
"""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from lab import files, traces
from lab.commands.options import option
from lab.commands.terminal import Terminal


def plot(
    trace: Positional[Annotated[Path, arg(metavar="TRACE")]],
    /,
    html: Annotated[Path | None, option("FILE-OR-FOLDER")] = None,
):
    """Draw a recorded reading as one HTML page, which opens without a network.

    Args:
        trace: the file (.npz) that `ttt-lab stream` has written.
        html: where to write the page (default: beside the trace).

    **Raises** what `lab.traces.load` raises.
    """
    found = traces.load(trace)
    write(found, html or trace.with_suffix(".html"), trace.stem)


def write(trace: traces.Trace, place: Path, stem: str) -> Path:
    """Write the page of a trace to a file, or into a folder as `stem`.html.

    **Raises** `ValueError` for a reading that has no whole chunk yet.
    """
    if not trace.filled:
        raise ValueError("No chunk was read to its end, so there is nothing to draw.")
    from lab.plots.page import page

    is_page = place.suffix.lower() in (".html", ".htm") and not place.is_dir()
    path = files.write(place if is_page else place / f"{stem}.html", page(trace))
    Terminal().print(f"Figures: {path}", soft_wrap=True)
    return path
