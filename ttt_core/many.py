"""Many questions at once: what do these states, or these weights, know of all that?

A call of a program costs a few hundred small operations, for one token nearly as much
as for hundreds. So a question alone wastes most of its time, and a grid of questions
wants one program: the questions become rows of one array, padded at the end to a power
of two, and so does their number. Each such *bucket* is compiled once.

The blocks run on all rows at once; the head on a few rows after the other, since a CPU
is slow to write to fresh memory, and logits are the most of it.

* `score_many`: many questions on a fork of one state, or of each of many states.
* `nll_under`: many short texts under given fast weights, each from an empty window.

Nothing is learned here. The numbers are those of `score` and `read` to rounding: a
product of many rows is not summed in the same order as one of few.
"""

from collections.abc import Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from ttt_core.fast import merge, split
from ttt_core.mixers.full import grow_to
from ttt_core.model import (
    MixerStates,
    Transformer,
    run_fast,
    run_slow,
    token_nll,
)
from ttt_core.shapes import PyTree, TokenRow, on_host
from ttt_core.stream import StreamState, take_knobs
from ttt_core.tokens import as_array, as_tokens


AT_ONCE = 2048  # tokens in one call, at most
LOGITS = 2**20  # entries of logits that exist at once, at most: 4 MiB of float32
NARROWEST = 16  # tokens of the smallest bucket
SHORTEST = 8  # tokens of the smallest bucket of answers


@on_host
def score_many(
    model: Transformer,
    state: StreamState,
    prompts: Sequence[TokenRow],
    answers: Sequence[TokenRow],
) -> list[Float[Array, "*states answer"]]:
    """Nats of each answer's tokens after its prompt: `score` for many questions.

    `[len(answer)]` for each question, to rounding what `score(model, state, prompt,
    answer)` returns. A stack of states, `jax.tree.map(lambda *a: jnp.stack(a),
    *states)`, is asked all questions: `[states, len(answer)]` for each. The states may
    have open tokens, of different numbers. No state is changed.

    **Raises** `ValueError` where there are not as many prompts as answers, for an empty
    answer, ids outside the vocabulary, or states stacked more than once.

    >>> nats = score_many(model, state, [encode("The key is")] * 2, [a, b])
    """
    rows = _questions(model, prompts, answers)
    heads, stacked = _open_rows(state), state.n_open.ndim == 1
    model, _, _ = take_knobs(model, 1.0)
    program = _ask_each_program if stacked else _ask_program
    longest, found = max(map(len, heads)) - 1, [np.zeros(0)] * len(rows)
    for width, picks in _buckets([longest + len(row) for row in rows]):
        lines = [[np.concatenate([head, rows[i]]) for i in picks] for head in heads]
        counts = [len(answers[i]) for i in picks]
        asked = _Asked(*_pad(lines, counts, width))
        asked = asked if stacked else jax.tree.map(lambda a: a[0], asked)
        nll = program(model, state.fast, _with_room(state, width), asked)
        for row, i in enumerate(picks):  # nll [*states, rows, answer]
            found[i] = np.asarray(nll)[..., row, : counts[row]]
    return jax.device_put(found)


@on_host
def nll_under(
    model: Transformer,
    fast: PyTree,
    tokens: Integer[Array, "..."] | Integer[np.ndarray, "..."],
) -> Float[Array, "*stack n scored"]:
    """Nats of many texts of one length under given fast weights, nothing learned.

    `tokens [n, length + 1]`: each row is read from an empty window, its first token is
    only an input. Returns `[n, length]`; for a stack of fast weights (a leading axis on
    every array) `[stack, n, length]`, and the blocks below the first fast one run once
    for all of them. `fast`: a tree as `split` or a `StreamState` gives.

    **Raises** `ValueError` for rows without a token to score, ids outside the
    vocabulary, or fast weights that are not this model's.

    >>> chunks = np.stack([ids[i : i + 65] for i in range(0, 4096, 64)])
    >>> nll = nll_under(model, state.fast, chunks)
    """
    tokens, stack = as_array(tokens), _stack_of(fast, model)
    if tokens.ndim != 2 or tokens.shape[1] < 2:
        raise ValueError(
            "`tokens` must be [n, length + 1], an input and at least one token to be "
            f"scored in each row: got shape {list(tokens.shape)}."
        )
    flat = as_tokens(tokens.reshape(-1), model.config.vocab)
    tokens, length = flat.reshape(tokens.shape), tokens.shape[1] - 1
    model, _, _ = take_knobs(model, 1.0)
    program = _stacked_program if stack else _under_program
    most = _rows_at_once(length)
    found = []
    for start in range(0, len(tokens), most):
        some = tokens[start : start + most]
        padded = np.zeros((_power_of_two(len(some)), length + 1), np.int32)
        padded[: len(some)] = some
        found.append((program(model, fast, padded), len(some)))
    if not found:
        return jnp.zeros((*stack, 0, length), model.final_norm.weight.dtype)
    parts = [np.asarray(nll)[..., :n, :] for nll, n in found]
    return jax.device_put(np.concatenate(parts, axis=-2))


