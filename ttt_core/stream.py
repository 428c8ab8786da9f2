"""Reading without end: a model that learns from a stream of tokens, chunk by chunk.

`StreamState` is everything that a reader remembers, as a value: it can be saved,
stacked, vmapped, and forked for nothing. To ask "does it still know the needle?", run
the question on a fork (`score`, `predict`) and drop the fork.

A stream scores every token it reads. The state holds the last token read, which has not
yet been an input (BOS at first), so chunk `i` has inputs `[last, t .. t+b-2]` and
targets `[t .. t+b-1]`. Up to `b - 1` tokens stay *open*: scored and seen, not yet
learned from. The state keeps the mixer states of the open chunk's start; when the chunk
fills, the inner step and the mixer states after it come from one computation on all its
tokens. So fast weights are bit-identical however the text was cut into calls.

The functions here run on the host and call two compiled programs for each model: full
chunks (`chunks_program`) and up to a chunk without learning (`_peek_program`);
`ttt_core.decode` adds one for a token. A call of a new length compiles nothing, and
neither does another inner rate or clip, which are data to the programs. How many chunks
a call reads is data as well: one chunk and sixteen are read by one program, so both
give the same bits.
"""

import copy
import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ttt_core.chunks import chunk_loss, reading_step
from ttt_core.config import ModelConfig
from ttt_core.fast import merge, split
from ttt_core.inner import Chunk, Learner, Report
from ttt_core.mixers.full import capacity_of, grow_to
from ttt_core.model import (
    MixerStates,
    Transformer,
    compute_logits,
    cross_entropy,
    init_states,
    run_fast,
    run_slow,
)
from ttt_core.shapes import (
    Count,
    PyTree,
    Scalar,
    TokenRow,
    Tokens,
    is_concrete,
    on_host,
)
from ttt_core.tokens import as_tokens


class StreamState(eqx.Module):
    """All that a reader remembers.

    `fast`: the fast weights. `mixers`: their states at the open chunk's start.
    `rule_state`: the inner rule's. `open [chunk + 1]`: the token before the open chunk,
    then the chunk's tokens so far, `n_open` of them. `position`: tokens read in all.
    """

    fast: PyTree
    mixers: MixerStates
    rule_state: PyTree
    open: Int[Array, "*stack length"]
    n_open: Int[Array, "*stack"]
    position: Int[Array, "*stack"]

    @property
    def last(self) -> Count:
        """The last token read; it will be the next input."""
        return self.open[self.n_open]


