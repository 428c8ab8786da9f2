"""The command `memory`: saved by one process, asked in another, forgotten exactly."""

import dataclasses
import functools
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import command_line
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, memories
from lab.commands import memory
from lab.commands.ask import ask
from lab.commands.generate import generate
from lab.data import tokenizers
from lab.measure import rereading
from lab.plots import memories as plots
from lab.reading.session import Reading
from lab.stopping import Stopped


SHIPS = "The ships came in, one after the other. "
FOG = "Fog lay on the river all day, and nobody crossed. "


@functools.cache
def nano():
    build = jax.jit(lambda key: ttt.preset("nano").build(key=key))
    return build(jax.random.key(0))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a model, its frozen twin, and two texts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(memory, "OTHERS", ("fog.txt", "ships.txt"))
    checkpoints.save(tmp_path / "small", nano(), {"tokenizer": "bytes"})
    never = ttt.without_learning(nano())
    checkpoints.save(tmp_path / "never", never, {"tokenizer": "bytes"})
    Path("ships.txt").write_text(SHIPS * 8)
    Path("fog.txt").write_text(FOG * 6)


def saved(text="ships.txt", out="ships.memory", **more) -> Path:
    return memory.save(text, model="small", out=Path(out), **more)


@functools.cache
def content(text: str) -> bytes:
    """The bytes of a memory of one of the texts, made without the command."""
    ids = np.frombuffer(Path(text).read_bytes(), np.uint8).astype(np.int32)
    state = ttt.read(nano(), ttt.init_state(nano()), ids)[0]
    about = {"document": text, "text": Path(text).read_text(), "name": "small"}
    path = memories.save("content.memory", state, nano(), tokens=ids, **about)
    return path.read_bytes()


def ready(text="ships.txt", out="ships.memory") -> Path:
    """A memory that is there already."""
    Path(out).write_bytes(content(text))
    return Path(out)


