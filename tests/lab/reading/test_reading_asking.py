"""Questions on forks: nothing changes, and the way back gives the same bits."""

import dataclasses

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import memories
from lab.analysis import forgetting
from lab.measure.answers import Answer, ask
from lab.reading import asking, marks
from lab.reading.asking import (
    BOTH,
    COLUMNS,
    NEITHER,
    WEIGHTS,
    WINDOW,
    Asking,
    Column,
    OfMemory,
    OfReading,
    Question,
)
from lab.reading.programs import Loaded, Programs
from lab.reading.session import Reading


TEXT = "The ships came in, one after the other. " * 5  # 200 bytes: 12 chunks, 8 open
SHIPS = Question(text="The ships", answer="came in", tokens=20)


@pytest.fixture(scope="module")
def programs(nano):
    made = Programs("nano", load=lambda name: Loaded(nano, name, "bytes", "f" * 64))
    return made.wait("needle")


def read(programs, text=TEXT, chunks=None):
    reading = Reading(programs, text)
    while not reading.done and (chunks is None or reading.filled < chunks):
        reading.step()
    return reading


@pytest.fixture(scope="module")
def whole(programs):
    return read(programs)


def same(one, other):
    equal = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), one, other)
    return jax.tree.all(equal)


def result(work):
    """What comes of a generator."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def states(source, alpha=1.0):
    return result(source.states(alpha))


def test_four_columns_answer_and_write(whole):
    found = Asking(OfReading(whole), SHIPS).finish()
    assert not (found.error or found.stopped) and tuple(found.columns) == COLUMNS
    texts = [column.written for column in found.columns.values()]
    assert all(texts) and all(column.done for column in found.columns.values())
    nats = [column.found.nats for column in found.columns.values()]
    assert len(set(nats)) == 4 and nats[0] < nats[3]
    both = found.columns[BOTH]
    assert both.probability == pytest.approx(np.exp(-both.found.nll.sum()))


def test_asking_changes_nothing(programs, whole):
    """The reading goes on to the bits of one that was never asked anything."""
    asked = read(programs, chunks=5)
    for chunk in (None, 3):
        Asking(OfReading(asked, chunk), SHIPS).finish()
    while not asked.done:
        asked.step()
    for name, (state, _) in asked.states.items():
        assert same(state, whole.states[name][0])
    np.testing.assert_array_equal(asked.trace.nll, whole.trace.nll)


@pytest.mark.parametrize("chunk", [0, 1, 5, 12])
def test_the_way_back_gives_the_very_bits(programs, whole, chunk, monkeypatch):
    """Also where the state nearest is some chunks before."""
    monkeypatch.setattr(marks, "MOST", 3)
    few = read(programs)
    for name, (model, kept, _) in few.way_back.items():
        assert len(kept.states) <= 3
        state = ttt.init_state(model)
        state, _ = ttt.read(model, state, few.plan.ids[: 16 * chunk])
        found = result(OfReading(few)._walk(*few.way_back[name], 16 * chunk))
        assert same(found, state)
    assert same(states(OfReading(few, chunk)), states(OfReading(whole, chunk)))


def test_the_states_kept_are_few_and_spread_evenly(nano):
    kept = marks.Marks(ttt.init_state(nano))
    for chunk in range(1, 1001):
        kept.note(chunk, kept.states[0])
    chunks = sorted(kept.states)
    assert len(chunks) <= marks.MOST and len(set(np.diff(chunks))) == 1
    assert chunks[-1] > 700


def test_states_that_are_too_large_are_not_kept(nano, monkeypatch):
    monkeypatch.setattr(marks, "ROOM", 10.0)
    kept = marks.Marks(ttt.init_state(nano))
    kept.note(1, kept.states[0])
    assert list(kept.states) == [0]


def test_at_a_chunks_end_the_columns_are_those_of_the_analysis(nano, programs):
    reading = read(programs, TEXT[: 16 * 12])
    learned, frozen = (reading.states[name][0] for name in ("learning", "frozen"))
    expected = forgetting.fork(nano, learned, frozen).values()
    mine = states(OfReading(reading))
    prompt, answer = list(b"The ships"), list(b" came")
    for column, theirs in zip((BOTH, WEIGHTS, WINDOW, NEITHER), expected, strict=True):
        found = [ask(nano, one, prompt, answer) for one in (mine[column], theirs)]
        np.testing.assert_array_equal(found[0].nll, found[1].nll)


def test_half_the_change_is_half_the_way_and_none_is_the_start(nano, whole):
    none, half, all_ = (states(OfReading(whole), alpha) for alpha in (0.0, 0.5, 1.0))
    assert same(none[WEIGHTS].fast, nano.fast_mlps)
    assert same(all_[BOTH].fast, whole.states["learning"][0].fast)
    middle = jax.tree.map(lambda a, b: (a + b) / 2, nano.fast_mlps, all_[BOTH].fast)
    near = jax.tree.map(
        lambda a, b: np.allclose(a, b, atol=1e-6), middle, half[BOTH].fast
    )
    assert jax.tree.all(near)


def test_a_model_that_never_learns_has_columns_of_the_window_alone(nano):
    plain = ttt.without_learning(nano)
    load = lambda name: Loaded(plain, name, "bytes", "e" * 64)
    found = Asking(OfReading(read(Programs("plain", load=load))), SHIPS).finish()
    assert not found.error and tuple(found.columns) == (WINDOW, NEITHER)


def test_a_memory_answers_as_the_weights_alone(nano, programs, whole):
    state, model = whole.states["learning"]
    memory = memories.remember(state, model, name="nano")
    found = Asking(OfMemory(programs, memory, "ships"), SHIPS).finish()
    assert not found.error and tuple(found.columns) == (WEIGHTS, NEITHER)
    loaded = dataclasses.replace(ttt.init_state(model), fast=state.fast)
    expected = ask(model, loaded, list(b"\n\nThe ships"), list(b" came in"))
    np.testing.assert_array_equal(found.columns[WEIGHTS].found.nll, expected.nll)


def test_an_asking_can_be_stopped_and_keeps_what_was_said(whole):
    going = Asking(OfReading(whole), dataclasses.replace(SHIPS, tokens=500))
    while not going.columns or not going.columns[BOTH].written:
        going.step(0.0001)
    going.stop()
    said = {name: column.written for name, column in going.columns.items()}
    assert going.done and going.stopped and going.step().columns is going.columns
    assert said == {name: column.written for name, column in going.columns.items()}


def test_the_same_seed_writes_the_same(whole):
    dice = dict(kind=asking.CONTINUE, tokens=20, temperature=1.0, top_p=0.9)
    write = lambda seed: Asking(OfReading(whole), Question(seed=seed, **dice)).finish()
    texts = [write(seed).columns[BOTH].written for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_sentence_is_completed_to_its_end(whole):
    going = Asking(OfReading(whole), Question(asking.COMPLETE, "The ships"))
    column = asking.Column()
    ended = [going._said(column, piece) for piece in (" cost 3", ".5", ".", "”", " So")]
    assert ended == [False] * 4 + [True] and column.written == " cost 3.5.”"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (dict(text=" \n "), "no question yet"),
        (dict(text="a" * 3000), "3,000 characters"),
        (dict(text="a", tokens=0), "1 to 512"),
        (dict(text="a", temperature=-1.0), "temperature"),
        (dict(text="a", temperature=float("nan")), "temperature"),
        (dict(text="a", top_p=0.0), "top_p"),
        (dict(text="a", alpha=2.0), "1.5"),
    ],
)
def test_a_question_that_means_nothing_is_refused_with_a_sentence(wrong, words):
    with pytest.raises(ValueError, match=words):
        Question(**wrong)


def test_a_model_that_cannot_be_used_says_so():
    def load(name):
        raise ValueError("its file is damaged")

    source = OfMemory(Programs("broken", load=load), None, "it")
    found = Asking(source, SHIPS).finish()
    assert "its file is damaged" in found.error and not found.columns


def test_a_ratio_is_that_of_the_two_probabilities():
    # Cut off at 30 nats, a ratio of 10 to the 17th was said to be 10 to the 13th.
    sure, unsure = (
        Column(found=Answer(np.array([nats]), np.array([0]))) for nats in (1.0, 41.0)
    )
    assert sure.times(unsure) == pytest.approx(np.exp(40.0))