def init_state(model: Transformer, *, capacity: int = 4096) -> StreamState:
    """The state before the first token: fast weights at W0, empty window, BOS pending.

    `capacity` is the number of tokens full attention has room for at first; `read` and
    `generate` double it when needed. Models without full attention ignore it.

    >>> state = init_state(model)
    """
    (fast, _), chunk = split(model), model.config.chunk
    capacity = -(-max(capacity, chunk) // chunk) * chunk
    return StreamState(
        fast=fast,
        mixers=init_states(model, capacity),
        rule_state=model.rule.init(fast) if model.config.learns else (),
        open=jnp.zeros(chunk + 1, jnp.int32).at[0].set(model.config.bos),
        n_open=jnp.zeros((), jnp.int32),
        position=jnp.zeros((), jnp.int32),
    )


def read_chunk(
    model: Transformer, state: StreamState, tokens: TokenRow, *, rate: Scalar = 1.0
) -> tuple[StreamState, Report]:
    """Read exactly one chunk: score its tokens, then take one inner step.

    Returns the state after it and the chunk's `Report` (`nll [chunk]`). `rate` is a
    factor on `config.inner.lr`. May be vmapped over states and tokens.

    **Raises** `ValueError` for another length than `config.chunk`, a state with open
    tokens, ids outside the vocabulary, or a full buffer (full attention only).

    >>> state, report = read_chunk(model, state, tokens[: model.config.chunk])
    """
    tokens, chunk = as_tokens(tokens, model.config.vocab), model.config.chunk
    if len(tokens) != chunk:
        raise ValueError(
            f"`read_chunk` takes one chunk of {chunk} tokens: got {len(tokens)}; "
            "`read` takes any number."
        )
    if is_concrete(state.n_open):
        _check_chunk_start(state, chunk)
    knobs = take_knobs(model, rate)
    if all(map(is_concrete, jax.tree.leaves((knobs, state, tokens)))):
        check_single(state)
        state, report, _ = read_rows(knobs, state, tokens[None])
        return state, report
    return _one_chunk(*knobs, state, tokens)


@on_host
def read(
    model: Transformer, state: StreamState, tokens: TokenRow, *, rate: Scalar = 1.0
) -> tuple[StreamState, Report]:
    """Read any number of tokens, learning from every chunk that fills.

    Returns the state and a `Report`: `nll [length]` of this call's tokens; everything
    else `[n]` for the `n >= 0` chunks that filled in this call. Cutting a text into
    other calls changes no bit of the fast weights.

    **Raises** `ValueError` for ids outside the vocabulary.

    >>> state, report = read(model, state, tokenizer.encode(text))
    """
    tokens, chunk = as_tokens(tokens, model.config.vocab), model.config.chunk
    state, knobs = make_room(state, len(tokens) + chunk), take_knobs(model, rate)
    opened = np.asarray(state.open)[1 : int(state.n_open) + 1]
    pending = np.concatenate([opened, tokens])
    whole = len(pending) // chunk * chunk
    rows, size, reports = pending[:whole].reshape(-1, chunk), rows_at_once(chunk), []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        state, _, found = read_rows(knobs, state, some)
        reports.append((found, len(some)))
    if whole < len(pending) or not reports:
        state = hold_open(state, pending[whole:])
    numbers = _join_reports(reports, model)
    nll = numbers["nll"]
    if len(tokens) and whole < len(pending):
        nll = np.concatenate([nll, _score_pieces(model, state, tokens[:0])[1]])
    numbers["nll"] = nll[len(nll) - len(tokens) :]
    return state, Report(**jax.device_put(numbers))


@on_host
def score(
    model: Transformer, state: StreamState, prompt: TokenRow, answer: TokenRow
) -> Float[Array, " answer"]:
    """Nats of each answer token after `prompt`: what does this state know now?

    Asked on a fork that takes no inner step; `state` is untouched.

    **Raises** `ValueError` for an empty answer or ids outside the vocabulary.

    >>> nats = score(model, state, encode("The pass key is"), encode(" 71432"))
    """
    prompt, answer = (as_tokens(row, model.config.vocab) for row in (prompt, answer))
    if not len(answer):
        raise ValueError("`answer` is empty: give at least one token to be scored.")
    _, nll = _score_pieces(model, state, np.concatenate([prompt, answer]))
    return jax.device_put(nll[len(nll) - len(answer) :])


@on_host
def predict(
    model: Transformer, state: StreamState, tokens: TokenRow
) -> Float[Array, "rows vocab"]:
    """Logits before each of `tokens` and after the last, on a fork without inner step.

    Row `i` predicts `tokens[i]`; the last row what would follow. `tokens` may be empty.

    >>> after = predict(model, state, [])[-1]
    """
    tokens = as_tokens(tokens, model.config.vocab)
    # The last target is arbitrary: its logits are wanted, its nll is not.
    logits, _ = _score_pieces(model, state, np.append(tokens, np.int32(0)))
    return jax.device_put(logits[len(logits) - len(tokens) - 1 :])


def take_knobs(model: Transformer, rate: Scalar) -> tuple[Transformer, Scalar, Scalar]:
    """`(model, lr, clip)`: inner numbers as data, out of the (static) configuration.

    What is compiled depends only on whether the model learns.
    """
    inner, dtype = model.config.inner, model.final_norm.weight.dtype
    clip = np.asarray(min(inner.clip, float(jnp.finfo(dtype).max)), dtype)
    if is_concrete(rate):
        lr = np.asarray(np.asarray(rate, dtype) * np.asarray(inner.lr, dtype))
    else:
        lr = jnp.asarray(rate, dtype) * inner.lr
    neutral = copy.copy(model)  # several times as fast as building the module again
    object.__setattr__(neutral, "config", _neutral(model.config))
    return neutral, lr, clip


@functools.cache
def _neutral(config: ModelConfig) -> ModelConfig:
    """The configuration without its inner numbers."""
    return config.replace(lr=1.0 if config.learns else 0.0, clip=1.0)


AT_ONCE = 1024  # tokens that one call of the program reads, at most


def rows_at_once(chunk: int) -> int:
    """How many chunks one call of `chunks_program` reads, at most."""
    return max(1, AT_ONCE // chunk)


def read_rows(
    knobs: tuple[Transformer, Scalar, Scalar],
    state: StreamState,
    rows: Int[np.ndarray, "n chunk"],
) -> tuple[StreamState, Report, Report]:
    """Read at most `rows_at_once` chunks: the state, the last report, and all of them.

    `knobs`: from `take_knobs`. The reports have a row for each chunk, and rows of no
    meaning after these.
    """
    n, chunk = rows.shape
    padded = np.zeros((rows_at_once(chunk), chunk), np.int32)
    padded[:n] = rows
    return chunks_program(*knobs, state, np.asarray(n, np.int32), padded)


@jax.jit
def chunks_program(
    model: Transformer,
    lr: Scalar,
    clip: Scalar,
    state: StreamState,
    n: Count,
    rows: Int[np.ndarray, "most chunk"] | Int[Array, "most chunk"],
) -> tuple[StreamState, Report, Report]:
    """The first `n` of `rows`, chunk after chunk: state, last report, all reports.

    `n` is data, so the loop's body serves any number of chunks. Weights that stay are
    constants of the loop and not among what is carried.
    """
    read = functools.partial(_read_one, model, lr, clip)
    shapes = jax.eval_shape(lambda: read(state, rows[0])[1])
    make = lambda shape: jnp.zeros(shape.shape, shape.dtype)
    each = lambda shape: jnp.zeros((len(rows), *shape.shape), shape.dtype)
    start = (state, jax.tree.map(make, shapes), jax.tree.map(each, shapes))

    def step(i, carry):
        state, report = read(carry[0], rows[i])
        put = lambda column, number: column.at[i].set(number)
        return state, report, jax.tree.map(put, carry[2], report)

    return jax.lax.fori_loop(np.int32(0), n, step, start)


def _read_one(
    model: Transformer, lr: Scalar, clip: Scalar, state: StreamState, tokens: Tokens
) -> tuple[StreamState, Report]:
    """One full chunk, from its start: score, learn, move the mixers on."""
    inputs = jnp.concatenate([state.open[:1], tokens[:-1]])
    hidden, slow = run_slow(model, inputs, state.mixers.slow_blocks)
    chunk = Chunk(hidden, tokens, jnp.ones(len(tokens), bool))
    learner = Learner(state.fast, state.rule_state, state.mixers.fast_blocks)
    step = reading_step(model, chunk_loss(model), lr=lr, clip=clip)
    learner, report = step(learner, chunk)
    state = StreamState(
        fast=learner.fast,
        mixers=MixerStates(slow, learner.states),
        rule_state=learner.rule_state,
        open=jnp.zeros_like(state.open).at[0].set(tokens[-1]),
        n_open=jnp.zeros_like(state.n_open),
        position=state.position - state.n_open + len(tokens),
    )
    return state, report


# For callers who vmap, differentiate or jit: a loop of unknown length has no gradient.
_one_chunk = jax.jit(_read_one)


@jax.jit
def _peek_program(
    model: Transformer, fast: PyTree, mixers: MixerStates, tokens: Tokens
) -> tuple[Float[Array, "chunk vocab"], Float[Array, " chunk"], MixerStates]:
    """`(logits, nll, mixers)` of up to a chunk, padded; nothing is learned.

    `tokens [chunk + 1]`, the one before the chunk first. The mixer states are of use
    only where no token was padding.
    """
    logits, mixers = run_all(model, fast, mixers, tokens[:-1])
    return logits, cross_entropy(logits, tokens[1:]), mixers


def run_all(
    model: Transformer, fast: PyTree, mixers: MixerStates, inputs: Tokens
) -> tuple[Float[Array, "seq vocab"], MixerStates]:
    """All blocks on up to a chunk of inputs: `(logits, mixers)`, nothing learned."""
    return run_blocks(merge(fast, split(model)[1]), mixers, inputs)


def run_blocks(
    model: Transformer, mixers: MixerStates, inputs: Tokens
) -> tuple[Float[Array, "seq vocab"], MixerStates]:
    """The same with the fast weights in the model."""
    hidden, slow = run_slow(model, inputs, mixers.slow_blocks)
    hidden, fast_states = run_fast(model, hidden, mixers.fast_blocks)
    return compute_logits(model, hidden), MixerStates(slow, fast_states)


def _score_pieces(
    model: Transformer, state: StreamState, tokens: Int[np.ndarray, " more"]
) -> tuple[Float[np.ndarray, "n vocab"], Float[np.ndarray, " n"]]:
    """Logits and nll of the open tokens, then of `tokens`.

    A fork goes back to the open chunk's start and reads pieces of one chunk, the last
    one padded.
    """
    check_single(state)
    chunk = model.config.chunk
    row = np.concatenate([np.asarray(state.open)[: int(state.n_open) + 1], tokens])
    mixers = make_room(state, len(row) + chunk).mixers
    model, _, _ = take_knobs(model, 1.0)
    logits, nll = [], []
    for start in range(0, len(row) - 1, chunk):
        piece = row[start : start + chunk + 1]
        padded = np.pad(piece, (0, chunk + 1 - len(piece)))
        *scored, mixers = _peek_program(model, state.fast, mixers, padded)
        for rows, found in zip((logits, nll), scored, strict=True):
            rows.append(np.asarray(found)[: len(piece) - 1])
    return np.concatenate(logits), np.concatenate(nll)


def hold_open(state: StreamState, tokens: Int[np.ndarray, " n"]) -> StreamState:
    """The state with `tokens` as its open chunk."""
    row = np.zeros(len(state.open), np.int32)
    row[: len(tokens) + 1] = [np.asarray(state.open)[0], *tokens]
    position = np.asarray(state.position) - np.asarray(state.n_open) + len(tokens)
    numbers = row, np.int32(len(tokens)), np.int32(position)
    opened, n_open, position = jax.device_put(numbers)
    return dataclasses.replace(state, open=opened, n_open=n_open, position=position)


def _join_reports(
    reports: list[tuple[Report, int]], model: Transformer
) -> dict[str, np.ndarray]:
    """The fields of reports `[most]`, as many rows of each as counted: `[n]`.

    `nll` is `[tokens]`. Copying a report waits for its chunks; all have been ordered by
    then.
    """
    if reports:
        names = [field.name for field in dataclasses.fields(Report)]
        rows = lambda name: [np.asarray(getattr(one, name))[:n] for one, n in reports]
        found = {name: np.concatenate(rows(name)) for name in names}
        return found | {"nll": found["nll"].reshape(-1)}
    empty = lambda *shape: np.zeros((0, *shape), model.final_norm.weight.dtype)
    numbers = empty(), empty(), empty(), empty(), empty(model.config.fast_blocks)
    fields = (*numbers, np.zeros(0, bool), np.zeros(0, bool))
    return dict(zip((f.name for f in dataclasses.fields(Report)), fields, strict=True))


def make_room(state: StreamState, more: int) -> StreamState:
    """Double full-attention buffers until `more` tokens fit behind the open chunk."""
    check_single(state)
    if capacity_of(state.mixers) is None:
        return state
    needed = int(state.position) - int(state.n_open) + more
    mixers = grow_to(state.mixers, needed)
    if mixers is state.mixers:
        return state
    return dataclasses.replace(state, mixers=mixers)


def check_single(state: StreamState):
    """**Raises** `ValueError` for a stack of states."""
    if state.n_open.ndim:
        raise ValueError(
            f"this is a stack of {len(state.n_open):,} states: take one of them, read "
            "a chunk of each by jax.vmap(read_chunk), or ask all by `score_many`."
        )


def _check_chunk_start(state: StreamState, chunk: int):
    """**Raises** `ValueError` where a whole chunk does not fit."""
    if np.any(np.asarray(state.n_open)):
        raise ValueError(
            f"this state has {int(np.max(state.n_open))} open tokens of an unfinished "
            "chunk, so a whole chunk does not fit; use `read`, which takes any number."
        )
    capacity = capacity_of(state.mixers)
    if capacity is None or state.position.ndim:
        return
    if int(state.position) + chunk > capacity:
        raise ValueError(
            f"the full-attention buffer holds {capacity} tokens and "
            f"{int(state.position)} are read; use `read`, which grows it, or start "
            "with init_state(model, capacity=...)."
        )