def words(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_memory_says_what_the_stream_says(capsys):
    path = saved()
    shown = capsys.readouterr().out
    card = memories.open_memory(path).card
    (trace,) = Path("runs/streams").glob("*.npz")
    from lab import traces

    mean, half = traces.load(trace).gain_interval()
    assert card.gain.mean == pytest.approx(mean) and card.gain.half == pytest.approx(
        half
    )
    assert f"{mean:+.3f} ±{half:.3f} nats a token over the frozen twin" in shown
    assert "tokens 0 to 320: 20 chunks of 16" in shown
    assert "on fog.txt, which was not read" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    assert card.document_hash and card.made["date"] and card.model == "small"
    assert card.reread.gain.low > card.reread.other_gain.mean, "it is of its document"


def test_a_memory_of_one_process_answers_in_another_without_the_document(capsys):
    path = ready()
    Path("ships.txt").unlink()
    code = "import sys; from lab import cli; sys.argv[0] = 'ttt-lab'; cli.main()"
    line = ["ask", "--memory", str(path), "The ships", "--answer", "came in"]
    run = subprocess.run(
        [sys.executable, "-c", code, *line, "--model", "small", "--tokens", "4"],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert run.returncode == 0, run.stderr
    assert "small remembers ships.txt (20 chunks); its twin nothing." in run.stderr
    model, answer = nano(), list(b" came in")
    ids = list((SHIPS * 8).encode())
    learned = ttt.read(model, ttt.init_state(model), ids)[0].fast
    asked = memories.load(path, model)
    expected = memories.arrays_of(learned)
    for name, matrix in memories.arrays_of(asked.fast).items():
        np.testing.assert_array_equal(matrix, expected[name])
    nats = float(ttt.score(model, asked, list(b"\n\nThe ships"), answer).mean())
    frozen = ttt.init_state(model)
    without = float(ttt.score(model, frozen, list(b"\n\nThe ships"), answer).mean())
    row = run.stdout.partition("per token")[2].split()
    assert [float(row[0]), float(row[1])] == pytest.approx([nats, without], abs=2e-3)
    assert nats < without


def test_a_memory_writes(capsys):
    path = ready()
    capsys.readouterr()
    generate(memory=str(path), model="small", tokens=12, temperature=1.0)
    learning, frozen = capsys.readouterr().out.split("frozen twin:\n")
    assert learning.removeprefix("learning:\n") != frozen
    generate(memory=str(path), model="small", tokens=12, temperature=1.0, alpha=0.0)
    learning, frozen = capsys.readouterr().out.split("frozen twin:\n")
    assert learning.removeprefix("learning:\n") == frozen, "nothing of it is nothing"


def test_a_document_may_be_read_with_a_memory_in_place(capsys):
    path = ready()
    capsys.readouterr()
    ask("fog.txt", "The ships", memory=str(path), model="small", tokens=2)
    assert "small: 300 tokens read, 18 inner steps." in capsys.readouterr().err


def test_forgetting_writes_a_receipt_and_the_bits_of_who_never_read_it(capsys):
    path = ready()
    before = memories.open_memory(path).card.learned_hash
    out = memory.forget(str(path), since=11, out=Path("less.memory"))
    receipt = json.loads(Path("less.receipt.json").read_text())
    assert receipt["is_exact"] and receipt["before"] == before
    never = ttt.read(nano(), ttt.init_state(nano()), list((SHIPS * 8).encode()[:160]))
    never = memories.hash_of(memories.arrays_of(never[0].fast))
    assert receipt["after"] == receipt["never_read_the_rest"] == never
    card = memories.open_memory(out).card
    assert (card.learned_hash, card.chunks) == (never, 10)
    assert memories.open_memory(path).card.learned_hash == before
    said = words(capsys)
    assert "Forgotten: chunks 11 to 20 of ships.txt (tokens 160 to 320)." in said
    assert "The bits are those of a reading that never read the rest." in said
    assert "in place of the old one" not in said
    memory.forget(str(path), since=11)
    assert f"{path.name}, in place of the old one" in words(capsys)
    assert memories.open_memory(path).card.chunks == 10


def test_a_changed_document_is_not_taken_for_the_one_that_was_read():
    path = ready()
    Path("ships.txt").write_text("Two ships sank. " * 30)
    kept = path.read_bytes()
    with pytest.raises(ValueError, match="is not the text that ships.txt was"):
        memory.forget(str(path), since=11)
    assert path.read_bytes() == kept
    Path("moved.txt").write_text(SHIPS * 8)
    memory.forget(str(path), since=11, document="moved.txt")
    assert memories.open_memory(path).card.chunks == 10


def test_memories_are_listed_shown_and_set_side_by_side(capsys, tmp_path):
    memory.list_()
    assert "There are no memories in runs/memories yet" in words(capsys)
    memory.save("ships.txt", model="small")
    saved("fog.txt", "fog.memory", form="rank4")
    (tmp_path / "runs/memories/torn.memory").write_bytes(b"torn")
    capsys.readouterr()
    memory.list_()
    shown = capsys.readouterr().out
    assert "ships-small" in shown and "torn.memory is not a memory" in shown
    memory.show(("ships-small", "fog.memory"), figures=Path("figures"))
    said = words(capsys)
    assert "rank4" in said and "the form loses" in said and "+1.000" in said
    drawn = sorted(path.name for path in Path("figures").glob("*.html"))
    assert drawn == [f"memory-{part}.html" for part in ("alpha", "cosine", "size")]
    memory.diff("ships-small", "fog.memory", on="ships.txt")
    said = words(capsys)
    a, b = map(memories.open_memory, ("ships-small", "fog.memory"))
    assert f"all {np.linalg.norm(flat(a)):.3f} {np.linalg.norm(flat(b)):.3f}" in said
    (exact,) = rereading.gains(
        [memories.fast_weights(a, nano())], nano(), np.frombuffer(
            (SHIPS * 8).encode(), np.uint8).astype(np.int32)
    )  # fmt: skip
    assert f"ships-small: {exact.mean:+.3f} ±" in said


def flat(one):
    return np.concatenate([matrix.ravel() for matrix in one.change.values()])


def test_memories_are_mixed_and_scaled(capsys):
    ready(), ready("fog.txt", "fog.memory")
    memory.mix(("ships.memory", "fog.memory"), out=Path("both.memory"))
    both = memories.open_memory("both.memory")
    assert both.card.title == "0.5 * ships.memory + 0.5 * fog.memory"
    memory.mix(("ships.memory",), out=Path("half.memory"), by=(0.5,))
    half, whole = map(memories.open_memory, ("half.memory", "ships.memory"))
    np.testing.assert_array_equal(flat(half), np.float32(0.5) * flat(whole))
    memory.show(("both.memory",))
    assert "0.5 * fog.memory" in words(capsys)


def test_a_memory_in_place_is_a_stream_that_reads_on(capsys):
    path = ready()
    memory.load(str(path), save_state=Path("ready.state"))
    assert "fits small: loaded in 0." in words(capsys)
    state = checkpoints.load_stream("ready.state", nano())
    expected = memories.load(path, nano())
    for a, b in zip(*map(jax.tree.leaves, (state, expected)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_a_smaller_form_loses_is_said(capsys):
    path = saved(form="rank2")
    lost = memories.open_memory(path).card.reread.lost
    assert f"the form loses {lost.mean:.4f} ±{lost.half:.4f}" in words(capsys)
    assert path.stat().st_size < len(content("ships.txt")) / 2


def test_what_the_document_holds_is_not_called_unread():
    texts = [Path(name).read_text() for name in ("fog.txt", "ships.txt")]
    other = lambda text: memory._other(text, tokenizers.load("bytes"))
    assert other(texts[1])[0] == "fog.txt" and other(texts[0])[0] == "ships.txt"
    assert other("\n".join(texts)) is None


def test_a_stopped_reading_goes_on_and_leaves_the_same_memory(monkeypatch, capsys):
    whole = memories.open_memory(saved(out="whole.memory")).card
    for file in Path("runs/streams").glob("*.npz"):
        file.unlink()
    step, count = Reading.step, itertools.count()

    def stopped(reading):
        if next(count) == 7:
            raise KeyboardInterrupt
        step(reading)

    monkeypatch.setattr(Reading, "step", stopped)
    with pytest.raises(Stopped, match="the same command goes on from there"):
        saved()
    assert not Path("ships.memory").exists()
    monkeypatch.setattr(Reading, "step", step)
    capsys.readouterr()
    card = memories.open_memory(saved()).card
    assert "Going on at token 112, where it was stopped." in capsys.readouterr().out
    assert card.learned_hash == whole.learned_hash and card.gain == whole.gain


def test_a_reading_is_kept_where_its_memory_cannot_be_written(monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(memories, "save", full)
        with pytest.raises(OSError, match="No space"):
            saved()
    monkeypatch.setattr(Reading, "step", lambda reading: pytest.fail("read again"))
    assert memories.open_memory(saved()).card.chunks == 20


BAD = [
    (["save", "--document", "ships.txt", "--model", "never"], "never learns"),
    (["save", "--document", "no.txt"], "There is no document 'no.txt'"),
    (["save", "--document", "ships.txt", "--form", "float8"], "did you mean 'float"),
    (["save", "--document", "ships.txt", "--model", "small", "--out", "fog.txt"],
     "fog.txt holds no memory, so it is not overwritten"),
    (["save", "--document", "ships.txt", "--model", "small", "--out", "."],
     "is a folder: --out names a file"),
    (["save", "--document", "ships.txt", "--model", "small", "--out", "f.memory"],
     "f.memory holds a memory of fog.txt and is not overwritten"),
    (["load", "f.memory", "--model", "never"], "f.memory is a memory of another mod"),
    (["load", "f.memory", "--alpha", "3"], "--alpha must be <= 2"),
    (["load", "f.memory", "--save-state", "fog.txt"], "is no saved stream, so it is"),
    (["show", "nowhere"], "There is no memory 'nowhere'"),
    (["show", "ships.txt"], "ships.txt is not a memory, or is damaged"),
    (["show"], "Name a memory: `ttt-lab memory list` lists them."),
    (["mix", "f.memory", "--by", "1", "2", "--out", "x"], "got 2 for 1"),
    (["mix", "f.memory", "--by", "-1", "--out", "x"], "--by must be >= 0"),
    (["mix", "f.memory", "--out", "fog.txt"], "fog.txt holds no memory, so it is not"),
    (["forget", "f.memory", "--since", "1"], "--since must be >= 2"),
    (["forget", "f.memory", "--since", "99"], "from 2 to 18: got 99"),
    (["diff", "f.memory", "f.memory", "--on", "no.txt"], "no document 'no.txt'"),
]  # fmt: skip


def test_what_cannot_be_done_is_a_sentence(monkeypatch, capsys):
    ready("fog.txt", "f.memory")
    kept = Path("f.memory").read_bytes(), Path("fog.txt").read_text()
    for line, sentence in BAD:
        capsys.readouterr()
        assert command_line.run(monkeypatch, "memory", *line) == 1, line
        said = " ".join(capsys.readouterr().err.split())
        assert sentence in said, (line, said)
    assert (Path("f.memory").read_bytes(), Path("fog.txt").read_text()) == kept
    assert command_line.run(monkeypatch, "ask", "--memory", "f.memory") == 1
    assert "There is no question" in capsys.readouterr().err
    assert command_line.run(monkeypatch, "ask") == 1
    assert "Name a document, or with --memory" in capsys.readouterr().err


def test_figures_draw_what_the_card_says(capsys):
    one = memories.open_memory(ready())
    found = plots.figures({"a/ships.memory": one, "b/ships.memory": one})
    bars = found["size"].data
    assert [bar.name for bar in bars] == ["a/ships.memory", "b/ships.memory"]
    sizes = memories.sizes(one)
    assert list(bars[0].y) == [sizes[matrix][0] for matrix in sizes]
    lines = [line for line in found["alpha"].data if line.mode == "lines+markers"]
    assert list(lines[0].y) == [gain.mean for gain in one.card.reread.gains]
    np.testing.assert_allclose(found["cosine"].data[0].z, 1)


def test_a_matrix_that_began_at_zero_has_no_share():
    one = memories.open_memory(ready())
    first, *others = one.card.start_norms
    norms = one.card.start_norms | {first: [0.0] * len(one.card.start_norms[first])}
    card = dataclasses.replace(one.card, start_norms=norms)
    sizes = memories.sizes(dataclasses.replace(one, card=card))
    assert np.isnan(sizes[first]).all() and np.isfinite(sizes[others[0]]).all()


def test_showing_a_memory_needs_no_jax():
    path = ready()
    code = (
        "import sys; from lab.commands.numbers import checked; "
        "from lab.commands import memory; "
        f"checked(memory.show)(({str(path)!r},)); "
        "print(sorted({'jax', 'ttt_core'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]", run.stderr


def test_a_memory_is_not_replaced_by_another():
    paths = [saved(), saved("fog.txt", "fog.memory")]
    before = [path.read_bytes() for path in paths]
    for replace in (
        lambda: memory.mix(("ships.memory",), out=Path("fog.memory")),
        lambda: memory.mix(("ships.memory",), out=Path("ships.memory")),
        lambda: memory.forget("ships.memory", since=3, out=Path("fog.memory")),
    ):
        with pytest.raises(ValueError, match="is not overwritten; give another --out"):
            replace()
    assert [path.read_bytes() for path in paths] == before
    for factor in (1.0, 0.5):  # a mixture can be made again, with other factors
        memory.mix(("ships.memory",), out=Path("half.memory"), by=(factor,))
    for _ in range(2):  # and so can the same forgetting
        memory.forget("ships.memory", since=3, out=Path("short.memory"))
