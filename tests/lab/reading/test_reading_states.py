"""A reading in two parts, by way of files: the same bits as a reading at once."""

import functools
import itertools

import command_line
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, traces
from lab.commands import stream
from lab.reading import programs, states
from lab.reading.programs import Loaded
from lab.reading.session import Reading
from lab.stopping import Stopped


SHIPS = "The ships came in, one after the other. "
FIELDS = ("tokens", "nll", "nll_twin", "loss", "loss_twin", "drift", "update_norm")


@functools.cache
def loaded(name: str) -> Loaded:
    build = jax.jit(lambda key: ttt.preset("nano").build(key=key))
    return Loaded(build(jax.random.key(0)), name, "bytes", name.ljust(64, "f"))


@pytest.fixture(autouse=True)
def nano_published(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "load_model", loaded)
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def ships(tmp_path) -> str:
    file = tmp_path / "ships.txt"
    file.write_text(SHIPS * 8)
    return str(file)


def same(a, b) -> bool:
    equal = lambda x, y: x.dtype == y.dtype and np.array_equal(x, y)
    return jax.tree.all(jax.tree.map(equal, a, b))


def read(text, tmp_path, name, **more):
    """A reading whose state is kept; its trace and the learner's final state."""
    path = tmp_path / f"{name}.state"
    trace = stream.stream(text, model="nano", save_state=path, **more)
    state = checkpoints.load_stream(path, loaded("nano").model)
    return traces.load(trace), state, path


@pytest.mark.parametrize("first", [96, 100])
def test_a_document_in_two_parts_is_the_document(first, ships, tmp_path, capsys):
    """Also where the first part leaves a chunk open (100 tokens, chunks of 16)."""
    whole, expected, _ = read(ships, tmp_path, "whole")
    _, _, part = read(ships, tmp_path, "part", tokens=first)
    capsys.readouterr()
    rest, state, _ = read(ships, tmp_path, "rest", resume=part)
    begun = -(-first // 16) * 16
    said = " ".join(capsys.readouterr().out.split())
    assert f"reading the document from token {begun} on." in said
    assert same(state, expected)
    assert rest.read == whole.read - begun
    for name in FIELDS:
        found, all_of_it = getattr(rest, name), getattr(whole, name)
        np.testing.assert_array_equal(found, all_of_it[-len(found) :], err_msg=name)


def test_another_document_is_read_behind_the_first(ships, tmp_path, capsys):
    other = tmp_path / "fog.txt"
    other.write_text("Fog lay on the river all day. " * 8)
    _, _, part = read(ships, tmp_path, "part")
    _, state, path = read(str(other), tmp_path, "both", resume=part)
    assert "from its start, after 320 tokens of others" in capsys.readouterr().out
    ids = list((SHIPS * 8).encode() + other.read_bytes())
    model = loaded("nano").model
    assert same(state, ttt.read(model, ttt.init_state(model), ids)[0])
    with pytest.raises(ValueError, match="240 tokens were read already"):
        stream.stream(str(other), model="nano", resume=path)


def test_a_reading_that_goes_on_and_is_stopped_goes_on(
    ships, tmp_path, monkeypatch, capsys
):
    _, expected, _ = read(ships, tmp_path, "whole")
    _, _, part = read(ships, tmp_path, "part", tokens=100)
    step, count = Reading.step, itertools.count()

    def stopped(reading):
        if next(count) == 5:
            raise KeyboardInterrupt
        step(reading)

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "step", stopped)
        with pytest.raises(Stopped, match="the same command goes on"):
            read(ships, tmp_path, "rest", resume=part)
    capsys.readouterr()
    _, state, _ = read(ships, tmp_path, "rest", resume=part)
    assert "Going on at token 80, where it was stopped." in capsys.readouterr().out
    assert same(state, expected)


def test_without_its_file_the_twin_begins_with_the_learners_window(
    ships, tmp_path, capsys
):
    whole, _, _ = read(ships, tmp_path, "whole")
    _, _, part = read(ships, tmp_path, "part", tokens=96)
    states.twin_of(part).unlink()
    rest, _, _ = read(ships, tmp_path, "rest", resume=part)
    assert "it begins with the learner's window" in capsys.readouterr().out
    np.testing.assert_array_equal(rest.loss, whole.loss[6:])
    assert np.isfinite(rest.loss_twin).all()


def test_what_cannot_go_on_is_a_sentence(ships, tmp_path, monkeypatch, capsys):
    _, _, part = read(ships, tmp_path, "part")
    (tmp_path / "diary.txt").write_text("mine")
    for words, sentence in (
        (["--resume", str(part), "--needle", "passkey"], "A needle cannot be planted"),
        (["--resume", str(part), "--tokens", "64"], "tokens were read already"),
        (["--resume", str(tmp_path / "no.state")], "There is no saved stream at"),
        (["--resume", ships], "is not a saved stream"),
        (["--save-state", str(tmp_path / "diary.txt")], "it is not overwritten"),
        (["--save-state", str(tmp_path)], "is a folder: name a file"),
    ):
        assert command_line.run(monkeypatch, "stream", ships, *words) == 1
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "diary.txt").read_text() == "mine"
