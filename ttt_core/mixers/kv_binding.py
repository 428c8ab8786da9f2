"""KV binding in large chunks (TTT-KVB; LaCT, arXiv 2505.23884): an MLP as a memory.

Each head keeps a small gated MLP that learns, while it reads, to answer keys with their
values. Its weights move once a chunk of `bind_chunk` tokens, along the gradients of

    sum_t  rate_t <MLP(k_t), v_t>

taken at the weights from before the chunk, a rate for each token and matrix. A query is
answered by the weights from before its own chunk; nearer tokens are seen by a sliding
window, which has the same queries, keys and values and whose answer is added. As
published: gradients are gathered with momentum, and every unit keeps the norm of its
incoming weights.

Up to `bind_chunk - 1` tokens are open: their keys and values wait in the state until
the chunk is full. So tokens, chunks and whole texts come to the same weights.

This is a mixer like the others: what it learns is its state, not the model's `fast`
weights, and its inner loss knows nothing of the next token.
"""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ttt_core.config import ModelConfig
from ttt_core.layers import (
    MLP,
    RMSNorm,
    at_least_float32,
    build_norm,
    linear,
    normal,
    rotate,
)
from ttt_core.mixers.window import WindowState, empty_window, look_back


RATE_OF_A_CHUNK = 2.048  # LaCT starts with 0.001 a token in chunks of 2,048


class Pairs(eqx.Module):
    """What a token asks the MLP to learn: one row a token.

    `rates`: of gate, down and up. `kept`: the share of the momentum that is kept.
    """

    keys: Float[Array, "*n tokens heads head_dim"]
    values: Float[Array, "*n tokens heads head_dim"]
    rates: Float[Array, "*n tokens heads three"]
    kept: Float[Array, "*n tokens heads"]


class Memory(eqx.Module):
    """The MLP of every head as it is now, and the momentum of its weights."""

    mlp: MLP
    momentum: MLP


class Bound(eqx.Module):
    """The memory, the open tokens, and how many tokens in all.

    The first `position % bind_chunk` rows of `pairs` are open tokens.
    """

    memory: Memory
    pairs: Pairs
    position: Int[Array, "*stack"]


class BindingState(eqx.Module):
    """What is remembered: by the memory, and by the window."""

    far: Bound
    near: WindowState


class Affine(eqx.Module):
    """`x @ weight + bias`, one number a head or several."""

    w_heads: Float[Array, "*stack d_model width"]
    bias: Float[Array, "*stack width"]

    def __call__(self, x: Float[Array, "seq d_model"]) -> Float[Array, "seq width"]:
        return at_least_float32(linear(x, self.w_heads)) + self.bias[None]


