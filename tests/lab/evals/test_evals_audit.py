"""The audit: honest models of every kind pass, and each planted leak is caught by name.

A leak is planted where a bug would sit: in a program that reads, in the harness that
hands out states, in the twin. The check that says what is wrong must catch it.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import minis
import numpy as np
import pytest

import ttt_core as ttt
from lab.evals.audit import CHECKS, audit
from lab.measure import nats
from lab.measure.certificates import FAILED, NOT_APPLICABLE, PASSED
from lab.measure.subject import gap, needed
from ttt_core import chunks, inner, meta, rules, stream
from ttt_core.layers import rotate
from ttt_core.mixers import convolution, window
from ttt_core.mixers.attention import attend


KINDS = {
    "e2e": {},
    "static": {"lr": 0.0},
    "no fast blocks": {"fast_blocks": 0},
    "filters": {"qkv_taps": 3},
    "full": {"mixers": ("full",)},
    "mamba2": {"mixers": ("mamba2", "window"), "state_dim": 4},
    "gated_delta": {"mixers": ("gated_delta", "window"), "state_dim": 4},
    "kv_binding": {"mixers": ("kv_binding",), "expand": 1.0},
    "toy": {"mixers": ("none",), "chunk": 1},
    "one token a chunk": {"chunk": 1},
    "adam": {"rule": "adam", "lr": 0.1},
    "bfloat16": {"compute_dtype": "bfloat16"},
    "tight clip": {"clip": 0.1},
}
MORE = [kind for kind in KINDS if kind != "e2e"]
STATIC_ONLY = {"order", "masks"}  # what does not apply to a model that does not learn


def verdicts(*only, **changes):
    """What an audit of a small model says, by check; no program is an earlier one."""
    jax.clear_caches()
    model = minis.build(**changes)
    tokens = minis.text(needed(model.config), vocab=16)
    found = audit(model, tokens, only=only)
    assert [one.name for one in found] == list(only or CHECKS)
    return {one.name: one for one in found}


@pytest.fixture
def plant(monkeypatch):
    """`plant(module, name, leak)`: `leak` gets the honest function, then the call."""

    def patch(module, name, leak):
        honest = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: leak(honest, *a, **k))

    yield patch
    jax.clear_caches()


@pytest.mark.bits
@pytest.mark.parametrize(
    "kind", ["e2e", *(pytest.param(k, marks=pytest.mark.slow) for k in MORE)]
)
def test_an_honest_model_passes(kind):
    found = verdicts(**KINDS[kind])
    config = minis.build(**KINDS[kind]).config
    failed = {one.name: one.why for one in found.values() if one.verdict == FAILED}
    assert not failed
    unused = {n for n, one in found.items() if one.verdict == NOT_APPLICABLE}
    assert unused - {"possible"} == (
        (set() if config.learns else STATIC_ONLY)
        | (set() if config.reach is not None else {"reach"})
    )
    assert all(found[name].why for name in unused)


# The leaks. Each is one line of a program or of a harness, wrong in a plausible way.


def inputs_that_hold_their_targets(plant):
    """Training reads `tokens[1:]` where `tokens[:-1]` are the inputs."""
    late = lambda tokens: jnp.append(tokens[1:], tokens[-1])
    plant(meta, "start_whole", lambda go, m, x, **k: go(m, late(x), **k))


def a_stream_whose_inputs_hold_their_targets(plant):
    """The same slip in the program of a chunk, and in that of a question."""
    late = lambda tokens: jnp.append(tokens[1:], tokens[-1])
    plant(stream, "run_slow", lambda go, m, x, *rest: go(m, late(x), *rest))


def a_chunk_that_is_learned_before_it_is_scored(plant):
    def leak(go, learner, chunk, loss, **knobs):
        after, _ = go(learner, chunk, loss, **knobs)
        again = dataclasses.replace(learner, fast=after.fast)
        return after, go(again, chunk, loss, **knobs)[1]

    plant(chunks, "inner_step", leak)


def a_norm_over_the_whole_chunk(plant):
    """As batch normalisation would have it: each token sees the mean of all."""
    centre = lambda x: x - 0.1 * jnp.mean(x, axis=0, keepdims=True)
    plant(chunks, "run_fast", lambda go, m, x, *rest, **k: go(m, centre(x), *rest, **k))
    plant(stream, "run_fast", lambda go, m, x, *rest, **k: go(m, centre(x), *rest, **k))


def a_window_that_is_off_by_one(plant):
    """`distance >= -1`: the next token's key is in the window."""

    def leak(go, q, keys, values, count, *, theta):
        seq, width = len(q), len(keys) - len(q)
        at = np.arange(width + seq)
        distance = at[width:, None] - at[None, :]
        real = jnp.asarray(at, count.dtype)[None, :] >= width - count
        mask = jnp.asarray((distance >= -1) & (distance < width)) & real
        turned = rotate(q, at[width:], theta), rotate(keys, at, theta), values
        heads = [a.swapaxes(0, 1) for a in turned]
        return attend(*heads, mask).swapaxes(0, 1)

    plant(window, "windowed_attention", leak)


