"""Where prepared data are kept: in a folder of the user, never in the repository.

`TTT_LAB_DATA` names the folder; the default is `ttt-lab/data` in the user's cache
folder. Prepared data appear there whole or not at all (`lab.files`).
"""

import json
import os
import shutil
from pathlib import Path

from lab import files


_INSTALLED = Path(__file__).resolve().parent / "cards"  # in a wheel, by setup.py
_CLONED = Path(__file__).resolve().parents[2] / "datasets"
CARDS = _INSTALLED if _INSTALLED.is_dir() else _CLONED


def data() -> Path:
    """The user's data folder, `$TTT_LAB_DATA` or `~/.cache/ttt-lab/data`."""
    if chosen := os.environ.get("TTT_LAB_DATA"):
        return files.expanded(chosen)
    return files.user_cache() / "data"


def models() -> Path:
    """The folder of the models that `ttt-lab model add` keeps, one folder each."""
    return data() / "models"


def card(name: str) -> str:
    """The card of corpus `name`, in Markdown.

    **Raises** `FileNotFoundError` if there is no card.
    """
    return _card_file(name, "README.md").read_text(encoding="utf-8")


def card_json(name: str, file: str):
    """The contents of a JSON file beside the card of corpus `name`."""
    return json.loads(_card_file(name, file).read_text(encoding="utf-8"))


def forget(place: Path) -> None:
    """Remove a prepared folder, if there is one."""
    if place.is_dir():
        shutil.rmtree(place)


def _card_file(name: str, file: str) -> Path:
    path = CARDS / name / file
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}: the cards of the texts are in the folder datasets/ "
            "of the repository, and in every wheel; install the lab again."
        )
    return path
