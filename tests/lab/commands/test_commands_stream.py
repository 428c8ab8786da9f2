"""The command `stream`: it reads, shows a table and writes a trace that opens."""

import functools
import io
import itertools
import sys

import command_line
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import traces
from lab.commands import stream
from lab.reading import kept, programs
from lab.reading.programs import Loaded
from lab.reading.session import Reading
from lab.stopping import Stopped


SHIPS = "The ships came in, one after the other. "


@functools.cache
def loaded(name: str) -> Loaded:
    """The smallest model; the one called "static" never learns."""
    config = ttt.preset("nano").replace(lr=0.0 if name == "static" else 1.0)
    build = jax.jit(lambda key: config.build(key=key))
    return Loaded(build(jax.random.key(0)), name, "bytes", name.ljust(64, "f"))


@pytest.fixture(autouse=True)
def nano_published(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "load_model", loaded)
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def ships(tmp_path) -> str:
    """A text of 600 bytes."""
    file = tmp_path / "ships.txt"
    file.write_text(SHIPS * 15)
    return str(file)


def test_a_text_file_becomes_a_table_and_a_trace(tmp_path, capsys):
    file = tmp_path / "ships.txt"
    file.write_text(SHIPS * 30)
    out = tmp_path / "trace.npz"
    page = tmp_path / "page.html"
    path = stream.stream(
        str(file),
        model="nano",
        needle="passkey-3",
        at=0.5,
        tokens=1000,
        out=out,
        html=page,
    )
    trace = traces.load(path)
    assert path == out and trace.read == trace.header.total > 1000
    assert np.isfinite(trace.nll_twin).all()
    command = trace.header.provenance["command"]
    assert "--needle passkey-3 --at 0.5 --tokens 1000" in command
    assert trace.header.provenance["seed"] == 3
    shown = capsys.readouterr()
    assert "trace.npz" in shown.out and "recall" in shown.out
    conclusion = shown.out.splitlines()[-1]
    assert conclusion.startswith("Learning ") and "nats a token (95 %, 6" in conclusion
    assert shown.err.count(" left\n") >= 5, "a line now and then, also when piped"
    assert not (tmp_path / "trace.stopped").exists()
    assert "page.html" in shown.out
    assert "ships.txt read by nano" in page.read_text("utf-8")


def test_in_eighty_columns_nothing_is_wrapped(ships, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream.stream(ships, model="nano", needle="passkey")
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line[:7].strip().isdecimal()]
    assert len(table) == stream.ROWS
    heads = ["chunk", "learning", "frozen", "saved", "so", "far", "drift", "recall"]
    assert lines[1].split() == [*heads, "twin's", "text"]
    assert max(len(line) for line in lines if "Trace:" not in line) <= 80
    for head in ("learning", "saved", "so far", "drift", "recall"):
        assert f"{head}" in " ".join(lines[-12:]), "the legend explains the column"


def test_a_model_that_never_learns_is_not_compared_with_itself(tmp_path, capsys):
    file = tmp_path / "ships.txt"
    file.write_text(SHIPS * 5)
    trace = traces.load(stream.stream(str(file), model="static"))
    assert not trace.header.learns and trace.header.mixers == ("window",)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"static never learns: {trace.nll.mean():.4f} nats per token." in shown


