"""What the far text is worth: nothing to who cannot see it, all of it to who can."""

import json

import command_line
import jax.numpy as jnp
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.analysis import ceiling, walk
from lab.analysis.ceiling import CEILING, LEARNER, TWIN


SUBJECT = walk.Subject("m", "0", "a/doc", "", "0", 0, 512, 8, None)


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(0)
    return random.integers(0, 200, (2, 512)).astype(np.int32)


def summary(planned, nats):
    about = {"ceiling": "c", "sha256": "0", "trained_to": None}
    return ceiling.summary(SUBJECT, planned, nats, **about)


def test_far_text_is_exactly_nothing_to_who_cannot_see_it(nano, texts):
    chunk, reach = nano.config.chunk, nano.config.reach
    near = -(-reach // chunk) * chunk
    planned = ceiling.Plan((2 * near, 2 * near + chunk, 3 * near), (near, 2 * near))
    twin = ttt.without_learning(nano)
    readers = {LEARNER: nano, TWIN: twin, CEILING: twin}
    nats = ceiling.measure(readers, *texts, planned, chunk=chunk)
    result = summary(planned, nats)
    assert result.far[-1].mean == pytest.approx(0, abs=1e-6)
    assert result.gain[-1].mean != result.null[-1].mean, "weights are another matter"
    still = ceiling.measure(readers | {LEARNER: twin}, *texts, planned, chunk=chunk)
    for one in (*summary(planned, still).gain, *summary(planned, still).null):
        assert (one.mean, one.low, one.high) == (0, 0, 0)


def test_each_chunk_costs_what_reading_it_behind_its_context_costs(nano, texts):
    chunk = nano.config.chunk
    planned = ceiling.Plan((8 * chunk, 9 * chunk), (2 * chunk, 4 * chunk))
    readers = {LEARNER: nano, TWIN: ttt.without_learning(nano), CEILING: nano}
    nats = ceiling.measure(readers, *texts, planned, chunk=chunk)
    assert nats[LEARNER].shape == (2, 2, 2)
    begin = 9 * chunk - 4 * chunk
    row = texts[0][begin - 1 : 10 * chunk]
    for name in (LEARNER, TWIN):
        _, report = ttt.meta_loss(readers[name], jnp.asarray(row))
        expected = np.asarray(report.nll)[-chunk:].mean()
        assert nats[name][0, 1, 1] == pytest.approx(expected, abs=2e-5)
    mixed = np.concatenate([row[:1], texts[1][: 2 * chunk], row[1 + 2 * chunk :]])
    _, report = ttt.meta_loss(nano, jnp.asarray(mixed))
    expected = np.asarray(report.nll)[-chunk:].mean()
    assert nats[LEARNER][1, 1, 1] == pytest.approx(expected, abs=2e-5)
    np.testing.assert_array_equal(nats[TWIN][1, 0], nats[TWIN][0, 0])


def test_known_nats_have_a_known_ceiling():
    planned = ceiling.Plan((64, 72, 80), (16, 32))
    flat = lambda *rows: np.array(rows)[:, :, None] * np.ones(3)
    nats = {
        LEARNER: flat((4.8, 4.2), (4.8, 4.7)),
        TWIN: flat((5.0, 5.0), (5.0, 5.0)),
        CEILING: flat((5.1, 4.5), (5.1, 5.0)),
    }
    result = summary(planned, nats)
    means = lambda values: [round(one.mean, 6) for one in values]
    assert means(result.gain) == [0.2, 0.8] and means(result.null) == [0.2, 0.3]
    assert means(result.far) == [0, 0.5] and means(result.repair) == [0.2, 0.3]
    assert means(result.text) == [0, 0.5]
    assert means(result.sees) == [0, 0.6] and means(result.sees_null) == [0, 0.1]


def test_contexts_double_and_a_short_text_is_refused():
    planned = ceiling.plan(131_072, 64, 128)
    assert planned.contexts == (128, 256, 512, 1024, 2048)
    assert min(planned.places) >= 2048 and len(planned.places) == ceiling.PLACES
    with pytest.raises(ValueError, match="needs a text of 512: got 500"):
        ceiling.plan(500, 64, 128)


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    checkpoints.save(tmp_path / "learner", nano, {"tokenizer": "bytes"})
    text = tmp_path / "text.txt"
    text.write_text("The fog came in. " * 40, encoding="utf-8")
    call = ("inspect", "ceiling", "--document", str(text), "--model")
    learner = str(tmp_path / "learner")
    call += (learner, "--ceiling")
    figures = ("--figures", str(tmp_path / "drawn"))
    assert command_line.run(monkeypatch, *call, learner, *figures) == 0
    assert "gain of learning" in capsys.readouterr().out
    (path,) = (tmp_path / "runs/evals").glob("ceiling-*.json")
    result = results.open_result(path, ceiling.Ceiling)
    drawn = plots.result_figures("ceiling", json.loads(path.read_text("utf-8")))
    far = drawn["gain"].data[1]
    assert list(far.y) == [one.mean for one in result.far]
    assert command_line.run(monkeypatch, *call, "tiny-full") == 1
    assert "must have the same tokenizer" in capsys.readouterr().err
