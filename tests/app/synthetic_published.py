"""A published folder of our own: untrained nano models, two made-up recordings."""

import json
import sys
from pathlib import Path


# The made-up trace lies with the tests of traces.
sys.path.append(str(Path(__file__).parents[1] / "lab"))


RATES = {"nano": 1.0, "nano-half": 0.5, "nano-static": 0.0}


# Those of the preset "nano", whose file imports jax.
SIZES = dict(
    vocab=257, bos=256, d_model=32, layers=4, heads=2, d_ff=64, window=16, chunk=8
) | {"fast_blocks": 1}


def write(folder: Path) -> Path:
    """Fill `folder` as `lab/published` is filled."""
    from synthetic_trace import synthetic

    from lab import traces

    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name, rate in RATES.items():
        inner = {"lr": rate, "clip": 1.0, "rule": "sgd"}
        config = SIZES | {"inner": inner, "mixers": ["window"]}
        card = {"tokenizer": "bytes", "config": config, "sha256": "0" * 64}
        (folder / "models" / f"{name}.json").write_text(json.dumps(card))
    traces.save(folder / "traces" / "carter.npz", synthetic(chunks=60, tail=0))
    plain = synthetic(chunks=30, needle=False, seed=1)
    traces.save(folder / "traces" / "carter-plain.npz", plain)
    return folder


def nano(name: str):
    """What `lab.reading.session.load_model` gives, but built on the spot."""
    import jax

    import ttt_core as ttt
    from lab.reading.programs import Loaded

    config = ttt.preset("nano").replace(lr=RATES[name])
    model = config.build(key=jax.random.key(0))
    return Loaded(model, name, "bytes", "f" * 64)


def publish(folder: Path) -> None:
    """Make this whole process take `folder` for what is published."""
    from lab import published
    from lab.reading import programs

    published.HERE, programs.load_model = write(folder), nano
