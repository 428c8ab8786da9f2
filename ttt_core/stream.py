"""Reading without end: a model that learns from a stream of tokens, chunk by chunk.

`StreamState` is everything a reader remembers, and it is what every function returns:
it can be saved, stacked, vmapped and forked for nothing. To ask "does it still know the
needle?", run the question on a fork (`score`, `predict`) and drop the fork.

A stream scores every token it reads. The state holds the last token read, which has not
yet been an input (BOS at first), so chunk `i` has inputs `[last, t .. t+b-2]` and
targets `[t .. t+b-1]`. Up to `b - 1` tokens stay *open*: scored and seen, not yet
learned from. The state keeps the mixer states of the open chunk's start; when the chunk
fills, the inner step and the mixer states after it come from one computation on all its
tokens. So fast weights are bit-identical however the text was cut into calls.

The functions here are host-level drivers over two compiled programs a model: one full
chunk (`chunk_program`) and up to a chunk without learning (`_peek_program`); decoding
(`ttt_core.decode`) adds one for a token. A call of a new length compiles nothing.
Inner rate and clip are data to them: turning those recompiles nothing either.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ttt_core.chunks import reading_step
from ttt_core.fast import merge, split
from ttt_core.inner import Chunk, Learner, Report
from ttt_core.mixers.full import FullState, grow
from ttt_core.model import (
    MixerStates,
    Transformer,
    compute_logits,
    init_states,
    run_fast,
    run_slow,
)
from ttt_core.shapes import PyTree, Scalar, TokenRow, is_concrete
from ttt_core.tokens import as_tokens, check_tokens


class StreamState(eqx.Module):
    """All that a reader remembers.

    `fast`: the fast weights. `states`: of the mixers, at the open chunk's start.
    `rule_state`: of the inner rule. `open [chunk + 1]`: the token before the open
    chunk, then the chunk's tokens so far, `n_open` of them. `position`: tokens read in
    all.
    """

    fast: PyTree
    states: MixerStates
    rule_state: PyTree
    open: Int[Array, "*stack length"]
    n_open: Int[Array, "*stack"]
    position: Int[Array, "*stack"]

    @property
    def last(self) -> Int[Array, ""]:
        """The last token read; it will be the next input."""
        return self.open[self.n_open]


def init_state(model: Transformer, *, capacity: int = 4096) -> StreamState:
    """The state before the first token: fast weights at W0, empty window, BOS pending.

    `capacity` is the number of tokens full attention has room for at first; `read` and
    `generate` double it when needed. Models without full attention ignore it.

    >>> state = init_state(model)
    """
    fast, _ = split(model)
    chunk = model.config.chunk
    capacity = -(-max(capacity, chunk) // chunk) * chunk
    return StreamState(
        fast=fast,
        states=init_states(model, capacity),
        rule_state=model.rule.init(fast) if model.config.learns else (),
        open=jnp.zeros(chunk + 1, jnp.int32).at[0].set(model.config.bos),
        n_open=jnp.zeros((), jnp.int32),
        position=jnp.zeros((), jnp.int32),
    )


def read_chunk(
    model: Transformer,
    state: StreamState,
    tokens: TokenRow,
    *,
    rate: Scalar = 1.0,
) -> tuple[StreamState, Report]:
    """Read exactly one chunk: score its tokens, then take one inner step.

    Returns the state after it and the chunk's `Report` (`nll [chunk]`). `rate` is a
    factor on `config.inner.lr`. May be vmapped over states and tokens.

    **Raises** `ValueError` for another length than `config.chunk`, a state with open
    tokens, ids outside the vocabulary, or a full buffer (full attention only).

    >>> state, report = read_chunk(model, state, tokens[: model.config.chunk])
    """
    chunk = model.config.chunk
    if len(tokens) != chunk:
        raise ValueError(
            f"`read_chunk` takes one chunk of {chunk} tokens: got {len(tokens)}; "
            "`read` takes any number."
        )
    if is_concrete(state.n_open):
        _check_chunk_start(state, chunk)
    if is_concrete(tokens):
        tokens = as_tokens(tokens, model.config.vocab)
    else:
        check_tokens(tokens, model.config.vocab)
    return chunk_program(*take_knobs(model, rate), state, tokens)


def read(
    model: Transformer,
    state: StreamState,
    tokens: TokenRow,
    *,
    rate: Scalar = 1.0,
) -> tuple[StreamState, Report]:
    """Read any number of tokens, learning from every chunk that fills.

    Returns the state and a `Report`: `nll [length]` of this call's tokens; everything
    else `[n]` for the `n >= 0` chunks that filled in this call. Cutting a text into
    other calls changes no bit of the fast weights.

    **Raises** `ValueError` for ids outside the vocabulary.

    >>> state, report = read(model, state, tokenizer.encode(text))
    """
    tokens = as_tokens(tokens, model.config.vocab)
    chunk, n_open = model.config.chunk, int(state.n_open)
    state = make_room(state, len(tokens) + chunk)
    knobs = take_knobs(model, rate)
    head = np.asarray(state.open)
    pending = np.concatenate([head[1 : n_open + 1], tokens])
    whole = len(pending) // chunk * chunk
    reports = []
    for start in range(0, whole, chunk):
        state, report = chunk_program(*knobs, state, pending[start : start + chunk])
        reports.append(report)
    nll = [np.asarray(report.nll) for report in reports]
    rest = pending[whole:]
    if whole or len(tokens):
        state = hold_open(state, rest)
    if len(tokens) and len(rest):
        nll.append(_score_pieces(model, state, rest[:0], rest, from_open=False)[1])
    empty = np.zeros(0, model.final_norm.weight.dtype)
    nll = np.concatenate([empty, *nll])
    nll = nll[len(nll) - len(tokens) :]
    return state, _stack_reports(reports, nll, model)


def score(
    model: Transformer,
    state: StreamState,
    prompt: TokenRow,
    answer: TokenRow,
) -> Float[Array, " answer"]:
    """Nats of each answer token after `prompt`: what does this state know now?

    Asked on a fork that takes no inner step; `state` is untouched.

    **Raises** `ValueError` for an empty answer or ids outside the vocabulary.

    >>> nats = score(model, state, encode("The pass key is"), encode(" 71432"))
    """
    vocab = model.config.vocab
    prompt, answer = as_tokens(prompt, vocab), as_tokens(answer, vocab)
    if not len(answer):
        raise ValueError("`answer` is empty: give at least one token to be scored.")
    _, nll = _score_pieces(model, state, prompt, answer)
    return jax.device_put(nll[len(nll) - len(answer) :])


def predict(
    model: Transformer, state: StreamState, tokens: TokenRow
) -> Float[Array, "rows vocab"]:
    """Logits before each of `tokens` and after the last, on a fork without inner step.

    Row `i` predicts `tokens[i]`; the last row what would follow. `tokens` may be empty.

    >>> after = predict(model, state, [])[-1]
    """
    tokens = as_tokens(tokens, model.config.vocab)
    after = np.zeros(1, np.int32)  # a target nobody looks at: what follows is asked for
    logits, _ = _score_pieces(model, state, tokens, after)
    return jax.device_put(logits[len(logits) - len(tokens) - 1 :])


def take_knobs(model: Transformer, rate: Scalar):
    """The model with its inner numbers taken out of the (static) configuration.

    What is compiled depends only on whether the model learns.
    """
    inner, learns = model.config.inner, model.config.learns
    neutral = model.config.replace(lr=1.0 if learns else 0.0, clip=1.0)
    dtype = model.final_norm.weight.dtype
    lr = jnp.asarray(rate, dtype) * inner.lr
    clip = jnp.asarray(min(inner.clip, float(jnp.finfo(dtype).max)), dtype)
    return dataclasses.replace(model, config=neutral), lr, clip


@eqx.filter_jit
def chunk_program(model, lr, clip, state: StreamState, tokens):
    """One full chunk, from its start: score, learn, move the mixers on."""
    inputs = jnp.concatenate([state.open[:1], tokens[:-1]])
    hidden, slow_states = run_slow(model, inputs, state.states.slow_blocks)
    chunk = Chunk(hidden, tokens, jnp.ones(len(tokens), bool))
    learner = Learner(state.fast, state.rule_state, state.states.fast_blocks)
    learner, report = reading_step(model, lr, clip)(learner, chunk)
    state = StreamState(
        fast=learner.fast,
        states=MixerStates(slow_states, learner.states),
        rule_state=learner.rule_state,
        open=jnp.zeros_like(state.open).at[0].set(tokens[-1]),
        n_open=jnp.zeros_like(state.n_open),
        position=state.position - state.n_open + len(tokens),
    )
    return state, report


@eqx.filter_jit
def _peek_program(model, fast, states: MixerStates, inputs, targets):
    """Up to a chunk, padded, without learning; the states count if it was full."""
    logits, states = run_all(model, fast, states, inputs)
    chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return logits, jax.nn.logsumexp(logits, axis=-1) - chosen, states


def run_all(model, fast, states: MixerStates, inputs):
    """All blocks on up to a chunk of inputs: `(logits, states)`, nothing learned."""
    model = merge(fast, split(model)[1])
    hidden, slow = run_slow(model, inputs, states.slow_blocks)
    hidden, fast_states = run_fast(model, hidden, states.fast_blocks)
    return compute_logits(model, hidden), MixerStates(slow, fast_states)


def _score_pieces(model, state, prompt, answer, *, from_open: bool = True):
    """Logits `[n, vocab]` and nll `[n]` of the open tokens, `prompt` and `answer`.

    Forks at the open chunk's start and runs pieces of one chunk, the last one padded.
    """
    chunk = model.config.chunk
    head = np.asarray(state.open)[: int(state.n_open) + 1]
    opened = head[1:] if from_open else head[1:1]
    targets = np.concatenate([opened, prompt, answer])
    inputs = np.concatenate([head[:1], targets[:-1]])
    state = make_room(state, len(targets) + chunk)
    model, _, _ = take_knobs(model, 1.0)
    states, logits, nll = state.states, [], []
    for start in range(0, len(targets), chunk):
        piece = slice(start, start + chunk)
        padded = [_pad(a[piece], chunk) for a in (inputs, targets)]
        out, scored, states = _peek_program(model, state.fast, states, *padded)
        size = len(targets[piece])
        logits.append(np.asarray(out)[:size])
        nll.append(np.asarray(scored)[:size])
    return np.concatenate(logits), np.concatenate(nll)


def _pad(tokens: np.ndarray, length: int) -> np.ndarray:
    return np.pad(tokens, (0, length - len(tokens)))


def hold_open(state: StreamState, tokens: np.ndarray) -> StreamState:
    """The state with `tokens` as its open chunk."""
    head = np.asarray(state.open)[:1]
    position = int(state.position) - int(state.n_open) + len(tokens)
    return dataclasses.replace(
        state,
        open=jnp.asarray(_pad(np.concatenate([head, tokens]), len(state.open))),
        n_open=jnp.asarray(len(tokens), jnp.int32),
        position=jnp.asarray(position, jnp.int32),
    )


def _stack_reports(reports: list[Report], nll, model: Transformer) -> Report:
    """One report of this call's tokens and of the chunks that filled in it."""
    fields = {
        name: [np.asarray(getattr(report, name)) for report in reports]
        for name in ("loss", "grad_norm", "update_norm", "drift", "learned", "refused")
    }
    dtype = model.final_norm.weight.dtype
    empty = {"drift": np.zeros((0, model.config.fast_blocks), dtype)}
    empty |= {name: np.zeros(0, bool) for name in ("learned", "refused")}
    stacked = {
        name: np.stack(rows) if rows else empty.get(name, np.zeros(0, dtype))
        for name, rows in fields.items()
    }
    return Report(nll=jax.device_put(nll), **jax.device_put(stacked))


