"""The card of a trained model: written when a stage is done, and published with it.

A card holds the configuration, the recipe, the command, the commits, the hash of the
text, the tokens seen, and the held-out losses with learning and without.
"""

import statistics
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp

import ttt_core as ttt
from lab import checkpoints, files, runs
from lab.data import sources
from lab.recipes.experiment import Experiment, Phase
from lab.training import held_out, provenance
from lab.training.devices import part


def card_of(experiment: Experiment, folder: Path, until: str | None = None) -> Path:
    """The path of the card of a stage's model, or of the finished model."""
    names = {phase.stage.name: phase.checkpoint_name for phase in experiment.phases}
    return folder / f"{names[until] if until else experiment.name}.json"


def write_snapshot(phase: Phase, model: ttt.Transformer, folder: Path) -> Path:
    """Write model and card at the end of a stage, and return the card's path.

    Of a model that started from another only what was trained is written, in float16:
    a file to send to a friend. The card describes the model that the file gives back.
    """
    changed, start = None, phase.experiment.start
    if start:  # the rest is where the training found it
        trained = part(phase, model)
        changed = jax.tree.map(_halved, trained)
        rounded = jax.tree.map(lambda a, b: a.astype(b.dtype), changed, trained)
        model = eqx.combine(rounded, model)
    about = describe_model(phase, model, folder)
    if start:
        given = checkpoints.card(start)
        about |= {"start": {"name": start, "sha256": given["sha256"]}}
        about |= {name: given[name] for name in ("licence",) if name in given}
    return checkpoints.save(folder / phase.checkpoint_name, model, about, changed)


def _halved(array):
    """The array in float16, or as it is where that cannot hold its numbers."""
    half = array.astype(jnp.float16)
    return half if jnp.isfinite(half).all() else array


def describe_model(phase: Phase, model: ttt.Transformer, folder: Path) -> dict:
    """The card of a trained model: where it came from and how well it reads."""
    experiment = phase.experiment
    lines = runs.read_metrics(folder / "metrics.jsonl")
    lines = [line for line in lines if line["step"] < phase.end]
    settings = runs.describe(experiment)
    settings.pop("model")
    hashes = {
        stage.corpus: sources.data_hash(stage.corpus, experiment.tokenizer, "train")
        for stage in experiment.stages[: phase.index + 1]
    }
    return {
        "tokenizer": experiment.tokenizer,
        "recipe": experiment.name,
        **runs.environment(),
        "commits": provenance.commits(folder, phase.end),
        "seed": experiment.seed,
        "experiment": settings,
        "stage": phase.stage.name,
        "data_hash": hashes[phase.stage.corpus],
        "data_hashes": hashes,
        "tokens_seen": phase.tokens_at(phase.end - 1),
        "training_loss": statistics.fmean(line["loss"] for line in lines[-20:]),
        "training_hours": round(sum(line["seconds"] for line in lines) / 3600, 2),
        "held_out": held_out.summary(phase, model),
    }


def publish_model(card: Path) -> Path:
    """Copy a finished model and its card to the published models; return the new card.

    A card that points at another model's weights is copied alone. Weights for a
    pretrained model go to the adapters.

    **Raises** `FileNotFoundError` if the card points at weights that are not published.
    """
    about = checkpoints.card(card)
    target = checkpoints.ADAPTERS if "start" in about else checkpoints.PUBLISHED
    points_at = about.get("weights")
    if points_at is None:
        weights = card.with_suffix(".safetensors")
        files.write(target / weights.name, weights.read_bytes())
    elif not (target / f"{points_at}.safetensors").exists():
        raise FileNotFoundError(
            f"{card.stem} reads with the weights of {points_at}, which is not "
            f"published yet: `ttt-lab train {points_at} --publish` first."
        )
    return files.write(target / card.name, card.read_bytes())
