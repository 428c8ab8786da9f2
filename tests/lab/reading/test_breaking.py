"""Failures: each is provoked on the nano model, kept as a file, drawn and told."""

import json
import math

import numpy as np
import pytest
from synthetic_published import nano

from lab import plots
from lab.reading import breaking, failures, verdicts


@pytest.fixture(scope="module")
def small():
    """A few chunks of each passage, so that a failure takes a moment."""
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"BEFORE": 3, "MIDDLE": 2, "AFTER": 3, "ROUNDS": 3, "SAME": 2}
        for name, value in sizes.items():
            patch.setattr(breaking, name, value)
        patch.setattr(verdicts, "LAST", 2)
        yield


@pytest.fixture(scope="module")
def provoked(small):
    return {name: breaking.provoke(name, "nano", load=nano) for name in NAMES}


NAMES = list(breaking.FAILURES)


def test_a_file_that_tells_no_answer_gives_way_to_the_published_one(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    columns = ("ends", "loss", "drift", "refused", "probe")
    for name in NAMES:
        found = failures.load(name, "tiny-e2e")
        path = failures.save(found)
        whole = json.loads(path.read_text())
        blank = [line | dict.fromkeys(columns, []) for line in whole["lines"]]
        others = [one for one in whole["lines"] if one["role"] != "learner"]
        for lines, called in ((blank, name), ([], name), (whole["lines"], "rat")):
            data = whole | {"lines": lines, "name": called, "seconds": 1.5}
            path.write_text(json.dumps(data))
            assert failures.load(name, "tiny-e2e", verdicts.verdict) == found
        if name in ("rate", "clip", "own", "saturation", "tail"):
            path.write_text(json.dumps(whole | {"lines": others}))
            assert failures.load(name, "tiny-e2e", verdicts.verdict) == found
        if name in ("clip", "poison"):
            path.write_text(json.dumps(whole | {"marks": []}))
            assert failures.load(name, "tiny-e2e", verdicts.verdict) == found


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_is_kept_drawn_and_told(provoked, name, tmp_path, monkeypatch):
    found = provoked[name]
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    assert failures.load(name, "nano") is None
    failures.save(found)
    again = failures.load(name, "nano")
    assert again.marks == found.marks and again.provenance == found.provenance
    for line, kept in zip(found.lines, again.lines, strict=True):
        np.testing.assert_allclose(kept.loss, np.where(*finite(line.loss)), rtol=1e-5)
        assert (kept.said, kept.refused, kept.ends) == (
            line.said,
            line.refused,
            line.ends,
        )
    assert verdicts.verdict(found) == verdicts.verdict(again)
    for draw in (
        plots.loss_when_broken,
        plots.drift_when_broken,
        plots.held_back_when_broken,
    ):
        whole, part = draw(again), draw(again, upto=2)
        assert whole.layout.yaxis.range == part.layout.yaxis.range
        assert whole.layout.xaxis.range == part.layout.xaxis.range
        assert all(len(line.x) <= 2 * len(again.lines) for line in part.data)


def finite(values):
    values = np.array(values)
    return np.isfinite(values), values, math.nan


def test_a_frozen_reader_moves_nowhere_and_refuses_nothing(provoked):
    for failure in provoked.values():
        for line in failure.lines:
            if line.role == failures.FROZEN:
                assert not any(line.drift) and not any(line.refused)


def test_steps_that_overflow_are_refused_and_the_weights_stay_as_they_are(provoked):
    *_, most = (x for x in provoked["rate"].lines if x.role == failures.BROKEN)
    assert any(most.refused) and not most.refused[0]
    at = most.refused.index(True)
    assert all(most.refused[at:]) and len(set(map(str, most.drift[at:]))) == 1
    assert "steps are refused" in verdicts.verdict(provoked["rate"])


def test_a_tail_is_not_in_the_weights_until_its_chunk_is_full(provoked):
    line = provoked["tail"].line(failures.LEARNER)
    assert len(set(line.loss[:-1])) == 1 and len(set(line.drift[:-1])) == 1
    assert line.loss[-1] != line.loss[0] and line.drift[-1] != line.drift[0]


def test_what_is_spared_the_noise_does_not_move_in_it(provoked):
    spared = provoked["poison"].line(failures.REMEDY)
    broken = provoked["poison"].line(failures.BROKEN)
    assert len(set(spared.drift[2:5])) == 1
    assert len(set(broken.drift[2:5])) == 3
    assert spared.loss[:4] == broken.loss[:4], "until its first step they are one"


def test_without_a_clip_a_step_is_never_shorter(provoked):
    bound = provoked["clip"].line(failures.LEARNER)
    free = provoked["clip"].line(failures.BROKEN)
    assert free.drift[0] >= bound.drift[0] > 0


def test_the_same_page_gets_cheaper(provoked):
    same = provoked["saturation"].line(failures.BROKEN)
    assert np.mean(same.loss[-2:]) < np.mean(same.loss[:2])
    assert np.isfinite(same.probe).sum() == 3


def test_a_writer_keeps_its_first_and_last_words(provoked):
    written = provoked["own"].line(failures.BROKEN)
    assert len(written.said) == 2 and all(written.said)
    assert not provoked["own"].line(failures.LEARNER).said


def test_what_cannot_be_provoked_is_a_sentence(small):
    with pytest.raises(ValueError, match="never learns, so nothing of it"):
        breaking.provoke("rate", "nano-static", load=nano)
    with pytest.raises(ValueError, match="failure"):
        breaking.provoke("rat", "nano", load=nano)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(breaking, "ROUNDS", 10**6)
        with pytest.raises(ValueError, match="are needed"):
            breaking.provoke("rate", "nano", load=nano)


@pytest.mark.parametrize("damage", ["{", "[]", '{"name": "rate"}', "ragged"])
def test_a_damaged_file_gives_way_to_the_published_one(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    found = failures.load("rate", "tiny-e2e")
    path = failures.save(found)
    if damage == "ragged":
        data = json.loads(path.read_text())
        data["lines"][0]["loss"].pop()
        damage = json.dumps(data)
    path.write_text(damage)
    assert failures.load("rate", "tiny-e2e") == found


@pytest.mark.parametrize("name", NAMES)
def test_every_failure_is_published_and_told_with_numbers(name):
    found = failures.load(name, "tiny-e2e")
    assert "nan" not in verdicts.verdict(found) and found.document == breaking.DOCUMENT


def test_the_published_failures_show_what_the_gallery_says():
    lines = {name: failures.load(name, "tiny-e2e") for name in NAMES}
    last = lambda failure, role: np.mean(failure.line(role).loss[-8:])
    rate, own, full = lines["rate"], lines["own"], lines["saturation"]
    assert last(rate, "learner") < last(rate, "frozen") < last(rate, "broken")
    assert own.line("broken").loss[-1] < 0.1
    assert own.line("broken").probe[-1] > own.line("remedy").probe[-1]
    assert full.line("broken").probe[-1] > full.line("frozen").probe[-1]
    after = lines["clip"].marks[-1].token // lines["clip"].chunk
    clip = [lines["clip"].line(r).loss[after] for r in ("learner", "frozen", "broken")]
    assert clip == sorted(clip)
