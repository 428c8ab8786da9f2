"""`ttt-lab bench`: run a benchmark, print its table, keep its numbers."""

from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tyro.conf import Positional

from lab.quick import quick
from lab.results import draw, keep


COPIED = (
    "Full attention's buffers are copied at every call here, which weighs on writing "
    "token by token; written in place they would not be. Compare reading."
)


def read(
    models: Positional[tuple[str, ...]] = (),
    /,
    contexts: tuple[int, ...] = (8192, 32_768, 131_072),
    repeats: int = 5,
    figures: Path | None = None,
    publish: bool = False,
):
    """Time per token of reading and of writing, and bytes remembered, by context.

    Args:
        models: presets, published models or paths (default: the eight systems of the
            family). Presets are built afresh: weights decide no time.
        contexts: positions, in tokens; costs are measured there.
        repeats: turns of all systems at all contexts; the best one counts.
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.bench.reading import measure_reading
    from lab.evals.context import EIGHT

    names = models or EIGHT
    contexts = quick(contexts, (max(contexts) // 128,))
    with Progress(transient=True) as progress:
        task = progress.add_task("", total=None)
        say = lambda name, at: progress.update(task, description=f"{name}, {at:,}")
        built = {name: _build_or_load(name) for name in names}
        costs = measure_reading(built, contexts=contexts, repeats=repeats, report=say)
    rows = [_reading_row(cost) for cost in costs]
    result = {"repeats": repeats, "notes": [COPIED], "rows": rows}
    _print_reading(result["rows"])
    name = "bench-read" if not models else f"bench-read-{models[0]}"
    if publish:
        keep(name, result)
    if figures:
        draw("bench-read", name, result, figures)


def _build_or_load(name: str):
    import jax

    import ttt_core as ttt
    from lab import checkpoints

    if name in ttt.PRESETS:
        return ttt.preset(name).build(key=jax.random.key(0))
    return checkpoints.load(name)


def _reading_row(cost) -> dict:
    milli = lambda seconds: [round(float(s) * 1e3, 4) for s in seconds]
    return {
        "system": cost.system,
        "piece": cost.piece,
        "positions": cost.positions.tolist(),
        "reading_ms": milli(cost.reading),
        "prompt_ms": milli(cost.prompt),
        "writing_ms": milli(cost.writing),
        "state_bytes": cost.state_bytes.tolist(),
        "late_over_early": round(cost.flatness, 3),
        "first_call_seconds": round(cost.compile_seconds, 2),
    }


def _print_reading(rows: list[dict]):
    """Three tables, of one shape: system by context."""
    positions = rows[0]["positions"]
    heads = [f"{at:,}" for at in positions]
    console = Console()
    tables = {
        "reading there, ms per token": "reading_ms",
        "reading a prompt that long, ms per token": "prompt_ms",
        "writing there, ms per token": "writing_ms",
    }
    for title, part in tables.items():
        table = Table("system", *heads, "last / first", "x " + rows[0]["system"])
        table.title = title
        for row in rows:
            found, ours = row[part], rows[0][part][-1]
            ratios = f"{found[-1] / found[0]:.2f}", f"{found[-1] / ours:.2f}"
            table.add_row(row["system"], *(f"{ms:,.3f}" for ms in found), *ratios)
        console.print(table)
    console.print(f"[dim]{COPIED}[/dim]")
    table = Table("system", *heads, title="remembered, MB")
    for row in rows:
        table.add_row(row["system"], *(f"{b / 1e6:,.2f}" for b in row["state_bytes"]))
    console.print(table)


def train(
    seqs: tuple[int, ...] = (2048, 8192),
    tokens: int = 16_384,
    repeats: int = 5,
    publish: bool = False,
):
    """Step time, tokens/s, memory and share of the machine's peak, in training.

    Meta-training, its plain twin and full attention of the same size (tiny), taking
    turns.

    Args:
        seqs: lengths of the training sequences.
        tokens: tokens of a step (at least one sequence for each core).
        repeats: steps timed of each; the best one counts.
        publish: keep the numbers in lab/published/results.
    """
    from lab.training.devices import use_all_cores

    use_all_cores(max(1, tokens // max(seqs)))
    import ttt_core as ttt
    from lab.bench.training import measure_training
    from lab.training.machine import measure_peak

    names = {"meta": "tiny-e2e", "plain": "tiny-swa", "full": "tiny-full"}
    systems = {name: ttt.preset(preset) for name, preset in names.items()}
    before = measure_peak()
    report = lambda name, seq: Console().print(f"compiling {name}, {seq:,} tokens")
    costs = measure_training(
        systems, seqs=seqs, tokens=tokens, repeats=repeats, report=report
    )
    peak = max(before, measure_peak())
    _print_costs(costs, peak)
    if publish:
        rows = [_cost_row(cost, peak, costs) for cost in costs]
        about = {"peak_gflops": round(peak / 1e9, 1), "repeats": repeats}
        keep("bench-train", about | {"systems": names, "rows": rows})


def _cost_row(cost, peak: float, costs) -> dict:
    plain = next(c for c in costs if c.system == "plain" and c.seq == cost.seq)
    return {
        "system": cost.system,
        "seq": cost.seq,
        "batch": cost.batch,
        "step_seconds": round(cost.step_seconds, 4),
        "over_plain": round(cost.step_seconds / plain.step_seconds, 3),
        "tokens_per_second": round(cost.tokens_per_second),
        "compile_seconds": round(cost.compile_seconds, 1),
        "mflop_per_token": round(cost.flops_per_token / 1e6, 2),
        "share_of_peak": round(cost.share(peak), 4),
        "temporary_mib_per_device": round(cost.temporary_bytes / 2**20, 1),
    }


def _print_costs(costs, peak: float):
    columns = {
        "system": "system",
        "context": "seq",
        "s/step": "step_seconds",
        "x plain": "over_plain",
        "tokens/s": "tokens_per_second",
        "MFLOP/token": "mflop_per_token",
        "of peak": "share_of_peak",
        "MiB": "temporary_mib_per_device",
        "compile s": "compile_seconds",
    }
    table = Table(title=f"training steps; peak {peak / 1e9:,.0f} GFLOP/s")
    for name in columns:
        table.add_column(name, justify="right")
    for row in (_cost_row(cost, peak, costs) for cost in costs):
        row["share_of_peak"] = f"{row['share_of_peak']:.1%}"
        table.add_row(*(_thousands(row[name]) for name in columns.values()))
    Console().print(table)


def _thousands(value) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def remat(model: str = "tiny-e2e", seq: int = 2048, publish: bool = False):
    """Memory of one meta-gradient against how often learners are kept.

    Args:
        model: a preset's name.
        seq: tokens of the sequence.
        publish: keep the numbers in lab/published/results.
    """
    import jax

    import ttt_core as ttt
    from lab.bench.remat import measure_remat

    built = ttt.preset(model).build(key=jax.random.key(0))
    found = measure_remat(built, seq=seq)
    numbers = {f"remat={n}": round(size / 2**20, 1) for n, size in found.items()}
    _print(f"temporary memory, MiB, one sequence of {seq} tokens, {model}", numbers)
    if publish:
        keep("bench-remat", {"model": model, "seq": seq, "mib": numbers})


def _print(title: str, numbers: dict):
    table = Table("what", "value", title=title)
    for name, value in numbers.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
