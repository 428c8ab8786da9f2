"""Ablations: many trainings, read by document and seed, and kept."""

import dataclasses
import json

import numpy as np
import pytest
from command_line import run, use_folders

from lab import checkpoints, plots, results, runs
from lab.commands import ablation as command
from lab.commands import trainings
from lab.evals import ablation, in_words, trained
from lab.evals.trained import Losses, Score
from lab.measure.parts import Kept
from lab.measure.texts import Passage, TextRead
from lab.recipes import grids
from lab.stopping import Stopped
from lab.training import cards


TEXT = TextRead("sotu", "val", "bytes", "h", "addresses", ("x", "y", "z"), 64, 3)


def losses(*by_seed):
    return Losses(tuple(map(tuple, by_seed)))


def score(value, learning, frozen=3.0, plain=4.0):
    """Two seeds and three documents; the second seed is worse by what it is given."""
    same = lambda loss: losses([loss, loss + 1, loss + 2], [loss, loss + 1, loss + 2])
    return Score(value, 64, 1000, same(learning), same(frozen), same(plain))


def test_a_difference_is_paired_by_document_and_seed():
    ours = losses([1.0, 2.0, 6.0], [1.2, 2.1, 6.1])
    theirs = losses([1.5, 2.5, 6.5], [1.3, 2.3, 6.4])
    found = ours.saves(theirs)
    assert np.allclose(found.seeds, [0.5, 0.5 / 3 * 1.2])
    assert np.isclose(found.overall.mean, np.mean([[0.5] * 3, [0.1, 0.2, 0.3]]))
    assert found.overall.novels == 3 and found.sign == 1
    # Documents agree on the mean, and the second seed says the opposite.
    split = ours.saves(losses([2.0, 3.0, 7.0], [1.1, 2.0, 6.0]))
    assert split.overall.sign == 1 and split.sign == 0
    alone = losses([1.0, 2.0, 6.0]).saves(losses([1.5, 2.4, 6.6]))
    assert alone.overall.sign == 1 and alone.sign == 0  # one seed shows nothing
    assert np.allclose(ours.overall.mean, np.mean(ours.by_seed))
    assert ours.seeds == (3.0, pytest.approx(9.4 / 3))


def make(axis="window"):
    kind = ablation.ABLATIONS[axis]
    rows = ablation.rows([score(16, 2.5), score(32, 2.0), score(64, 1.9)], 32)
    return kind(TEXT, "nano-e2e", (), 64, 32, 2, 32, rows)


def test_rows_stand_beside_the_usual_setting():
    found = make()
    assert [row.value for row in found.rows] == [16, 32, 64]
    over = [row.over_usual.overall.mean for row in found.rows]
    assert np.allclose(over, [-0.5, 0, 0.1]) and found.best.value == 64
    assert [row.over_plain.overall.mean for row in found.rows][0] == 1.5
    assert [row.gain.overall.mean for row in found.rows][1] == 1.0


@pytest.mark.parametrize(
    "found", list(map(make, ablation.ABLATIONS)), ids=lambda one: one.KIND
)
def test_it_is_kept_opened_shown_told_and_drawn(found, capsys):
    data = results.to_json(found)
    assert results.to_json(results.open_result(data, type(found))) == data
    command.show(found)
    said = capsys.readouterr().out
    assert "±" in said and "seed" in said
    assert "nats a token" in in_words.headline(found)
    for name, figure in plots.result_figures(found.KIND, found).items():
        drawn = [y for line in figure.data for y in line.y if y is not None]
        assert drawn and np.isfinite(drawn).all(), name


def pair(folder, nano, rates=(1.0,)):
    """Trainings that are there already: `nano` with inner rates, and plain."""
    budget = grids.Budget(seeds=len(rates))
    found = budget.pair(1, {})
    paths = {}
    for one, rate in zip(found.learning, rates, strict=True):
        paths[one.name] = _saved(folder / one.name, nano, rate)
    for one in found.plain:
        paths[one.name] = _saved(folder / one.name, nano, 0.0)
    return found, paths


