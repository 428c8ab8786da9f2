"""Parts of a measurement: measured once, found again bit for bit, never in the way."""

import itertools

import numpy as np
import pytest

from lab import files
from lab.measure.parts import Kept, fresh
from lab.stopping import Stopped


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    return tmp_path / "readings" / "parts"


def counted():
    """A measurement of two arrays that says how often it was made."""
    times = itertools.count(1)
    return lambda: [np.float64(next(times)), np.arange(3, dtype=np.int32)]


def test_a_part_is_measured_once_and_found_again():
    measure, tokens = counted(), np.arange(5)
    for _ in range(2):  # the second stands for the next start of the command
        number, array = Kept("recall", "answers")(measure, "model", tokens, 0.5)
        assert number == 1.0 and number.dtype == np.float64
        np.testing.assert_array_equal(array, np.arange(3))
        assert array.dtype == np.int32


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("toy", ("model", np.arange(5), 0.5)),
        ("recall", ("modem", np.arange(5), 0.5)),
        ("recall", ("model", np.arange(6), 0.5)),
        ("recall", ("model", np.arange(5, dtype=np.int32), 0.5)),
        ("recall", ("model", np.arange(5), 0.25)),
    ],
)
def test_whatever_decides_the_numbers_is_part_of_the_key(kind, key):
    measure = counted()
    Kept("recall", "answers")(measure, "model", np.arange(5), 0.5)
    assert Kept(kind, "answers")(measure, *key)[0] == 2


def test_a_damaged_part_is_measured_again(folder):
    measure, keep = counted(), Kept("recall", "answers")
    keep(measure, 1)
    (path,) = folder.iterdir()
    for content in (b"", b"PK\x03\x04", path.read_bytes()[:-40]):
        path.write_bytes(content)
        assert keep(measure, 1)[0] > 1


def test_an_interrupt_ends_with_what_is_kept(folder):
    with pytest.raises(Stopped, match="stopped; 2 answers are kept in .* goes on"):
        with Kept("recall", "answers") as keep:
            keep(counted(), 1)
            keep(counted(), 2)
            raise KeyboardInterrupt


def test_nothing_is_promised_where_nothing_is_kept():
    with pytest.raises(Stopped, match="^stopped; there were no answers to keep yet$"):
        with Kept("recall", "answers"):
            raise KeyboardInterrupt
    with pytest.raises(Stopped, match="^of its own$"):
        with Kept("recall", "answers"):
            raise Stopped("of its own")
    with pytest.raises(ValueError, match="another error"):
        with Kept("recall", "answers"):
            raise ValueError("another error")


def test_a_full_disk_loses_the_parts_and_not_the_measurement(monkeypatch):
    def full(path, content):
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(Stopped, match="no answers to keep"):
        with Kept("recall", "answers") as keep:
            assert keep(counted(), 1)[0] == 1
            raise KeyboardInterrupt


def test_large_parts_are_removed_at_the_end(folder):
    keep = Kept("agreement", "gradients")
    keep(counted(), 1)
    assert list(folder.iterdir())
    keep.forget()
    assert not list(folder.iterdir())


def test_without_a_keeper_nothing_is_written(folder):
    assert fresh(counted(), 1)[0] == 1 and not folder.exists()


def test_one_part_is_counted_in_the_singular(folder):
    with pytest.raises(Stopped, match="stopped; 1 of the answers is kept in"):
        with Kept("recall", "answers") as keep:
            keep(counted(), 1)
            raise KeyboardInterrupt