def a_window_that_forgets_nothing(plant):
    """The oldest value is a mean of all that left the window."""

    def leak(go, q, keys, values, count, **knobs):
        number = 1 + jnp.arange(len(values), dtype=values.dtype)[:, None, None]
        mean = jnp.cumsum(values, axis=0) / number
        return go(q, keys, values + 0.3 * mean, count, **knobs)

    plant(window, "windowed_attention", leak)


def a_convolution_that_looks_ahead(plant):
    """Centred, as filters of images are."""

    def leak(go, kernel, x, recent):
        y, recent = go(kernel, x, recent)
        return jnp.concatenate([y[1:], y[-1:]]), recent

    plant(convolution, "_filter", leak)


def a_rate_that_knows_the_whole_document(plant):
    """Steps are scaled by the largest input of all chunks, later ones included."""

    def leak(go, model, learner, parts, loss, *, lr, remat):
        lr = lr / jnp.max(jnp.abs(parts.inputs))
        return go(model, learner, parts, loss, lr=lr, remat=remat)

    plant(meta, "adapt_chunks", leak)


def a_document_that_is_read_twice(plant):
    """Losses of the second epoch: all of the text is in the weights already."""

    def leak(go, model, learner, parts, loss, **knobs):
        after, _ = go(model, learner, parts, loss, **knobs)
        again = dataclasses.replace(learner, fast=after.fast)
        return go(model, again, parts, loss, **knobs)

    plant(meta, "adapt_chunks", leak)


def an_evaluation_of_the_second_reading(plant):
    """The number of a metric: the passage is read, and then read again and scored."""

    def leak(go, model, tokens, *rest):
        state, _ = ttt.read(model, ttt.init_state(model), tokens)
        fast = ttt.merge(state.fast, ttt.split(model)[1])
        return go(fast if model.config.learns else model, tokens, *rest)

    plant(nats, "read_tokens", leak)


def a_state_that_is_kept_for_the_next_document(plant):
    kept = []

    def leak(go, model, state, tokens, **knobs):
        state, report = go(model, state, tokens, **knobs)
        kept[:] = [state.fast] if model.config.learns else kept
        return state, report

    def start(go, model, **knobs):
        state = go(model, **knobs)
        used = kept and model.config.learns
        return dataclasses.replace(state, fast=kept[0]) if used else state

    plant(ttt, "read", leak)
    plant(ttt, "init_state", start)


def gradients_that_are_averaged_over_the_batch(plant):
    """The mean over sequences belongs to the outer gradient, and is taken inside."""
    inside = []

    def mapped(go, function, *sequences):
        inside.append(True)
        try:
            return jax.vmap(function, axis_name="batch")(*sequences)
        finally:
            inside.pop()

    def clipped(go, tree, clip):
        return go(jax.lax.pmean(tree, "batch") if inside else tree, clip)

    plant(meta, "_map_sequences", mapped)
    plant(inner, "clip_by_norm", clipped)


def a_twin_that_learns_a_little(plant):
    """The rate is made small where it must be zero."""
    slow = lambda model: dataclasses.replace(
        model, config=model.config.replace(lr=1e-3)
    )
    plant(ttt, "without_learning", lambda go, model: slow(model))


def a_mask_that_is_not_used(plant):
    plant(rules, "masked_mean", lambda go, nll, mask: jnp.mean(nll, axis=-1))


