"""A memory: what a document left in the fast weights, as a file of its own.

While a model reads, its fast weights move from `W_0` to `W_t`. The *change* `W_t - W_0`
is all that is left of a document once the window has moved on. A memory is that change
as safetensors, with a card that says where the change is from: document, span, model,
W0, rule and rates, what learning saved, and what the change still saves when chunks of
the document are read again with an empty window.

    memories.save("my.memory", state, model, document="my.txt", tokens=ids)
    state = memories.load("my.memory", model)  # an empty window; ask it

**Bits.** In floating point `W_0 + (W_t - W_0)` is not always `W_t`. So the form
`float32` keeps, beside the change, those weights that the sum misses; `load` puts them
in their places, and checks the hash of `W_t`: the weights come back bit for bit. The
forms `float16` and `rank8` (any `rankN`) are smaller, and their cards say in nats what
they lose.

Memories open, are listed and are compared without JAX; loading one needs the model.
Read next: `lab/measure/rereading.py` (what do weights hold of a text?) and
`lab/reading/forgetting.py` (back to what a stream was, exactly).
"""

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab import checkpoints, files, results, runs
from lab.measure import memory_forms as forms
from lab.measure import named_arrays, rereading
from lab.measure.intervals import Interval, batch_means, interval
from lab.measure.memory_forms import EXACT, rank_of
from lab.measure.memory_forms import FORMS as FORMS
from lab.measure.named_arrays import Arrays, arrays_of, hash_of, norm, norms, sha256
from lab.names import unknown


FORMAT = "ttt-e2e-lab memory 1"
ENDING = ".memory"
MOST = 2.0  # of a change, or of each in a mixture: beyond, models break
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of the curve in a card
LARGEST = 2**28  # bytes of a memory that is uploaded, and of each matrix once opened
SEED = 0  # of the chunks that are read again


@dataclass(frozen=True)
class Reread:
    """Chunks of the document read again: empty window, nothing learned.

    Attributes:
        chunks: which chunks were drawn, from 0.
        seed: decides which.
        alphas: how much of the change was added to W0.
        gains: nats per token saved over W0, for each of `alphas`, over the chunks.
        lost: nats per token that the form costs against the exact weights.
        other, other_gain: a text that was not read, and what the whole change saves on
            chunks of it: what is not of the document itself. None = not measured.
    """

    chunks: tuple[int, ...]
    seed: int
    alphas: tuple[float, ...]
    gains: tuple[Interval, ...]
    lost: Interval
    other: str = ""
    other_gain: Interval | None = None

    @property
    def gain(self) -> Interval:
        """What the whole change, `alpha = 1`, saves."""
        return self.gains[self.alphas.index(1.0)]


@dataclass(frozen=True)
class Card:
    """Where a memory is from.

    Attributes:
        document, document_hash: name and sha256 of the text; "" = not recorded.
        tokens_hash: sha256 of the tokens learned from.
        span: first token learned from, and the token after the last.
        chunk: tokens between two inner steps.
        model, model_hash: name and hash of the model that read.
        start_hash: hash of W0. learned_hash: hash of `W_t`; "" of a mixture.
        rule, lr, clip, rate: how was learned; `rate` is the factor on `lr`.
        form: `float32`, `float16` or `rankN`.
        start_norms: matrix -> norm of W0 in each fast block.
        gain: nats per token saved over the frozen twin while reading, with its interval
            over chunks, as `ttt-lab stream` shows it; None = not measured.
        reread: chunks of the document read again; None = not measured.
        mixed: the parts of a mixture, such as "0.5 * a.memory"; () = a document's own.
        made: command, commit, date, versions.
    """

    document: str
    document_hash: str
    tokens_hash: str
    span: tuple[int, int]
    chunk: int
    model: str
    model_hash: str
    start_hash: str
    learned_hash: str
    rule: str
    lr: float
    clip: float
    rate: float
    form: str
    start_norms: dict[str, tuple[float, ...]]
    gain: Interval | None = None
    reread: Reread | None = None
    mixed: tuple[str, ...] = ()
    made: dict = dataclasses.field(default_factory=dict)

    @property
    def chunks(self) -> int:
        """Number of inner steps that made the change."""
        return (self.span[1] - self.span[0]) // self.chunk

    @property
    def title(self) -> str:
        """What is remembered, for people."""
        return " + ".join(self.mixed) or self.document or "a document without a name"


