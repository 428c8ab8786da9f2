"""Whatever is given to the lab, is the answer a value or a sentence, and soon?

Each property hands one kind of thing that other people write (texts, settings, files,
command lines, addresses) to the functions that take it, damaged in every way that
hypothesis thinks of. The answer is a value that can be used, or one of the errors that
`ttt-lab` prints as a sentence (`cli.SENTENCES`). It comes within ten seconds, and the
files that were there are still what they were.

The inputs are the same in every run: 300 of them, and 3,000 in the slow suite.
"""

import contextlib
import functools
import hashlib
import io
import json
import os
import signal
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import streamlit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_trace import synthetic

from lab import checkpoints, cli, files, published, results, runs, traces
from lab.commands import numbers
from lab.data import documents, needles, tokenizers
from lab.reading import kept, plan
from lab.recipes import RECIPES
from lab.recipes.settings import _known, make_experiment
from lab.visible import visible


LONGEST = 10  # seconds for one input
JUNK = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0),
    *(float("nan"), float("inf"), 1e308, 5e-324, "", "x", "1", "\0", "\udc80", "a/b"),
    *("../x", "x" * 5000, [], {}, [[]], {"": None}, [1, "2", None], {"name": {}}),
]
WORDS = [
    *("", " ", "nan", "inf", "-inf", "-1", "0", "1", "2", "1e308", "1e-320", "1e30"),
    *("2147483648", "1e18", "9" * 5000, "0x10", "1_000", "true", "None", "none", "a,b"),
    *("٣", "²", "\0", "\udc80", "../..", "~nobody/x", "*_$`", "/dev/null", "😀" * 300),
]
words = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
junk = st.one_of(st.sampled_from(JUNK), st.integers(), st.floats(), st.text())


class Hang(BaseException):
    """An input that was not answered in time."""


