"""A trace: everything that was measured while one document was read, in one file.

A reading is expensive once and looked at many times. So a file records the text, the
tokens and their places in the text, the nats of every token with learning and without,
and the change of the fast weights in each chunk. The file is a NumPy `.npz` with a
versioned JSON header and opens without jax, in milliseconds, so the explorer's first
picture needs no model.

A chunk is *filled* once all its tokens have been read and the model has learned from
them. Arrays per token run up to the last token read, arrays per chunk up to the last
filled chunk. NaN means "not measured (yet)": the frozen twin may lag behind, and a
question may not have been asked.

Traces are written by `lab.reading`, drawn by `lab.plots`, listed by `lab.published`.
"""

import dataclasses
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lab import files
from lab.measure.intervals import batch_means


VERSION = 1
NEVER_LEARNS = "never learns"  # of a model that takes no step on the text it reads

# The streams that are asked for the needle, in the order of the arrays' second axis.
STREAMS = (
    "learning, needle present",
    "learning, needle absent",
    "frozen, needle present",
    "frozen, needle absent",
)

_DTYPES = {
    "tokens": np.int32,
    "spans": np.int32,
    "nll": np.float32,
    "nll_twin": np.float32,
    "loss": np.float32,
    "loss_twin": np.float32,
    "grad_norm": np.float32,
    "update_norm": np.float32,
    "learned": np.bool_,
    "refused": np.bool_,
    "drift": np.float32,
    "needle_nll": np.float32,
    "needle_rank": np.int32,
}
# What a header's JSON holds, as `files.fits` reads it, and which numbers are counts.
_NUMBER = int | float
_EVENT = {"chunk": int, "token": int, "kind": str, "label": str}
_NEEDLE = {"sentence": str, "question": str, "answer": str, "start": int, "stop": int}
_COUNTS = ("vocab", "window", "chunk", "layers", "reach", "fast_blocks", "total")
_WORDS = ("model", "model_hash", "document", "tokenizer", "remark", "audited")
_HEADER = {
    **dict.fromkeys(_WORDS, str),
    **dict.fromkeys(_COUNTS, int),
    "inner_lr": _NUMBER,
    "events": [_EVENT],
    "provenance": dict,
    "mixers": [str],
    "carried_by": [str],
    "attends": bool,
}
_MOST = 2**31 - 1  # of anything counted
# The first recordings lack these.
_LATER = {
    "mixers": [],
    "carried_by": [],
    "attends": True,
    "remark": "",
    "audited": "",
}
_PER_TOKEN = ("tokens", "spans", "nll", "nll_twin")
_PER_CHUNK = tuple(name for name in _DTYPES if name not in _PER_TOKEN)


@dataclass(frozen=True)
class Needle:
    """A planted sentence, its question and answer; `start`, `stop` are tokens."""

    sentence: str
    question: str
    answer: str
    start: int
    stop: int


@dataclass(frozen=True)
class Event:
    """A moment worth a mark, at `token`, while `chunk` was read.

    `kind` is a short word ("needle-in", "needle-out", "refused"), `label` is for
    people.
    """

    chunk: int
    token: int
    kind: str
    label: str


