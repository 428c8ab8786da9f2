"""What every sequence mixer must do for the rest: one suite for all of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import minis
import numpy as np
import pytest
from minis import MINI, all_finite, meta, same_bits, text, with_bos

import ttt_core as ttt
from ttt_core.mixers import KINDS, state_bytes


NAMED = [name for name, kind in KINDS.items() if kind.build]
RECURRENT = [name for name, kind in KINDS.items() if kind.is_recurrent]
SMALL = MINI.replace(state_dim=6, bind_chunk=5)


def one_of(quick):
    """All recurrent mixers, those that compile for long left to the slow suite."""
    slow = [pytest.param(n, marks=pytest.mark.slow) for n in RECURRENT if n != quick]
    return pytest.mark.parametrize("name", [quick, *slow])


def build_mixer(name, seed=0, **changes):
    """A mixer with nothing left at a special value."""
    config = SMALL.replace(mixers=(name,), **changes)
    shapes = eqx.filter_eval_shape(KINDS[name].build, config, key=jax.random.key(0))
    random = np.random.default_rng(seed)

    def fill(path, leaf):
        values = random.normal(size=leaf.shape)
        values = 1 + 0.1 * values if path[-1].name == "weight" else 0.5 * values
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def inputs(length, seed=0, dtype=float):
    random = np.random.default_rng(seed)
    return jnp.asarray(random.normal(size=(length, MINI.d_model)), dtype)


@eqx.filter_jit
def call(mixer, x, state):
    return mixer(x, state)


def in_pieces(mixer, x, lengths):
    """`x` cut into pieces, the state handed on."""
    state, parts = mixer.init_state(64, x.dtype), []
    for piece in jnp.split(x, np.cumsum(lengths)[:-1]):
        y, state = call(mixer, piece, state)
        parts.append(y)
    return jnp.concatenate(parts), state


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("lengths", [(3, 11, 1), (20, 2), (5, 5, 5), (1, 30, 5)])
def test_pieces_are_the_whole(name, lengths):
    with jax.enable_x64(True):
        mixer, x = build_mixer(name), inputs(sum(lengths))
        whole, none = call(mixer, x, None)
        assert none is None and whole.dtype == jnp.float64
        found, _ = in_pieces(mixer, x, lengths)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMED)
def test_single_tokens_are_the_whole_in_float32_too(name):
    mixer, x = build_mixer(name), inputs(23, dtype=np.float32)
    whole, _ = call(mixer, x, None)
    found, one_by_one = in_pieces(mixer, x, (1,) * 23)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5)
    _, at_once = in_pieces(mixer, x, (23,))
    for a, b in zip(jax.tree.leaves(one_by_one), jax.tree.leaves(at_once), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMED)
def test_no_token_sees_a_later_one(name):
    with jax.enable_x64(True):
        mixer, x = build_mixer(name), inputs(17)
        changed = x.at[9].add(1.0)
        before, after = call(mixer, x, None)[0], call(mixer, changed, None)[0]
        np.testing.assert_array_equal(before[:9], after[:9])
        assert np.any(np.asarray(before[9:] != after[9:]))


@pytest.mark.parametrize("name", NAMED)
def test_it_can_be_differentiated_twice(name):
    """Slopes of the norm of a gradient, along random directions, in float64."""
    with jax.enable_x64(True):
        mixer, x = build_mixer(name), inputs(13)
        seen = inputs(13, seed=1)

        @jax.jit
        def steepness(point):
            def loss(point):
                mixer, x = point
                y, state = mixer(x[:7], mixer.init_state(16, x.dtype))
                z, _ = mixer(x[7:], state)
                return jnp.sum(jnp.concatenate([y, z]) * seen)

            grads = jax.grad(loss)(point)
            return sum(jnp.sum(g**2) for g in jax.tree.leaves(grads))

        point = (mixer, x)
        slope = jax.jit(jax.grad(steepness))(point)
        for seed in range(2):
            assert _slope_error(steepness, point, slope, seed) < 1e-6


def _slope_error(function, point, slope, seed):
    random = np.random.default_rng(seed)
    way = jax.tree.map(lambda a: jnp.asarray(random.normal(size=a.shape)), point)
    move = lambda h: function(jax.tree.map(lambda a, d: a + h * d, point, way))
    central = lambda h: float(move(h) - move(-h)) / (2 * h)
    expected = (4 * central(5e-5) - central(1e-4)) / 3  # Richardson: of fourth order
    pairs = zip(jax.tree.leaves(slope), jax.tree.leaves(way), strict=True)
    found = sum(float(jnp.vdot(a, b)) for a, b in pairs)
    return abs(found - expected) / abs(expected)


@pytest.mark.parametrize("name", NAMED)
def test_gradients_stay_finite_over_four_thousand_tokens(name):
    mixer, x = build_mixer(name), inputs(4096, dtype=np.float32)

    @jax.jit
    @jax.grad
    def gradient(point):
        mixer, x = point
        return jnp.mean(mixer(x, None)[0] ** 2)

    grads = gradient((mixer, x))
    assert all_finite(grads)
    assert all(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("name", [name for name in NAMED if not KINDS[name].grows])
def test_what_it_remembers_never_grows(name):
    mixer, x = build_mixer(name), inputs(40, dtype=np.float32)
    start = mixer.init_state(4, x.dtype)
    _, state = call(mixer, x, start)
    shapes = lambda tree: [(a.shape, a.dtype) for a in jax.tree.leaves(tree)]
    assert shapes(state) == shapes(start) == shapes(mixer.init_state(999, x.dtype))


def test_states_weigh_what_is_reported():
    """float32, tiny sizes: counted by hand."""
    size = {name: ttt.preset(f"tiny-{name}") for name in ("swa", "mamba2", "gdn")}
    size["kvb"] = ttt.preset("tiny-kvb")
    assert state_bytes(size["swa"], "window") == 4 * (2 * 128 * 128) + 4
    filters = 3 * (256 + 2 * 64)
    assert state_bytes(size["mamba2"], "mamba2") == 4 * (64 * 256 + filters)
    filters = 3 * (96 + 96 + 192)
    assert state_bytes(size["gdn"], "gated_delta") == 4 * (2 * 48 * 96 + filters)
    weights, waiting = 3 * 2 * 64 * 64, 64 * (2 * 128 + 2 * 4)
    window = state_bytes(size["swa"], "window")
    far = 4 * (2 * weights + waiting) + 4
    assert state_bytes(size["kvb"], "kv_binding") == far + window
    assert state_bytes(size["swa"], "full", capacity=10) == 4 * (2 * 10 * 128) + 4
    assert state_bytes(size["swa"], "none") == 0


@pytest.mark.parametrize("name", NAMED)
def test_in_bfloat16_sums_stay_wide(name):
    mixer, x = build_mixer(name), inputs(12, dtype=jnp.bfloat16)
    exact, _ = call(mixer, x.astype(jnp.float32), None)
    y, state = call(mixer, x, mixer.init_state(16, x.dtype))
    assert y.dtype == jnp.bfloat16
    if name in RECURRENT:
        state = state.far if name == "kv_binding" else state
        kept = jax.tree.leaves(state.memory)
        assert {leaf.dtype for leaf in kept} == {jnp.dtype("float32")}
    scale = float(jnp.max(jnp.abs(exact)))
    np.testing.assert_allclose(y.astype(jnp.float32), exact, atol=0.05 * scale)


# Learning while reading, on top of any of them.


def composed(name, **changes):
    """Two blocks with the mixer, the upper one with a fast MLP."""
    sizes = {"fast_blocks": 1, "layers": 2, "mixers": (name,)}
    return minis.build(SMALL, **sizes | changes)


@pytest.mark.parametrize("name", RECURRENT)
def test_learning_on_top_reads_and_writes_as_it_trains(name):
    with jax.enable_x64(True):
        model, tokens = composed(name), text(18)
        _, aux = meta(model, with_bos(model, tokens))
        start = ttt.init_state(model)
        state, report = ttt.read(model, start, tokens)
        by_chunk, reports = minis.read_by_chunks(model, tokens[:16])
        np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=1e-9)
        one_by_one = np.concatenate([r.nll for r in reports])
        np.testing.assert_allclose(one_by_one, aux.nll[:16], rtol=0, atol=1e-9)
        assert same_bits(state.fast, by_chunk.fast)
        assert bool(jnp.all(report.learned)) and np.all(np.asarray(report.drift) > 0)

        key = jax.random.key(0)
        written, after = ttt.generate(
            model, start, tokens[:6], 7, key=key, temperature=0.0
        )
        again, _ = ttt.read(model, start, [*tokens[:6], *map(int, written)])
        assert same_bits(after, again)
        state, _ = ttt.read(model, start, tokens[:6])
        for token in np.asarray(written):
            assert int(jnp.argmax(ttt.predict(model, state, [])[-1])) == token
            state, _ = ttt.read(model, state, [int(token)])


@one_of("gated_delta")
def test_the_meta_gradient_on_top_is_the_slope_of_the_loss(name):
    """And no weight is left out, below the fast MLP or beside it."""
    with jax.enable_x64(True):
        model = composed(name, clip=0.3)
        tokens = with_bos(model, text(14))  # three chunks and a ragged tail
        value = lambda model: ttt.meta_loss(model, tokens)[0]
        loss, slope = jax.jit(jax.value_and_grad(value))(model)
        assert bool(jnp.isfinite(loss)) and all_finite(slope)
        flat = jax.tree_util.tree_leaves_with_path(slope)
        still = [jax.tree_util.keystr(path) for path, g in flat if not jnp.any(g)]
        assert not still
        assert _slope_error(jax.jit(value), model, slope, 0) < 1e-6


@one_of("mamba2")
def test_windows_between_recurrent_blocks_learn_as_well(name):
    """The shipped pattern: units of two kinds, below and under fast MLPs."""
    mixers = (name, "window")
    with jax.enable_x64(True):  # four chunks of learning are chaos in float32
        model = composed(name, layers=4, fast_blocks=2, mixers=mixers)
        tokens = text(18)
        _, aux = meta(model, with_bos(model, tokens))
        _, report = ttt.read(model, ttt.init_state(model), tokens)
        np.testing.assert_allclose(report.nll, aux.nll, rtol=0, atol=1e-9)
    assert report.drift.shape == (4, 2) and bool(np.all(report.learned))


# The family.


@pytest.mark.parametrize("name", ["mamba2", "gdn", "kvb", "hybrid", "full"])
def test_the_tiny_family_has_one_size(name):
    def count(preset):
        build = lambda: ttt.preset(preset).build(key=jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(build)))

    assert abs(count(f"tiny-{name}") / count("tiny-swa") - 1) < 0.03


@pytest.mark.parametrize("name", ["mamba2", "gdn", "kvb"])
def test_recurrent_presets_are_tiny_swa_but_for_the_mixer_and_widths(name):
    config, swa = ttt.preset(f"tiny-{name}"), ttt.preset("tiny-swa")
    assert config.kinds[0] in RECURRENT
    assert config.kinds[1] == ("kv_binding" if name == "kvb" else "window")
    widths = ("mixers", "d_ff", "expand", "state_dim")
    assert config.replace(**{w: getattr(swa, w) for w in widths}) == swa


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mixers": ("mamba2",), "expand": 0.75}, "expand=0.75, heads=2; use a"),
        ({"mixers": ("gated_delta",), "expand": 0.3}, "expand=0.3, the head width=4"),
        ({"mixers": ("kv_binding",), "expand": 0.01}, ">= 1: got expand=0.01"),
        ({"state_dim": 0}, "`state_dim` must be >= 1: got 0"),
        ({"taps": 0}, "`taps` must be >= 1: got 0"),
        ({"bind_chunk": -1}, "`bind_chunk` must be >= 0: got -1"),
        (
            {"mixers": ("kv_binding",), "bind_chunk": 7},
            "bind_chunk=7, window=6; use bind_chunk <= 6",
        ),
    ],
)
def test_widths_that_cannot_be_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        MINI.replace(**changes)
