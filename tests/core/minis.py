"""Small models and texts for the tests of `ttt_core`, and jitted ways to call them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ttt_core as ttt


MINI = ttt.ModelConfig(
    vocab=17,
    bos=16,
    d_model=8,
    layers=3,
    heads=2,
    d_ff=12,
    d_fast=10,
    fast_blocks=1,
    window=6,
    chunk=4,
    init_std=0.3,
)


def build(config=MINI, seed=0, **changes):
    """A random model of a configuration, some fields changed; no norm is just ones.

    Filled by NumPy: compiling JAX's random numbers takes longer than most tests.
    """
    config = config.replace(**changes)
    shapes = eqx.filter_eval_shape(lambda: config.build(key=jax.random.key(0)))
    random = np.random.default_rng(seed)

    def fill(path, leaf):
        values = random.normal(size=leaf.shape)
        is_norm = path[-1].name == "weight"
        values = 1 + 0.1 * values if is_norm else config.init_std * values
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def text(length, vocab=16, seed=0):
    """Random token ids; 16 of 17 entries, so that BOS never occurs."""
    return np.random.default_rng(seed).integers(0, vocab, length).astype(np.int32)


def with_bos(model, tokens):
    """`[bos, *tokens]`, as training sequences are."""
    return jnp.asarray(np.concatenate([[model.config.bos], tokens]), jnp.int32)


def meta(model, tokens, mask=None, rate=1.0, remat=None):
    """`meta_loss`, jitted."""
    return _meta(model, tokens, *_as_data(model, tokens, mask, rate), remat)


def meta_grad(model, tokens, mask=None, rate=1.0, remat=None):
    """`((loss, report), meta-gradient)`, jitted."""
    return _meta_grad(model, tokens, *_as_data(model, tokens, mask, rate), remat)


def _as_data(model, tokens, mask, rate):
    """One program for every mask and rate."""
    mask = jnp.ones(len(tokens) - 1, bool) if mask is None else jnp.asarray(mask)
    return mask, jnp.asarray(rate, model.final_norm.weight.dtype)


@eqx.filter_jit
def _meta(model, tokens, mask, rate, remat):
    return ttt.meta_loss(model, tokens, mask, rate, remat)


@eqx.filter_jit
def _meta_grad(model, tokens, mask, rate, remat):
    loss = lambda model: ttt.meta_loss(model, tokens, mask, rate, remat)
    return eqx.filter_value_and_grad(loss, has_aux=True)(model)


def read_by_chunks(model, tokens, **knobs):
    """The reference for `read`: `read_chunk` in a loop over whole chunks."""
    state, reports, chunk = ttt.init_state(model), [], model.config.chunk
    for start in range(0, len(tokens), chunk):
        piece = tokens[start : start + chunk]
        state, report = ttt.read_chunk(model, state, piece, **knobs)
        reports.append(report)
    return state, reports


def same_bits(a, b):
    """Whether two trees hold the same arrays, bit for bit."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(
        x.dtype == y.dtype and np.array_equal(np.asarray(x), np.asarray(y), True)
        for x, y in pairs
    )


def all_finite(tree):
    """Whether every number of a tree is finite."""
    return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))


def largest(tree):
    """The largest absolute entry of a tree."""
    return max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(tree))
