"""`ttt-lab eval decode`: models write, and an independent judge reads (section 3.6)."""

from pathlib import Path
from typing import Annotated

import numpy as np
from rich.table import Table

from lab import checkpoints
from lab.commands.options import Models, Output, finish, opening, option, warn
from lab.commands.progress import counting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.data.catalogue import ENTRIES
from lab.measure.parts import Kept
from lab.measure.texts import SPLITS, Text
from lab.quick import quick


JUDGE = "smollm2"
DOCUMENTS = ("eltec-eng/val", "sotu/val")
CORPORA = ("eltec-eng", "sotu")
EXCERPT = 160  # characters


def decode(
    models: Models,
    /,
    documents: Annotated[tuple[str, ...], option("DOCUMENT")] = (),
    tokens: int = 1_024,
    novels: int = 8,
    judge: str = JUDGE,
    temperature: float = 1.0,
    top_p: float = 0.95,
    repetition_penalty: float = 1.1,
    seed: int = 0,
    output: Output = Output(),
):
    """Models continue documents, learning or frozen; an independent judge reads both.

    Each reads the same text and writes as much again: learning from both, not from what
    it writes itself, or frozen. A pretrained model that takes no part reads it: nats
    per byte of what was written, beside the document as it really goes on, and how much
    is repeated. What was written and read is kept: run the command again to continue.

    Args:
        models: published names, runs or paths; their tokenizers may differ.
        documents: documents that `ttt-lab data list` shows, text files, folders of
            them, eltec-eng or sotu, these also with /train, /val or /all (default:
            eltec-eng/val and sotu/val).
        tokens: of the first model, read in the middle of each document, and as many
            written.
        novels: documents of a corpus that are read at most, evenly spread.
        judge: the model that reads what was written: any but those that write.
        temperature: 0 = always the likeliest token; 1 = as the model has it.
        top_p: draw from the likeliest tokens that together have this probability.
        repetition_penalty: above 1, tokens that were read or written become less
            likely.
        seed: another seed, other texts.
    """
    from lab.evals import decode as numbers

    drawn = numbers.Drawn(temperature, top_p, repetition_penalty, seed)
    if tokens < 1:
        raise ValueError(f"--tokens must be at least 1: got {tokens}.")
    systems, judging = _systems(models, judge)
    size, most = quick(tokens, min(tokens, 128)), quick(novels, min(novels, 2))
    places = _places(documents, systems[0].tokenizer, size, most)
    writers = [one for system in systems for one in _writers(system)]
    reader = _judge(judging)
    total, done = numbers.cost(writers, places), 0
    with Kept("decode", "texts") as keep, counting("judging", "texts") as report:

        def tell(texts: int):
            nonlocal done
            done += texts
            report(done, total)

        found = numbers.measure(writers, reader, places, drawn, report=tell, keep=keep)
    before, real, rows = found
    result = numbers.Decode(
        documents=tuple(place.name for place in places),
        tokens=size,
        drawn=drawn,
        judge=judging.name,
        judge_sha256=judging.sha256,
        systems={one.name: one.facts for one in systems},
        before=before,
        real=real,
        rows=tuple(rows),
    )
    finish(result, "-".join(result.systems), output, show)


def _systems(models: tuple[str, ...], judge: str):
    """The systems that write, and the one that judges.

    **Raises** `FileNotFoundError` for a judge that is not here, with what brings it,
    `ValueError` for no model, a model named twice, and one that would judge itself.
    """
    from lab.interop import kept
    from lab.measure import readers

    found = [readers.system(model) for model in models]
    names = [one.name for one in found]
    if not found or len(set(names)) < len(names):
        raise ValueError(
            f"Name one or more models, each once: got {', '.join(names) or 'none'}."
        )
    if judge == JUDGE and judge not in kept.names():
        raise FileNotFoundError(
            f"The judge, {JUDGE}, is not on this machine: `ttt-lab model add {JUDGE}` "
            "fetches it (93 MB); or name another model with --judge."
        )
    judging = readers.system(judge)
    theirs = {mark for model in models for mark in _marks(model)}
    if theirs & _marks(judge):
        raise ValueError(
            f"{judging.name} would judge what it wrote itself, or what a model wrote "
            "that began as the same one: leave that out of the models, or name another "
            "--judge."
        )
    return found, judging


def _marks(model: str) -> set[str]:
    """The hashes of a model's weights and of those that it began from."""
    card = checkpoints.card(model)
    return {card["sha256"], card.get("start", card)["sha256"]}


