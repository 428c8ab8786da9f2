"""The stream's door: forks, open chunks, sampling, growing buffers, refusals, errors.

That reading agrees with training, however it is cut, stands with the invariants.
"""

from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minis import MINI, all_finite, build, meta, same_bits, text, with_bos

import ttt_core as ttt
from ttt_core.decode import Dials, discourage, sample, write


pytestmark = pytest.mark.bits  # also compiled as people compile: `make slow`


@pytest.fixture(scope="module")
def mini():
    return build()


@pytest.fixture(scope="module")
def midway(mini):
    """A state with two open tokens."""
    return ttt.read(mini, ttt.init_state(mini), text(10))[0]


def test_a_fresh_state_waits_for_the_first_token_with_bos_pending(mini):
    state = ttt.init_state(mini)
    assert int(state.last) == MINI.bos and int(state.position) == 0
    assert same_bits(state.fast, ttt.fast_mlps(mini))
    _, report = ttt.read_chunk(mini, state, text(4))
    _, aux = meta(mini, with_bos(mini, text(4)))
    np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=1e-5)
    assert report.nll.shape == (4,) and report.loss.shape == ()


def test_reports_count_the_chunks_that_filled(mini, midway):
    state, report = ttt.read(mini, midway, [1])
    assert report.nll.shape == (1,) and report.loss.shape == (0,)
    assert report.drift.shape == (0, 1) and int(state.n_open) == 3
    after, report = ttt.read(mini, state, [2, 3])
    assert report.nll.shape == (2,) and report.loss.shape == (1,)
    assert int(after.n_open) == 1 and int(after.position) == 13
    assert int(after.last) == 3
    _, whole = ttt.read(mini, ttt.init_state(mini), [*text(10), 1, 2, 3])
    np.testing.assert_allclose(report.loss, whole.loss[-1:], rtol=1e-6)


def test_reading_nothing_changes_nothing(mini, midway):
    state, report = ttt.read(mini, midway, [])
    assert same_bits(state, midway) and report.nll.shape == (0,)


def test_asking_leaves_the_state_alone_and_takes_no_step(mini, midway):
    before = jax.tree.map(np.array, midway)
    prompt, answer = text(7, seed=1), text(5, seed=2)
    nll = ttt.score(mini, midway, prompt, answer)
    logits = ttt.predict(mini, midway, [*prompt, *answer])
    assert same_bits(midway, before)
    assert nll.shape == (5,) and logits.shape == (13, MINI.vocab)
    ranked = -jax.nn.log_softmax(logits[7:12])[jnp.arange(5), answer]
    np.testing.assert_allclose(nll, ranked, rtol=0, atol=1e-5)


def test_asking_is_reading_with_learning_off(mini, midway):
    prompt, answer = text(7, seed=1), text(5, seed=2)
    frozen = ttt.without_learning(ttt.merge(midway.fast, ttt.split(mini)[1]))
    _, report = ttt.read(frozen, midway, [*prompt, *answer])
    nll = ttt.score(mini, midway, prompt, answer)
    np.testing.assert_allclose(nll, report.nll[7:], rtol=0, atol=1e-5)


def test_what_was_learned_shows_in_the_next_answer(mini):
    passage = text(4)
    state, _ = ttt.read(mini, ttt.init_state(mini), np.tile(passage, 10))
    fresh = ttt.score(mini, ttt.init_state(mini), passage[:2], passage[2:])
    known = ttt.score(mini, state, passage[:2], passage[2:])
    assert float(known.sum()) < float(fresh.sum())


def test_generating_leaves_the_state_of_reading_what_was_written(mini, midway):
    key = jax.random.key(3)
    written, state = ttt.generate(mini, midway, [1, 2], 9, key=key, top_p=0.9)
    read, _ = ttt.read(mini, midway, [1, 2, *map(int, written)])
    assert same_bits(state, read) and written.shape == (9,)
    again, _ = ttt.generate(mini, midway, [1, 2], 9, key=key, top_p=0.9)
    other, _ = ttt.generate(mini, midway, [1, 2], 9, key=jax.random.key(4))
    assert written.tolist() == again.tolist() != other.tolist()
    nothing, same = ttt.generate(mini, midway, [], 0, key=key)
    assert nothing.shape == (0,) and same_bits(same, midway)


