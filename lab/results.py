"""Results: measured numbers, kept as files and opened again with their types.

A result is a frozen dataclass of plain numbers, defined beside the function that
measures them (`lab.evals.compare.Comparison`). Its `KIND` is the name of the command.
Tables, figures and views take the dataclass; the file is its JSON with a `kind` and a
provenance.

    path = keep(found, "tiny-e2e")           # .runs/evals/compare-tiny-e2e.json
    found = open_result(path, Comparison)
    open_result("context-tiny-e2e-eltec-eng-val", Contexts)         # a published one

Floats are kept to nine digits; NaN is null in the file, infinity a word.
"""

import functools
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lab import files, runs


PUBLISHED = Path(__file__).parent / "published" / "results"
ABOUT = {"kind": str, "provenance": dict}
DIGITS = 9  # enough for a table to be the same before and after
Result = TypeVar("Result")


class Kept(NamedTuple):
    """A result's file: kind, name and provenance."""

    path: Path
    kind: str
    name: str
    provenance: dict[str, Any]


def keep(result, name: str = "", *, publish: bool = False) -> Path:
    """Write a result with the command and commit that made it, and return the path.

    The file is `KIND-NAME.json` (`KIND.json` without a name) in `.runs/evals`, or, with
    `publish`, among the published results.
    """
    folder = PUBLISHED if publish else runs.folder("evals")
    path = folder / f"{'-'.join(filter(None, [result.KIND, name]))}.json"
    about = {"kind": result.KIND, **to_json(result)}
    return files.write(path, as_text(about | {"provenance": runs.environment()}))


def open_result(source: str | Path | dict, kind: type[Result]) -> Result:
    """The result in a file, or the published one of that name, or in plain data.

    **Raises** `FileNotFoundError` naming the published results, `ValueError` for a
    damaged file, and for a result of another kind or with fields that do not fit,
    naming the fields.
    """
    data = source if isinstance(source, dict) else _read(_path(source))
    if data.get("kind", kind.KIND) != kind.KIND:
        raise ValueError(f"{source} holds a {data['kind']} result, not {kind.KIND}.")
    return from_json(kind, data)


def listed(folder: Path | None = None) -> list[Kept]:
    """The results in a folder (default: the published results), by name.

    A damaged file is left out; `damaged` names it.
    """
    return [kept for kept in _opened(folder) if isinstance(kept, Kept)]


def damaged(folder: Path | None = None) -> list[str]:
    """A sentence for each file in a folder of results that cannot be opened."""
    return [said for said in _opened(folder) if isinstance(said, str)]


def to_json(value) -> dict:
    """A result as plain JSON data."""
    return _converter().unstructure(value)


def from_json(kind: type[Result], data: dict) -> Result:
    """The result that `to_json` wrote.

    **Raises** `ValueError` with the fields that do not fit.
    """
    from cattrs import BaseValidationError, transform_error

    # A part of a result, such as a memory's card, has no KIND.
    what = f"{kind.KIND} result" if hasattr(kind, "KIND") else kind.__name__.lower()
    if not isinstance(data, dict):
        raise ValueError(f"This is no {what}: {type(data).__name__} instead of fields.")
    known = {name: v for name, v in data.items() if name not in ("kind", "provenance")}
    try:
        return _converter().structure(known, kind)
    except BaseValidationError as error:
        wrong = "; ".join(transform_error(error, path=what.removesuffix(" result")))
        raise ValueError(f"This is no {what}: {wrong}.") from error


def as_text(data: dict) -> str:
    """JSON with one line per entry, and one line per list of numbers."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    flat = lambda found: "[" + " ".join(found[1].split()) + "]"
    return re.sub(r"\[([^\[\]{}\"]*)\]", flat, text) + "\n"


def _opened(folder: Path | None) -> Iterator[Kept | str]:
    """Every result in a folder; for a damaged one, a sentence that names it."""
    for path in sorted((folder or PUBLISHED).glob("*.json"), key=_place):
        try:
            data = _read(path)
        except (ValueError, OSError) as error:
            yield str(error)
        else:
            about = data.get("provenance", {})
            yield Kept(path, data.get("kind", ""), path.stem, about)


def _place(path: Path) -> tuple[bool, Path]:
    """The place of a result in a list: those about pretrained models come last."""
    taught = PUBLISHED.with_name("adapters").glob("*.json")
    return any(one.stem in path.stem for one in taught), path


def _read(path: Path) -> dict:
    try:
        data = json.loads(path.read_text("utf-8"))
        if not files.fits({"kind": "", "provenance": {}} | data, ABOUT):
            raise ValueError("its kind or provenance is missing")
    except (ValueError, RecursionError, TypeError) as error:
        raise ValueError(
            f"{path} is not a result, or is damaged ({error}); if it is published, "
            "restore it (git checkout), or else measure it again."
        ) from error
    return data


def _path(source: str | Path) -> Path:
    path = Path(source)
    published = PUBLISHED / f"{path.name.removesuffix('.json')}.json"
    for place in (path, published):
        if place.is_file():
            return place
    known = ", ".join(one.name for one in listed()) or "none"
    raise FileNotFoundError(f"There is no result {source}. Published: {known}.")


@functools.cache
def _converter():
    import cattrs

    found = cattrs.Converter(forbid_extra_keys=True)
    found.register_unstructure_hook(float, _from_float)
    found.register_structure_hook(float, lambda value, _: _to_float(value))
    return found


def _from_float(value: float) -> float | str | None:
    value = float(value)
    if math.isnan(value):
        return None
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)


def _to_float(value) -> float:
    return math.nan if value is None else float(value)