@dataclass(frozen=True)
class Header:
    """What was read, by which model, and how that came about.

    Attributes:
        model, model_hash: name and sha256 of the model.
        document, tokenizer, vocab: names of text and tokenizer, size of the vocabulary.
        window, chunk, layers: sizes in tokens, tokens, blocks.
        reach: `ModelConfig.reach`, how many tokens back mixers carry information; 0 =
            all.
        mixers: kinds of mixer in the blocks, each kind once; () = not recorded.
        carried_by: names, for people, of the mixers that carry the whole past.
        attends: whether any block has a mixer.
        remark: what a model that takes no step on the text learns; "" = nothing.
        audited: the certificate of the model in one line; "" = there was none.
        fast_blocks, inner_lr: number of blocks that learn while reading, and the rate.
        total: tokens in the whole document; a reading that was stopped has fewer.
        needle: the planted needle, or None.
        events: marks on the time line, in order.
        provenance: command, commit, date, seed, document_hash; of a reading that goes
            on from a saved stream, also `resumed`, the stream's hash.
    """

    model: str
    model_hash: str
    document: str
    tokenizer: str
    vocab: int
    window: int
    chunk: int
    layers: int
    reach: int
    fast_blocks: int
    inner_lr: float
    total: int
    needle: Needle | None = None
    events: tuple[Event, ...] = ()
    provenance: dict = field(default_factory=dict)
    mixers: tuple[str, ...] = ()
    carried_by: tuple[str, ...] = ()
    attends: bool = True
    remark: str = ""
    audited: str = ""
    version: int = VERSION

    @property
    def learns(self) -> bool:
        """Whether reading changes weights; if not, the learner is its own twin."""
        return self.inner_lr > 0 and self.fast_blocks > 0

    @property
    def its_own_twin(self) -> str:
        """Why the learner is its own twin, in words; empty if it is not."""
        return "" if self.learns else self.remark or NEVER_LEARNS

    @property
    def identity(self) -> dict:
        """Which reading it is: readings that agree in this have the same numbers."""
        named = ("document_hash", "resumed", "rate")
        text, since, rate = map(self.provenance.get, named)
        return {
            "model": [self.model_hash, rate] if rate else self.model_hash,
            "document": [text, since] if since else text,
            "needle": dataclasses.asdict(self.needle) if self.needle else None,
            "tokens": self.total,
        }

    @property
    def chunks(self) -> int:
        """Number of full chunks in the whole document."""
        return self.total // self.chunk


@dataclass(frozen=True)
class Trace:
    """One reading, so far.

    Shapes: n tokens read, c chunks filled, f fast blocks, a answer tokens. All losses
    are in nats per token.

    Attributes:
        header: text, model and circumstances of the reading.
        text: the UTF-8 bytes of the whole document, including the part not yet read.
        tokens: `int32 [n]`.
        spans: `int32 [n, 2]`, first byte of each token in `text`, and the byte after.
        nll, nll_twin: `float32 [n]`, cost of each token with learning and without.
        loss, loss_twin: `float32 [c]`, mean cost of each chunk.
        grad_norm, update_norm: `float32 [c]`, norms of the inner gradient before the
            clip and of the step.
        learned, refused: `bool [c]`.
        drift: `float32 [c, f]`, distance from W0 relative to W0's norm.
        needle_nll: `float32 [c, 4, a]`, the answer's cost after each chunk, `STREAMS`.
        needle_rank: `int32 [c, 4, a]`, number of entries likelier than the right one;
            -1 = not asked.
    """

    header: Header
    text: bytes
    tokens: np.ndarray
    spans: np.ndarray
    nll: np.ndarray
    nll_twin: np.ndarray
    loss: np.ndarray
    loss_twin: np.ndarray
    grad_norm: np.ndarray
    update_norm: np.ndarray
    learned: np.ndarray
    refused: np.ndarray
    drift: np.ndarray
    needle_nll: np.ndarray
    needle_rank: np.ndarray

    def __post_init__(self):
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        _check_shapes(self)

    @property
    def filled(self) -> int:
        """Number of chunks read and learned from."""
        return len(self.loss)

    @property
    def read(self) -> int:
        """Number of tokens read."""
        return len(self.tokens)

    @property
    def ends(self) -> np.ndarray:
        """Tokens read when each chunk was filled, `int [c]`: the x axis of pictures."""
        return (1 + np.arange(self.filled)) * self.header.chunk

    @property
    def token_gain(self) -> np.ndarray:
        """Nats that learning saved on each token, `[n]`."""
        return self.nll_twin - self.nll

    @property
    def gain(self) -> np.ndarray:
        """Nats per token that learning saved on each chunk, `[c]`."""
        return self.loss_twin - self.loss

    @property
    def mean_gain(self) -> np.ndarray:
        """Mean of `gain` over all chunks so far, `[c]`; NaN where the twin lags."""
        return np.cumsum(self.gain) / (1 + np.arange(self.filled))

    def gain_interval(self, blocks: int = 20) -> tuple[float, float] | None:
        """Mean gain so far and the half-width of its 95 % interval, in nats per token.

        Neighbouring chunks are alike, so the interval comes from the means of `blocks`
        consecutive stretches, fewer in a short text (`intervals.batch_means`). None for
        fewer than three chunks.
        """
        found = batch_means(self.gain, blocks)
        return (found.mean, found.half) if found.is_known else None

    def recall(self, *, learning: bool) -> np.ndarray:
        """Nats that the needle saves on its answer, `[c]`.

        The answer's cost with the needle absent (replaced by filler of as many tokens)
        minus its cost with the needle present. NaN where no question was asked or no
        needle was planted.
        """
        present, absent = (0, 1) if learning else (2, 3)
        if not self.needle_nll.shape[2]:
            return np.full(self.filled, np.nan, np.float32)
        total = self.needle_nll.sum(axis=2)
        return total[:, absent] - total[:, present]

    def worst_rank(self, stream: int) -> np.ndarray:
        """Number of entries likelier than the right one, for the worst token, `[c]`.

        `stream` indexes `STREAMS`; -1 where no question was asked.
        """
        rank = self.needle_rank[:, stream]
        if not rank.shape[1]:
            return np.full(self.filled, -1, np.int32)
        return np.where((rank < 0).any(axis=1), -1, rank.max(axis=1))

    def upto(self, chunk: int) -> "Trace":
        """The same reading after `chunk` filled chunks; it shares memory.

        A `chunk` that includes all chunks keeps the end of the document too, which
        fills no chunk.
        """
        chunk = max(0, int(chunk))
        if chunk >= self.filled:
            return self
        events = tuple(e for e in self.header.events if e.chunk < chunk)
        short = {name: getattr(self, name)[:chunk] for name in _PER_CHUNK}
        for name in _PER_TOKEN:
            short[name] = getattr(self, name)[: chunk * self.header.chunk]
        header = dataclasses.replace(self.header, events=events)
        return dataclasses.replace(self, header=header, **short)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of each value and up to `width - 1` earlier ones, `[c]`; NaN stays NaN."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    stop = 1 + np.arange(len(values))
    start = np.maximum(stop - width, 0)
    mean = (total[stop] - total[start]) / np.maximum(count[stop] - count[start], 1)
    return np.where(known, mean, np.nan)