class KVBinding(eqx.Module):
    """The LaCT layer: a memory and a sliding window on the same keys and values.

    `scale` and `offset` are the memory's own, of queries and of keys; `share` says how
    much of the memory's answer is added to the window's.
    """

    wq: Float[Array, "*stack d_model width"]
    wk: Float[Array, "*stack d_model width"]
    wv: Float[Array, "*stack d_model width"]
    wo: Float[Array, "*stack width d_model"]
    q_norm: RMSNorm | None
    k_norm: RMSNorm | None
    scale: Float[Array, "*stack two width"]
    offset: Float[Array, "*stack two width"]
    start: MLP
    rates: Affine
    kept: Affine
    share: Affine
    norm: RMSNorm
    bind_chunk: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    rope_theta: float = eqx.field(static=True)
    kernel: str = eqx.field(static=True)

    def init_state(self, capacity: int, dtype) -> BindingState:
        """The trained start, nothing bound. `capacity` is ignored."""
        del capacity
        heads, head_dim, _ = self.start.gate.shape
        empty = lambda *width: at_least_float32(
            jnp.zeros((self.bind_chunk, heads, *width), dtype)
        )
        pairs = Pairs(empty(head_dim), empty(head_dim), empty(3), empty())
        near = empty_window(self.window, heads, head_dim, dtype)
        return BindingState(Bound(self._first(), pairs, _zero()), near)

    def __call__(
        self, x: Float[Array, "seq d_model"], state: BindingState | None
    ) -> tuple[Float[Array, "seq d_model"], BindingState | None]:
        """Read `x` after all that `state` remembers; see `ttt_core.mixers`."""
        far, near = (None, None) if state is None else (state.far, state.near)
        projected = self._project(x)
        cut = lambda a: a.astype(x.dtype).reshape(len(x), len(self.start.gate), -1)
        seen, near = look_back(
            *map(cut, projected),
            near,
            window=self.window,
            theta=self.rope_theta,
            kernel=self.kernel,
        )
        position = _zero() if far is None else far.position
        queries, pairs = self._ask(x, *projected, position)
        if far is None:
            said = read_whole(
                self._first(), queries, pairs, self.start, self.bind_chunk
            )
        else:
            said, far = read_on(far, queries, pairs, self.start)
        said = self.norm(said) * jax.nn.silu(self.share(x))[..., None]
        y = linear((seen + said.astype(x.dtype)).reshape(len(x), -1), self.wo)
        return y, None if state is None else BindingState(far, near)

    def _first(self) -> Memory:
        return Memory(self.start, jax.tree.map(jnp.zeros_like, self.start))

    def _project(self, x):
        """Queries, keys and values for both, `[seq, width]`."""
        q, k, v = (at_least_float32(linear(x, w)) for w in (self.wq, self.wk, self.wv))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k, v

    def _ask(self, x, q, k, v, position):
        """The memory's queries `[seq, heads, head_dim]` and what it is to learn."""
        scale, offset = self.scale[:, None], self.offset[:, None]
        q, k = q * scale[0] + offset[0], k * scale[1] + offset[1]
        heads = len(self.start.gate)
        cut = lambda a: jax.nn.silu(a).reshape(len(x), heads, -1)
        at = position + jnp.arange(len(x), dtype=jnp.int32)
        turn = lambda a: rotate(to_length_one(cut(a)), at, self.rope_theta)
        rates = jax.nn.softplus(self.rates(x)).reshape(len(x), heads, 3)
        kept = jax.nn.sigmoid(self.kept(x))
        return turn(q), Pairs(turn(k), cut(v), rates, kept)


def build_kv_binding(config: ModelConfig, *, key: PRNGKeyArray) -> KVBinding:
    """A KV-binding mixer: in each of `heads`, an MLP of hidden width `expand *
    head_dim`."""
    d, heads, std, width = (
        config.d_model,
        config.heads,
        config.init_std,
        config.head_dim,
    )
    hidden = round(config.expand * width)
    kq, kk, kv, ko, *k_mlp, k_rates, k_kept, k_share = jax.random.split(key, 10)
    norm = build_norm(d, config.norm_eps) if config.qk_norm else None
    affine = lambda key, many, bias: Affine(
        normal(key, (d, many), std), jnp.full(many, bias)
    )
    into, back = (heads, width, hidden), (heads, hidden, width)
    rate = RATE_OF_A_CHUNK / config.bind_every
    return KVBinding(
        wq=normal(kq, (d, d), std),
        wk=normal(kk, (d, d), std),
        wv=normal(kv, (d, d), std),
        wo=normal(ko, (d, d), std),
        q_norm=norm,
        k_norm=norm,
        scale=jnp.ones((2, d)),
        offset=jnp.zeros((2, d)),
        start=MLP(
            gate=normal(k_mlp[0], into, width**-0.5),
            up=normal(k_mlp[1], into, width**-0.5),
            down=normal(k_mlp[2], back, hidden**-0.5),
        ),
        rates=affine(k_rates, 3 * heads, math.log(math.expm1(rate))),
        kept=affine(k_kept, heads, 0.0),
        share=affine(k_share, heads, 0.0),
        norm=build_norm(width, config.norm_eps),
        bind_chunk=config.bind_every,
        window=config.window,
        rope_theta=config.rope_theta,
        kernel=config.kernel,
    )


def _zero():
    return jnp.zeros((), jnp.int32)


def to_length_one(x: Float[Array, "... width"]) -> Float[Array, "... width"]:
    """`x / |x|` along the last axis, differentiable at zero."""
    return x / (_length(x, -1) + 1e-5)


def _length(x, axis: int):
    # of zeros, the slope of a square root is not finite: one part in 1e6 is added
    return jnp.sqrt(jnp.sum(x**2, axis=axis, keepdims=True) + 1e-12)


def answer(
    mlp: MLP, queries: Float[Array, "seq heads head_dim"]
) -> Float[Array, "seq heads head_dim"]:
    """What each head's MLP says to each query."""
    return jax.vmap(MLP.__call__, (0, 1), 1)(mlp, queries)


