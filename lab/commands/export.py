"""`ttt-lab export`: a recorded reading as one file that plays anywhere.

ttt-lab export carter.npz --html
"""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from lab import files, names, published, traces
from lab.commands.options import option
from lab.commands.terminal import Terminal
from lab.runs import shown


def export(
    trace: Positional[Annotated[str, arg(metavar="TRACE")]],
    /,
    html: bool = False,
    out: Annotated[Path | None, option("FILE|FOLDER")] = None,
) -> Path:
    """Write a recorded reading as one HTML page that plays without a network.

    Args:
        trace: the file (.npz) that `ttt-lab stream` has written, or the name of a
            recording that ships.
        html: an HTML page, which is what is written without this option too.
        out: where to write the page (default: here, under the trace's name).

    Returns:
        The path of the page.

    **Raises** what `lab.traces.load` raises, and `ValueError` where another file lies.
    """
    del html
    found, stem = opened(trace)
    from lab.plots.playable import mark, playable

    path = _place(out, stem)
    check_free(path, mark(found))
    files.check_writable(path.absolute().parent)
    files.write(path, playable(found))
    size = path.stat().st_size / 1e6
    Terminal().print(
        f"Page: {shown(path)} ({size:.1f} MB); any browser opens it.", soft_wrap=True
    )
    return path


def opened(trace: str) -> tuple[traces.Trace, str]:
    """A trace from its file or, where there is none, from its published name.

    The second value is a name for files that are made of it.

    **Raises** what `lab.traces.load` raises.
    """
    path = files.expanded(trace)
    if not path.exists() and trace in published.recordings():
        return published.recording(trace), trace
    if not path.exists() and (near := names.closest(trace, published.recordings())):
        raise FileNotFoundError(
            f"There is no trace {trace}; did you mean the recording {near[0]!r}?"
        )
    return traces.load(path), path.stem


def _place(out: Path | None, stem: str) -> Path:
    if out is None:
        return Path(f"{stem}.html")
    is_page = out.suffix.lower() in (".html", ".htm") and not out.is_dir()
    return out if is_page else out / f"{stem}.html"


def check_free(path: Path, mark: str):
    """Only a page of the same reading may be replaced.

    **Raises** `ValueError` for anything else that lies there.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file with --out.")
    if not path.exists():
        return
    with path.open("rb") as file:
        if mark.encode() in file.read(1_000):
            return
    raise ValueError(
        f"{path} holds something else and is not overwritten; give another --out, or "
        "remove the file."
    )