class _Asked(eqx.Module):
    """Padded questions: inputs, and of their answers what comes out, and where.

    `targets`, `places`: the tokens of the answers, and which input each comes after.
    """

    inputs: Int[np.ndarray | Array, "*states rows width"]
    targets: Int[np.ndarray | Array, "*states rows answer"]
    places: Int[np.ndarray | Array, "*states rows answer"]


@eqx.filter_jit
def _ask_program(
    model: Transformer, fast: PyTree, mixers: MixerStates, asked: _Asked
) -> Float[Array, "rows answer"]:
    """Nats of all answers, each on a fork of one state."""
    return _ask(model, fast, mixers, asked)


@eqx.filter_jit
def _ask_each_program(
    model: Transformer, fast: PyTree, mixers: MixerStates, asked: _Asked
) -> Float[Array, "states rows answer"]:
    """The same for a stack of states, one after the other."""
    one = lambda forks: _ask(model, *forks)
    return jax.lax.map(one, (fast, mixers, asked))


def _ask(
    model: Transformer, fast: PyTree, mixers: MixerStates, asked: _Asked
) -> Float[Array, "rows answer"]:
    whole = merge(fast, split(model)[1])

    def read(inputs, places):
        hidden, _ = run_slow(whole, inputs, mixers.slow_blocks)
        hidden, _ = run_fast(whole, hidden, mixers.fast_blocks)
        return hidden[places]  # [answer, d_model]

    hidden = jax.vmap(read)(asked.inputs, asked.places)
    return _nll_by_rows(whole, hidden, asked.targets)


@eqx.filter_jit
def _under_program(
    model: Transformer, fast: PyTree, tokens: Int[Array, "n length"]
) -> Float[Array, "n scored"]:
    """Nats of all rows under one set of fast weights."""
    hidden = _slow_hidden(model, tokens)
    return _fast_nll(model, fast, hidden, tokens[:, 1:])


@eqx.filter_jit
def _stacked_program(
    model: Transformer, fast: PyTree, tokens: Int[Array, "n length"]
) -> Float[Array, "stack n scored"]:
    """Nats of all rows under each of a stack of fast weights, one after the other."""
    hidden = _slow_hidden(model, tokens)
    one = lambda fast: _fast_nll(model, fast, hidden, tokens[:, 1:])
    return jax.lax.map(one, fast)


def _slow_hidden(
    model: Transformer, tokens: Int[Array, "n length"]
) -> Float[Array, "n inputs d_model"]:
    """What enters the first fast block, for all rows."""
    one = lambda row: run_slow(model, row, None)[0]
    return jax.vmap(one)(tokens[:, :-1])


def _fast_nll(
    model: Transformer,
    fast: PyTree,
    hidden: Float[Array, "n inputs d_model"],
    targets: Int[Array, "n inputs"],
) -> Float[Array, "n inputs"]:
    """Nats of all rows from there on."""
    whole = merge(fast, split(model)[1])
    run = lambda row: run_fast(whole, row, None)[0]
    return _nll_by_rows(whole, jax.vmap(run)(hidden), targets)