def _buffers(state: StreamState) -> list[FullState]:
    is_full = lambda s: isinstance(s, FullState)
    return [s for s in jax.tree.leaves(state.states, is_leaf=is_full) if is_full(s)]


def make_room(state: StreamState, more: int) -> StreamState:
    """Double full-attention buffers until `more` tokens fit behind the open chunk."""
    buffers = _buffers(state)
    if not buffers:
        return state
    capacity = buffers[0].keys.shape[-2]
    needed = int(state.position) - int(state.n_open) + more
    if needed <= capacity:
        return state
    while capacity < needed:
        capacity *= 2
    is_full = lambda s: isinstance(s, FullState)
    states = jax.tree.map(
        lambda s: grow(s, capacity) if is_full(s) else s, state.states, is_leaf=is_full
    )
    return dataclasses.replace(state, states=states)


def _check_chunk_start(state: StreamState, chunk: int):
    if np.any(np.asarray(state.n_open)):
        raise ValueError(
            f"this state has {int(np.max(state.n_open))} open tokens of an unfinished "
            "chunk, so a whole chunk does not fit; use `read`, which takes any number."
        )
    buffers = _buffers(state)
    if not buffers or state.position.ndim:
        return
    capacity = buffers[0].keys.shape[-2]
    if int(state.position) + chunk > capacity:
        raise ValueError(
            f"the full-attention buffer holds {capacity} tokens and "
            f"{int(state.position)} are read; use `read`, which grows it, or start "
            "with init_state(model, capacity=...)."
        )
