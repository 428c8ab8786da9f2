"""A live reading's memory: the one that the command makes, under a harmless name."""

import errno

import numpy as np
import pytest

from lab import memories
from lab.reading import remembering
from lab.reading.programs import Loaded, Programs
from lab.reading.session import Reading


TEXT = "The ships came in, one after the other. " * 5


@pytest.fixture(scope="module")
def reading(nano):
    load = lambda name: Loaded(nano, name, "bytes", "f" * 64)
    made = Reading(Programs("nano", load=load), TEXT, document="ships.txt")
    while made.filled < 6:
        made.step()
    return made


@pytest.fixture(autouse=True)
def no_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))


def test_it_is_the_memory_of_what_was_read_so_far(nano, reading):
    found = remembering.remember(reading)
    card = found.card
    assert (card.document, card.model, card.chunks) == ("ships.txt", "nano", 6)
    assert card.reread is not None and card.tokens_hash
    fast = memories.fast_weights(found, nano)
    state, _ = reading.states["learning"]
    np.testing.assert_array_equal(fast.gate, state.fast.gate)
    assert remembering.remember(reading, measured=False).card.reread is None


def test_it_is_kept_once_under_a_name_that_is_no_path(reading):
    memory = remembering.remember(reading, measured=False)
    path = remembering.keep(memory, "../../etc/my ships")
    assert path.parent == memories.folder() and path.stem == "etc-my-ships"
    opened = memories.open_memory("etc-my-ships").card
    assert opened.learned_hash == memory.card.learned_hash
    with pytest.raises(ValueError, match="take another name"):
        remembering.keep(memory, "../../etc/my ships")


def test_the_folder_does_not_grow_without_end(reading, monkeypatch):
    monkeypatch.setattr(remembering, "FULL", 1)
    memory = remembering.remember(reading, measured=False)
    remembering.keep(memory, "one")
    with pytest.raises(ValueError, match="no more are kept"):
        remembering.keep(memory, "two")


def test_a_full_disk_is_a_sentence(reading, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(memories, "write", full)
    memory = remembering.remember(reading, measured=False)
    with pytest.raises(ValueError, match=r"cannot be kept in .*make some space"):
        remembering.keep(memory, "one")


@pytest.mark.parametrize("name", ["", "...", "/", "\n"])
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match="a name of letters"):
        remembering.file_name(name)
