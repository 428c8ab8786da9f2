"""A run says on which source it ran, and when that has changed."""

import dataclasses
import json
import subprocess
import sys

import pytest
from small_experiment import small_experiment, write_texts

from lab import runs
from lab.training import loop as train
from lab.training import provenance as source
from lab.training.conduct import Conduct


def test_a_change_of_source_is_announced_and_noted(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    small = small_experiment(write_texts(tmp_path / "texts"))
    small = dataclasses.replace(small, checks=0, gain_every=0)
    run, said = tmp_path / "run", []
    monkeypatch.setattr(source, "version", lambda: "one")
    train.train(small, run, Conduct(until="pretrain"), say=said.append)
    train.train(small, run, Conduct(until="pretrain"), say=said.append)
    assert not said and [entry["step"] for entry in source.history(run)] == [0]
    monkeypatch.setattr(source, "version", lambda: "another")
    monkeypatch.setattr(runs, "commit", lambda: "1234abcd")
    train.train(small, run, say=said.append)
    warning, goes_on = said
    assert goes_on == "Going on at step 4, which was saved."
    assert "continues at step 4 under another version of the source" in warning
    assert "no longer be bit-identical" in warning
    first, second = source.history(run)
    assert (first["step"], second["step"], second["source"]) == (0, 4, "another")
    assert source.commits(run, 4) == [first["commit"]]
    assert source.commits(run, 7) == [first["commit"], "1234abcd"]


def test_what_was_made_again_is_forgotten(tmp_path, monkeypatch):
    for step, commit in ((0, "a"), (5, "b"), (9, "b"), (5, "c")):
        monkeypatch.setattr(source, "version", lambda commit=commit: commit)
        monkeypatch.setattr(runs, "commit", lambda commit=commit: commit)
        source.claim_source(tmp_path, step)
    told = [(entry["step"], entry["commit"]) for entry in source.history(tmp_path)]
    assert told == [(0, "a"), (5, "c")]
    assert "another version" in source.claim_source(tmp_path, 5, write=False)


def test_a_run_from_before_this_was_noted_is_of_unknown_source(tmp_path):
    assert "under another version of the source:" in source.claim_source(tmp_path, 3)
    assert source.commits(tmp_path, 9) == ["unknown", runs.commit()]


def test_other_packages_are_another_version(tmp_path):
    source.claim_source(tmp_path, 0)
    entries = source.history(tmp_path)
    entries[0]["packages"]["jax"] = "0.0.1"
    (tmp_path / "sources.json").write_text(json.dumps(entries))
    assert "version of jax:" in source.claim_source(tmp_path, 3)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The one file of a core of its own, which decides the numbers."""
    for name in ("ttt_core/mixers", "lab/data"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(source, "ROOT", tmp_path)
    monkeypatch.setattr(source, "FILES", ())
    path = tmp_path / "ttt_core" / "inner.py"
    path.write_text('"""Words."""\nfrom ttt_core.rules import sgd\n\n\nx = 1\n')
    return path


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ('"""Other words."""\nx = 1  # a comment\n', True),
        ('"""Words."""\nfrom lab.rules import sgd\n\n\nx = (1)\n', True),
        ('"""Words."""\nif not x:\n    import ttt_core.rules\nx = 1\n', False),
        ('"""Words."""\nimport math\n\nx = 1\n', False),
        ('"""Words."""\nx = 2\n', False),
    ],
)
def test_only_what_is_computed_is_source(module, text, is_same):
    before = source.version()
    module.write_text(text)
    assert (source.version() == before) == is_same


def test_a_file_that_was_moved_is_the_same_source(module):
    other = module.with_name("fast.py")
    other.write_text("y = 3\n")
    before = source.version()
    module.rename(module.parent / "mixers" / "zero.py")
    assert source.version() == before
    other.write_text("y = 4\n")
    assert source.version() != before
    other.unlink()
    assert source.version() != before


RECIPES = source.ROOT / "lab" / "recipes"
OBSERVING = {  # imported by the loop, and no part of what is computed
    "lab.checkpoints",
    "lab.tensors",
    "lab.compile_cache",
    "lab.cores",
    "lab.files",
    "lab.measure",
    "lab.measure.intervals",
    "lab.measure.positions",
    "lab.names",
    "lab.published",
    "lab.quick",
    "lab.recipes",
    "lab.runs",
    "lab.stopping",
    "lab.traces",
    "lab.training.conduct",
    "lab.training.divergence",
    "lab.training.flops",
    "lab.training.held_out",
    "lab.training.hosts",
    "lab.training.interrupts",
    "lab.training.machine",
    "lab.training.metrics",
    "lab.training.provenance",
    "lab.training.texts",
    "lab.training.trackers",
}


def test_every_module_of_a_training_decides_numbers_or_only_observes():
    code = "import sys, lab.training.loop; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {name for name in found.stdout.split() if name.startswith("lab.")}
    recipes = {f"lab.recipes.{path.stem}" for path in RECIPES.glob("*.py")}
    loaded -= recipes - {"lab.recipes.experiment"} | {"lab.training"}
    loaded = {name for name in loaded if not f"{name}.".startswith("lab.data.")}
    decides = {name.removesuffix(".py").replace("/", ".") for name in source.FILES}
    assert loaded == decides | OBSERVING
