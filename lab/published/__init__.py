"""What a fresh clone shows at once: trained models, recorded readings, checked results.

This file only lists the contents of its folder, without jax and without a model.
`lab.checkpoints` loads the models, `lab.traces` opens the recordings.
"""

import json
import warnings
from pathlib import Path

from lab import checkpoints, traces


HERE = Path(__file__).parent


def models() -> dict[str, dict]:
    """The cards of the published models by name, in alphabetical order.

    A damaged card is left out, with a warning that names it.
    """
    found = {}
    for path in sorted((HERE / "models").glob("*.json"), key=lambda path: path.stem):
        try:
            found[path.stem] = checkpoints.read_card(path)
        except ValueError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return found


def learns(card: dict) -> bool:
    """Whether a card's model learns while it reads, as `ModelConfig.learns` says."""
    return card["config"]["inner"]["lr"] > 0 and card["config"]["fast_blocks"] > 0


def remark(card: dict) -> str:
    """The remark in a list of models on one that takes no step on the text."""
    return "" if learns(card) else card.get("remark", traces.NEVER_LEARNS)


def recordings() -> dict[str, traces.Header]:
    """The headers of the recorded readings by name, in alphabetical order.

    A damaged file is left out; `damaged_recordings` names it.
    """
    return {path.stem: traces.peek(path) for path in _readable()[0]}


def damaged_recordings() -> list[str]:
    """A sentence for each recorded reading that cannot be opened, with its file."""
    return _readable()[1]


def recording(name: str) -> traces.Trace:
    """The recorded reading called `name`.

    **Raises** `ValueError` naming the published recordings.
    """
    found = {path.stem: path for path in _traces()}
    if name not in found:
        known = ", ".join(found) or "none yet"
        raise ValueError(f"There is no recording {name!r}. Published: {known}.")
    return traces.load(found[name])


def results() -> dict[str, dict]:
    """The checked results (JSON) by name, in alphabetical order."""
    found = sorted((HERE / "results").glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8")) for path in found}


def _readable() -> tuple[list[Path], list[str]]:
    """The files of recorded readings that open, and sentences on the others."""
    good, bad = [], []
    for path in _traces():
        try:
            traces.peek(path)
        except (ValueError, OSError) as error:
            bad.append(str(error))
        else:
            good.append(path)
    return good, bad


def _traces() -> list[Path]:
    return sorted((HERE / "traces").glob("*.npz"))