def test_needles_are_pass_keys_or_sentences():
    assert stream.parse_needle(None) == (None, None)
    assert stream.parse_needle("passkey")[1] == 0
    needle, seed = stream.parse_needle("My cat is Tom.")
    assert (needle.answer, seed) == (" Tom", None)
    assert stream.parse_needle("密码是|四一八二")[0].answer == "四一八二"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["sotu/1981-Kater"], "no document 'sotu/1981-Kater'"),
        (["--tokens", "0"], "at least 32 tokens: got 0"),
        (["--tokens", "-5"], "at least 32 tokens: got -5"),
        (["--tokens", "10"], "at least 32 tokens: got 10; the model learns in chunks"),
        (["--at", "7"], "--at must be from 0, the start, to 1, the end: got 7"),
        (["--at", "nan"], "--at must be from 0, the start, to 1, the end: got nan"),
        (["a.txt", "--document", "b.txt"], "Name one document: got a.txt and"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_compiled(
    asked, said, monkeypatch, capsys
):
    monkeypatch.setattr(programs.Programs, "start", lambda self: pytest.fail("started"))
    assert command_line.run(monkeypatch, "stream", "--model", "nano", *asked) == 1
    assert said in capsys.readouterr().err


def test_the_document_is_named_with_an_option_or_without(ships, monkeypatch):
    for named in ([ships], ["--document", ships], [ships, "--document", ships]):
        assert command_line.run(monkeypatch, "stream", *named, "--model", "nano") == 0


def arrays(trace: traces.Trace) -> dict:
    return {name: getattr(trace, name) for name in traces._DTYPES}


@pytest.mark.parametrize("calls", [3, 20, 44])
def test_a_stopped_reading_goes_on_to_the_same_bits(
    calls, ships, monkeypatch, capsys, tmp_path
):
    """Stopped in the middle of a step, before and after the needle."""
    more = {"model": "nano", "needle": "passkey-3", "at": 0.5}
    whole = traces.load(stream.stream(ships, **more, out=tmp_path / "whole.npz"))

    read, count = ttt.read, itertools.count()

    def stopped(*arguments, **knobs):
        if next(count) == calls:
            raise KeyboardInterrupt
        return read(*arguments, **knobs)

    monkeypatch.setattr(ttt, "read", stopped)
    with pytest.raises(Stopped, match="the same command goes on from there") as told:
        stream.stream(ships, **more)
    monkeypatch.setattr(ttt, "read", read)
    (path,) = (tmp_path / "runs/streams").glob("*.npz")
    part = traces.load(path)
    assert 0 < part.read < whole.read
    assert f"stopped at token {part.read} of {whole.read}" in str(told.value)
    capsys.readouterr()
    assert stream.stream(ships, **more) == path
    assert f"Going on at token {part.read}" in capsys.readouterr().out
    again = traces.load(path)
    for name, array in arrays(whole).items():
        np.testing.assert_array_equal(getattr(again, name), array, err_msg=name)
    assert again.header.events == whole.header.events
    assert not kept.folder_of(path).exists()


def test_the_last_line_is_the_difference_of_the_losses_before_it(ships, capsys):
    stream.stream(ships, model="nano", tokens=78)  # a chunk of 16 is left open
    said = capsys.readouterr().out.partition("Nats a token: ")[2].split()
    mean, twin = float(said[0]), float(said[3])
    saved = float(said[said.index("Learning") + 2])
    assert abs(abs(twin - mean) - saved) < 0.0011


def test_a_reading_that_is_stopped_takes_no_whole_one_away(
    ships, monkeypatch, tmp_path
):
    path = stream.stream(ships, model="nano")
    whole, step, count = path.read_bytes(), Reading.step, itertools.count()

    def stopped(reading):
        if next(count) == 4:
            raise KeyboardInterrupt
        step(reading)

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "step", stopped)
        with pytest.raises(Stopped, match=r"\.stopped holds what was read"):
            stream.stream(ships, model="nano")
    assert path.read_bytes() == whole
    assert stream.stream(ships, model="nano") == path


def test_now_and_then_a_reading_is_kept_in_case_of_a_kill(ships, monkeypatch, tmp_path):
    monkeypatch.setattr(stream, "KEEP_EVERY", 0.0)
    step, count, found = Reading.step, itertools.count(), []

    def watched(reading):
        if next(count) == 4:
            (folder,) = (tmp_path / "runs/streams").glob("*.stopped")
            found.append(traces.load(folder / "trace.npz").filled)
        step(reading)

    monkeypatch.setattr(Reading, "step", watched)
    path = stream.stream(ships, model="nano")
    assert found == [4] and not kept.folder_of(path).exists()


