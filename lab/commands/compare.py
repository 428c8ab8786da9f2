"""`ttt-lab eval compare`, `decompose` and `tune-inner`: systems on the same text.

Each prints its tables, keeps its numbers (`.runs/evals`, or lab/published/results with
`--publish`), and draws its figures where it is told to. `TTT_LAB_QUICK=1` makes them
small.
"""

from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.progress import Progress
from tyro.conf import Positional, arg

from lab import runs
from lab.quick import quick
from lab.results import as_text, draw, keep


Workers = Annotated[int | None, arg(metavar="N")]


def compare(
    models: Positional[tuple[str, ...]],
    /,
    corpus: str = "eltec-eng",
    split: str = "val",
    length: int = 16_384,
    whole: bool = False,
    per_novel: int = 6,
    full_to: int | None = None,
    workers: Workers = None,
    figures: Path | None = None,
    publish: bool = False,
):
    """Losses of systems on the same text, paired by novel, and by position.

    The first model is compared with every other, and each that learns with its frozen
    twin. What was read is kept in .runs/readings: run again to go on.

    Args:
        models: published names or paths.
        corpus: a name from `ttt-lab data list`.
        split: train, val or all.
        length: tokens of a passage.
        whole: read the documents whole instead of passages.
        per_novel: passages of each document, evenly spread.
        full_to: full attention reads this many tokens (default: as trained).
        workers: passages read side by side (default: one a core).
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.commands import tables
    from lab.evals.compare import as_json
    from lab.evals.compare import compare as compare_readings
    from lab.measure.readers import systems

    found = systems(models, full_to=full_to)
    text = _Text(corpus, split, found[0].tokenizer, length, whole, per_novel)
    readers = {k: v for one in found for k, v in one.readers.items()}
    readings = _read(readers, text.passages(), workers)
    result = text.about() | as_json(compare_readings(found, readings))
    result["notes"] += text.notes()
    tables.comparison(result, f"{text}, {len(readings.novels)} novels")
    name = f"{found[0].name}-{text.stem}"
    finish("compare", name, result, figures, publish)


def decompose(
    better: Positional[str],
    than: Positional[str],
    /,
    corpus: str = "eltec-eng",
    split: str = "val",
    length: int = 16_384,
    whole: bool = False,
    per_novel: int = 6,
    starts: int = 256,
    workers: Workers = None,
    figures: Path | None = None,
    publish: bool = False,
):
    """How much of a gap is a better start, how much learning while reading.

    Args:
        better: a model that learns: a published name or a path.
        than: the model to compare it with.
        corpus: a name from `ttt-lab data list`.
        split: train, val or all.
        length: tokens of a passage.
        whole: read the documents whole instead of passages.
        per_novel: passages of each document, evenly spread.
        starts: places in each document for the gap before the first update; 0: none.
        workers: passages read side by side (default: one a core).
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.commands import tables
    from lab.evals import compare
    from lab.evals import decompose as parts
    from lab.measure.readers import systems

    a, b = found = systems((better, than))
    text = _Text(corpus, split, a.tokenizer, length, whole, per_novel)
    readings = _read(a.readers | b.readers, text.passages(), workers)
    taken = parts.decompose(a, b, readings)
    if places := quick(starts, min(starts, 4)):
        with Console().status("reading first chunks"):
            taken = parts.with_starts(taken, a, b, text.shards, places)
    longest = max(len(passage.tokens) for passage in readings.passages)
    said = compare.notes(found, longest, len(readings.novels)) + text.notes()
    result = text.about() | {"notes": said} | parts.as_json(taken)
    tables.decomposition(result, f"{text}: where the gap comes from, nats per token")
    name = f"{a.name}-{b.name}-{text.stem}"
    finish("decompose", name, result, figures, publish)


