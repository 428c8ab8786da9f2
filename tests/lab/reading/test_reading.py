"""Readings: numbers are those of the core, the twin is exact, errors are sentences."""

import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import traces
from lab.data import needles, tokenizers
from lab.measure.answers import ask
from lab.reading import plan
from lab.reading import programs as programs_file
from lab.reading.programs import Loaded, Programs
from lab.reading.session import Reading


TEXT = " ".join(
    f"In the year {1800 + i} the naïve clerk counted {i} ships — no more."
    for i in range(14)
)


def nano(name="nano"):
    model = ttt.preset("nano").build(key=jax.random.key(0))
    return Loaded(model, name, "bytes", "f" * 64)


@pytest.fixture(scope="module")
def programs():
    return Programs("nano", load=nano).start().wait("needle", timeout=300)


def finished(reading):
    while not reading.done:
        reading.step()
    return reading.trace


def test_a_reading_measures_what_the_core_reads(programs):
    trace = finished(Reading(programs, TEXT, document="ships"))
    model = programs.loaded.model
    for reader, nll, loss in (
        (model, trace.nll, trace.loss),
        (ttt.without_learning(model), trace.nll_twin, trace.loss_twin),
    ):
        _, report = ttt.read(reader, ttt.init_state(reader), trace.tokens)
        np.testing.assert_allclose(nll, report.nll, atol=1e-5)
        np.testing.assert_allclose(loss, report.loss, atol=1e-5)
    assert trace.read == trace.header.total == len(TEXT.encode())
    assert trace.filled == trace.read // 16
    assert trace.read % 16 > 0
    assert trace.learned.all() and (trace.drift[-1] > 0).all()


def full(name="full"):
    model = ttt.preset("nano").replace(mixers=("full",), lr=0.0)
    return Loaded(model.build(key=jax.random.key(0)), name, "bytes", "f" * 64)


@pytest.fixture
def compiled(monkeypatch):
    """Names of the programs compiled while a test runs, with rooms of few tokens."""
    monkeypatch.setattr(programs_file, "ROOM", 64)
    monkeypatch.setattr(programs_file, "ASKED", 192)
    jax.clear_caches()  # programs of other tests are not counted, nor lent
    names = []
    count = lambda event, _, **more: (
        names.append(more.get("fun_name"))
        if event.endswith("backend_compile_duration")
        else None
    )
    jax.monitoring.register_event_duration_secs_listener(count)
    yield names
    jax.monitoring.unregister_event_duration_listener(count)


@pytest.mark.parametrize("known", [True, False])
def test_full_attention_is_given_room_for_the_whole_text(compiled, known):
    programs = Programs("full", load=full, text=TEXT if known else "").start()
    programs.wait("needle", timeout=300)
    trace = finished(Reading(programs, TEXT, needle=needles.passkey(3)))
    sizes = 1 if known else 2  # without the text, the programs are made for `ROOM` too
    for name in ("chunks_program", "_peek_program"):
        assert compiled.count(f"jit({name})") == sizes, compiled
    model = programs.loaded.model
    _, report = ttt.read(model, ttt.init_state(model), trace.tokens)
    np.testing.assert_allclose(trace.nll, report.nll, atol=1e-5)
    np.testing.assert_array_equal(trace.nll, trace.nll_twin)  # it never learns
    np.testing.assert_array_equal(trace.loss, trace.loss_twin)
    assert np.isfinite(trace.recall(learning=False)[-1])


def test_only_what_grows_is_given_room():
    assert [programs_file.room_for(n) for n in (1, 4_096, 20_000)] == [
        *(4_096, 4_096, 20_480)
    ]
    assert Programs("n", load=nano, text=TEXT * 99).start().wait("model").room == 4_096
    for tokens, room in ((None, 8_192), (100, 4_096)):
        found = Programs("f", load=full, text=TEXT * 6, tokens=tokens).start()
        assert found.wait("model").room == room


@pytest.mark.parametrize(
    ("mixers", "reach", "attends", "carried_by", "said"),
    [
        (("window",), 4 * 31, True, (), "never learns"),
        (("window", "none"), 2 * 31, True, (), "never learns"),
        (("window", "full"), 0, True, (), "never learns"),  # 0: without end
        (("none",), 0, False, (), "never learns"),
        (("mamba2", "window"), 0, True, ("Mamba 2",), "never learns"),
        (("kv_binding",), 0, True, ("TTT-KVB",), "learns keys, not text"),
    ],
)
def test_a_header_notes_what_the_mixers_say(
    programs, monkeypatch, tmp_path, mixers, reach, attends, carried_by, said
):
    config = ttt.preset("nano").replace(mixers=mixers, lr=0.0)
    monkeypatch.setattr(Reading, "config", config)
    trace = Reading(programs, TEXT).trace
    header = trace.header
    assert (header.reach, header.attends) == (reach, attends)
    assert (header.carried_by, header.its_own_twin) == (carried_by, said)
    assert header.mixers == mixers
    assert traces.peek(traces.save(tmp_path / "one.npz", trace)) == header