def test_an_error_keeps_what_was_read_too(ships, monkeypatch, tmp_path):
    step, count = Reading.step, itertools.count()

    def full(reading):
        if next(count) == 4:
            raise OSError("No space left on device")
        step(reading)

    monkeypatch.setattr(Reading, "step", full)
    with pytest.raises(OSError, match="No space"):
        stream.stream(ships, model="nano")
    (path,) = (tmp_path / "runs/streams").glob("*.npz")
    assert traces.load(path).filled == 4


def test_nothing_read_is_not_said_to_be_kept(ships, monkeypatch, tmp_path):
    def stopped(reading):
        raise KeyboardInterrupt

    monkeypatch.setattr(Reading, "step", stopped)
    with pytest.raises(Stopped, match="^stopped before the first chunk was read$"):
        stream.stream(ships, model="nano")
    assert not (tmp_path / "runs/streams").exists()


def test_what_is_kept_of_another_reading_is_named_and_not_used(ships, capsys):
    path = stream.stream(ships, model="nano")
    folder = kept.folder_of(path)
    folder.mkdir()
    (folder / "trace.npz").write_bytes(b"cut short")
    assert stream.stream(ships, model="nano") == path
    shown = capsys.readouterr().out
    assert "cannot be used" in shown and "reading from the start" in shown


@pytest.mark.parametrize("lost", ["frozen", "learning", "learning-absent"])
def test_a_kept_reading_that_lacks_a_stream_is_begun_anew(
    lost, ships, monkeypatch, capsys, tmp_path
):
    """As a whole: no reader goes on without the other."""
    more = {"model": "nano", "needle": "passkey-3", "at": 0.3}
    whole = traces.load(stream.stream(ships, **more, out=tmp_path / "whole.npz"))
    step, count = Reading.step, itertools.count()

    def stopped(reading):
        if next(count) == 20:
            raise KeyboardInterrupt
        return step(reading)

    monkeypatch.setattr(Reading, "step", stopped)
    with pytest.raises(Stopped):
        stream.stream(ships, **more)
    monkeypatch.setattr(Reading, "step", step)
    (folder,) = (tmp_path / "runs/streams").glob("*.stopped")
    (folder / f"{lost}.safetensors").unlink()
    again = traces.load(stream.stream(ships, **more))
    assert f"the stream '{lost}' is missing" in capsys.readouterr().out
    for name, array in arrays(whole).items():
        np.testing.assert_array_equal(getattr(again, name), array, err_msg=name)


def test_a_trace_never_replaces_another(ships, tmp_path):
    other = tmp_path / "other" / "ships.txt"
    other.parent.mkdir()
    other.write_text(SHIPS * 15)
    commands = [
        (ships, {}),
        (str(other), {}),
        (ships, {"needle": "passkey-1"}),
        (ships, {"needle": "passkey-2"}),
        (ships, {"needle": "passkey-2", "at": 0.9}),
        (ships, {"tokens": 300}),
        (ships, {"model": "static"}),
    ]
    read = lambda text, more: stream.stream(text, **{"model": "nano"} | more)
    paths = [read(text, more) for text, more in commands]
    assert len(set(paths)) == len(paths)
    assert {path.parent for path in paths} == {tmp_path / "runs" / "streams"}
    assert read(*commands[0]) == paths[0], "the same command replaces its own"


def test_out_never_replaces_anything_else(ships, tmp_path):
    out = tmp_path / "one.npz"
    stream.stream(ships, model="nano", out=out)
    assert stream.stream(ships, model="nano", out=out) == out
    with pytest.raises(ValueError, match=r"one\.npz holds another reading .*nano"):
        stream.stream(ships, model="static", out=out)
    with pytest.raises(ValueError, match="holds no trace"):
        stream.stream(ships, model="nano", out=tmp_path / "ships.txt")