def _writers(system) -> list:
    from lab.data import tokenizers
    from lab.evals.decode import STOPS, Writer
    from lab.measure import readers

    words = tokenizers.load(system.tokenizer)
    models = {label: readers.load(one) for label, one in system.readers.items()}
    found = [Writer(label, model, words) for label, model in models.items()]
    if system.learning:
        label, learner = f"{system.name}{STOPS}", models[system.name]
        found.insert(1, Writer(label, learner, words, stops=True))
    return found


def _judge(system):
    from lab.data import tokenizers
    from lab.evals.decode import Judge
    from lab.measure import readers

    words, model = tokenizers.load(system.tokenizer), readers.load(system.frozen)
    return Judge(system.name, model, words, system.frozen.limit)


def _places(documents: tuple[str, ...], tokenizer: str, size: int, most: int) -> list:
    """Places in the middle of documents, with `size` tokens before and after."""
    from lab.data import tokenizers
    from lab.evals.decode import Place

    words = tokenizers.load(tokenizer)
    found = []
    if len(set(documents)) < len(documents):
        raise ValueError("A document is named twice, which would count it twice.")
    for name in documents or _default():
        for title, ids in _tokens(name, words, 2 * size, most):
            before, after = (words.decode(half.tolist()) for half in np.split(ids, 2))
            found.append(Place(title, before, after))
    return found


def _default() -> tuple[str, ...]:
    """The documents that are read if none is named: those that are here."""
    here = [name for name in DOCUMENTS if ENTRIES[name.split("/")[0]].is_prepared()]
    for name in {*DOCUMENTS} - {*here}:
        missing = Text(corpus=(name.split("/")[0],)).missing
        warn(f"{missing}; {' and '.join(here)} alone is read.")
    return tuple(here)


def _tokens(name: str, words, length: int, most: int):
    """Name and `length` tokens of each document that goes by `name`.

    **Raises** `ValueError` for a document that is too short.
    """
    from lab.data import documents
    from lab.measure.texts import passages

    corpus, _, split = name.rpartition("/")
    is_folder = Path(name).is_dir()
    if name in CORPORA or (corpus in CORPORA and split in SPLITS) or is_folder:
        text = Text(corpus=(name,), split="all" if is_folder else "val").only()
        with opening(text):
            shards = text.shards(words.name)
        found = passages(shards, length=length, per_novel=1, novels=most)
        return [(one.novel, one.tokens) for one in found]
    document = documents.load(name)
    ids = np.array(words.encode(document.text), np.int32)
    if len(ids) < length:
        raise ValueError(
            f"{name} has {len(ids):,} tokens, and {length:,} are needed, to read and "
            f"to compare: use --tokens {max(1, len(ids) // 2)} or fewer."
        )
    start = (len(ids) - length) // 2
    return [(document.name, ids[start : start + length])]


def show(result):
    """Nats and repetition by writer, learning against frozen, and how each begins."""
    console = Terminal()
    table = Table("written by", "nats a byte", "over the real text", "repeated", "new")
    table.title = (
        f"{result.tokens:,} tokens written after as many, {result.places}, as "
        f"{result.judge} reads them"
    )
    for row in (result.real, *result.rows):
        over = signed(result.over(row.label, result.real.label))
        cells = [f"{np.mean(row.nats):.3f}", "" if row is result.real else over]
        shares = (f"{np.mean(values):.1%}" for values in (row.repeated, row.distinct))
        table.add_row(row.label, *cells, *shares)
    console.print(table)
    for row in result.rows:
        console.print(f"{row.label}: {' '.join(row.begins.split())[:EXCERPT]} ...")
    words = (
        "nats a byte: what the judge pays, fewer is better. repeated: 4-grams that "
        "were written before; new: tokens that are different. A judge is pleased by "
        "repetition, so read both together."
    )
    say([words, *pairs(result), *_notes(result)], console)


def pairs(result) -> list[str]:
    """What each model that learns writes, against what it writes learning less."""
    from lab.evals import in_words
    from lab.evals.decode import STOPS

    return [
        in_words.against(result, name, f"{name}{other}")
        for name, facts in result.systems.items()
        if facts.learns
        for other in (in_words.FROZEN, STOPS)
    ]


def _notes(result) -> list[str]:
    if len(result.documents) > 1:
        return []
    return ["One document gives no interval."]
