"""The best inner rate: the lowest loss wins, on text that is not reported on."""

import numpy as np
import pytest
from synthetic_readings import CHUNK, readings, text_of

from lab import results
from lab.evals import tune_inner
from lab.measure import positions
from lab.measure.readers import Reader


def trials(gain_of):
    readers = tune_inner.readers("m", (0.1, 0.3, 1.0), (0.5, 1.0))
    losses = {
        label: lambda t, r=reader: 0 * t + 5 - (gain_of(r) if r.learning else 0)
        for label, reader in readers.items()
    }
    found = readings(losses, [("x", 64), ("y", 64)])
    return tune_inner.tune(found, readers, text_of(found), "m", "s")


def test_the_lowest_loss_wins_and_an_edge_is_named():
    found = trials(lambda r: 1 - abs(np.log10(r.lr / 0.3)) + 0.1 * r.clip)
    assert (found.best.lr, found.best.clip) == (0.3, 1.0)
    assert np.isclose(found.best.gain.mean, 1.1) and found.edges == ("clip",)
    assert len(found.trials) == 6 and found.frozen == 5.5
    data = results.to_json(found)
    assert results.to_json(results.open_result(data, tune_inner.Tuning)) == data


def test_where_no_rate_helps_none_is_best():
    found = trials(lambda r: -r.lr)
    assert found.best is None and found.edges == ()


def test_a_rate_that_breaks_the_model_does_not_win():
    found = trials(lambda r: np.nan if r.lr == 0.1 else r.lr)
    assert found.best.lr == 1.0
    data = results.to_json(found)
    assert data["trials"][0]["loss"] is None
    again = results.open_result(data, tune_inner.Tuning)
    assert np.isnan(again.trials[0].loss) and again.best == found.best


def test_tuning_on_reported_text_is_refused():
    for corpus, split in (("eltec-eng", "val"), ("eltec-eng", "all"), ("sotu", "val")):
        with pytest.raises(ValueError, match="would flatter the model"):
            tune_inner.check_text(corpus, split)
    tune_inner.check_text("eltec-eng", "train")
    tune_inner.check_text("moby-dick", "all")


@pytest.mark.parametrize(("rates", "clips"), [((0.0,), (1.0,)), ((1.0,), ())])
def test_rates_and_clips_are_above_zero(rates, clips):
    with pytest.raises(ValueError, match="must be numbers above 0"):
        tune_inner.readers("m", rates, clips)


def test_a_frozen_reader_is_always_there():
    found = tune_inner.readers("m", (1.0,), (np.inf,))
    assert found["frozen"] == Reader("m", learning=False)
    assert positions.mean([np.ones(CHUNK)]) == 1
