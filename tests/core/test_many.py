"""Many questions in one program are the questions one by one, to rounding."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import build, same_bits, text
from test_compiling import compiles

import ttt_core as ttt
from ttt_core import many


later = lambda *names: [pytest.param(n, marks=pytest.mark.slow) for n in names]
every_mixer = pytest.mark.parametrize(
    "mixer",
    ["window", "full", *later("mamba2", "gated_delta", "kv_binding", "none")],
)


@pytest.fixture(autouse=True)
def small_calls(monkeypatch):
    """Few rows a call, and fewer for the head, so that calls and pieces are several."""
    monkeypatch.setattr(many, "AT_ONCE", 64)
    monkeypatch.setattr(many, "LOGITS", 17 * 32)


@pytest.fixture(scope="module")
def mini():
    return build()


def questions(count, longest=11):
    """Prompts, some of them empty, and answers, of many lengths."""
    random = np.random.default_rng(count)
    prompts = [text(random.integers(0, longest), seed=i) for i in range(count)]
    answers = [text(1 + i % 5, seed=count + i) for i in range(count)]
    return prompts, answers


def stack(states):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


@every_mixer
def test_many_questions_are_the_questions_one_by_one(mixer):
    with jax.enable_x64(True):
        model = build(mixers=(mixer,))
        state, _ = ttt.read(model, ttt.init_state(model, capacity=16), text(14))
        before = jax.tree.map(np.array, state)
        prompts, answers = questions(9)
        found = ttt.score_many(model, state, prompts, answers)
        assert [len(nats) for nats in found] == [len(answer) for answer in answers]
        for nats, prompt, answer in zip(found, prompts, answers, strict=True):
            expected = ttt.score(model, state, prompt, answer)
            np.testing.assert_allclose(nats, expected, rtol=0, atol=1e-9)
        assert same_bits(state, before)


@every_mixer
def test_many_states_are_asked_like_each_of_them(mixer):
    """Whatever they have read, learned and hold open."""
    with jax.enable_x64(True):
        model = build(mixers=(mixer,))
        start = ttt.init_state(model, capacity=64)
        states = [ttt.read(model, start, text(n))[0] for n in (0, 3, 9, 20)]
        prompts, answers = questions(3)
        found = ttt.score_many(model, stack(states), prompts, answers)
        for nats, prompt, answer in zip(found, prompts, answers, strict=True):
            each = [ttt.score(model, state, prompt, answer) for state in states]
            np.testing.assert_allclose(nats, np.stack(each), rtol=0, atol=1e-9)


@every_mixer
@pytest.mark.parametrize("length", [1, 4, 13])
def test_short_texts_under_given_weights_are_read_as_by_a_frozen_model(mixer, length):
    """Also those longer than a chunk or a window, and in a last, smaller call."""
    with jax.enable_x64(True):
        model = build(mixers=(mixer,))
        state, _ = ttt.read(model, ttt.init_state(model), text(20))
        frozen = ttt.without_learning(ttt.merge(state.fast, ttt.split(model)[1]))
        fresh = ttt.init_state(frozen)
        rows = np.stack([[16, *text(length, seed=i)] for i in range(11)])
        found = ttt.nll_under(model, state.fast, rows)
        assert found.shape == (11, length)
        for nll, row in zip(found, rows, strict=True):
            _, report = ttt.read(frozen, fresh, row[1:])
            np.testing.assert_allclose(nll, report.nll, rtol=0, atol=1e-9)


def test_a_stack_of_weights_reads_as_each_of_them(mini):
    states = [ttt.read(mini, ttt.init_state(mini), text(n))[0] for n in (0, 8, 40)]
    rows = np.stack([text(7, seed=i) for i in range(13)])
    found = ttt.nll_under(mini, stack([state.fast for state in states]), rows)
    each = [ttt.nll_under(mini, state.fast, rows) for state in states]
    np.testing.assert_allclose(found, np.stack(each), rtol=0, atol=1e-5)
    assert np.abs(np.asarray(found[2] - found[0])).max() > 1e-3, "it has learned"


def test_a_model_without_fast_weights_answers_too():
    model = build(fast_blocks=0, lr=0.0)
    state, _ = ttt.read(model, ttt.init_state(model), text(5))
    (nats,) = ttt.score_many(model, state, [[1, 2]], [[3]])
    expected = ttt.score(model, state, [1, 2], [3])
    np.testing.assert_allclose(nats, expected, rtol=0, atol=1e-5)
    rows = np.stack([text(5, seed=i) for i in range(2)])
    assert ttt.nll_under(model, state.fast, rows).shape == (2, 4)


def test_one_program_serves_a_bucket(mini):
    state = ttt.init_state(mini)
    ask = lambda count, longest: ttt.score_many(
        mini, state, *([text(n) for n in [longest] * count] for longest in (longest, 3))
    )
    ask(4, 9)
    with compiles(0):
        ask(3, 5)
        ask(4, 12)
    with compiles(1):
        ask(2, 5)


def test_nothing_is_asked_and_nothing_is_answered(mini):
    state = ttt.init_state(mini)
    assert ttt.score_many(mini, state, [], []) == []
    assert ttt.nll_under(mini, state.fast, np.zeros((0, 5), int)).shape == (0, 4)
    two = stack([state.fast, state.fast])
    assert ttt.nll_under(mini, two, np.zeros((0, 5), int)).shape == (2, 0, 4)


def test_what_cannot_be_asked_is_refused_with_the_value_and_the_fix(mini):
    refuse = lambda sentence: pytest.raises(ValueError, match=sentence)
    state = ttt.init_state(mini)
    with refuse("got 2 prompts and 1 answers"):
        ttt.score_many(mini, state, [[1], [2]], [[3]])
    with refuse("answer 1 is empty: give at least one token"):
        ttt.score_many(mini, state, [[1], [2]], [[3], []])
    with refuse("token id 17 is outside"):
        ttt.score_many(mini, state, [[1]], [[17]])
    with refuse(r"one leading axis: got states stacked as \[1, 1\]"):
        ttt.score_many(mini, stack([stack([state])]), [[1]], [[2]])
    with refuse(r"at least one token to be scored in each row: got shape \[3, 1\]"):
        ttt.nll_under(mini, state.fast, np.zeros((3, 1), int))
    with refuse(r"must be \[n, length \+ 1\].*got shape \[5\]"):
        ttt.nll_under(mini, state.fast, text(5))
    with refuse("token id -1 is outside"):
        ttt.nll_under(mini, state.fast, np.full((1, 2), -1))


def test_weights_that_are_not_the_models_are_refused(mini):
    model, state = mini, ttt.init_state(mini)
    fast, tokens = state.fast, np.zeros((2, 5), int)
    stack = jax.tree.map(lambda a: jnp.stack([a, a]), fast)
    part = eqx.tree_at(lambda mlp: mlp.up, fast, stack.up)
    small = jax.tree.map(lambda a: a[..., :1], fast)
    twice = jax.tree.map(lambda a: a[None], stack)
    for wrong in (state, None, (), part, small, twice):
        with pytest.raises(ValueError, match="must be this model's fast weights"):
            ttt.nll_under(model, wrong, tokens)