def _nll_by_rows(
    model: Transformer,
    hidden: Float[Array, "n width d_model"],
    targets: Int[Array, "n width"],
) -> Float[Array, "n width"]:
    """Nats of all targets, a few rows after the other."""
    n, width, d_model = hidden.shape
    some = min(
        n, 1 << max(0, (LOGITS // (width * model.config.vocab)).bit_length() - 1)
    )
    groups = (
        hidden.reshape(-1, some * width, d_model),
        targets.reshape(-1, some * width),
    )
    return jax.lax.map(lambda group: token_nll(model, *group), groups).reshape(n, width)


def _questions(
    model: Transformer, prompts: Sequence[TokenRow], answers: Sequence[TokenRow]
) -> list[Int[np.ndarray, " asked"]]:
    """Each prompt with its answer."""
    if len(prompts) != len(answers):
        raise ValueError(
            f"every question has a prompt and an answer: got {len(prompts)} prompts "
            f"and {len(answers)} answers."
        )
    vocab = model.config.vocab
    pair = lambda *rows: [as_tokens(row, vocab) for row in rows]
    pairs = [pair(*rows) for rows in zip(prompts, answers, strict=True)]
    for i, (_, answer) in enumerate(pairs):
        if not len(answer):
            raise ValueError(
                f"answer {i} is empty: give at least one token to be scored."
            )
    return [np.concatenate(rows) for rows in pairs]


def _open_rows(state: StreamState) -> list[Int[np.ndarray, " opened"]]:
    """For each state, the token before its open chunk and the chunk's tokens so far."""
    if state.n_open.ndim > 1:
        raise ValueError(
            "a stack of states has one leading axis: got states stacked as "
            f"{list(state.n_open.shape)}; flatten them first."
        )
    opened, counts = np.atleast_2d(state.open), np.atleast_1d(state.n_open)
    return [row[: n + 1] for row, n in zip(opened, counts, strict=True)]


def _with_room(state: StreamState, more: int) -> MixerStates:
    """The mixer states, full attention's with room for `more` tokens."""
    start = np.asarray(state.position) - np.asarray(state.n_open)
    return grow_to(state.mixers, int(start.max()) + more)


def _buckets(lengths: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """`(width, which rows)` of each call; rows of one width share calls."""
    widths = [max(NARROWEST, _power_of_two(length - 1)) for length in lengths]
    for width in sorted(set(widths)):
        picks = [i for i, own in enumerate(widths) if own == width]
        most = _rows_at_once(width)
        for start in range(0, len(picks), most):
            yield width, picks[start : start + most]


def _rows_at_once(width: int) -> int:
    """How many rows of so many tokens one call takes: a power of two."""
    return 1 << max(0, (AT_ONCE // width).bit_length() - 1)


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least `n`."""
    return 1 << max(0, n - 1).bit_length()


def _pad(
    lines: list[list[Int[np.ndarray, " _"]]], counts: list[int], width: int
) -> tuple[Int[np.ndarray, "states rows _"], ...]:
    """`(inputs, targets, places)`: rows of all states, their number a power of two.

    `counts`: how many tokens at the end of each row are its answer.
    """
    sizes = len(lines), _power_of_two(len(counts))
    inputs = np.zeros((*sizes, width), np.int32)
    answer = max(SHORTEST, _power_of_two(max(counts)))
    targets, places = (np.zeros((*sizes, answer), np.int32) for _ in range(2))
    for s, rows in enumerate(lines):
        for i, (row, n) in enumerate(zip(rows, counts, strict=True)):
            inputs[s, i, : len(row) - 1] = row[:-1]
            targets[s, i, :n] = row[-n:]
            places[s, i, :n] = np.arange(len(row) - 1 - n, len(row) - 1)
    return inputs, targets, places


def _stack_of(fast: PyTree, model: Transformer) -> tuple[int, ...]:
    """`(stack,)` of fast weights with a leading axis on every array, else `()`.

    **Raises** `ValueError` for anything but the model's fast weights.
    """
    own, given = split(model)[0], jax.tree.structure(fast)
    shapes = [tuple(np.shape(leaf)) for leaf in jax.tree.leaves(fast)]
    wanted = [leaf.shape for leaf in jax.tree.leaves(own)]
    stack = (
        shapes[0][:1] if shapes and wanted and len(shapes[0]) > len(wanted[0]) else ()
    )
    if given == jax.tree.structure(own) and shapes == [(*stack, *s) for s in wanted]:
        return stack
    raise ValueError(
        f"`fast` must be this model's fast weights, {wanted}, or a stack of such, as "
        f"`state.fast` is: got {type(fast).__name__} with arrays {shapes[:4]}."
    )