@dataclass(frozen=True, eq=False)
class Memory:
    """A memory in hand: its card and its change, as NumPy arrays.

    Attributes:
        card: where it is from.
        change: matrix -> `W_t - W_0`, `[fast_blocks, rows, columns]`, as its form has
            it.
        missed: matrix -> places and values of the weights that `W_0 + change` misses.
        gains: nats per token that learning saved on each chunk, `[chunks]`; may be
            empty.
    """

    card: Card
    change: Arrays
    missed: dict[str, tuple[np.ndarray, np.ndarray]]
    gains: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of the change once it is opened; a file of another form is smaller."""
        return sum(matrix.nbytes for matrix in self.change.values())


@dataclass(frozen=True)
class Part:
    """One matrix of one fast block in two memories: two norms and their cosine."""

    matrix: str
    block: int
    norms: tuple[float, float]
    cosine: float


def save(path: str | os.PathLike, state, model, **about) -> Path:
    """Write what a stream has learned, and return the path.

    `about`: what `remember` takes.

    **Raises** `ValueError` for a model that never learns, for a state in which nothing
    was learned yet, and for tokens or gains that are not of what was read.
    """
    return write(path, remember(state, model, **about))


def remember(
    state,
    model,
    *,
    document: str = "",
    text: str | bytes = "",
    tokens=(),
    name: str = "",
    gains=(),
    rate: float = 1.0,
    form: str = EXACT,
    other: tuple[str, Sequence[int]] | None = None,
) -> Memory:
    """What a stream has learned, as a memory.

    Args:
        state, model: a `StreamState` that read from the start, and its model; in either
            order.
        document, text: the document's name and text; the text is only hashed.
        tokens: the ids that were read. Without them nothing can be read again, neither
            to measure what the memory is worth nor to forget a part of it.
        name: the model's name.
        gains: nats per token that learning saved on each chunk.
        rate: the factor on the inner rate with which the state was made.
        form: one of `FORMS`, or another `rankN`.
        other: name and ids of a text that was not read, to measure on it as well.

    **Raises** what `save` raises.
    """
    from ttt_core.tokens import as_tokens

    rank_of(form)
    state, model = checkpoints.state_first(state, model, "memories.save")
    tokens = as_tokens(tokens, model.config.vocab)
    learned = _learned(state, model, name, len(tokens))
    start, after = arrays_of(model.fast_mlps), arrays_of(state.fast)
    _check_gains(gains, learned // model.config.chunk)
    ids = tokens[:learned]
    card = Card(
        document=str(document),
        document_hash=sha256(text.encode() if isinstance(text, str) else text),
        tokens_hash=hash_of({"ids": ids}) if len(ids) else "",
        span=(0, learned),
        model=name,
        learned_hash=hash_of(after),
        rate=float(rate),
        form=form,
        gain=batch_means(gains) if len(gains) else None,
        made=runs.environment(),
        **_about(model, start),
    )
    change = {k: after[k] - start[k] for k in start}  # [fast_blocks, rows, columns]
    memory = _formed(Memory(card, change, {}, np.asarray(gains, np.float32)))
    if form == EXACT:
        memory = dataclasses.replace(
            memory, missed=named_arrays.missed(start, change, after)
        )
    if not len(ids):
        return memory
    found = _reread(memory, model, ids, start, after)
    if other:
        tree = _tree(model, weights(memory, start))
        (gain,) = rereading.gains([tree], model, other[1])
        found = dataclasses.replace(found, other=other[0], other_gain=gain)
    return dataclasses.replace(memory, card=dataclasses.replace(card, reread=found))


def _learned(state, model, name: str, given: int) -> int:
    """Number of tokens that a state has learned from.

    **Raises** `ValueError` where there are none, for a stack of states, and where the
    tokens that are given are not all that were read.
    """
    from ttt_core import stream

    stream.check_single(state)
    read, chunk = int(state.position), model.config.chunk
    learned = read - int(state.n_open)
    if not model.config.learns:
        raise ValueError(
            f"{name or 'This model'} never learns while reading, so a document leaves "
            "nothing in its weights; name a model that learns."
        )
    if learned < chunk:
        raise ValueError(
            f"Nothing was learned yet: the state has read {read:,} tokens, and a chunk "
            f"has {chunk:,}."
        )
    if given and given < learned:
        raise ValueError(
            f"The state has learned from {learned:,} tokens, and `tokens` has "
            f"{given:,}: give all that were read, or none."
        )
    return learned


def _check_gains(gains, chunks: int):
    if len(gains) not in (0, chunks):
        raise ValueError(
            f"`gains` has one number for each of the {chunks:,} chunks that were "
            f"learned: got {len(gains):,}."
        )


def _about(model, start: Arrays) -> dict:
    """What a card says about a model and the fast weights that it starts from."""
    config = model.config
    return {
        "chunk": config.chunk,
        "model_hash": checkpoints.model_hash(model),
        "start_hash": hash_of(start),
        "rule": config.inner.rule,
        "lr": config.inner.lr,
        "clip": config.inner.clip,
        "start_norms": {k: tuple(norms(matrix)) for k, matrix in start.items()},
    }


def write(path: str | os.PathLike, memory: Memory) -> Path:
    """Write a memory to one file, whole or not at all, and return the path."""
    return files.write(path, as_bytes(memory))


def as_bytes(memory: Memory) -> bytes:
    """The contents of a memory's file."""
    from safetensors.numpy import save as to_bytes

    arrays = _encoded(memory)
    card = json.dumps(results.to_json(memory.card), allow_nan=False)
    marks = {"format": FORMAT, "card": card, "sha256": _seal(card, arrays)}
    return to_bytes(arrays, metadata=marks)