@contextlib.contextmanager
def soon():
    """A context that fails if it is not left within `LONGEST` seconds."""

    def late(*_):
        raise Hang(f"no answer within {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def answer(function, *given, **named):
    """What a function returns, None where it answers with a sentence."""
    try:
        return function(*given, **named)
    except cli.SENTENCES as error:
        said = visible(str(error))
        # What a codec or a parser says names neither the file nor what to do.
        raw = isinstance(error, UnicodeError | json.JSONDecodeError)
        assert said.strip() and not raw, f"no sentence: {error!r}"
        return None


def contents(folder: Path) -> dict[Path, str]:
    """A hash of every file below a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@contextlib.contextmanager
def unchanged(folder: Path):
    """A context in which no file below a folder may change, appear or go."""
    before = contents(folder)
    yield
    assert contents(folder) == before


def damaged(draw, data: bytes) -> bytes:
    """Bytes that were cut, flipped, stretched or filled with something else."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(1, 64)))
        other = draw(st.binary(max_size=12))
        data = draw(
            st.sampled_from(
                [
                    data[:at],
                    data[at:],
                    data[:at] + other + data[end:],
                    data[:at] + other + data[at:],
                    data[:at] + bytes(b ^ 0xFF for b in data[at:end]) + data[end:],
                    data[:at] + 3 * data[at:end] + data[end:],
                ]
            )
        )
    return data


def changed(draw, value):
    """A JSON value with something in it replaced, removed or added."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        copy, at = _entry(draw, value)
        what = draw(st.sampled_from(["deeper", "deeper", "other", "gone", "new"]))
        if what == "gone":
            del copy[at]
        elif what == "new" and isinstance(copy, dict):
            copy[draw(words)] = draw(junk)
        else:
            copy[at] = changed(draw, copy[at]) if what == "deeper" else draw(junk)
        return copy
    return draw(junk)


def _entry(draw, value):
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    return value.copy(), draw(st.sampled_from(list(keys)))


def changed_json(draw, value) -> bytes:
    """A JSON file with a value changed, or damaged as bytes."""
    if draw(st.integers(0, 3)):
        return json.dumps(changed(draw, value)).encode("utf-8", "replace")
    return damaged(draw, json.dumps(value).encode())


@functools.cache
def whole(name: str):
    """A small model, stream, trace and run: what a property damages a copy of."""
    import jax

    import ttt_core as ttt

    if name == "trace":
        return traces.to_bytes(synthetic(chunks=6, tail=3))
    if name == "model":
        build = lambda key: ttt.preset("nano").build(key=key)
        return jax.jit(build)(jax.random.key(0))
    experiment = make_experiment("tiny-e2e", "nano")
    return json.loads(json.dumps(runs.describe(experiment)))


def saved(folder: Path) -> Path:
    """The card of the small model, saved in a folder."""
    return checkpoints.save(folder / "small", whole("model"), {"tokenizer": "bytes"})


# Documents


PIECES = [
    *("plain words. ", "naïve — café\n", "保险箱的密码是四一八二。", "नमस्ते दुनिया। "),
    *("👨\u200d👩\u200d👧\u200d👦", "\0", "\x1b[31m", "\u202e", "\ufeff", "\r\n", "\t"),
    *("e\u0301", "$*_:red[x]<b>"),
]
CODES = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "latin-1")
HEADS = [b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x7fELF", b"\xff\xfe"]


def some_bytes(draw) -> bytes:
    """A file that somebody takes for a text."""
    text = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=12)))
    text *= draw(st.sampled_from([1, 1, 5, 400]))
    code = draw(st.sampled_from(CODES))
    data = draw(
        st.one_of(
            st.just(text.encode(code, "replace")),
            st.text(max_size=60).map(lambda t: t.encode(code, "replace")),
            st.binary(max_size=400),
            st.sampled_from(HEADS).map(lambda head: head + text.encode()),
            st.sampled_from([b"", b"x" * 3_000_000, b"\0" * 5000, b" \n"]),
        )
    )
    return damaged(draw, data) if data and draw(st.booleans()) else data


def a_document(draw, folder: Path):
    """A document is text that can be cut into tokens, or no document."""
    name = draw(st.sampled_from(["a.txt", "my*notes*_v2_.txt", "b .md", "c\n.txt"]))
    path = folder / name
    path.write_bytes(some_bytes(draw))
    with unchanged(folder):
        found = answer(documents.load, path)
        asked = answer(documents.load, draw(words))
        reader = tokenizers.load(draw(st.sampled_from(["bytes", "bpe-4k"])))
        for document in filter(None, (found, asked)):
            a_plan(draw, reader, document.text[:20_000])
    path.unlink()


def a_plan(draw, reader, text: str):
    told = answer(needles.from_sentence, draw(sentences))
    count = draw(st.sampled_from([None, None, -5, 0, 10, 64, 10**9]))
    at = draw(st.sampled_from([0.0, 0.3, 1.0, -1.0, float("nan"), 7, 10**9]))
    made = answer(
        plan.make_plan, reader, text, chunk=16, needle=told, at=at, tokens=count
    )
    if made is not None:
        assert len(made.spans) == len(made.ids)
        assert b"".join(made.text[a:b] for a, b in made.spans) == made.text
        assert made.absent is None or len(made.absent) == len(made.ids)


BITS = [*PIECES, "|", " ", " 4182", " my cat", "｜", ". "]
told = st.lists(st.sampled_from(BITS), min_size=2, max_size=9).map("".join)
sentences = st.one_of(told, told, words, st.text(max_size=60))


def a_needle(draw, folder: Path):
    """A sentence is a needle that holds its answer, or no needle."""
    count = draw(st.sampled_from([1, 1, 2, 0, -1, 10**9]))
    found = answer(needles.from_sentence, draw(sentences), words=count)
    if found is not None:
        assert found.answer.strip() and found.question
        assert found.answer.strip() in found.sentence
    answer(needles.custom, draw(sentences), draw(sentences), draw(sentences))


# Settings


def some_settings(draw, experiment) -> tuple[str, ...]:
    known = sorted(_known(experiment))
    names = st.one_of(*3 * [st.sampled_from(known)], words)
    values = st.one_of(
        words, st.integers().map(str), st.floats().map(str), st.sampled_from(known)
    )
    pairs = st.tuples(names, st.sampled_from(["=", "=", "=", "", " = ", "=="]), values)
    return tuple("".join(pair) for pair in draw(st.lists(pairs, max_size=3)))


def an_experiment(draw, folder: Path):
    """Settings make an experiment whose memory is known, or are refused."""
    from lab.training.plan import check_fits

    recipe = draw(st.sampled_from(sorted(RECIPES)))
    size = draw(st.sampled_from(sorted(RECIPES[recipe].SIZES)))
    first = answer(make_experiment, recipe, size)
    if first is None:
        return
    asked = some_settings(draw, first)
    made = answer(make_experiment, recipe, size, asked, draw(st.booleans()))
    if made is not None:
        answer(check_fits, [made], draw(st.sampled_from([1, 1, 2, 0, -3, 10**6])))
        assert made.steps > 0 and runs.describe(made)
        next(made.phases[0].steps_from(0))


# Cards, weights and streams


def some_weights(draw, path: Path):
    """Damage a safetensors file: its bytes, its header, or one of its arrays."""
    how = draw(st.sampled_from(["bytes", "header", "array"]))
    data = path.read_bytes()
    if how == "bytes":
        path.write_bytes(damaged(draw, data))
    elif how == "header":
        length = int.from_bytes(data[:8], "little")
        told = changed_json(draw, json.loads(data[8 : 8 + length]))
        size = draw(st.sampled_from([len(told), len(told), 0, 2**60, length]))
        path.write_bytes(size.to_bytes(8, "little") + told + data[8 + length :])
    else:
        some_arrays(draw, path)


def some_arrays(draw, path: Path):
    with safetensors.safe_open(path, "numpy") as file:
        marks = file.metadata()
    arrays = safetensors.numpy.load_file(path)
    name = draw(st.sampled_from(sorted(arrays)))
    arrays[name] = np.ascontiguousarray(other_array(draw, arrays[name]))
    if draw(st.booleans()):
        arrays[draw(words).encode("utf-8", "replace").decode()] = np.zeros(3)
    safetensors.numpy.save_file(arrays, path, metadata=marks)


def other_array(draw, array: np.ndarray) -> np.ndarray:
    kinds = (np.float16, np.float64, np.int32, np.int64, np.uint8, np.bool_)
    value = draw(st.sampled_from([0.0, -1.0, 3e38, np.nan, np.inf, 2.0**31]))
    with np.errstate(all="ignore"):
        return draw(
            st.sampled_from(
                [
                    array.astype(draw(st.sampled_from(kinds))),
                    np.full_like(array.astype(np.float32), value),
                    array.ravel(),
                    array[None],
                    np.atleast_1d(array)[..., :0],
                    array.T,
                ]
            )
        )


def a_model(draw, folder: Path):
    """A damaged model is refused, and the model beside it stays in every list."""
    models = folder / "models"
    card = saved(models)
    good = models / "good.json"
    good.write_bytes(card.read_bytes())
    weights = card.with_suffix(".safetensors")
    if draw(st.booleans()):
        some_weights(draw, weights)
        hashed = hashlib.sha256(weights.read_bytes()).hexdigest()
        card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": hashed}))
    else:
        card.write_bytes(changed_json(draw, json.loads(card.read_text())))
    with unchanged(folder), published_at(folder):
        listed = published.models()
        assert "good" in listed
        for described in listed.values():
            assert isinstance(published.remark(described), str)
        published.damaged()
        answer(checkpoints.card, card)
        answer(checkpoints.load, card)


def a_stream(draw, folder: Path):
    """A damaged stream is refused."""
    import ttt_core as ttt

    model = whole("model")
    path = checkpoints.save_stream(folder / "a", ttt.init_state(model), model)
    some_weights(draw, path)
    with unchanged(folder):
        state = answer(checkpoints.load_stream, path, model)
        if state is not None:
            answer(ttt.read, model, state, [1, 2, 3])


@contextlib.contextmanager
def published_at(folder: Path):
    before, published.HERE = published.HERE, folder
    try:
        yield
    finally:
        published.HERE = before


# Recordings


def some_trace(draw) -> bytes:
    """A recording with its bytes, header or arrays damaged."""
    data = whole("trace")
    how = draw(st.sampled_from(["bytes", "header", "array", "zip"]))
    if how == "bytes":
        return damaged(draw, data)
    members = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = "header.npy" if how == "header" else draw(st.sampled_from(sorted(members)))
    if how == "zip":
        members[name] = damaged(draw, members[name])
    else:
        array = np.load(io.BytesIO(members[name]))
        array = bare(draw, array, is_header=how == "header")
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        members[name] = buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def bare(draw, array: np.ndarray, *, is_header: bool) -> np.ndarray:
    if is_header:
        told = changed_json(draw, json.loads(array.tobytes()))
        return np.frombuffer(told, np.uint8)
    kinds = (np.complex64, object, "U8", "M8[s]", np.void)
    with np.errstate(all="ignore"):
        other = other_array(draw, array)
        return draw(
            st.sampled_from(
                [other, other, other, np.zeros(4, draw(st.sampled_from(kinds)))]
            )
        )


def a_recording(draw, folder: Path):
    """A recording that opens can be looked at; another one takes only itself away."""
    place = folder / "traces"
    place.mkdir(exist_ok=True)
    (place / "good.npz").write_bytes(whole("trace"))
    path = place / "a.npz"
    path.write_bytes(some_trace(draw))
    with unchanged(folder), published_at(folder):
        assert "good" in published.recordings()
        published.damaged()
        answer(traces.peek, path)
        found = answer(traces.load, path)
        assert ("a" in published.recordings()) == (found is not None)
        if found is not None:
            look(found)


def look(trace: traces.Trace):
    """What pictures and tables ask of a recording."""
    from app import arrival
    from lab.plots import page

    with np.errstate(all="ignore"):
        trace.upto(3).gain_interval()
        assert len(trace.mean_gain) == len(trace.worst_rank(0)) == len(trace.ends)
        assert trace.header.chunks >= 0 and trace.header.its_own_twin is not None
        kept.place(trace.header, trace.header.document)
        if trace.filled:
            page.page(trace).encode()
        arrival.described(trace.header)


# Run folders


RUN_FILES = ("experiment.json", "devices.json", "sources.json", "data.json")


def a_run(draw, folder: Path):
    """A damaged run folder is refused, and the run beside it stays listed."""
    from lab.training import provenance, resuming

    experiment = make_experiment("tiny-e2e", "nano")
    for name in ("good", "bad"):
        files.write(folder / name / "experiment.json", json.dumps(whole("run")))
        card = saved(folder / name)
        card.rename(card.with_name(f"{experiment.name}.json"))
    bad, told = folder / "bad", draw(st.sampled_from(RUN_FILES))
    first = {
        "experiment.json": whole("run"),
        "devices.json": {"platform": "cpu", "devices": 2, "cores": 2},
        "sources.json": [provenance.UNKNOWN],
        "data.json": {"main": {"data_hash": "0", "tokenizer": "0", "documents": {}}},
    }
    (bad / told).write_bytes(changed_json(draw, first[told]))
    lines = [{"step": 0, "loss": 1.0}, {"step": 1, "loss": 2.0}]
    said = b"\n".join(changed_json(draw, line) for line in lines)
    (bad / "metrics.jsonl").write_bytes(said)
    with unchanged(folder):
        listed = runs.models()
        assert "good" in listed
        answer(checkpoints.card, "bad")
        answer(runs.read_metrics, bad / "metrics.jsonl")
        answer(provenance.commits, bad, 2)
        answer(provenance.claim_source, bad, 1, write=False)
    answer(runs.Metrics, bad / "metrics.jsonl", 1)
    if (bad / "devices.json").exists():
        answer(resuming.claim_devices, bad, elastic=draw(st.booleans()))
    answer(runs.claim, bad, experiment, draw(st.sampled_from([0, 1, 10**9])))


def a_result(draw, folder: Path):
    """A damaged result is refused or left out, and the one beside it stays listed."""
    from lab.evals.compare import Comparison

    source = sorted(results.PUBLISHED.glob("compare-*.json"))[0]
    place = folder / "results"
    files.write(place / "good.json", source.read_text("utf-8"))
    path = place / "a.json"
    path.write_bytes(changed_json(draw, json.loads(source.read_text("utf-8"))))
    with unchanged(folder), published_at(folder):
        answer(results.open_result, path, Comparison)
        assert "good" in [one.name for one in results.listed(place)]
        assert "good" in published.results()


# Command lines


OPTIONS = [
    *("--model", "--document", "--needle", "--at", "--tokens", "--out", "--html"),
    *("--set", "--size", "--seed", "--port", "--length", "--models", "--corpus"),
    *("--help", "--plain", "--top-p", "--devices", "--cut", "-x", "--", "--no-such"),
]


def a_command_line(draw, folder: Path):
    """A command line is understood, or answered on stderr with exit status 1 or 2.

    Verbs end where their work would begin: words and numbers are read and checked.
    """
    known = st.sampled_from(sorted(cli.VERBS))
    verb = draw(st.one_of(known, known, known, words))
    options = st.one_of(st.sampled_from(OPTIONS), words, st.sampled_from([".", "tiny"]))
    typed = [*verb.split(" "), *draw(st.lists(options, max_size=5))]
    with unchanged(folder):
        run(typed, numbers.checked if draw(st.booleans()) else str)


def a_request(draw, folder: Path):
    """A verb that finds nothing to work on says so."""
    path = folder / "my text.txt"
    path.write_bytes(some_bytes(draw))
    place, what = str(path), draw(words)
    typed = draw(
        st.sampled_from(
            [
                ["stream", place, "--model", f"no-such{what}"],
                ["stream", what, "--needle", draw(sentences), "--model", "no-such"],
                ["plot", what],
                ["plot", place],
                ["data", "show", what],
                ["ask", place, f"--question={what}", "--model", "no-such"],
                ["generate", place, "--model", f"no-such{what}"],
                ["plan", f"no-such{what}"],
                ["train", "tiny-e2e", "--size", "nano", "--set", f"seed={what}x"],
                ["eval", "compare", "--models", f"no-such{what}"],
            ]
        )
    )
    with unchanged(folder):
        run(typed, None)


def run(typed: list[str], only):
    """`ttt-lab TYPED` in this process; `only` keeps verbs from beginning their work."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, numbers.checked)
    real, sys.argv = numbers.checked, ["ttt-lab", *typed]
    if only is not None:
        idle = lambda verb: functools.wraps(verb)(lambda *given, **named: None)
        numbers.checked = lambda verb: real(idle(verb))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
        status = 0
    except SystemExit as leave:
        status = leave.code or 0
    finally:
        sys.argv, numbers.checked = before
    assert status in (0, 1, 2), status
    assert not status or (err.getvalue() + out.getvalue()).strip(), typed


# Addresses of the explorer


def an_address(draw, folder: Path):
    """Every address leads to values that the page can show."""
    from app import address, arrival, session

    headers = {"carter": synthetic(chunks=40).header}
    names = st.one_of(st.sampled_from([*address._MEANINGS, "foo"]), words)
    known = st.sampled_from(
        ["sotu/1981-Carter-1", "tiny-e2e", "tiny-swa", "passkey-7", "none", "passkey-"]
        + [
            "toy,tiny-e2e",
            "toy,,toy",
            "a,b,c,d",
            "adam",
            "0.01",
            "32",
            "strength",
            "1e9",
        ]
    )
    texts = st.one_of(words, known, st.text())
    params = draw(st.dictionaries(names, texts, max_size=5))
    values = dict(session.DEFAULTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamlit, "query_params", params)
        patch.setattr(streamlit, "session_state", values)
        patch.setattr(arrival.cache, "recordings", lambda: headers)
        patch.setattr(arrival.cache, "models", lambda: {"tiny-e2e": "", "toy": "no"})
        patch.setattr(arrival.cache, "document_names", lambda: ["moby-dick"])
        arrival.arrive()
        assert isinstance(arrival.sentence(), str)
        again = address.read(address.write(values))
    assert values["model"] in ("tiny-e2e", "toy")
    assert values["source"] in ("live", "recorded")
    assert 0 <= values["depth"] <= 1 and 0 <= values["seed"] < session.SEEDS
    assert not again[1], "the page's own address was not understood"


# Inputs of each property in the default suite; ten times as many in the slow one.
PROPERTIES = {
    a_document: 40,
    a_needle: 30,
    an_experiment: 50,
    a_model: 35,
    a_stream: 15,
    a_recording: 40,
    a_run: 20,
    a_result: 10,
    a_command_line: 20,
    a_request: 10,
    an_address: 30,
}


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
def test_every_input_gets_a_value_or_a_sentence(check, times, tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    monkeypatch.setattr(runs, "commit", lambda: "unknown")  # git takes its time
    monkeypatch.chdir(tmp_path)

    @settings(
        max_examples=int(os.environ.get("FUZZ", PROPERTIES[check] * times)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(st.data())
    def inputs(data):
        with soon(), tempfile.TemporaryDirectory(dir=tmp_path) as place:
            monkeypatch.setenv("TTT_LAB_RUNS", place)
            check(data.draw, Path(place))

    inputs()


def test_three_hundred_inputs_are_tried():
    assert sum(PROPERTIES.values()) == 300
