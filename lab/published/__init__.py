"""What a fresh clone shows at once: trained models, recorded readings, checked results.

This file only lists the contents of its folder, without jax and without a model.
`lab.checkpoints` loads the models, `lab.traces` opens the recordings.
"""

import re
from collections.abc import Callable
from pathlib import Path

from lab import checkpoints, files, traces


HERE = Path(__file__).parent


def models() -> dict[str, dict]:
    """The cards of the published models by name, in alphabetical order.

    A damaged card is left out; `damaged` names it.
    """
    return _whole("models/*.json", checkpoints.read_card)[0]


def learns(card: dict) -> bool:
    """Whether a card's model learns while it reads, as `ModelConfig.learns` says."""
    return card["config"]["inner"]["lr"] > 0 and card["config"]["fast_blocks"] > 0


def remark(card: dict) -> str:
    """The remark in a list of models on one that takes no step on the text."""
    return "" if learns(card) else card.get("remark", traces.NEVER_LEARNS)


def recordings() -> dict[str, traces.Header]:
    """The headers of the recorded readings by name, in alphabetical order.

    A damaged file is left out; `damaged` names it.
    """
    return _whole("traces/*.npz", _header)[0]


def damaged() -> list[str]:
    """A sentence for each published card, recording and result that is damaged."""
    cards = _whole("models/*.json", checkpoints.read_card)[1]
    cards += _whole("adapters/*.json", checkpoints.read_card)[1]
    results = _whole("results/*.json", _result)[1]
    return cards + _whole("traces/*.npz", _header)[1] + results


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
    """The checked results (JSON) by name, in alphabetical order.

    A damaged file is left out; `damaged` names it.
    """
    return _whole("results/*.json", _result)[0]


def findings() -> dict[str, str]:
    """What we make of the published looks: a paragraph of Markdown for each, by name.

    These are the words of `findings.md`, whose numbers a test holds to the results.
    """
    found, page = {}, HERE / "findings.md"
    whole = page.read_text("utf-8") if page.is_file() else ""
    for part in whole.split("\n## ")[1:]:
        text = part.partition("\n")[2].partition("<!--")[0].strip()
        if told := re.match(r"`ttt-lab inspect (\w+)`[.:]?\s*", text):
            words = " ".join(text[told.end() :].split())
            found[told[1]] = words[:1].upper() + words[1:]
    return found


def _header(path: Path) -> traces.Header:
    # Only a file that has been read to its end is known to be whole.
    return traces.load(path).header


def _result(path: Path) -> dict:
    return files.read_json(path, dict)


def _whole(pattern: str, read: Callable[[Path], object]) -> tuple[dict, list[str]]:
    """The files that `read` can read, by name, and a sentence on each of the rest."""
    found, problems = {}, []
    for path in sorted(HERE.glob(pattern), key=lambda path: path.stem):
        try:
            found[path.stem] = read(path)
        except (ValueError, OSError, LookupError, TypeError, AttributeError):
            problems.append(f"{path.name} is damaged, so it is left out.")
    return found, problems


def _traces() -> list[Path]:
    return sorted((HERE / "traces").glob("*.npz"))