def test_spans_cover_the_text(programs):
    trace = Reading(programs, TEXT).trace
    assert trace.read == 0 and trace.text.decode() == TEXT
    trace = finished(Reading(programs, TEXT))
    assert trace.spans[0, 0] == 0 and trace.spans[-1, 1] == len(trace.text)
    np.testing.assert_array_equal(trace.spans[1:, 0], trace.spans[:-1, 1])


def test_each_step_is_one_chunk_and_earlier_traces_stay_as_they_were(programs):
    reading = Reading(programs, TEXT)
    reading.step()
    before = reading.trace
    copies = before.nll.copy(), before.drift.copy()
    for _ in range(3):
        reading.step()
    assert (before.filled, reading.filled) == (1, 4)
    np.testing.assert_array_equal(before.nll, copies[0])
    np.testing.assert_array_equal(before.drift, copies[1])
    whole = finished(reading)
    np.testing.assert_array_equal(whole.upto(1).nll, before.nll)


@pytest.mark.parametrize("needle", [None, needles.passkey(3)])
def test_many_chunks_in_a_step_are_the_same_reading(programs, needle):
    one = finished(Reading(programs, TEXT, needle=needle))
    reading = Reading(programs, TEXT, needle=needle)
    seen = [reading.step(7)]
    while not reading.done:
        seen.append(reading.step(7))
    same = ("tokens", "nll", "nll_twin", "loss_twin", "drift", "needle_nll", "learned")
    for name in same:
        np.testing.assert_array_equal(getattr(reading.trace, name), getattr(one, name))
    first = reading.plan.first
    assert seen[0] == min(7, first) and max(seen) == min(7, max(first, 1))


def test_another_rate_is_read_as_the_core_reads_it(programs):
    model = programs.loaded.model
    trace = finished(Reading(programs, TEXT, rate=0.5))
    _, report = ttt.read(model, ttt.init_state(model), trace.tokens, rate=0.5)
    np.testing.assert_array_equal(trace.nll, report.nll)
    np.testing.assert_array_equal(trace.drift, report.drift)
    assert trace.header.inner_lr == 0.5 * model.config.inner.lr
    assert "rate" not in Reading(programs, TEXT).trace.header.provenance


def test_a_picture_reads_as_much_as_its_time_allows(programs):
    reading = Reading(programs, TEXT)
    reading.read_for(0.0, 16)
    assert reading.filled == 1
    reading.read_for(60.0, 7)
    assert reading.filled == 8
    reading.read_for(60.0, 1_000_000)
    assert reading.done and reading.pace.tokens_per_second > 0
    assert reading.pace.left(0) == 0
    reading.pace.begin()
    assert reading.pace.left(100) is None


@pytest.mark.parametrize("at", [0.0, 0.3, 0.9])
def test_out_of_reach_the_frozen_twin_recalls_exactly_nothing(programs, at):
    needle = needles.passkey(3)
    trace = finished(Reading(programs, TEXT, needle=needle, at=at))
    planted = trace.header.needle
    said = trace.text[trace.spans[planted.start, 0] : trace.spans[planted.stop - 1, 1]]
    assert said.decode().strip() == needle.sentence
    frozen = trace.recall(learning=False)
    learning = trace.recall(learning=True)
    first = planted.start // 16
    assert np.isnan(frozen[:first]).all() and np.isfinite(frozen[first:]).all()
    assert np.isfinite(learning[first:]).all()
    away = trace.ends > planted.stop + trace.header.reach
    assert (frozen[away] == 0.0).all()
    assert not (learning[away] == 0.0).any()
    assert (frozen[trace.ends >= planted.stop][:1] != 0).all()
    ranks = trace.needle_rank[first:]
    assert (ranks >= 0).all() and (ranks < 257).all()
    kinds = [event.kind for event in trace.header.events]
    assert kinds == ["needle-in", "needle-out"][: 1 + bool(away.any())]


def test_the_needle_is_asked_as_score_would(programs):
    model, reading = programs.loaded.model, Reading(programs, TEXT)
    tokens = reading.plan.ids
    state, _ = ttt.read(model, ttt.init_state(model), tokens[:64])
    prompt, answer = tokens[64:90], tokens[90:97]
    nll, rank = ask(model, state, prompt, answer)
    np.testing.assert_allclose(nll, ttt.score(model, state, prompt, answer), atol=1e-5)
    logits = ttt.predict(model, state, tokens[64:96])[-1]
    assert rank[-1] == int((logits > logits[answer[-1]]).sum())


