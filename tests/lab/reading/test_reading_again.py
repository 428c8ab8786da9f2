"""A reading is made again by the command and by the lines that are offered."""

import dataclasses
import shlex

import jax
import pytest

import ttt_core as ttt
from lab import published, traces
from lab.commands import stream
from lab.data import needles
from lab.reading import again
from lab.reading import programs as programs_file
from lab.reading.programs import Loaded, Programs
from lab.reading.session import Reading


TEXT = " ".join(
    f"In the year {1800 + i} the clerk counted {i} ships." for i in range(30)
)
NEEDLE = needles.from_sentence("The safe opens with|4182")


def nano(name="nano"):
    model = ttt.preset("nano").build(key=jax.random.key(0))
    return Loaded(model, name, "bytes", "f" * 64)


@pytest.fixture(scope="module")
def programs():
    return Programs("nano", load=nano).start().wait("needle", timeout=300)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with the text as `my.txt`, in which `nano` is a model's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(programs_file, "load_model", nano)
    (tmp_path / again.OWN_TEXT).write_text(TEXT, "utf-8")
    return tmp_path


@pytest.mark.parametrize("needle", [None, NEEDLE])
@pytest.mark.parametrize("tokens", [None, 500])
def test_lines_of_python_make_the_same_reading(programs, own, needle, tokens):
    trace = Reading(programs, TEXT, needle=needle, at=0.37, tokens=tokens).trace
    lines = again.python(trace).replace("reading.step()", "break")
    exec(compile(lines, "lines", "exec"), {})
    assert traces.load(own / "reading.npz").header.identity == trace.header.identity


@pytest.mark.parametrize("needle", [None, NEEDLE])
def test_the_command_asks_for_the_same_reading(programs, needle):
    trace = Reading(programs, TEXT, needle=needle, at=0.37, tokens=900).trace
    words = shlex.split(again.command(trace))
    assert words[:3] == ["ttt-lab", "stream", again.OWN_TEXT]
    option = dict(zip(words[3::2], words[4::2], strict=True))
    planted, _ = stream.parse_needle(option.get("--needle"))
    at, tokens = float(option.get("--at", 0.3)), int(option["--tokens"])
    anew = Reading(programs, TEXT, needle=planted, at=at, tokens=tokens)
    assert anew.trace.header.identity == trace.header.identity


def test_a_command_that_was_recorded_is_repeated():
    for name in published.recordings():
        trace = published.recording(name)
        assert again.command(trace) == trace.header.provenance["command"]
        header = dataclasses.replace(trace.header, provenance={"command": "explorer"})
        made = again.command(dataclasses.replace(trace, header=header))
        assert f"stream {trace.header.document} --model" in made