def test_a_console_that_lacks_a_character_loses_nothing(tmp_path, monkeypatch):
    """Saved, and printed with replacement; what the text orders is not obeyed."""
    file = tmp_path / "my*notes*_v2_[red]x.txt"
    file.write_text("\u4fdd\u9669\u7bb1 \x1b[31m\x00 \u202e [bold]$x$ " * 40, "utf-8")
    monkeypatch.setenv("COLUMNS", "160")
    console, errors = (
        io.TextIOWrapper(io.BytesIO(), encoding="cp1252") for _ in range(2)
    )
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(sys, "stderr", errors)
    assert command_line.run(monkeypatch, "stream", str(file), "--model", "nano") == 0
    shown = ""
    for stream_ in (errors, console):
        stream_.flush()
        shown += stream_.buffer.getvalue().decode("cp1252")
    assert "my*notes*_v2_[red]x.txt read by nano" in shown
    assert "\x1b" not in shown and "\x00" not in shown
    assert "???" in shown and "[bold]$x$" in shown and "\\x1b[31m" in shown
    (path,) = (tmp_path / "runs/streams").glob("*.npz")
    assert traces.load(path).header.document == str(file)


def test_what_lies_at_out_and_is_no_trace_stays(ships, tmp_path):
    other = tmp_path / "diary.txt"
    other.write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"diary\.txt holds no trace, so it is not"):
        stream.stream(ships, model="nano", out=other)
    with pytest.raises(ValueError, match="is a folder: --out names a file"):
        stream.stream(ships, model="nano", out=tmp_path)
    assert other.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("option", ["out", "html"])
def test_where_nothing_can_be_written_nothing_is_read(
    ships, option, tmp_path, monkeypatch
):
    monkeypatch.setattr(Reading, "step", lambda reading: pytest.fail("read"))
    (tmp_path / "file").write_text("no folder")
    place = tmp_path / "file" / "x.npz"
    with pytest.raises(OSError, match="Nothing can be written in"):
        stream.stream(ships, model="nano", **{option: place})


def test_a_reading_that_cannot_be_kept_is_concluded_all_the_same(
    ships, monkeypatch, capsys
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(traces, "save", full)
    with pytest.raises(OSError, match="No space left"):
        stream.stream(ships, model="nano")
    assert "Learning" in capsys.readouterr().out


def test_a_small_drift_is_not_shown_as_none():
    """A pretrained model's weights are large: thousandths of a per cent are a lot."""
    from lab.commands.stream import _share

    shares = (0.231, 0.0000312, 0.0009, 0.0)
    assert [_share(one) for one in shares] == ["23.1%", "0.003%", "0.09%", "0.0%"]


def test_rule_chunk_window_and_rate_are_read_with_and_said(ships, capsys):
    knobs = dict(rule="momentum", chunk=8, window=16, rate=0.5)
    trace = traces.load(stream.stream(ships, model="nano", **knobs))
    assert (trace.header.chunk, trace.header.window) == (8, 16)
    assert trace.header.inner_lr == 0.5
    assert "nano with rule momentum, chunk 8, window 16, inner rate 0.5" in " ".join(
        capsys.readouterr().out.split()
    )
    words = trace.header.provenance["command"]
    assert words.endswith("--rule momentum --chunk 8 --window 16 --rate 0.5")
    plain = traces.load(stream.stream(ships, model="nano"))
    assert "--rule" not in plain.header.provenance["command"]
    assert plain.header.identity != trace.header.identity


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (dict(rule="adm"), "did you mean 'adam'"),
        (dict(chunk=64), "must not exceed `window`"),
        (dict(model="static", rule="adam"), "no inner rule to change"),
        (dict(rate=-1.0), "--rate must be >= 0"),
        (dict(rate=float("nan")), "--rate must be >= 0"),
    ],
)
def test_ways_of_learning_that_a_model_cannot_have_are_sentences(ships, knobs, said):
    with pytest.raises(ValueError, match=said):
        stream.stream(ships, **{"model": "nano"} | knobs)


def test_readings_at_two_rates_have_two_files(ships):
    once, half = (stream.stream(ships, model="nano", rate=r) for r in (1.0, 0.5))
    assert once != half
    nll = [traces.load(path).nll for path in (once, half)]
    assert np.abs(nll[0] - nll[1]).max() > 1e-3