def test_sampling_keeps_to_its_nucleus_and_its_temperature(getkey):
    logits = jnp.log(jnp.asarray([0.1, 0.5, 0.4]))
    keys = jax.random.split(getkey(), 400)
    draw = lambda heat, top_p: np.asarray(
        jax.vmap(lambda key: sample(logits, key, heat, top_p))(keys)
    )
    assert set(draw(0.0, 1.0)) == {1}
    assert set(draw(1.0, 0.3)) == {1}
    assert set(draw(1.0, 0.8)) == {1, 2}
    assert set(draw(1.0, 1.0)) == {0, 1, 2}
    assert abs(np.mean(draw(1.0, 1.0) == 1) - 0.5) < 0.1
    assert np.mean(draw(0.1, 1.0) == 1) > 0.8
    few = lambda top_k, top_p=1.0: {
        int(sample(logits, key, 1.0, top_p, top_k)) for key in keys[:60]
    }
    assert [few(k) for k in (1, 2, 3, 9)] == [{1}, {1, 2}, {0, 1, 2}, {0, 1, 2}]
    assert few(2, top_p=0.55) == {1}, "the nucleus is that of what `top_k` has kept"


def test_seen_tokens_are_made_less_likely_and_only_these():
    logits = jnp.asarray([2.0, -2.0, 1.0, 0.0])
    seen = jnp.asarray([True, True, False, True])
    assert discourage(logits, seen, 2.0).tolist() == [1.0, -4.0, 1.0, 0.0]
    assert discourage(logits, seen, 1.0).tolist() == logits.tolist()


def test_a_repetition_penalty_counts_the_prompt_and_what_is_written(mini, midway):
    knobs = {"key": jax.random.key(0), "temperature": 0.0}
    first, _ = ttt.generate(mini, midway, [], 1, **knobs)
    prompt = first.tolist()
    plain, _ = ttt.generate(mini, midway, prompt, 8, **knobs)
    same, _ = ttt.generate(mini, midway, prompt, 8, repetition_penalty=1.0, **knobs)
    varied, _ = ttt.generate(mini, midway, prompt, 8, repetition_penalty=1e6, **knobs)
    assert plain.tolist() == same.tolist()
    assert len({*prompt, *varied.tolist()}) == 9, "no token twice, none of the prompt"
    assert len(set(plain.tolist())) < 8


def test_writing_ends_when_it_is_told_and_the_state_is_that_of_what_is_written(
    mini, midway
):
    key = jax.random.key(3)
    whole, _ = ttt.generate(mini, midway, [1, 2], 9, key=key)
    told = []
    stop = lambda tokens: told.append(list(tokens)) or len(tokens) == 5
    written, state = ttt.generate(mini, midway, [1, 2], 9, key=key, stop=stop)
    assert written.tolist() == whole[:5].tolist() and told[-1] == written.tolist()
    read, _ = ttt.read(mini, midway, [1, 2, *written.tolist()])
    assert same_bits(state, read)


def test_writing_without_end_is_generating(mini, midway):
    key = jax.random.key(3)
    for model in (mini, build(mixers=("full",))):
        start, _ = ttt.read(model, ttt.init_state(model, capacity=8), text(9))
        whole, last = ttt.generate(model, start, [], 21, key=key)
        pairs = islice(write(model, start, key=key, dials=Dials()), 21)
        tokens, states = zip(*pairs, strict=True)
        assert list(tokens) == whole.tolist()
        if model is mini:  # full attention's buffers differ in length
            assert same_bits(states[-1], last)


@pytest.mark.parametrize("mixers", [("full",), ("window", "full")])
def test_full_attention_grows_its_buffer_and_changes_no_number(mixers):
    model, tokens = build(mixers=mixers, fast_blocks=2), text(42)
    small, large = (ttt.init_state(model, capacity=n) for n in (8, 64))
    grown, report = ttt.read(model, small, tokens)
    roomy, expected = ttt.read(model, large, tokens)
    np.testing.assert_allclose(report.nll, expected.nll, rtol=0, atol=2e-5)
    capacity = lambda state: max(leaf.shape[-2] for leaf in _buffers(state))
    assert capacity(small) == 8 and capacity(grown) == capacity(roomy) == 64
    written, _ = ttt.generate(model, small, [1], 20, key=jax.random.key(0))
    assert written.shape == (20,)


def _buffers(state):
    return [leaf for leaf in jax.tree.leaves(state.mixers) if leaf.ndim >= 4]


def test_a_chunk_past_the_buffer_raises():
    model = build(mixers=("full",))
    state = ttt.init_state(model, capacity=4)
    state, _ = ttt.read_chunk(model, state, text(4))
    with pytest.raises(ValueError, match="holds 4 tokens and 4 are read; use `read`"):
        ttt.read_chunk(model, state, text(4))


