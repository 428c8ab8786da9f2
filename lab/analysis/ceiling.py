"""What is the far context worth at all, and how much of it does learning get?

Some chunks of the text are read with more and more context before them, from one window
to `FAR` windows. Three readers pay for each chunk: the model that learns, its frozen
twin, and the *ceiling*, a model whose attention sees all of the context.

    gain(c) = twin(c) - learner(c)                what learning saves
    far(c)  = ceiling(c, unrelated) - ceiling(c)  what seeing the far text is worth

In the null (`unrelated`), all of the context before the last window is from an
unrelated document, so that only the far text differs and not its length. Gain below
`far` can be memory of the text; gain above it cannot be had by seeing the text, and is
*repair*: better weights for this kind of text. The learner's gain in the null is what
learning from any text and from the last window is worth. A model that gets less from
the far text than learning does is no ceiling, and the command says so.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.analysis.walk import Subject, spread
from lab.measure.intervals import Interval, interval
from lab.measure.parts import Keep, fresh


PLACES = 20  # chunks that are read with every context
FAR = 16  # windows, the longest context
BATCH = 4  # rows that are read side by side
LEARNER, TWIN, CEILING = "learner", "twin", "ceiling"


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """Gain of learning against the worth of the far context, by length of context.

    `ceiling`, `sha256`, `trained_to`: the model that sees all, its hash, its longest
    training sequence (None if unknown). `places [n]`: first tokens of the chunks.
    `contexts [m]`: tokens before them.

    Intervals over chunks, by context: `gain`, `far`, and `repair`, which is `gain -
    far`. `null`: gain of learning with an unrelated far context. `text`: `gain - null`,
    what learning gets from the far text being this one. `sees`, `sees_null`: what more
    context than a window is worth to the ceiling, of this document and of the unrelated
    one. `window`: what more of this document is worth to the twin.
    """

    KIND: ClassVar[str] = "ceiling"
    subject: Subject
    ceiling: str
    sha256: str
    trained_to: int | None
    places: tuple[int, ...]
    contexts: tuple[int, ...]
    gain: tuple[Interval, ...]
    far: tuple[Interval, ...]
    repair: tuple[Interval, ...]
    null: tuple[Interval, ...]
    text: tuple[Interval, ...]
    sees: tuple[Interval, ...]
    sees_null: tuple[Interval, ...]
    window: tuple[Interval, ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where chunks begin, in tokens, and the contexts before them."""

    places: tuple[int, ...]
    contexts: tuple[int, ...]