def a_tail_that_teaches(plant):
    """`read` steps on the open chunk at the end of each call, padded."""

    def leak(go, model, state, tokens, **knobs):
        state, report = go(model, state, tokens, **knobs)
        if not (int(state.n_open) and model.config.learns):
            return state, report
        padded = np.asarray(state.open)[1:]
        closed = stream.hold_open(state, padded[:0])
        after, _ = ttt.read_chunk(model, closed, padded)
        return dataclasses.replace(state, fast=after.fast), report

    plant(ttt, "read", leak)


def a_gradient_that_is_not_clipped(plant):
    plant(inner, "clip_by_norm", lambda go, tree, clip: tree)


def weights_that_stay(plant):
    """No leak, but nothing to audit either: the step is computed and dropped."""

    def leak(go, learner, chunk, loss, **knobs):
        after, report = go(learner, chunk, loss, **knobs)
        return dataclasses.replace(after, fast=learner.fast), report

    plant(chunks, "inner_step", leak)


LEAKS = [  # the leak, the checks that must fail, and the model
    (inputs_that_hold_their_targets, ("prefix",), {}),
    (a_stream_whose_inputs_hold_their_targets, ("prefix",), {}),
    (a_chunk_that_is_learned_before_it_is_scored, ("future", "order"), {}),
    (a_norm_over_the_whole_chunk, ("future",), {}),
    (a_window_that_is_off_by_one, ("future",), {}),
    (a_window_that_forgets_nothing, ("reach",), {}),
    (a_convolution_that_looks_ahead, ("future",), KINDS["filters"]),
    (a_rate_that_knows_the_whole_document, ("future", "arithmetic"), {}),
    (a_document_that_is_read_twice, ("impossible", "order"), {}),
    (an_evaluation_of_the_second_reading, ("future", "prefix"), {}),
    (a_state_that_is_kept_for_the_next_document, ("documents",), {}),
    (gradients_that_are_averaged_over_the_batch, ("batch",), {}),
    (a_twin_that_learns_a_little, ("frozen",), {}),
    (a_mask_that_is_not_used, ("masks",), {}),
    (a_tail_that_teaches, ("cutting", "masks"), {}),
    (a_gradient_that_is_not_clipped, ("arithmetic",), {"clip": 0.1}),
    (weights_that_stay, ("order", "frozen", "possible"), {"mixers": ("none",)}),
]


@pytest.mark.parametrize(
    ("leak", "names", "changes"), LEAKS, ids=[leak.__name__ for leak, *_ in LEAKS]
)
def test_a_leak_is_caught_by_name(leak, names, changes, plant):
    leak(plant)
    for name, one in verdicts(*names, **changes).items():
        assert one.verdict == FAILED, f"{leak.__name__} is not caught by {name}"
        assert one.why


def test_every_check_catches_a_leak():
    caught = set(itertools.chain(*(names for _, names, _ in LEAKS)))
    assert caught == set(CHECKS)


def test_a_gap_is_zero_for_the_same_bits_alone():
    a = {"x": np.float32([1, np.nan]), "n": np.arange(3)}
    assert gap(a, {"x": np.float32([1, np.nan]), "n": np.arange(3)}) == 0
    assert gap(a, {"x": np.float32([1 + 1e-7, np.nan]), "n": np.arange(3)}) > 0
    assert gap(a, {"x": np.float32([1, 0]), "n": np.arange(3)}) == np.inf
    assert gap(a, {"x": np.float32([1]), "n": np.arange(3)}) == np.inf


@pytest.mark.parametrize("tokens", [np.arange(10), np.resize([1, 2], 1000)])
def test_a_text_that_shows_nothing_is_refused(tokens):
    with pytest.raises(ValueError, match="three of them different"):
        audit(minis.build(), tokens)


def test_progress_is_told_before_each_check():
    told, model = [], minis.build(lr=0.0)
    tokens = minis.text(needed(model.config), vocab=16)
    audit(model, tokens, only=("order", "masks"), report=lambda *now: told.append(now))
    assert told == [(0, 2, "order"), (1, 2, "masks"), (2, 2, "done")]


def test_a_model_that_knows_what_it_was_told_is_found_to():
    assert verdicts("possible")["possible"].verdict == PASSED
