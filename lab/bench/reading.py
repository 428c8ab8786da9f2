"""What does a token cost to read and to write, after 8 K, 32 K and 128 K tokens?

Every system first reads its way to the longest context. Full attention, whose cost does
not depend on the contents of its buffers, gets buffers of noise instead (reading 128 K
tokens would take an hour). Then all systems and contexts take turns, so that a machine
that slows down slows all of them; the best of the turns counts. The size of a state is
measured too.

* *Reading* (prefill) is timed piece by piece. A learner's piece is a chunk; systems
  that do not learn read wider pieces, which are faster for them. The mean cost of a
  prompt is the trapezoid rule over the costs on the way.
* *Writing* (decode) is timed token by token; a learner's tokens include their share of
  the inner step.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from lab.measure.pieces import widened, widest


WRITTEN = 8


@dataclasses.dataclass(frozen=True, eq=False)
class ReadingCost:
    """Seconds per token of one system at each of `positions`, `[positions]` each.

    `reading`: at that position. `prompt`: the mean over a prompt of that length.
    `writing`: decoding. `state_bytes`: size of the state. `piece`: tokens per timed
    reading. `spread`: the median turn's reading time over the best turn's, the largest
    of all positions.
    """

    system: str
    piece: int
    learns: bool
    positions: np.ndarray
    reading: np.ndarray
    prompt: np.ndarray
    writing: np.ndarray
    state_bytes: np.ndarray
    compile_seconds: float
    spread: float = 1.0

    @property
    def flatness(self) -> float:
        """Reading cost at the longest context over the cost at the first position."""
        return float(self.reading[-1] / self.reading[0])


@dataclasses.dataclass(frozen=True)
class Row:
    """A `ReadingCost` in plain numbers: milliseconds per token, `[positions]`.

    `late_over_early`: reading cost at the longest context over the first position's.
    """

    system: str
    piece: int
    positions: tuple[int, ...]
    reading_ms: tuple[float, ...]
    prompt_ms: tuple[float, ...]
    writing_ms: tuple[float, ...]
    state_bytes: tuple[int, ...]
    late_over_early: float
    first_call_seconds: float


@dataclasses.dataclass(frozen=True)
class ReadingBench:
    """What a token costs to read and to write, one row per system."""

    KIND: ClassVar[str] = "bench-read"
    repeats: int
    notes: tuple[str, ...]
    rows: tuple[Row, ...]


def row(cost: ReadingCost) -> Row:
    """A cost in plain numbers."""
    milli = lambda seconds: tuple((1e3 * seconds).tolist())
    return Row(
        system=cost.system,
        piece=cost.piece,
        positions=tuple(cost.positions.tolist()),
        reading_ms=milli(cost.reading),
        prompt_ms=milli(cost.prompt),
        writing_ms=milli(cost.writing),
        state_bytes=tuple(cost.state_bytes.tolist()),
        late_over_early=cost.flatness,
        first_call_seconds=cost.compile_seconds,
    )


def _full_at(config) -> int:
    """The position at which a model's windows, if it has any, are full."""
    from ttt_core.mixers import kinds_of

    has_window = any("window" in kind.least for kind in kinds_of(config))
    return max(2 * config.window * has_window, widest(config))


def measure_reading(
    models: dict,
    *,
    contexts: Sequence[int] = (8192, 32_768, 131_072),
    repeats: int = 5,
    report: Callable[[str, int], None] | None = None,
) -> list[ReadingCost]:
    """Costs of all models, by name, measured in turns.

    Positions are the first at which all windows are full, and the contexts, rounded
    down to pieces. `report(name, position)`: called before each turn.

    **Raises** `ValueError` if no context is beyond the first position, or `repeats` is
    not positive.
    """
    if repeats < 1:
        raise ValueError(f"`repeats` must be >= 1: got {repeats}.")
    configs = [model.config for model in models.values()]
    first = max(map(_full_at, configs))
    contexts = sorted({first, *(c for c in contexts if c > first)})
    if len(contexts) < 2:
        raise ValueError(f"Name a context of more than {first} tokens.")
    readers = {name: _Reader(name, model, first) for name, model in models.items()}
    tell = report or (lambda name, position: None)
    for name, reader in readers.items():
        for context in contexts:
            tell(name, context)
            reader.go_to(context)
    for _ in range(repeats):
        for i, context in enumerate(contexts):
            for name, reader in readers.items():
                tell(name, context)
                reader.take_turn(i)
    return [reader.cost() for reader in readers.values()]


