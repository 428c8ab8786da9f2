"""`ttt-lab bench`: run a benchmark, print its table, keep its numbers."""

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lab.evals.commands import keep


def read(
    model: str = "tiny-e2e",
    document: str = "sotu-chronicle",
    late: int = 200_000,
    repeats: int = 200,
    publish: bool = False,
):
    """Tokens per second, and time per chunk early and late in a long text.

    Args:
        model: a published model's name, or a path.
        document: a name from `ttt-lab data list`, or a UTF-8 file, long enough.
        late: tokens read before the late chunks.
        repeats: chunks timed early and late, in turn.
        publish: keep the numbers in lab/published/results.
    """
    from lab import checkpoints
    from lab.bench.reading import measure_reading
    from lab.data import documents, tokenizers

    loaded, card = checkpoints.load(model), checkpoints.card(model)
    text = documents.load(document).text[: 8 * (late + 10_000)]
    tokens = np.asarray(tokenizers.load(card["tokenizer"]).encode(text))
    with Progress(transient=True) as progress:
        task = progress.add_task(f"reading {late:,} tokens", total=late)
        report = lambda done, _: progress.update(task, completed=done)
        found = measure_reading(
            loaded, tokens, late=late, repeats=repeats, report=report
        )
    numbers = {
        "tokens_per_second": round(found.tokens_per_second),
        "ms_per_chunk_early": round(float(np.median(found.early)) * 1e3, 3),
        "ms_per_chunk_late": round(float(np.median(found.late)) * 1e3, 3),
        "late_over_early": round(found.ratio, 4),
        "late_position": found.late_position,
        "chunk": found.chunk,
        "repeats": repeats,
        "state_bytes": found.state_bytes,
        "first_call_seconds": round(found.compile_seconds, 2),
        "peak_bytes": found.peak_bytes,
    }
    _print("reading " + document + " with " + model, numbers)
    if publish:
        keep("bench-read", {"model": model, "document": document, **numbers})


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
    from lab.devices import use_all_cores

    use_all_cores(max(1, tokens // max(seqs)))
    import ttt_core as ttt
    from lab.bench.training import measure_peak, measure_training

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
