"""The command `stream`: it reads, shows a table and writes a trace that opens."""

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import traces
from lab.commands import stream
from lab.reading import programs
from lab.reading.programs import Loaded


@pytest.fixture(autouse=True)
def nano_published(monkeypatch):
    def load(name):
        config = ttt.preset("nano").replace(lr=0.0 if name == "static" else 1.0)
        model = config.build(key=jax.random.key(0))
        return Loaded(model, name, "bytes", "f" * 64)

    monkeypatch.setattr(programs, "load_model", load)


def test_a_text_file_becomes_a_table_and_a_trace(tmp_path, capsys):
    file = tmp_path / "ships.txt"
    file.write_text("The ships came in, one after the other. " * 30)
    out = tmp_path / "trace.npz"
    page = tmp_path / "page.html"
    path = stream.stream(
        "nano", str(file), "passkey-3", 0.5, tokens=1000, out=out, html=page
    )
    trace = traces.load(path)
    assert path == out and trace.read == trace.header.total > 1000
    assert np.isfinite(trace.nll_twin).all()
    command = trace.header.provenance["command"]
    assert "--needle passkey-3 --at 0.5 --tokens 1000" in command
    assert trace.header.provenance["seed"] == 3
    shown = capsys.readouterr().out
    assert "nats per token over" in shown and "trace.npz" in shown
    assert "recall" in shown and "page.html" in shown
    assert "ships.txt read by nano" in page.read_text("utf-8")


def test_a_model_that_never_learns_is_not_compared_with_itself(tmp_path, capsys):
    file = tmp_path / "ships.txt"
    file.write_text("The ships came in, one after the other. " * 5)
    trace = traces.load(stream.stream("static", str(file), out=tmp_path / "trace.npz"))
    assert not trace.header.learns and trace.header.mixers == ("window",)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"static never learns: {trace.nll.mean():.4f} nats per token." in shown


def test_needles_are_pass_keys_or_sentences():
    assert stream.parse_needle(None) == (None, None)
    assert stream.parse_needle("passkey")[1] == 0
    needle, seed = stream.parse_needle("My cat is Tom.")
    assert (needle.answer, seed) == (" Tom", None)
    assert stream.parse_needle("密码是|四一八二")[0].answer == "四一八二"


def test_an_unknown_document_is_said_before_anything_is_compiled():
    with pytest.raises(FileNotFoundError, match="no document 'sotu/1981-Kater'"):
        stream.stream("nano", "sotu/1981-Kater")