class _Reader:
    """One system, its states at the positions reached so far, and its times."""

    def __init__(self, name: str, model, first: int):
        import ttt_core as ttt
        from ttt_core.mixers import kinds_of

        config = model.config
        self.name, self.learns, self.piece = name, config.learns, widest(config)
        self.model = widened(model)  # the programs read one piece as one chunk
        self.room = 2 * self.piece + WRITTEN
        self.tokens = np.random.default_rng(0).integers(0, config.vocab, 4096)
        self.state = ttt.init_state(self.model, capacity=first + self.room)
        self.fills = any(kind.grows for kind in kinds_of(config))
        self.positions, self.states, self.times = [], [], []
        self.compile_seconds = 0.0

    def go_to(self, context: int):
        """Read up to `context`, and keep the state."""
        import ttt_core as ttt

        stop = context // self.piece * self.piece
        position = int(self.state.position)
        if self.fills and self.positions:
            self.state = _jump(self.state, stop)
            position = stop
        for start in range(position, stop, self.piece):
            began = time.perf_counter()
            found = ttt.read_chunk(self.model, self.state, self._piece(start))
            self.state, report = found
            if start % 16_384 == 0:
                np.asarray(report.nll)  # wait: do not queue work far ahead
            if not start:
                self.compile_seconds = time.perf_counter() - began
        self.positions.append(stop)
        self.states.append(_roomy(self.state, self.room))
        self.times.append([])
        self._time(self.states[-1])  # compiles for this buffer

    def take_turn(self, i: int):
        """Time one piece and a few written tokens at the `i`-th position.

        The first call is not timed: the system before has emptied the caches.
        """
        self._time(self.states[i])
        self.times[i].append(self._time(self.states[i]))

    def cost(self) -> ReadingCost:
        """The cost in the best of all turns."""
        reading, writing = np.array([np.min(turns, axis=0) for turns in self.times]).T
        positions = np.array(self.positions)
        if self.learns:
            writing = writing + reading  # a token's share of reading its chunk
        steps = np.diff(positions) * (reading[1:] + reading[:-1]) / 2
        total = np.cumsum([positions[0] * reading[0], *steps])
        return ReadingCost(
            system=self.name,
            piece=self.piece,
            learns=self.learns,
            positions=positions,
            reading=reading,
            prompt=total / positions,
            writing=writing,
            state_bytes=np.array(
                [
                    _weight(*pair)
                    for pair in zip(self.states, self.positions, strict=True)
                ]
            ),
            compile_seconds=self.compile_seconds,
            spread=self._spread(),
        )

    def _spread(self) -> float:
        turns = np.array([[read for read, _ in turns] for turns in self.times])
        return float((np.median(turns, axis=1) / turns.min(axis=1)).max())

    def _piece(self, start: int) -> np.ndarray:
        return np.roll(self.tokens, -start)[: self.piece]

    def _time(self, state) -> tuple[float, float]:
        """Seconds per token, for reading one piece and for writing a few tokens."""
        import jax

        import ttt_core as ttt

        began = time.perf_counter()
        found = ttt.read_chunk(self.model, state, self._piece(int(state.position)))
        jax.block_until_ready(found)
        read = time.perf_counter()
        ttt.generate(self.model, state, [], WRITTEN, key=jax.random.key(0))
        written = time.perf_counter()
        return (read - began) / self.piece, (written - read) / WRITTEN


def _is_full(state) -> bool:
    from ttt_core.mixers.full import FullState

    return isinstance(state, FullState)


def _change_buffers(state, change: Callable):
    import jax

    one = lambda s: change(s) if _is_full(s) else s
    mixers = jax.tree.map(one, state.mixers, is_leaf=_is_full)
    return dataclasses.replace(state, mixers=mixers)


def _roomy(state, more: int):
    """The state with room for exactly `more` tokens."""
    from ttt_core.mixers.full import grow

    needed = int(state.position) + more
    return _change_buffers(state, lambda s: grow(s, max(needed, s.keys.shape[-2])))


def _jump(state, position: int):
    """The state as if `position` tokens had been read: buffers hold noise."""
    import jax
    import jax.numpy as jnp

    def fill(buffer):
        shape = (*buffer.keys.shape[:-2], position, buffer.keys.shape[-1])
        keys, values = (
            jax.random.normal(jax.random.key(i), shape, buffer.keys.dtype)
            for i in range(2)
        )
        count = jnp.full_like(buffer.count, position)
        return dataclasses.replace(buffer, keys=keys, values=values, count=count)

    state = _change_buffers(state, fill)
    return dataclasses.replace(state, position=jnp.asarray(position, jnp.int32))


def _weight(state, position: int) -> int:
    """Bytes of a state; buffers count as far as they are filled."""
    import jax

    total = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    for buffer in filter(_is_full, jax.tree.leaves(state.mixers, is_leaf=_is_full)):
        room = buffer.keys.shape[-2]
        total -= (buffer.keys.nbytes + buffer.values.nbytes) * (room - position) // room
    return total
