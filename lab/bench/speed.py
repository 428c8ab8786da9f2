"""How fast is everything, and what share of this machine's peak is that?

Reading, asking, writing, whole sequences and training, one row each, measured in turns
in one process, so that a machine that slows down slows all of them; the best turn
counts. The share of the peak counts useful operations only (`lab.training.flops`), so
it says how far a row is from what its arithmetic asks for.

A result holds the rows of the result before it, so that before and after stand side by
side. Times of two machines do not compare; shares of the peak do, roughly.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lab.training.machine import measure_peak, seconds_of


QUESTIONS = 64  # asked at once
PROMPT, ANSWER = 32, 32  # tokens of each
WRITTEN = 64  # tokens
LONG = 16  # chunks of a long text
SEQUENCES = 2  # whole sequences, read at once


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast one thing is done, in the best of all turns.

    `ms`: milliseconds for one of its `unit`. `tokens_per_second`: tokens scored,
    written or trained on. `mflop`: useful operations for one `unit`, in millions.
    `share_of_peak`: these per second, over the machine's peak.
    """

    what: str
    unit: str
    ms: float
    tokens_per_second: float
    mflop: float
    share_of_peak: float


@dataclasses.dataclass(frozen=True)
class SpeedBench:
    """How fast a model reads, answers, writes and is trained, on one machine.

    `first_step_seconds`: compiling a training step, and the step. `before`: the rows of
    an earlier result, and `before_peak_gflops` the peak then (0 = there is none).
    """

    KIND: ClassVar[str] = "bench-all"
    model: str
    cores: int
    repeats: int
    peak_gflops: float
    rows: tuple[Speed, ...]
    first_step_seconds: float
    before: tuple[Speed, ...] = ()
    before_peak_gflops: float = 0.0
    before_first_step_seconds: float = math.nan

    def beside(self, earlier: "SpeedBench") -> "SpeedBench":
        """This result with the rows of an earlier one as `before`."""
        return dataclasses.replace(
            self,
            before=earlier.rows,
            before_peak_gflops=earlier.peak_gflops,
            before_first_step_seconds=earlier.first_step_seconds,
        )

    def pairs(self) -> list[tuple[Speed, Speed | None]]:
        """Each row with the one of the same name before, None where there was none."""
        earlier = {row.what: row for row in self.before}
        return [(row, earlier.get(row.what)) for row in self.rows]


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to time. `run`: does it; `many` units, `tokens` and `flops` a run."""

    what: str
    unit: str
    run: Callable[[], object]
    many: int
    tokens: int
    flops: float


def measure_speed(
    model,
    *,
    seq: int = 2048,
    batch: int = 8,
    repeats: int = 10,
    report: Callable[[str, int], None] | None = None,
) -> tuple[float, tuple[Speed, ...], float]:
    """`(peak, rows, first_step_seconds)`: everything in turns, training last.

    `seq`, `batch`: of a training step. `report(what, turn)`: called before each.

    **Raises** `ValueError` if `repeats` is not positive or the model never learns.
    """
    if repeats < 1:
        raise ValueError(f"`repeats` must be >= 1: got {repeats}.")
    if not model.config.learns:
        raise ValueError(
            "this model never learns while reading, so half of the rows would be "
            "empty; name one that learns, such as tiny-e2e."
        )
    tell, peak = report or (lambda what, turn: None), measure_peak()
    tasks = [*_reading(model), *_asking(model), _writing(model), *_whole(model, seq)]
    times = {task.what: [] for task in tasks}
    for turn in range(repeats + 1):
        for task in tasks:
            tell(task.what, turn)
            seconds = seconds_of(task.run)
            times[task.what] += [seconds] * (turn > 0)  # the first turn compiles
    tell("training step", repeats + 1)
    training, first = _training(model.config, seq, batch, max(1, repeats // 3))
    peak = max(peak, measure_peak())
    rows = [_speed(task, min(times[task.what]), peak) for task in tasks]
    return peak, (*rows, _speed(*training, peak)), first


def _speed(task: Task, seconds: float, peak: float) -> Speed:
    return Speed(
        what=task.what,
        unit=task.unit,
        ms=1e3 * seconds / task.many,
        tokens_per_second=task.tokens / seconds,
        mflop=task.flops / task.many / 1e6,
        share_of_peak=task.flops / seconds / peak,
    )


def _reading(model) -> list[Task]:
    """A chunk as a program and through the door, a long text, and all by the twin."""
    import ttt_core as ttt
    from ttt_core import stream

    chunk, state = model.config.chunk, ttt.init_state(model)
    tokens = _tokens(model, LONG * chunk)
    knobs, row = stream.take_knobs(model, 1.0), tokens[None, :chunk]
    program = lambda: stream.read_rows(knobs, state, row)
    tasks = [Task("chunk (program)", "chunk", program, 1, chunk, _flops(model, 1))]
    for whose, one in {"": model, ", twin": ttt.without_learning(model)}.items():
        start = ttt.init_state(one)
        for what, n in {"chunk": 1, "chunk in a text": LONG}.items():
            run = lambda one=one, start=start, n=n: ttt.read(
                one, start, tokens[: n * chunk]
            )
            sizes = n, n * chunk, _flops(one, n)
            tasks.append(Task(f"{what}{whose}", "chunk", run, *sizes))
    return tasks


def _asking(model) -> list[Task]:
    """A question alone, many at once, and short texts under given weights."""
    import ttt_core as ttt

    state, length, config = ttt.init_state(model), PROMPT + ANSWER, model.config
    asked = _tokens(model, QUESTIONS * (length + 1)).reshape(QUESTIONS, -1)
    prompts, answers = asked[:, :PROMPT], asked[:, PROMPT:length]
    frozen = _frozen_flops(config) * length
    alone = lambda: ttt.score(model, state, prompts[0], answers[0])
    at_once = lambda: ttt.score_many(model, state, list(prompts), list(answers))
    under = lambda: ttt.nll_under(model, state.fast, asked)
    sizes = QUESTIONS, QUESTIONS * length, QUESTIONS * frozen
    return [
        Task("question", "question", alone, 1, length, frozen),
        Task(f"question of {QUESTIONS}", "question", at_once, *sizes),
        Task(f"short text of {QUESTIONS}", "text", under, *sizes),
    ]


def _writing(model) -> Task:
    import jax

    import ttt_core as ttt

    state, key = ttt.init_state(model), jax.random.key(0)
    run = lambda: ttt.generate(model, state, [], WRITTEN, key=key)
    flops = WRITTEN * _frozen_flops(model.config) + _flops(model, 1)
    return Task("token written", "token", run, WRITTEN, WRITTEN, flops)


def _whole(model, seq: int) -> list[Task]:
    """Whole sequences as training reads them, with learning and without."""
    import equinox as eqx
    import jax

    import ttt_core as ttt

    tokens = _tokens(model, SEQUENCES * (seq + 1)).reshape(SEQUENCES, -1)
    one = lambda model: jax.vmap(lambda row: ttt.meta_loss(model, row)[0])(tokens)
    loss, tasks = eqx.filter_jit(one), []
    for whose, reader in {
        "": model,
        ", twin": ttt.without_learning(model),
    }.items():
        run = lambda reader=reader: loss(reader)
        total = SEQUENCES * seq
        chunks = total // model.config.chunk
        sizes = chunks, total, _flops(reader, chunks)
        tasks.append(
            Task(f"chunk, {SEQUENCES} whole texts{whose}", "chunk", run, *sizes)
        )
    return tasks


def _training(config, seq: int, batch: int, repeats: int):
    """`((task, seconds of the best step), seconds until the first step was done)`."""
    from lab.bench.training import measure_training

    (cost,) = measure_training(
        {"meta": config}, seqs=(seq,), tokens=seq * batch, repeats=repeats
    )
    tokens = cost.batch * cost.seq
    sizes = 1, tokens, tokens * cost.flops_per_token
    task = Task("training step", "step", lambda: None, *sizes)
    return (task, cost.step_seconds), cost.compile_seconds


def _flops(model, chunks: int) -> float:
    """Useful operations of reading so many chunks, each with its inner step."""
    from lab.training.flops import count_flops

    tokens = 64 * model.config.chunk  # nearly all of which have an inner gradient
    each = count_flops(model.config, tokens)
    return (each.forward + each.inner) * chunks * model.config.chunk


def _frozen_flops(config) -> float:
    """Useful operations of a token that nothing is learned from."""
    from lab.training.flops import count_flops

    return count_flops(config, 64 * config.chunk, "plain").forward


def _tokens(model, count: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    return draw.integers(0, model.config.vocab, count).astype(np.int32)
