"""What learning saves by size and by tokens, each budget a training of its own."""

import numpy as np
import pytest
from command_line import run, use_folders

from lab import plots, results
from lab.commands import compute as command
from lab.evals import compute, in_words
from lab.evals.trained import Losses, Score
from lab.measure.texts import TextRead


TEXT = TextRead("sotu", "val", "bytes", "h", "addresses", ("x", "y", "z"), 64, 3)


def row(value, plain):
    """One seed and three documents; the model that learns loses 2, 3 and 4."""
    at = lambda loss: Losses(((loss, loss + 1, loss + 2),))
    score = Score(value, int(64 * value), 1000, at(2.0), at(2.5), at(plain))
    return compute.row(score, (2e6, 1e6))


def found():
    rows = row(0.5, 3.0), row(1.0, 4.0)
    return compute.Compute(TEXT, "nano-e2e", (), 1, rows, rows)


def test_it_is_kept_opened_shown_and_told(capsys):
    one = found()
    data = results.to_json(one)
    assert results.to_json(results.open_result(data, compute.Compute)) == data
    command.show(one)
    said = capsys.readouterr().out
    assert "by size of the model" in said and "by tokens of the training" in said
    assert "1 training of each" in said and "+2.000" in said
    told = in_words.headline(one)
    assert "saves +1.000 ±0.000 nats a token with 1,000 weights and +2.000" in told


def test_what_learning_costs_more_to_train_is_drawn_at_its_cost():
    one = found()
    assert one.widths[1].flops == 2 * one.widths[1].plain_flops == 64 * 2e6
    figures = plots.result_figures("compute", one)
    by_name = {
        line.name: line for line in figures["loss"].data if line.mode != "markers"
    }
    assert max(by_name["learning"].x) == 2 * max(by_name["plain twin"].x)
    over, frozen = figures["tokens"].data
    assert over.x == (32, 64) and np.allclose(over.y, (1, 2))
    assert np.allclose(frozen.y, 0.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--widths", "0.3"], "0.6 heads"),
        (["--budgets", "0"], "--budgets must be > 0"),
        (["--size", "large"], "large"),
    ],
)
def test_what_cannot_be_is_a_sentence(monkeypatch, tmp_path, capsys, words, said):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    assert run(monkeypatch, "eval", "compute", *words)
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_trains_and_answers(tmp_path, monkeypatch, capsys):
    use_folders(monkeypatch, tmp_path)
    assert run(monkeypatch, "eval", "compute", "--figures", str(tmp_path)) == 0
    assert "by size of the model" in capsys.readouterr().out
    assert len([*tmp_path.glob("*.html")]) == 3
    (kept,) = (tmp_path / "runs" / "evals").glob("compute-*.json")
    one = results.open_result(kept, compute.Compute)
    assert [r.value for r in one.widths] == [0.5, 1] and len(one.budgets) == 2
    assert one.widths[0].weights < one.widths[1].weights