def bind(memory: Memory, pairs: Pairs, start: MLP) -> Memory:
    """Learn one full chunk: the gradients by hand, momentum, and norms kept.

    The gradient of `<MLP(k), v>` has the value itself for its cotangent, and each
    matrix weighs tokens by a rate of its own.
    """
    first = lambda a: a.swapaxes(0, 1)  # [heads, tokens, ...]
    keys, values, rates = first(pairs.keys), first(pairs.values), first(pairs.rates)
    mlp, by = memory.mlp, rates[..., None, :]
    gate, up = keys @ mlp.gate, keys @ mlp.up
    opened, slope = jax.nn.silu(gate), jax.nn.sigmoid(gate)
    slope = slope * (1 + gate * (1 - slope))
    back = values @ mlp.down.swapaxes(1, 2)
    outer = lambda rows, columns: jnp.einsum("hta,htb->hab", rows, columns)
    grads = MLP(
        gate=outer(keys * by[..., 0], back * up * slope),
        up=outer(keys * by[..., 2], back * opened),
        down=outer(opened * up * by[..., 1], values),
    )
    kept = jnp.mean(pairs.kept, axis=0)[:, None, None]
    momentum = jax.tree.map(lambda g, m: g + kept * m, grads, memory.momentum)
    return Memory(jax.tree.map(_move, mlp, momentum, start), momentum)


def _move(weight, change, start):
    """The new weights, each unit's incoming ones as long as they were at the start."""
    moved = weight + change
    return moved / (_length(moved, -2) + 1e-5) * _length(start, -2)


def read_whole(
    memory: Memory, queries: Array, pairs: Pairs, start: MLP, chunk: int
) -> Float[Array, "seq heads head_dim"]:
    """Answers to a whole sequence that begins with `memory`."""
    full = (len(queries) - 1) // chunk  # nobody reads with what the last one teaches
    head, tail = queries[: full * chunk], queries[full * chunk :]
    cut = lambda a: a[: full * chunk].reshape(full, chunk, *a.shape[1:])

    def step(memory, chunk):
        queries, pairs = chunk
        return bind(memory, pairs, start), answer(memory.mlp, queries)

    memory, y = jax.lax.scan(step, memory, jax.tree.map(cut, (head, pairs)))
    y = y.reshape(-1, *queries.shape[1:])
    return jnp.concatenate([y, answer(memory.mlp, tail)])


def read_on(
    state: Bound, queries: Array, pairs: Pairs, start: MLP
) -> tuple[Float[Array, "seq heads head_dim"], Bound]:
    """Answers to tokens that come after any number of others, and the state then."""
    seq, chunk = len(queries), state.pairs.kept.shape[0]
    step = functools.partial(_read_piece, start=start)
    if seq <= chunk:
        state, y = step(state, (queries, pairs))
        return y, state
    whole = seq // chunk * chunk
    cut = lambda a: a[:whole].reshape(-1, chunk, *a.shape[1:])
    state, y = jax.lax.scan(step, state, jax.tree.map(cut, (queries, pairs)))
    y = y.reshape(-1, *queries.shape[1:])
    if whole < seq:
        rest = jax.tree.map(lambda a: a[whole:], (queries, pairs))
        state, last = step(state, rest)
        y = jnp.concatenate([y, last])
    return y, state


def _read_piece(state: Bound, piece, *, start: MLP):
    """At most a chunk: the open one fills at most once on the way."""
    queries, pairs = piece
    length, chunk = len(queries), state.pairs.kept.shape[0]
    n_open = state.position % chunk
    place = lambda old, new: jax.lax.dynamic_update_slice_in_dim(
        jnp.concatenate([old, jnp.zeros_like(old)]), new, n_open, 0
    )
    known = jax.tree.map(place, state.pairs, pairs)
    oldest = jax.tree.map(lambda a: a[:chunk], known)
    is_full = n_open + length >= chunk
    learn = lambda memory: bind(memory, oldest, start)
    memory = jax.lax.cond(is_full, learn, lambda memory: memory, state.memory)

    y = answer(state.memory.mlp, queries)
    if length > 1:  # tokens behind the full chunk are answered by what it taught
        is_behind = n_open + jnp.arange(length, dtype=n_open.dtype) >= chunk
        later = answer(memory.mlp, queries)
        y = jnp.where(is_behind[:, None, None], later, y)
    newest = jax.tree.map(lambda a: jnp.where(is_full, a[chunk:], a[:chunk]), known)
    return Bound(memory, newest, state.position + length), y
