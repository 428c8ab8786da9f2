"""Readings made up so that every gap is known, for tests of evals and plots."""

import numpy as np

from lab.measure.nats import Readings
from lab.measure.readers import Reader, System
from lab.measure.texts import Passage, TextRead


CHUNK = 64


def system(name, *, learns=True, trained_to=2048, tokens_seen=100, limit=None):
    """A system that has no files."""
    return System(
        name=name,
        chunk=CHUNK,
        learning=Reader(name, limit=limit) if learns else None,
        frozen=Reader(name, learning=False, limit=limit),
        trained_to=trained_to,
        tokens_seen=tokens_seen,
        tokenizer="bytes",
        data_hash="h",
        sha256="s",
    )


def text_of(found, *, whole=False):
    """What a result says of the text of such readings."""
    length = max(len(passage.tokens) for passage in found.passages)
    return TextRead(
        corpus="made-up",
        split="val",
        tokenizer="bytes",
        text_hash="h",
        unit="novels",
        units=found.novels,
        length=None if whole else length,
        passages=len(found.passages),
    )


def readings(losses, lengths, *, spread=0.0, limits=None):
    """Nats `loss(position)` of each label for each `(novel, length)`.

    `losses`: label -> function of positions; novel number `i` costs `i` more for all,
    and `spread * i` more for every label but the first. `limits`: label -> tokens read.
    """
    owners = list(dict.fromkeys(novel for novel, _ in lengths))
    passages = tuple(
        Passage(novel, 0, np.zeros(length, np.int32)) for novel, length in lengths
    )
    nll = {}
    for rank, (label, loss) in enumerate(losses.items()):
        rows = []
        for novel, length in lengths:
            end = min(length, (limits or {}).get(label, length))
            own = owners.index(novel) * (1 + spread * (rank > 0))
            rows.append(loss(np.arange(end, dtype=float)) + own)
        nll[label] = rows
    return Readings(passages, nll)


def family(length=8192, novels=4, **more):
    """`a` learns (0.1 a doubling from token 64 on), its start is 0.2 ahead of `b`."""
    learned = lambda t: np.where(t < CHUNK, 0, 0.1 * np.log2(np.maximum(t, 1) / CHUNK))
    losses = {
        "a": lambda t: 4.0 - learned(t),
        "a, frozen": lambda t: 4.0 + 0 * t,
        "b": lambda t: 4.2 + 0 * t,
    }
    texts = [(f"novel{i}", length) for i in range(novels)]
    found = readings(losses, texts, spread=0.01, **more)
    return [system("a"), system("b", learns=False)], found