def test_a_token_cap_stops_early_and_says_how_long_it_was_told_to_be(programs):
    trace = finished(Reading(programs, TEXT, tokens=100))
    assert trace.header.total == trace.read == 100


def test_a_whole_text_is_encoded_once_and_a_shortened_one_again(monkeypatch):
    tokenizer, encoded = tokenizers.load("bytes"), []
    encode = tokenizer.encode

    def counted(text):
        encoded.append(len(text))
        return encode(text)

    monkeypatch.setattr(tokenizer, "encode", counted)
    whole = plan.make_plan(tokenizer, TEXT, chunk=16)
    assert len(encoded) == 1 and len(whole.ids) == len(whole.spans)
    same = plan.make_plan(tokenizer, TEXT, chunk=16, tokens=len(whole.ids))
    np.testing.assert_array_equal(same.ids, whole.ids)
    short = plan.make_plan(tokenizer, TEXT, chunk=16, tokens=100)
    assert len(encoded) == 4 and whole.text.startswith(short.text)


def test_the_trace_of_a_reading_can_be_saved(programs, tmp_path):
    trace = finished(Reading(programs, TEXT, needle=needles.passkey(1), command="test"))
    again = traces.load(traces.save(tmp_path / "one.npz", trace))
    assert again.header == trace.header
    assert again.header.provenance["command"] == "test"
    assert again.header.provenance["document_hash"]


@pytest.mark.parametrize(
    ("text", "said"),
    [(" \n", "The text is empty"), ("short", "has 5 tokens.*at least 32")],
)
def test_too_little_text_is_refused(programs, text, said):
    with pytest.raises(ValueError, match=said):
        Reading(programs, text)


def test_uploaded_bytes_become_text_or_a_sentence():
    assert plan.text_from_bytes("a\r\né".encode(), "a.txt") == "a\né"
    with pytest.raises(ValueError, match="old.txt is not UTF-8 text: byte 1 is 0xe9"):
        plan.text_from_bytes(b"h\xe9las", "old.txt")
    with pytest.raises(ValueError, match="holds no text"):
        plan.text_from_bytes(b"\n\n", "empty.txt")


class Held(Programs):
    """Programs whose twin and needle are held back until told."""

    def __init__(self):
        super().__init__("nano", load=nano)
        self.go = threading.Event()

    def _make_twin(self):
        self.go.wait()
        super()._make_twin()


def test_reading_starts_with_the_learning_step_and_the_twin_catches_up():
    held = Held()
    reading = Reading(held.start(), TEXT, needle=needles.passkey(0), at=0.5)
    held.wait("learning", timeout=300)
    for _ in range(6):
        reading.step()
    trace = reading.trace
    assert trace.filled == 6 and np.isnan(trace.nll_twin).all()
    assert np.isnan(trace.loss_twin).all()
    assert "compiling the frozen twin" in held.now
    while not reading._learning.asks_next:
        reading.step()
    assert "questions: waiting its turn" in reading.waiting
    held.go.set()
    held.wait("needle", timeout=300)
    assert reading.waiting is None and held.finished and held.now == ""
    assert held.words("twin").startswith("frozen twin ready in ")
    trace = finished(reading)
    assert np.isfinite(trace.nll_twin).all()
    expected = finished(Reading(held, TEXT, needle=needles.passkey(0), at=0.5))
    np.testing.assert_array_equal(trace.needle_nll, expected.needle_nll)
    np.testing.assert_array_equal(trace.loss_twin, expected.loss_twin)


def test_a_model_that_cannot_be_opened_says_so_to_whoever_waits():
    def broken(name):
        raise FileNotFoundError("There is no model.")

    programs = Programs("lost", load=broken).start()
    with pytest.raises(ValueError, match="'lost' cannot be used: There is no model."):
        programs.wait("needle", timeout=60)
    assert programs.finished and not programs.ready("model")


def test_waiting_has_an_end():
    def slow(name):
        time.sleep(1)
        return nano()

    with pytest.raises(TimeoutError, match="opening the model.*within 0.01 s"):
        Programs("slow", load=slow).wait("model", timeout=0.01)


def test_importing_readings_imports_no_jax():
    code = "import sys, lab.reading.session; print('jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr


AT_WORK = """
import os, sys, time
from lab.reading import programs

class Slow(programs.Programs):
    def _make_learning(self):
        print("at work", flush=True)
        time.sleep({seconds})
    _make_twin = _make_needle = lambda self: print("went on", flush=True)

programs.PATIENCE = {patience}
slow = Slow("nano", load=lambda name: programs.Loaded(None, name, "bytes", "f"))
slow._make_model = lambda: None
slow.start()
while "learning" not in slow._began:
    time.sleep(0.01)
sys.exit(3)
"""


