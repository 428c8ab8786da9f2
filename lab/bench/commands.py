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
