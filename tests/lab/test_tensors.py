"""Arrays in files, one at a time: equal to the package's, whole or not at all."""

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from lab import tensors
from lab.tensors import Spec, Tensors


ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.arange(5, dtype=np.int8),
    "empty": np.zeros((0, 4), np.float16),
    "number": np.float64(2.5),
}


def specs(arrays):
    return {name: Spec(a.dtype.name, a.shape) for name, a in arrays.items()}


def test_the_package_reads_what_is_written_and_the_other_way(tmp_path):
    path = tmp_path / "file"
    digest = tensors.write(path, specs(ARRAYS), ARRAYS.__getitem__)
    assert digest == tensors.sha256(path)
    read = safetensors.numpy.load_file(path)
    again = Tensors(path)
    assert list(again) == list(ARRAYS) and len(again) == 4
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype
    safetensors.numpy.save_file(read, path)
    for name, array in Tensors(path).items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_bfloat16_is_read_and_written(tmp_path):
    array = np.arange(9).astype(ml_dtypes.bfloat16)
    tensors.write(tmp_path / "file", {"x": Spec("bfloat16", (9,))}, lambda name: array)
    found = Tensors(tmp_path / "file")["x"]
    assert found.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(found.astype(np.float32), np.arange(9))


def test_progress_ends_at_the_end(tmp_path):
    said = []
    report = lambda done, total: said.append((done, total))
    tensors.write(tmp_path / "file", specs(ARRAYS), ARRAYS.__getitem__, report)
    assert said[-1][0] == said[-1][1] == 24 + 5 + 8


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path):
    def make(name):
        if name == "b":
            raise KeyboardInterrupt
        return ARRAYS[name]

    with pytest.raises(KeyboardInterrupt):
        tensors.write(tmp_path / "file", specs(ARRAYS), make)
    with pytest.raises(ValueError, match=r"a has shape \[2, 3\], its place .* \[3\]"):
        wrong = {"a": Spec("float32", (3,))}
        tensors.write(tmp_path / "file", wrong, ARRAYS.__getitem__)
    assert not list(tmp_path.iterdir())