def to_bytes(trace: Trace) -> bytes:
    """The content of a trace's file, the same bytes for the same trace."""
    arrays = {name: getattr(trace, name) for name in _DTYPES}
    # Token ends grow by only a few bytes at a time, so differences compress well.
    arrays["spans"] = np.diff(arrays["spans"].ravel(), prepend=np.int32(0))
    arrays["text"] = np.frombuffer(trace.text, np.uint8)
    header = json.dumps(dataclasses.asdict(trace.header), ensure_ascii=False)
    arrays["header"] = np.frombuffer(header.encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def save(path: str | Path, trace: Trace) -> Path:
    """Write `trace` to `path` (folders are made) and return the path.

    A reader never sees half a file.
    """
    return files.write(path, to_bytes(trace))


def load(path: str | Path) -> Trace:
    """The trace in the file `path`.

    **Raises** `FileNotFoundError` if there is no file, `ValueError` if the file is not
    a trace, is cut short, lacks an array, or was written in another version of this
    format.
    """
    with _opened(path) as archive:
        header = _header(path, archive)
        missing = [n for n in ("text", *_DTYPES) if n not in archive.files]
        if missing:
            raise ValueError(
                f"The trace {path} is incomplete: it lacks {', '.join(missing)}. "
                "Record it again with `ttt-lab stream --out`."
            )
        kinds = {"text": np.uint8, **_DTYPES}
        arrays = {name: _array(path, archive, name, kinds[name]) for name in kinds}
    text = arrays.pop("text").tobytes()
    try:
        spans = np.cumsum(arrays.pop("spans"), dtype=np.int32).reshape(-1, 2)
        _check_spans(spans, len(text))
        return Trace(header=header, text=text, spans=spans, **arrays)
    except ValueError as error:
        raise ValueError(f"The trace {path} contradicts itself: {error}") from error


def peek(path: str | Path) -> Header:
    """Only the header of the trace in the file `path`.

    **Raises** what `load` raises.
    """
    with _opened(path) as archive:
        return _header(path, archive)


def _opened(path: str | Path):
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"There is no trace {path}: record one with `ttt-lab stream --out {path}`."
        )
    # np.load reads from memory here, because it leaves a damaged file open.
    content = io.BytesIO(Path(path).read_bytes())
    try:
        archive = np.load(content, allow_pickle=False)
    except Exception as error:  # zipfile and numpy have many
        raise ValueError(_broken(path)) from error
    if not hasattr(archive, "files") or "header" not in archive.files:
        raise ValueError(_broken(path))
    return archive


