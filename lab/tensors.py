"""Arrays in safetensors files, one at a time: a file as large as memory is no trouble.

A safetensors file is eight bytes (the length of the header), a JSON header (type, shape
and place of every array) and the arrays' bytes. `Tensors` maps such a file and hands
out one array at a time; `write` asks for one array at a time and hashes what it writes.
The usual package reads whole files, and with NumPy none in bfloat16, the type in which
most language models are published.
"""

import hashlib
import json
import math
import operator
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np


HEADER_LIMIT = 100_000_000  # bytes; the format's own
PIECE = 1 << 24  # bytes hashed at a time


class Spec(NamedTuple):
    """The type of an array's numbers, as NumPy calls it, and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """How long the array is in a file."""
        return _dtype(self.dtype).itemsize * math.prod(self.shape)


CODES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
CODES |= {f"I{n}": f"int{n}" for n in (8, 16, 32, 64)} | {"BOOL": "bool"}
CODES |= {f"U{n}": f"uint{n}" for n in (8, 16, 32, 64)}


class Tensors(Mapping[str, np.ndarray]):
    """The arrays of a safetensors file by name; `specs` holds their types and shapes.

    An array's bytes are read when they are looked at, and not kept.

    **Raises** `ValueError` naming the file, where it is no such file or is cut short.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        try:
            self.specs, self._starts = self._read_header()
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(_damaged(self.path, error)) from error
        except RecursionError as error:
            raise ValueError(_damaged(self.path, "brackets without end")) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)

    def __getitem__(self, name: str) -> np.ndarray:
        spec, start = self.specs[name], self._starts[name]
        if not spec.bytes:
            return np.zeros(spec.shape, _dtype(spec.dtype))
        raw = np.memmap(self.path, np.uint8, "r", start, spec.bytes)
        return raw.view(_dtype(spec.dtype)).reshape(spec.shape)

    def _read_header(self) -> tuple[dict[str, Spec], dict[str, int]]:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, HEADER_LIMIT):
                raise ValueError(f"a header of {length:,} bytes in a file of {size:,}")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        specs = {name: _spec(name, about) for name, about in header.items()}
        starts, end = {}, length + 8
        for name, spec in specs.items():
            first, last = map(operator.index, header[name]["data_offsets"])
            if first < 0 or last - first != spec.bytes:
                raise ValueError(
                    f"{name!r} is {spec.bytes:,} bytes, not {first}-{last}"
                )
            starts[name], end = 8 + length + first, max(end, 8 + length + last)
        if end != size:
            raise ValueError(f"it has {size:,} bytes, and its header says {end:,}")
        return specs, starts


def write(
    path: Path,
    specs: Mapping[str, Spec],
    make: Callable[[str], np.ndarray],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Write the arrays that `make` makes, one after another, and return the sha256.

    The file appears whole or not at all. `report(done, total)`: bytes so far.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
    digest, total, done = hashlib.sha256(), sum(s.bytes for s in specs.values()), 0
    try:
        with draft.open("xb") as file:
            for piece in _pieces(specs, make):
                digest.update(piece)
                file.write(piece)
                done += len(piece)
                report(min(done, total), total)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """The hash of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(
    specs: Mapping[str, Spec], make: Callable[[str], np.ndarray]
) -> Iterator[bytes | memoryview]:
    """The bytes of a file: header, then one array after another."""
    codes = {word: code for code, word in CODES.items()}
    header: dict = {"__metadata__": {"format": "ttt-e2e-lab"}}
    start = 0
    for name, spec in specs.items():
        place = [start, start := start + spec.bytes]
        about = {"dtype": codes[spec.dtype], "shape": list(spec.shape)}
        header[name] = about | {"data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # arrays begin at multiples of their numbers
    yield len(text).to_bytes(8, "little") + text
    for name, spec in specs.items():
        array = np.asarray(make(name), _dtype(spec.dtype), order="C")
        if array.shape != spec.shape:
            raise ValueError(
                f"{name} has shape {list(array.shape)}, its place in the file is for "
                f"{list(spec.shape)}."
            )
        yield memoryview(array.reshape(-1).view(np.uint8))


def _damaged(path: Path, why: object) -> str:
    return f"{path} is not a safetensors file, or is damaged ({why})."


def _spec(name: str, about: dict) -> Spec:
    if about["dtype"] not in CODES:
        raise ValueError(f"{name!r} holds numbers of the unknown type {about['dtype']}")
    shape = tuple(map(operator.index, about["shape"]))
    if any(n < 0 for n in shape):
        raise ValueError(f"{name!r} has the shape {list(shape)}")
    return Spec(CODES[about["dtype"]], shape)


def _dtype(name: str) -> np.dtype:
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes  # NumPy has no bfloat16; this package comes with JAX

    return np.dtype(ml_dtypes.bfloat16)