def plan(tokens: int, chunk: int, window: int, most: int = PLACES) -> Plan:
    """Contexts of one window and doublings, up to half of the text; chunks behind it.

    **Raises** `ValueError` for a text shorter than four windows.

    >>> plan(1024, 64, 128, 3)
    Plan(places=(512, 704, 960), contexts=(128, 256, 512))
    """
    if tokens < 4 * window:
        raise ValueError(
            f"The far context of a window of {window:,} tokens needs a text of "
            f"{4 * window:,}: got {tokens:,}."
        )
    doublings = [window * 2**i for i in range(int(np.log2(FAR)) + 1)]
    contexts = tuple(c for c in doublings if c <= tokens // 2)
    first = -(-contexts[-1] // chunk)
    places = spread(first, tokens // chunk - 1, most)
    return Plan(tuple(chunk * place for place in places), contexts)


def measure(
    readers: dict,
    document: np.ndarray,
    other: np.ndarray,
    planned: Plan,
    *,
    chunk: int,
    report: Callable[[int, int], None] = lambda done, total: None,
    keep: Keep = fresh,
    keys: dict[str, tuple] | None = None,
) -> dict[str, np.ndarray]:
    """Nats per token of every chunk, reader -> `[2, contexts, places]`.

    First come contexts of the document, then the null's.

    `readers`: LEARNER, TWIN and CEILING -> model. `report(done, total)`: counts of
    tokens. `keys`: what decides a reader's numbers, for `keep`.
    """
    bos = readers[LEARNER].config.bos
    text = np.concatenate([[bos], document]).astype(np.int32)
    tables = [_rows(text, planned.places, c, chunk) for c in planned.contexts]
    # The shortest context has nothing far in it, so its null is itself.
    far = [_unrelated(t, other, planned.contexts[0], chunk) for t in tables[1:]]
    tables += far
    total, done = len(readers) * sum(table.size for table in tables), 0
    found = {name: [] for name in readers}
    for name, model in readers.items():
        for rows in tables:
            parts = []
            for piece in np.array_split(rows, -(-len(rows) // BATCH)):
                read = functools.partial(_read, model, piece, chunk)
                key = (*(keys or {}).get(name, ()), name, chunk, piece)
                parts.append(keep(read, *key)[0])
                done += piece.size
                report(done, total)
            found[name].append(np.concatenate(parts))
    many = len(planned.contexts)
    pair = lambda rows: np.stack([rows[:many], [rows[0], *rows[many:]]])
    return {name: pair(rows) for name, rows in found.items()}


def summary(
    subject: Subject,
    planned: Plan,
    nats: dict[str, np.ndarray],
    *,
    ceiling: str,
    sha256: str,
    trained_to: int | None,
) -> Ceiling:
    """The result, from `nats` as `measure` gives them."""
    gains = nats[TWIN] - nats[LEARNER]  # [2, contexts, places]
    sees = nats[CEILING][0, 0] - nats[CEILING]
    far = sees[0] - sees[1]
    over = lambda rows: tuple(interval(row) for row in rows)
    return Ceiling(
        subject=subject,
        ceiling=ceiling,
        sha256=sha256,
        trained_to=trained_to,
        places=planned.places,
        contexts=planned.contexts,
        gain=over(gains[0]),
        far=over(far),
        repair=over(gains[0] - far),
        null=over(gains[1]),
        text=over(gains[0] - gains[1]),
        sees=over(sees[0]),
        sees_null=over(sees[1]),
        window=over(nats[TWIN][0, 0] - nats[TWIN][0]),
    )


def _rows(text: np.ndarray, places, context: int, chunk: int) -> np.ndarray:
    """Each chunk behind its context, `[places, 1 + context + chunk]`.

    `text`: the document behind its BOS, so token `i` is at `i + 1`.
    """
    starts = np.array(places)[:, None] - context
    return text[starts + np.arange(1 + context + chunk)]


def _unrelated(
    rows: np.ndarray, other: np.ndarray, window: int, chunk: int
) -> np.ndarray:
    """The same rows with all before the window from an unrelated text.

    An unrelated text that is too short is read again from its beginning.
    """
    far = rows.shape[1] - 1 - window - chunk
    rows = rows.copy()
    rows[:, 1 : 1 + far] = np.resize(other, far)
    return rows


def _read(model, rows: np.ndarray, chunk: int) -> list[np.ndarray]:
    """Nats per token of each row's last chunk, `[rows]`."""
    padded = np.concatenate([rows, np.repeat(rows[:1], BATCH - len(rows), 0)])
    nats = _program()(model, padded, chunk)
    return [np.asarray(nats, np.float64)[: len(rows)].mean(axis=1)]


@functools.cache
def _program():
    """The compiled reading of rows, learning if the model learns, `[rows, chunk]`."""
    import equinox as eqx
    import jax

    import ttt_core as ttt
    from ttt_core.model import (
        compute_logits,
        cross_entropy,
        init_states,
        run_fast,
        run_slow,
    )

    def frozen(model, chunk, row):
        states = init_states(model, len(row) - 1)
        hidden, _ = run_slow(model, row[:-1], states.slow_blocks)
        hidden, _ = run_fast(model, hidden, states.fast_blocks)  # [seq, d_model]
        return cross_entropy(compute_logits(model, hidden[-chunk:]), row[-chunk:])

    @eqx.filter_jit
    def program(model, rows, chunk):
        if model.config.learns:
            return jax.vmap(lambda row: ttt.meta_loss(model, row)[1].nll[-chunk:])(rows)
        return jax.vmap(lambda row: frozen(model, chunk, row))(rows)

    return program