def context(
    models: Positional[tuple[str, ...]] = (),
    /,
    contexts: tuple[int, ...] = (),
    region: int | None = None,
    corpus: str = "eltec-eng",
    split: str = "val",
    full_to: int | None = None,
    workers: Workers = None,
    figures: Path | None = None,
    publish: bool = False,
):
    """What more context is worth: the same tokens, in windows of 2 K to 128 K.

    Args:
        models: published names or paths (default: the eight systems of the family).
            The first is what the others are compared with.
        contexts: lengths of the windows, in tokens (default: 2, 8, 16, 32 and 128 K).
        region: tokens of each document that are scored (default: 131,072).
        corpus: a name from `ttt-lab data list`.
        split: train, val or all.
        full_to: full attention reads windows up to this length (default: as trained).
        workers: windows read side by side (default: one a core).
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.commands import tables
    from lab.data import shards
    from lab.evals import compare
    from lab.evals import context as numbers
    from lab.measure import texts
    from lab.measure.readers import systems

    found = systems(models or numbers.EIGHT, full_to=full_to)
    opened = shards.open(corpus, found[0].tokenizer, split)
    lengths = contexts or quick(numbers.CONTEXTS, (128, 512))
    region = quick(numbers.REGION, 1024) if region is None else region
    passages = texts.whole(opened, limit=region)
    read = lambda readers, windows: _read(readers, windows, workers)
    scores = numbers.measure(found, passages, lengths, read)
    # What is extrapolated is marked number by number: no sentence says it again.
    said = compare.notes(found, longest=0, novels=len(passages))
    result = {
        "corpus": opened.corpus,
        "split": split,
        "tokenizer": found[0].tokenizer,
        "text_hash": opened.data_hash,
        "notes": said + numbers.notes(found, passages, lengths),
        **numbers.as_json(found, passages, scores),
    }
    scored = sum(result["lengths"])
    title = f"{opened.corpus}/{split}, {scored:,} tokens of {len(passages)} documents"
    tables.contexts(result, title)
    finish("context", found[0].name, result, figures, publish)


def tune_inner(
    model: Positional[str],
    /,
    rates: tuple[str, ...] = ("0.03", "0.1", "0.3", "1", "3"),
    clips: tuple[str, ...] = ("1",),
    corpus: str = "eltec-eng",
    split: str = "train",
    length: int = 16_384,
    novels: int = 8,
    workers: Workers = None,
    figures: Path | None = None,
    publish: bool = False,
):
    """The best inner rate and clip of a model, on text that is not reported on.

    Args:
        model: a published name or a path; it may have an inner rate of 0.
        rates: inner rates, as 0.03 0.1 or 0.03,0.1.
        clips: largest norms of the inner gradient; inf for none.
        corpus: a name from `ttt-lab data list`.
        split: train or all; not val, which results are reported on.
        length: tokens read of each novel, from its middle.
        novels: how many documents, evenly spread over the split.
        workers: passages read side by side (default: one a core).
        figures: a folder to write the figures to, as HTML.
        publish: keep the numbers in lab/published/results.
    """
    from lab.commands import tables
    from lab.evals import tuning
    from lab.measure.readers import systems

    tuning.check_text(corpus, split)
    (one,) = systems((model,))
    readers = tuning.readers(model, _numbers("rates", rates), _numbers("clips", clips))
    text = _Text(corpus, split, one.tokenizer, length, per_novel=1, novels=novels)
    readings = _read(readers, text.passages(), workers, strict=False)
    result = text.about() | {"model": one.name, "model_sha256": one.sha256}
    result |= tuning.as_json(tuning.tune(readings, readers))
    tables.tuning(result, f"{one.name} learning while it reads {text}")
    finish("tune-inner", one.name, result, figures, publish)


class _Text:
    """What is read, as the options say; small where `TTT_LAB_QUICK` is set."""

    def __init__(
        self, corpus, split, tokenizer, length, whole=False, per_novel=1, novels=None
    ):
        from lab.data import shards

        self.shards = shards.open(corpus, tokenizer, split)
        self.whole, self.novels = whole, novels
        self.length = quick(length, min(length, 512))
        self.per_novel = quick(per_novel, min(per_novel, 2))
        self.stem = "whole" if whole else str(length)

    def passages(self) -> list:
        """The passages, of at most `novels` documents evenly spread."""
        from lab.measure import texts

        if self.whole:
            return texts.whole(self.shards, limit=quick(None, 1024))
        sizes = {"length": self.length, "per_novel": self.per_novel}
        found = texts.passages(self.shards, **sizes)
        return texts.spread(found, quick(self.novels, 2) if self.novels else None)

    def about(self) -> dict:
        """What was read, for a result."""
        opened = self.shards
        return {
            "corpus": opened.corpus,
            "split": opened.split,
            "tokenizer": opened.tokenizer,
            "text_hash": opened.data_hash,
            "whole": self.whole,
            "length": None if self.whole else self.length,
        }

    def notes(self) -> list[str]:
        """What to know of the text: sentences."""
        if not self.whole:
            return []
        return [
            "Whole documents begin with title pages, each like no other: figures start "
            "at 1K; passages show what comes before."
        ]

    def __str__(self) -> str:
        unit = "read whole" if self.whole else f"passages of {self.length:,} tokens"
        return f"{self.shards.corpus}/{self.shards.split}, {unit}"


def _read(readers, passages, workers, strict=True):
    from lab.measure.nats import read_all

    with Progress(transient=True) as progress:
        task = progress.add_task("reading", total=None)
        report = lambda done, total: progress.update(task, completed=done, total=total)
        many = runs.usable_cores() if workers is None else workers
        if many < 1:
            raise ValueError(f"--workers must be >= 1: got {many}.")
        knobs = {"workers": many, "strict": strict, "report": report}
        return read_all(readers, passages, **knobs)


def _numbers(name: str, words: tuple[str, ...]) -> tuple[float, ...]:
    parts = [part for word in words for part in word.split(",") if part]
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"--{name} takes numbers, as 0.03 0.1 or 0.03,0.1: got {' '.join(words)}."
        ) from None


def finish(kind: str, name: str, result: dict, figures: Path | None, publish: bool):
    """Keep the numbers in the run folder, or for all clones; draw them if asked."""
    name = f"{kind}-{name}"
    if publish:
        keep(name, result)
    else:
        path = runs.folder("evals") / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text({**result, "provenance": runs.environment()}), "utf-8")
        Console().print(f"numbers: {path}", soft_wrap=True)
    if figures:
        draw(kind, name, result, figures)