@pytest.mark.parametrize(("seconds", "patience", "code"), [(0.5, 30, 3), (30, 0.3, 1)])
def test_the_process_ends_after_the_program_at_work_and_not_much_later(
    seconds, patience, code
):
    script = AT_WORK.format(seconds=seconds, patience=patience)
    began = time.monotonic()
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "at work\n"), done.stderr
    assert min(seconds, patience) < time.monotonic() - began < 15


def test_the_process_does_not_abort_while_it_compiles(tmp_path, monkeypatch):
    script = (
        "import sys, time, jax, ttt_core as ttt\n"
        "from lab.reading.programs import Loaded, Programs\n"
        "model = ttt.preset('nano').build(key=jax.random.key(0))\n"
        "loaded = Loaded(model, 'nano', 'bytes', 'f')\n"
        "programs = Programs('nano', load=lambda name: loaded).start().wait('model')\n"
        "time.sleep(0.5)\n"
        "sys.exit(3)\n"
    )
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (3, "")


def test_a_model_is_opened_before_anything_is_compiled():
    opened = Programs("nano", load=nano).open()
    assert opened.ready("model") and opened.wait("model") is opened
    assert opened._thread is None
    assert Reading(opened, TEXT).trace.read == 0 and opened._thread is None
    assert opened.start().wait("needle", timeout=300).finished


def test_questions_are_marked_where_they_were_asked(programs):
    reading = Reading(programs, TEXT)
    reading.note_question("too early")
    while not reading.done:
        reading.step()
    reading.note_question("Who counts?", 2)
    reading.note_question("And now? " * 99)
    found = [e for e in reading.trace.header.events if e.kind == "asked"]
    assert [e.label[:12] for e in found] == ["asked: Who c", "asked: And n"]
    chunk = reading.config.chunk
    assert [e.token for e in found] == [2 * chunk, reading.filled * chunk]
    assert found[0] not in reading.trace.upto(1).header.events
    assert found[0] in reading.trace.upto(2).header.events
    assert len(found[1].label) == 120


class Slow:
    """A reader whose chunk takes a while, in place of a model's."""

    def __init__(self, reader, seconds, calls):
        self.reader, self.seconds, self.calls = reader, seconds, calls

    def __getattr__(self, name):
        return getattr(self.reader, name)

    def advance(self, chunks=1):
        self.calls.append(chunks)
        time.sleep(self.seconds * chunks)
        return self.reader.advance(chunks)


@pytest.mark.parametrize("how", ["follow", "read_for"])
def test_no_piece_of_a_slow_model_takes_much_longer_than_was_asked_for(programs, how):
    ahead, reading = Reading(programs, TEXT), Reading(programs, TEXT)
    while not ahead.done:
        ahead.step(4)
    calls = []
    reading._learning = Slow(reading._learning, 0.1, calls)
    if how == "follow":
        reading.follow(ahead.reached, 0.45)
    else:
        reading.read_for(0.45, 1_000)
    assert 1 <= sum(calls) <= 5, "no piece is begun that does not fit"
    while reading.reached < ahead.reached:
        reading.follow(ahead.reached, 60.0)
    np.testing.assert_array_equal(reading.trace.nll, ahead.trace.nll)


def test_the_twin_of_a_slow_model_catches_up_in_short_steps(programs, monkeypatch):
    reading = Reading(programs, TEXT)
    monkeypatch.setattr(Programs, "ready", lambda self, stage: stage != "twin")
    reading.step(6)
    monkeypatch.undo()
    chunk = reading.config.chunk
    monkeypatch.setattr(Programs, "seconds_per_chunk", 0.7)
    reading.step()
    assert reading._frozen.read == 2 * chunk
    monkeypatch.setattr(Programs, "seconds_per_chunk", 0.01)
    reading.step()
    assert reading._frozen.read == 6 * chunk


@pytest.mark.parametrize("needle", [None, needles.passkey(7)])
def test_no_more_of_a_long_text_is_encoded_than_is_read(needle, monkeypatch):
    words = tokenizers.load("bpe-4k")
    text = "He was sorry (it's so), and the 3 ships -- all of them -- left.\n\n" * 4_000
    shorter = text[: text.index(" ", 2_000)]
    made = dict(chunk=16, needle=needle, tokens=320)
    plans = [plan.make_plan(words, one, **made) for one in (text, shorter)]
    assert plans[0].text == plans[1].text
    assert (plans[0].ids == plans[1].ids).all()
    assert (plans[0].spans == plans[1].spans).all()
    longest, encode = [], type(words).encode
    counted = lambda self, t: longest.append(len(t)) or encode(self, t)
    monkeypatch.setattr(type(words), "encode", counted)
    for endless in (text, "a" * len(text)):
        found = plan.make_plan(words, endless, **made)
        assert len(found.ids) >= 320 and max(longest) < 60_000
