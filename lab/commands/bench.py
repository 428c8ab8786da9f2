"""`ttt-lab bench`: run a benchmark, print its table, keep its numbers."""

import contextlib
from pathlib import Path
from typing import Annotated

from rich.table import Table

from lab import runs
from lab.commands.options import Model, Models, Output, finish, option
from lab.commands.progress import FEW, Bar
from lab.commands.tables import say
from lab.commands.terminal import Terminal
from lab.quick import quick
from lab.recipes.family import EIGHT


COPIED = (
    "Full attention's buffers are copied at every call here, which slows down writing "
    "token by token; an implementation in place would not copy. Compare reading."
)


def read(
    models: Models = EIGHT,
    /,
    contexts: tuple[int, ...] = (8192, 32_768, 131_072),
    repeats: int = 5,
    output: Output = Output(),
):
    """Time per token of reading and of writing, and bytes remembered, by context.

    Args:
        models: presets, published models, runs or paths. Presets are built afresh:
            times do not depend on weights.
        contexts: positions, in tokens, at which costs are measured.
        repeats: turns of all systems at all contexts; the best turn counts.
    """
    from lab.bench.reading import ReadingBench, measure_reading, row

    contexts = quick(contexts, (max(contexts) // 128,))
    built = {Path(name).stem: build_or_load(name) for name in models}
    turns = len(models) * (1 + len(contexts)) * (1 + repeats)
    with turning(turns, "read to {:,} tokens") as report:
        knobs = {"contexts": contexts, "repeats": repeats, "report": report}
        costs = measure_reading(built, **knobs)
    result = ReadingBench(repeats, (COPIED,), tuple(map(row, costs)))
    finish(result, "" if models == EIGHT else next(iter(built)), output, show_reading)


@contextlib.contextmanager
def turning(total: int, words: str):
    """A `report(name, number)` before each turn, that is shown."""
    done = 0
    with Bar(total, lines=FEW, passing=True) as bar:

        def report(name: str, number):
            nonlocal done
            bar.show(done, f"{name}:", words.format(number))
            done += 1

        yield report


def build_or_load(name: str):
    """A preset's model with fresh weights, or a published model, a run or a path."""
    import jax

    import ttt_core as ttt
    from lab import checkpoints

    if name in ttt.PRESETS:
        return ttt.preset(name).build(key=jax.random.key(0))
    return checkpoints.load(name)


def show_reading(result):
    """Four tables of one shape: system by context."""
    console, first = Terminal(), result.rows[0]
    heads = [f"{at:,}" for at in first.positions]
    for title, part in {
        "reading there, ms per token": "reading_ms",
        "reading a prompt of that length, ms per token": "prompt_ms",
        "writing there, ms per token": "writing_ms",
    }.items():
        table = Table("system", *heads, "last / first", f"x {first.system}")
        table.title = title
        for row in result.rows:
            found, ours = getattr(row, part), getattr(first, part)[-1]
            ratios = f"{found[-1] / found[0]:.2f}", f"{found[-1] / ours:.2f}"
            table.add_row(row.system, *(f"{ms:,.3f}" for ms in found), *ratios)
        console.print(table)
    say(result.notes, console)
    table = Table("system", *heads, title="remembered, MB")
    for row in result.rows:
        table.add_row(row.system, *(f"{b / 1e6:,.2f}" for b in row.state_bytes))
    console.print(table)


def train(
    seqs: tuple[int, ...] = (2048, 8192),
    tokens: int = 16_384,
    repeats: int = 5,
    output: Output = Output(),
):
    """Step time, tokens/s, memory and share of the machine's peak, in training.

    Meta-training, its plain twin and full attention of the same size (tiny) take turns.

    Args:
        seqs: lengths of the training sequences.
        tokens: tokens per step (at least one sequence for each core).
        repeats: timed steps of each system; the best step counts.
    """
    if tokens < 1:
        raise ValueError(f"--tokens must be >= 1: got {tokens}.")
    from lab.training.devices import use_all_cores

    use_all_cores(max(1, tokens // max(seqs)))
    import ttt_core as ttt
    from lab.bench.training import TrainingBench, measure_training, rows
    from lab.training.machine import measure_peak

    names = {"meta": "tiny-e2e", "plain": "tiny-swa", "full": "tiny-full"}
    systems = {name: ttt.preset(preset) for name, preset in names.items()}
    before = measure_peak()
    with turning(len(seqs) * len(systems), "compiling, {:,} tokens") as report:
        knobs = {"seqs": seqs, "tokens": tokens, "repeats": repeats, "report": report}
        costs = measure_training(systems, **knobs)
    peak = max(before, measure_peak())
    result = TrainingBench(peak / 1e9, repeats, names, rows(costs, peak))
    finish(result, "", output, show_training)


def show_training(result):
    """One row per system and length."""
    table = Table(title=f"training steps; peak {result.peak_gflops:,.0f} GFLOP/s")
    for name, (_, _) in _COLUMNS.items():
        table.add_column(name, justify="right")
    for row in result.rows:
        cells = (f"{getattr(row, part):{form}}" for part, form in _COLUMNS.values())
        table.add_row(*cells)
    Terminal().print(table)


_COLUMNS = {
    "system": ("system", ""),
    "context": ("seq", ","),
    "s/step": ("step_seconds", ".3f"),
    "x plain": ("over_plain", ".2f"),
    "tokens/s": ("tokens_per_second", ",.0f"),
    "MFLOP/token": ("mflop_per_token", ",.1f"),
    "of peak": ("share_of_peak", ".1%"),
    "MiB": ("temporary_mib_per_device", ",.0f"),
    "compile s": ("compile_seconds", ".1f"),
}


def everything(
    model: Model = "tiny-e2e",
    /,
    repeats: int = 10,
    before: Annotated[str | None, option("RESULT")] = None,
    output: Output = Output(),
):
    """All speeds, with their share of the machine's peak, beside those of before.

    Reading, asking, writing, whole sequences and training take turns in one process.

    Args:
        model: a preset, or a published model, run or path, that learns.
        repeats: turns of all rows; the best turn counts. Training takes a third.
        before: an earlier result to stand beside this one, a file or a published name
            (default: the published one, if there is one).
    """
    from lab.bench.speed import SpeedBench, measure_speed
    from lab.training.devices import use_all_cores

    batch, seq, repeats = quick((8, 2048, repeats), (2, 128, 1))
    earlier = _earlier(before)
    use_all_cores(batch)
    built = build_or_load(model)
    with turning(_ROWS * (repeats + 1) + 1, "turn {:,}") as report:
        knobs = {"seq": seq, "batch": batch, "repeats": repeats, "report": report}
        peak, rows, first = measure_speed(built, **knobs)
    cores = runs.usable_cores()
    result = SpeedBench(model, cores, repeats, peak / 1e9, rows, first)
    result = result.beside(earlier) if earlier else result
    name = "" if model == "tiny-e2e" else Path(model).stem
    finish(result, name, output, show_everything)


_ROWS = 11  # that take turns


def _earlier(name: str | None):
    """The result to stand beside: the one named, or the published one, or none.

    **Raises** `FileNotFoundError` for one that is named and is not there.
    """
    from lab import results
    from lab.bench.speed import SpeedBench

    try:
        return results.open_result(name or SpeedBench.KIND, SpeedBench)
    except FileNotFoundError:
        if name:
            raise
        return None


def show_everything(result):
    """One row per speed; beside it, if there is an earlier result, what it was."""
    title = f"{result.model} on {result.cores} cores; peak {result.peak_gflops:,.0f}"
    title += f" ({result.before_peak_gflops:,.0f} before)" * bool(result.before)
    table = Table(title=f"{title} GFLOP/s")
    now, then = ["ms", "of peak"], ["before", "of peak", "faster"]
    heads = now + then if result.before else [*now, "tokens/s"]
    table.add_column("ms for each")
    for head in heads:
        table.add_column(head, justify="right")
    for row, was in result.pairs():
        cells = [row.what, _milli(row.ms), f"{row.share_of_peak:.1%}"]
        rate = [f"{row.tokens_per_second:,.0f}"]
        table.add_row(*cells, *(_was(row, was) if result.before else rate))
    console = Terminal()
    console.print(table)
    first, then = result.first_step_seconds, result.before_first_step_seconds
    was = f" ({then:.1f} s before)" if result.before else ""
    said = f"compiling a training step, and the first step: {first:.1f} s{was}"
    console.print(said, soft_wrap=True)


def _milli(ms: float) -> str:
    return f"{ms:,.2f}" if ms < 100 else f"{ms:,.0f}"


def _was(row, was) -> list[str]:
    if was is None:
        return ["", "", ""]
    return [_milli(was.ms), f"{was.share_of_peak:.1%}", f"x {was.ms / row.ms:.2f}"]


def remat(model: str = "tiny-e2e", seq: int = 2048, output: Output = Output()):
    """Memory of one meta-gradient against how often learners are kept.

    Args:
        model: the name of a preset.
        seq: tokens of the sequence.
    """
    import jax

    import ttt_core as ttt
    from lab.bench.remat import CHOICES, RematBench, measure_remat

    built = ttt.preset(model).build(key=jax.random.key(0))
    with turning(len(CHOICES), "compiling, remat={}") as report:
        tell = lambda choice: report(model, choice)
        found = measure_remat(built, seq=seq, report=tell)
    mib = {f"remat={n}": size / 2**20 for n, size in found.items()}
    finish(RematBench(model, seq, mib), "", output, show_remat)


def show_remat(result):
    """A row for each `remat`."""
    table = Table("keep every", "MiB")
    table.title = f"temporary memory, {result.seq:,} tokens, {result.model}"
    for name, size in result.mib.items():
        table.add_row(name, f"{size:,.1f}")
    Terminal().print(table)
