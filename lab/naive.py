"""TTT-naive: plainly trained weights that learn while reading, at a tuned inner rate.

Nothing is trained. The card that comes out points at the other model's weights and
differ from it only in the inner loop. The rate is chosen by the held-out passages of
the card, which favours naive a little: they are the ones it is compared on.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from lab import checkpoints, runs


def tune(name: str, weights: str, rates: tuple[float, ...]) -> Path:
    """Write the card `name` over the weights of `weights`, at the best of `rates`.

    `weights` is taken from its run folder if it was trained here, else from what is
    published. Returns the card's path, in the run folder `name`.

    **Raises** `FileNotFoundError` where there are no such weights.
    """
    source = find_weights(weights)
    losses = {rate: _loss(source, rate) for rate in rates}
    best = min(losses, key=losses.get)
    _print(name, weights, losses, best)
    return write_card(name, source, best, losses)


def find_weights(name: str) -> Path:
    """The card of `name`: of its finished run here, else the published one."""
    here = runs.folder(name) / f"{name}.json"
    path = here if here.exists() else checkpoints.PUBLISHED / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{name} has neither been trained here nor is it published: "
            f"`ttt-lab train {name}` first."
        )
    return path


def write_card(name: str, source: Path, rate: float, losses: dict) -> Path:
    """A card that points at the weights beside `source`, kept in a run folder."""
    card = json.loads(source.read_text("utf-8"))
    card["config"]["inner"]["lr"] = rate
    described = card | {
        "name": name,
        "recipe": name,
        "weights": source.stem,
        **runs.environment(),
        "tuning": {f"{rate:g}": round(loss, 4) for rate, loss in losses.items()},
        "held_out": card["held_out"] | {"loss_learning": round(losses[rate], 4)},
    }
    folder = runs.folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    weights = source.with_suffix(".safetensors")
    shutil.copyfile(weights, folder / weights.name)
    path = folder / f"{name}.json"
    runs.write_whole(path, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
    return path


def _loss(source: Path, rate: float) -> float:
    """Mean held-out loss of the weights, learning at `rate`."""
    from lab import held_out
    from lab.data import batches, shards
    from lab.evals.gain import read_nll

    card, model = checkpoints.card(source), checkpoints.load(source)
    model = held_out.with_inner(model, lr=rate)
    corpus, _, split = card["held_out"]["text"].rpartition("/")
    opened = shards.open(corpus, card["tokenizer"], split)
    passages = batches.passages(opened, **held_out.CARD, bos=model.config.bos)
    return float(np.mean([read_nll(model, row[1:]) for row in passages.tokens]))


def _print(name: str, weights: str, losses: dict, best: float):
    table = Table("inner rate", "held out", "", title=f"{name}: {weights}, learning")
    for rate, loss in losses.items():
        table.add_row(f"{rate:g}", f"{loss:.4f}", "chosen" if rate == best else "")
    Console().print(table)
