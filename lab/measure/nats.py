"""What does reading cost? Nats of every token, read once and kept on disk.

A reading is decided by the model (weights and configuration) and the tokens, so it is
stored under both hashes in `.runs/readings` (`TTT_LAB_RUNS` moves the folder; delete it
at will). A comparison that was stopped continues with the missing readings, and equal
models share readings: tiny-naive's frozen twin is tiny-swa.

With `workers` > 1, passages are read side by side, one process per core: the products
of a small model are too small to be split.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from lab import checkpoints, files, runs
from lab.measure.pieces import widened
from lab.measure.readers import Reader, load
from lab.measure.texts import Passage
from lab.stopping import Stopped


SEGMENT = 4096  # tokens, approximately
_FORMAT = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Readings:
    """Nats of every token, for several labelled readers of the same passages.

    `nll[label][i]`: `[tokens read]` of `passages[i]`.
    """

    passages: tuple[Passage, ...]
    nll: dict[str, list[np.ndarray]]

    @property
    def novels(self) -> tuple[str, ...]:
        """The documents read, each once, in order."""
        return tuple(dict.fromkeys(passage.novel for passage in self.passages))

    def gap(self, worse: str, better: str) -> list[np.ndarray]:
        """`worse - better`, token by token, as far as both have read: `[passages]`."""
        pairs = zip(self.nll[worse], self.nll[better], strict=True)
        return [_difference(a, b) for a, b in pairs]

    def by_novel(self, values: list[np.ndarray], reduce: Callable) -> np.ndarray:
        """`reduce` (called with a list of arrays) of each novel's passages, stacked."""
        owners = [passage.novel for passage in self.passages]
        groups = (
            [v for v, owner in zip(values, owners, strict=True) if owner == novel]
            for novel in self.novels
        )
        return np.stack([reduce(group) for group in groups])


def read_all(
    readers: dict[str, Reader],
    passages: Iterable[Passage],
    *,
    workers: int = 1,
    strict: bool = True,
    report: Callable[[int, int], None] | None = None,
) -> Readings:
    """Every reader's nats for every passage; only missing readings are made.

    `report(done, total)`: called with counts of tokens that had to be read.

    **Raises** `ValueError` if `strict` and a loss is not finite; if interrupted,
    `Stopped`, with the number of readings kept.
    """
    passages = tuple(passages)
    jobs = {
        label: [_job(reader, marked, passage) for passage in passages]
        for label, reader in readers.items()
        for marked in [checkpoints.model_hash(load(reader))]
    }
    wanted = list({job.path: job for row in jobs.values() for job in row}.values())
    missing = [job for job in wanted if job.kept() is None]
    try:
        _read_missing(missing, workers, report or (lambda done, total: None))
    except KeyboardInterrupt as error:
        raise Stopped(_what_is_kept(wanted)) from error
    nll = {label: [job.kept() for job in row] for label, row in jobs.items()}
    for label, row in nll.items() if strict else ():
        _check_finite(label, row, passages)
    return Readings(passages, nll)


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """One passage for one reader, and the file of the reading."""

    reader: Reader
    tokens: np.ndarray
    path: Path

    def kept(self) -> np.ndarray | None:
        """The stored reading, None if there is none or the file is damaged."""
        try:
            found = np.load(self.path)
        except (OSError, ValueError, EOFError):
            return None
        return found if found.shape == self.tokens.shape else None

    def keep(self, nll: np.ndarray):
        """Write a reading, whole or not at all."""
        content = io.BytesIO()
        np.save(content, nll.astype(np.float32))
        files.write(self.path, content.getvalue())


def _job(reader: Reader, marked: str, passage: Passage) -> _Job:
    tokens = passage.tokens[: reader.limit]
    told = hashlib.sha256(f"{_FORMAT} {len(tokens)}".encode())
    told.update(tokens.astype("<i4").tobytes())
    folder = runs.folder("readings") / marked[:16]
    return _Job(reader, tokens, folder / f"{told.hexdigest()[:16]}.npy")


def _read_missing(jobs: list[_Job], workers: int, report: Callable[[int, int], None]):
    total = sum(len(job.tokens) for job in jobs)
    report(0, total)
    if workers > 1 and len(jobs) > 1:
        _read_apart(jobs, workers, lambda done: report(done, total))
        return
    done, loaded = 0, functools.lru_cache(maxsize=1)(load)
    for job in jobs:
        tell = lambda read, before=done: report(before + read, total)
        job.keep(read_tokens(loaded(job.reader), job.tokens, tell))
        done += len(job.tokens)


def read_tokens(model, tokens: np.ndarray, report=None) -> np.ndarray:
    """Nats of every token when `model` reads `tokens` from the start, `[length]`.

    `report(done)`: called with the number of tokens read.
    """
    import ttt_core as ttt

    model = widened(model)
    step = max(SEGMENT // model.config.chunk, 1) * model.config.chunk
    state, nll = ttt.init_state(model, capacity=step + model.config.chunk), []
    for start in range(0, len(tokens), step):
        state, found = ttt.read(model, state, tokens[start : start + step])
        nll.append(np.asarray(found.nll))
        if report:
            report(min(start + step, len(tokens)))
    return np.concatenate(nll)


def _what_is_kept(jobs: list[_Job]) -> str:
    """The last sentence of a command that was stopped while it read."""
    kept = sum(job.kept() is not None for job in jobs)
    if not kept:
        return "stopped before the first passage was read to its end"
    folder = runs.shown(runs.folder("readings"))
    many = f"{kept:,} of {len(jobs):,} readings {'is' if kept == 1 else 'are'}"
    return f"stopped; {many} kept in {folder}, and the same command goes on from there"


def _read_apart(jobs: list[_Job], workers: int, report: Callable[[int], None]):
    """Read in processes, each with its own core; the longest jobs come first."""
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in _cores(workers):
        cores.put(core)
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_pin, initargs=(cores,)
    )
    done, before = 0, set(multiprocessing.active_children())
    with pool:
        try:
            ordered = sorted(jobs, key=lambda job: -len(job.tokens))
            with _deaf_to_ctrl_c():
                futures = {pool.submit(_work, job): job for job in ordered}
            for future in concurrent.futures.as_completed(futures):
                future.result()
                done += len(futures[future].tokens)
                report(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise


@contextlib.contextmanager
def _deaf_to_ctrl_c():
    """Processes that start here are not interrupted by Ctrl-C: this one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _cores(workers: int) -> list[int | None]:
    if not hasattr(os, "sched_getaffinity"):
        return [None] * workers
    usable = sorted(os.sched_getaffinity(0))
    return [usable[i % len(usable)] for i in range(workers)]


def _pin(cores):
    core = cores.get()
    if core is not None:
        os.sched_setaffinity(0, {core})


def _work(job: _Job):
    job.keep(read_tokens(_load_once(job.reader), job.tokens))


_load_once = functools.lru_cache(maxsize=4)(load)


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    length = min(len(a), len(b))
    return a[:length].astype(np.float64) - b[:length]


def _check_finite(label: str, row: list[np.ndarray], passages: tuple[Passage, ...]):
    for nll, passage in zip(row, passages, strict=True):
        wrong = np.flatnonzero(~np.isfinite(nll))
        if len(wrong):
            raise ValueError(
                f"{label} gives token {wrong[0]:,} of {passage.novel} (from "
                f"{passage.offset:,} on) a loss of {nll[wrong[0]]}: the inner rate is "
                "too high or the weights are damaged; try a smaller rate."
            )