def open_memory(name: str | os.PathLike) -> Memory:
    """The memory in a file, or of that name among the runs. Opens without JAX.

    **Raises** `FileNotFoundError` naming the memories there are, `ValueError` for a
    file that is no memory, or damaged.
    """
    return _opened(find(name))


def open_bytes(data: bytes, called: str) -> Memory:
    """The memory in the bytes of a file that somebody gave, named `called`.

    **Raises** `ValueError` for bytes that are no memory, are damaged, or would take
    more than `LARGEST` bytes once opened.
    """
    if len(data) > LARGEST:
        most = f"at most {LARGEST / 1e6:,.0f} MB"
        raise ValueError(f"{called} has {len(data) / 1e6:,.0f} MB; give {most}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given"
        path.write_bytes(data)
        return _opened(path, called)


def _opened(path: Path, called: str = "") -> Memory:
    """The memory in a file; `called`: another name than the path's, for sentences."""
    (marks, arrays), path = _read(path, called), called or path
    if marks.get("format") != FORMAT:
        raise ValueError(f"{path} is not a memory; `ttt-lab memory save` writes one.")
    found, said = _seal(marks.get("card", ""), arrays), marks.get("sha256", "")
    if found != said:
        raise ValueError(
            f"{path} is damaged: its contents have sha256 {found[:12]}, but "
            f"{said[:12]} was written; take a copy, or read the document again."
        )
    try:
        return _decoded(results.from_json(Card, json.loads(marks["card"])), arrays)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is a memory that lacks {error}.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is a memory that makes no sense: {error}") from error


def load(name: str | os.PathLike, model, *, alpha: float = 1.0, capacity: int = 4096):
    """A fresh `StreamState` with a memory in its weights: an empty window, BOS pending.

    Ask it, let it write, or read on. `alpha`: how much of the change, from 0 (W0) to 2.
    `capacity`: as in `ttt_core.init_state`.

    **Raises** what `open_memory` and `fast_weights` raise.
    """
    import ttt_core as ttt

    fast = fast_weights(open_memory(name), model, alpha, called=str(name))
    state = ttt.init_state(model, capacity=capacity)
    return dataclasses.replace(state, fast=fast)


def fast_weights(memory: Memory, model, alpha: float = 1.0, *, called: str = "It"):
    """The fast weights `W_0 + alpha * change` of the model that made the memory.

    For `alpha = 1` and the form `float32` they are bit for bit those that the document
    left. `called`: the name of the file, for sentences.

    **Raises** `ValueError` for another model or another W0, naming both hashes, and for
    an `alpha` outside 0 to 2.
    """
    check_factor(alpha)
    start = arrays_of(model.fast_mlps) if model.config.fast_blocks else {}
    _check_model(memory.card, model, start, called)
    forms.check_fits(memory.change, memory.missed, start, called)
    found = weights(memory, start, alpha)
    is_exact = alpha == 1 and memory.card.form == EXACT and memory.card.learned_hash
    if is_exact and hash_of(found) != memory.card.learned_hash:
        raise ValueError(
            f"{called} does not give the weights that were learned "
            f"(hash {memory.card.learned_hash[:12]}, found {hash_of(found)[:12]})."
        )
    return _tree(model, found)


def weights(memory: Memory, start: Arrays, alpha: float = 1.0) -> Arrays:
    """`W_0 + alpha * change` in NumPy; with `alpha = 1`, what the sum misses as well.

    NumPy and not JAX: the sum has the same bits on every device.
    """
    scaled = lambda change: change if alpha == 1 else change * change.dtype.type(alpha)
    found = {k: start[k] + scaled(change) for k, change in memory.change.items()}
    for k, (place, value) in memory.missed.items() if alpha == 1 else ():
        found[k].reshape(-1)[place] = value
    return found


def mix(parts: list[tuple[float, str | os.PathLike]]) -> Memory:
    """The sum of memories, each times a factor: `a * A + b * B`.

    With one part, that memory with more or less of its change.

    **Raises** `ValueError` for no parts, a factor outside 0 to 2, or memories of
    different models, naming both hashes.
    """
    if not parts:
        raise ValueError("Name at least one memory to mix.")
    return mix_opened([(by, str(name), open_memory(name)) for by, name in parts])


def mix_opened(parts: list[tuple[float, str, Memory]]) -> Memory:
    """The same for memories in hand: factor, name and memory of each."""
    from ttt_core import fast

    total, cards = None, []
    for factor, name, memory in parts:
        check_factor(factor)
        cards.append(memory.card)
        check_same_model(cards[0], memory.card, parts[0][1], name)
        forms.check_fits(memory.change, memory.missed, parts[0][2].change, name)
        part = fast.scale(memory.change, factor)
        total = part if total is None else fast.add(total, part)
    total = {k: np.asarray(matrix) for k, matrix in total.items()}
    words = tuple(f"{factor:g} * {name}" for factor, name, _ in parts)
    blank = dict(document="", document_hash="", tokens_hash="", learned_hash="")
    more = dict(form=EXACT, mixed=words, gain=None, reread=None, span=(0, 0))
    card = dataclasses.replace(cards[0], **blank, **more, made=runs.environment())
    return Memory(card, total, {}, np.zeros(0, np.float32))


def compare(one: Memory, other: Memory) -> tuple[Part, ...]:
    """Norms and cosine of two memories, matrix by matrix and block by block.

    **Raises** `ValueError` for memories of different models, naming both hashes.
    """
    check_same_model(one.card, other.card, one.card.title, other.card.title)
    return tuple(
        Part(
            k,
            block,
            (norm(a), norm(b)),
            named_arrays.cosine(a, b),
        )
        for k in one.change
        for block, (a, b) in enumerate(zip(one.change[k], other.change[k], strict=True))
    )


def cosine(one: Memory, other: Memory) -> float:
    """Cosine of two memories over all their matrices; 0 where one is zero.

    NaN for memories of different models: their changes are no sides of one angle.
    """
    if one.card.start_hash != other.card.start_hash:
        return math.nan
    flat = lambda memory: np.concatenate([m.ravel() for m in memory.change.values()])
    return named_arrays.cosine(flat(one), flat(other))


def sizes(memory: Memory) -> dict[str, tuple[float, ...]]:
    """Matrix -> `|change| / |W0|` in each fast block; NaN where W0 is zero."""
    start = memory.card.start_norms
    whole = lambda k: np.where(np.array(start[k]) > 0, start[k], np.nan)
    share = lambda k, m: np.array(norms(m)) / whole(k)
    return {k: tuple(share(k, m).tolist()) for k, m in memory.change.items()}


def folder() -> Path:
    """Where memories go by their names alone (`TTT_LAB_RUNS` moves it)."""
    return files.runs() / "memories"


def find(name: str | os.PathLike) -> Path:
    """The file at a path, or the memory of that name among the runs.

    **Raises** `FileNotFoundError` naming the memories there are.
    """
    given = files.expanded(name)
    for path in (given, folder() / f"{name}{ENDING}", folder() / str(name)):
        if path.is_file():
            return path
    known = [path.stem for path in paths()]
    there = "" if known else " Make one with `ttt-lab memory save`."
    raise FileNotFoundError(unknown("memory", str(name), known) + there)


def paths() -> list[Path]:
    """The files in `folder`, in order."""
    return sorted(folder().glob(f"*{ENDING}"))


def check_factor(alpha: float):
    """**Raises** `ValueError` for a factor outside 0 to 2."""
    if not 0 <= alpha <= MOST:
        raise ValueError(
            f"A memory is taken 0 to {MOST:g} times: got {alpha:g}; 1 is all of it."
        )


def check_free(path: Path, there: Card, tokens_hash: str, model_hash: str):
    """Check that the memory at `path` may be replaced: by the same one, made anew.

    **Raises** `ValueError` where it is a memory of other tokens or another model.
    """
    if (there.tokens_hash, there.model_hash) != (tokens_hash, model_hash):
        raise ValueError(
            f"{path} holds a memory of {there.title} and is not overwritten; give "
            "another --out, or remove the file."
        )


def check_same_model(one: Card, other: Card, first: str, second: str):
    """**Raises** `ValueError` where two memories are of different models or W0."""
    for field, what in (("start_hash", "W0"), ("model_hash", "model")):
        a, b = getattr(one, field), getattr(other, field)
        if a != b:
            raise ValueError(
                f"{first} and {second} are memories of different models "
                f"({one.model or 'one'}, {what} {a[:12]}; {other.model or 'another'}, "
                f"{what} {b[:12]}), so their changes cannot be set side by side."
            )


def _check_model(card: Card, model, start: Arrays, called: str):
    name = f"{card.model or 'the model that made it'}"
    for what, theirs, ours in (
        ("W0", card.start_hash, hash_of(start)),
        ("hash", card.model_hash, checkpoints.model_hash(model)),
    ):
        if theirs != ours:
            raise ValueError(
                f"{called} is a memory of another model: of {name} ({what} "
                f"{theirs[:12]}), while this model has {what} {ours[:12]}; a change "
                f"fits only the weights it was learned from, so name {name}."
            )


def _reread(memory: Memory, model, ids, start: Arrays, after: Arrays) -> Reread:
    chunks = rereading.draw(memory.card.chunks, seed=SEED)
    nats = lambda arrays: rereading.nats(model, _tree(model, arrays), ids, chunks)
    frozen, exact = nats(start), nats(after)
    some = [nats(weights(memory, start, alpha)) for alpha in ALPHAS]
    formed = some[ALPHAS.index(1.0)]
    gains = tuple(interval(frozen - found) for found in some)
    drawn = tuple(int(i) for i in chunks)
    return Reread(drawn, SEED, ALPHAS, gains, interval(formed - exact))


def _tree(model, arrays: Arrays):
    """Fast weights of a model from NumPy arrays."""
    import jax.numpy as jnp

    parts = {k: jnp.asarray(matrix) for k, matrix in arrays.items()}
    return dataclasses.replace(model.fast_mlps, **parts)


def _formed(memory: Memory) -> Memory:
    """The memory as it will be after writing and opening: with what the form loses."""
    return dataclasses.replace(
        memory, change=forms.decoded(memory.change, _encoded(memory))
    )


def _encoded(memory: Memory) -> Arrays:
    """The arrays of a file."""
    found = forms.encoded(memory.change, memory.card.form)
    for k, (place, value) in memory.missed.items():
        found |= {f"place.{k}": place, f"value.{k}": value}
    return found | {"gains": memory.gains}


def _decoded(card: Card, arrays: Arrays) -> Memory:
    """What `_encoded` wrote."""
    change = forms.decoded(card.start_norms, arrays, LARGEST)
    places = [k for k in card.start_norms if f"place.{k}" in arrays]
    missed = {k: (arrays[f"place.{k}"], arrays[f"value.{k}"]) for k in places}
    return Memory(card, change, missed, arrays["gains"])


def _read(path: Path, called: str = "") -> tuple[dict, Arrays]:
    """Marks and arrays of a safetensors file, named `called` in sentences."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, arrays
    except (SafetensorError, AttributeError, TypeError, ValueError) as error:
        words = f"{called or path} is not a memory, or is damaged ({error})."
        raise ValueError(words) from error


def _seal(card: str, arrays: Arrays) -> str:
    return sha256(card.encode() + hash_of(arrays).encode())