def _saved(path, nano, rate):
    config = nano.config.replace(lr=rate)
    model = dataclasses.replace(nano, config=config)
    return checkpoints.save(path, model, {"tokenizer": "bytes"})


def test_every_model_reads_learning_and_frozen_and_only_once(
    tmp_path, nano, monkeypatch
):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    found, paths = pair(tmp_path, nano)
    draw = np.random.default_rng(0)
    tokens = lambda: draw.integers(0, 256, 64, np.int32)
    passages = [Passage(name, 0, tokens()) for name in ("x", "x", "y")]
    told = []
    report = lambda done, total: told.append((done, total))
    keep = Kept("trained", "models")
    (one,) = trained.measure([found], paths, passages, report=report, keep=keep)
    assert told == [(3 * 192, 3 * 192)] and one.weights == 56_064
    assert one.learning.by_seed != one.frozen.by_seed  # nano learns, if only a little
    assert one.frozen.by_seed == one.plain.by_seed  # the same weights, never learning
    assert len(one.plain.by_seed[0]) == 2  # documents, not passages
    monkeypatch.setattr("lab.training.held_out.losses", None)
    assert trained.measure([found], paths, passages, keep=keep) == [one]


def test_finished_trainings_are_not_repeated(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    monkeypatch.setattr(trainings, "check_machine", lambda *_: None)
    did = []

    def train(experiment, folder, screen):
        did.append(experiment.name)
        screen.report({"tokens": experiment.tokens, "loss": 1.0})
        if len(did) == 2:
            raise Stopped("stopped at step 3.")
        folder.mkdir(parents=True, exist_ok=True)
        described = json.dumps(runs.describe(experiment))
        (folder / "experiment.json").write_text(described)
        cards.card_of(experiment, folder).write_text("{}")

    monkeypatch.setattr(trainings, "train_experiment", train)
    pairs = [grids.Budget(seeds=1).pair(1, {})]
    with pytest.raises(Stopped, match=r"step 3\. Finished .* kept: 1 of 2"):
        trainings.train_all(pairs)
    found = trainings.train_all(pairs)
    assert did == [*found, list(found)[1]] and len(found) == 2
    assert all(path.exists() for path in found.values())
    trainings.train_all(pairs)
    assert len(did) == 3
    said = capsys.readouterr().err
    assert "2 trainings" in said and "(1 are there)" in said and "all there" in said
    # A folder with another experiment of that name is not taken for finished.
    asked = tmp_path / "trainings" / list(found)[0] / "experiment.json"
    asked.write_text(asked.read_text().replace('"lr": 0.01', '"lr": 0.02'))
    trainings.train_all(pairs)
    assert len(did) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ablation", "windows"], "did you mean 'window'?"),
        (["ablation", "chunk", "--values", "64"], "use chunk <= 32"),
        (["ablation", "layers", "--values", "0"], "--values must be >= 1"),
        (["ablation", "window", "--seeds", "0"], "--seeds must be >= 1"),
        (["ablation", "window", "--set", "lrr=1"], "did you mean 'lr'?"),
        (["ablation", "window", "--corpus", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_is_a_sentence(monkeypatch, tmp_path, capsys, words, said):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    assert run(monkeypatch, "eval", *words) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "trainings").exists()


@pytest.mark.slow
def test_the_command_trains_and_answers(tmp_path, monkeypatch, capsys):
    use_folders(monkeypatch, tmp_path)
    words = ["ablation", "chunk", "--figures", str(tmp_path)]
    assert run(monkeypatch, "eval", *words) == 0
    out, err = capsys.readouterr()
    assert "over plain" in out
    assert "3 trainings" in err  # the plain twin of both chunks is one
    assert len([*tmp_path.glob("*.html")]) == 3
    (kept,) = (tmp_path / "runs" / "evals").glob("ablation-chunk-*.json")
    found = results.open_result(kept, ablation.ChunkAblation)
    assert [row.value for row in found.rows] == [16, 32]
    assert found.rows[0].plain == found.rows[1].plain