def _array(path: str | Path, archive, name: str, kind: type) -> np.ndarray:
    try:
        found = archive[name]
    except Exception as error:  # zipfile, zlib and numpy have many
        raise ValueError(_broken(path)) from error
    held = getattr(found, "dtype", type(found).__name__)
    if held != kind:
        raise ValueError(
            f"The trace {path} is damaged: `{name}` holds {held} where "
            f"{np.dtype(kind)} belongs; record it again with `ttt-lab stream --out`."
        )
    return found


def _header(path: str | Path, archive) -> Header:
    try:
        values = json.loads(_array(path, archive, "header", np.uint8).tobytes())
        version = values["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(_broken(path)) from error
    if version != VERSION:
        raise ValueError(
            f"The trace {path} has format version {version}, this program reads "
            f"version {VERSION}: record the trace again, or use the version that wrote "
            "it."
        )
    try:
        return _header_from(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The header of the trace {path} is damaged: {error}"
        ) from error


def _header_from(values: dict) -> Header:
    values = _LATER | values
    needle = values["needle"] or None
    _check_header(values, needle)
    return Header(
        **values
        | {
            "mixers": tuple(values["mixers"]),
            "carried_by": tuple(values["carried_by"]),
            "needle": Needle(**needle) if needle else None,
            "events": tuple(Event(**event) for event in values["events"]),
        }
    )


def _check_header(values: dict, needle: dict | None):
    """Check what a header's JSON holds, as anybody may have written it."""
    if not files.fits(values, _HEADER) or not (
        needle is None or files.fits(needle, _NEEDLE)
    ):
        raise ValueError("something in it is missing or of another type.")
    counts = [values[name] for name in _COUNTS]
    counts += [event[name] for event in values["events"] for name in ("chunk", "token")]
    counts += [needle["start"], needle["stop"]] if needle else []
    if min(counts) < 0 or max(counts) > _MOST or not values["chunk"]:
        raise ValueError("a count in it is no count.")
    fits = values["fast_blocks"] <= values["layers"]
    if not (fits and 0 <= values["inner_lr"] < 1e9):
        raise ValueError("its sizes contradict each other.")


def _broken(path: str | Path) -> str:
    return (
        f"{path} is not a trace, or was cut short when it was copied: record it again "
        "with `ttt-lab stream --out`."
    )


def _check_spans(spans: np.ndarray, size: int):
    starts, stops = spans.T
    if ((starts < 0) | (starts > stops) | (stops > size)).any():
        raise ValueError(f"`spans` do not lie within the {size:,} bytes of its text.")


def _check_shapes(trace: Trace):
    tokens, chunks = len(trace.tokens), len(trace.loss)
    answer = trace.needle_nll.shape[-1] if trace.needle_nll.ndim == 3 else 0
    expected = {name: (tokens,) for name in _PER_TOKEN}
    expected |= {name: (chunks,) for name in _PER_CHUNK}
    expected["spans"] = (tokens, 2)
    expected["drift"] = (chunks, trace.header.fast_blocks)
    expected["needle_nll"] = expected["needle_rank"] = (chunks, len(STREAMS), answer)
    for name, shape in expected.items():
        found = getattr(trace, name).shape
        if found != shape:
            raise ValueError(f"`{name}` must have shape {shape}: got {found}.")
    if chunks * trace.header.chunk > tokens:
        raise ValueError(
            f"{chunks} chunks of {trace.header.chunk} tokens cannot come from {tokens} "
            "tokens read."
        )