def test_a_model_that_is_not_a_number_learns_nothing_and_reads_on():
    model = build(tied=False)
    embed = model.embed.at[3].set(jnp.nan)
    model = jax.tree.unflatten(
        jax.tree.structure(model),
        [embed if leaf is model.embed else leaf for leaf in jax.tree.leaves(model)],
    )
    clean = np.where(text(60) == 3, 4, text(60))
    spoilt = clean.copy()
    spoilt[9] = 3
    state, report = ttt.read(model, ttt.init_state(model), spoilt)
    assert bool(report.refused[2]) and not bool(report.learned[2])
    assert list(report.refused[:2]) == [False, False]
    assert bool(report.learned[-1]), "the NaN leaves with the window"
    assert all_finite(state.fast) and int(state.position) == 60
    before, _ = ttt.read(model, ttt.init_state(model), spoilt[:8])
    after, refused = ttt.read_chunk(model, before, spoilt[8:12])
    assert bool(refused.refused) and same_bits(after.fast, before.fast)


@pytest.mark.parametrize("rate", [np.inf, np.nan])
def test_a_rate_that_is_no_number_is_refused(mini, rate):
    start = ttt.init_state(mini)
    state, report = ttt.read_chunk(mini, start, text(4), rate=rate)
    assert bool(report.refused) and same_bits(state.fast, start.fast)
    assert all_finite(report.nll) and int(state.position) == 4


def test_what_cannot_be_read_is_refused_with_the_value_and_the_fix(mini, midway):
    refuse = lambda sentence: pytest.raises(ValueError, match=sentence)
    start, key = ttt.init_state(mini), jax.random.key(0)
    with refuse("takes one chunk of 4 tokens: got 3; `read` takes any number"):
        ttt.read_chunk(mini, start, [1, 2, 3])
    with refuse("2 open tokens of an unfinished chunk.*use `read`"):
        ttt.read_chunk(mini, midway, text(4))
    for call in (ttt.read, ttt.read_chunk, ttt.predict):
        with refuse("token id 17 is outside of the vocabulary, 0 to 16"):
            call(mini, start, [1, 2, 3, 17])
    with refuse("`answer` is empty"):
        ttt.score(mini, start, [1], [])
    with refuse("token id -1 is outside"):
        ttt.score(mini, start, [1], [-1])
    with refuse("`length` must be >= 0: got -1"):
        ttt.generate(mini, start, [1], -1, key=key)
    with refuse("`temperature` must be >= 0 .*got -0.5"):
        ttt.generate(mini, start, [1], 1, key=key, temperature=-0.5)
    for top_p in (0.0, 1.5, np.nan):
        with refuse(r"`top_p` must be in \(0, 1\]"):
            ttt.generate(mini, start, [1], 1, key=key, top_p=top_p)
    for top_k in (-1, -40):
        with refuse("`top_k` must be a whole number >= 0"):
            ttt.generate(mini, start, [1], 1, key=key, top_k=top_k)
    for penalty in (0.0, -1.0, np.nan, np.inf):
        with refuse("`repetition_penalty` must be > 0"):
            ttt.generate(mini, start, [1], 1, key=key, repetition_penalty=penalty)


DRIVERS = {
    "read": lambda m, s, row: ttt.read(m, s, row)[1].nll,
    "score": lambda m, s, row: ttt.score(m, s, row, row),
    "predict": lambda m, s, row: ttt.predict(m, s, row),
    "score_many": lambda m, s, row: ttt.score_many(m, s, [row], [row])[0],
    "nll_under": lambda m, s, row: ttt.nll_under(m, s.fast, row[None]),
}


@pytest.mark.parametrize("name", DRIVERS)
def test_what_runs_on_the_host_says_so_where_it_is_traced(name, nano):
    state, drive = ttt.init_state(nano), DRIVERS[name]
    traced = jax.jit(lambda row: drive(nano, state, row))
    with pytest.raises(ValueError, match=f"`{name}` runs on the host"):
        traced(jnp.arange(5))


@pytest.mark.parametrize("name", ["read", "score", "predict"])
def test_a_stack_of_states_is_not_one_reader(name, nano):
    state = ttt.init_state(nano)
    stack = jax.tree.map(lambda a: jnp.stack([a, a]), state)
    with pytest.raises(ValueError, match="this is a stack of 2 states"):
        DRIVERS[name](nano, stack, [1, 2])
    with pytest.raises(ValueError, match="this is a stack of 2 states"):
        ttt.read_chunk(nano, stack, np.arange(nano.config.chunk))
