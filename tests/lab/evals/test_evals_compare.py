"""Comparisons: known gaps come out, by novel and by position."""

import numpy as np
import pytest
from synthetic_readings import family, readings, system, text_of

from lab import results
from lab.evals import compare


def compared(systems, found):
    return compare.compare(systems, found, text_of(found))


def gaps(comparison):
    return {(gap.better, gap.than): gap for gap in comparison.gaps}


def test_the_first_is_compared_with_all_and_each_learner_with_its_twin():
    systems, found = family()
    named = [(g.better, g.than) for g in compared(systems, found).gaps]
    assert named == [("a", "b"), ("a", "a, frozen")]


def test_gaps_are_paired_so_that_a_hard_novel_is_hard_for_all():
    systems, found = family()
    gap = gaps(compared(systems, found))["a", "b"]
    offsets = 0.01 * np.arange(4)
    known = np.mean(found.nll["b"][0] - found.nll["a"][0]) + offsets
    assert np.allclose(gap.by_novel, known)
    assert np.isclose(gap.overall.mean, known.mean()) and gap.overall.novels == 4
    assert gap.overall.high - gap.overall.low < 0.06, "not the novels' own spread of 1"


def test_passages_of_a_novel_count_as_one():
    losses = {"a": lambda t: 0 * t, "b": lambda t: 0 * t + 1}
    texts = [("x", 256)] * 5 + [("y", 256)]
    found = readings(losses, texts, spread=2.0)
    systems = [system("a", learns=False), system("b", learns=False)]
    gap = gaps(compared(systems, found))["a", "b"]
    assert gap.by_novel == (1, 3) and gap.overall.mean == 2


def test_the_slope_and_the_growth_are_the_ones_put_in():
    systems, found = family()
    gap = gaps(compared(systems, found))["a", "b"]
    (slope,) = gap.slopes
    assert (slope.start, slope.stop) == (1024, 8192)
    assert np.isclose(slope.change.mean, 0.1, atol=2e-3)
    assert slope.verdict == "grows with position"
    assert (gap.growth.early, gap.growth.late) == ((1024, 2048), (4096, 8192))
    assert np.isclose(gap.growth.change.mean, 0.2, atol=2e-3)
    assert np.isclose(gap.first_chunk.mean, 0.215)


def test_growth_compares_whole_doublings_only():
    systems, found = family(length=6000)
    gap = gaps(compared(systems, found))["a", "b"]
    assert gap.growth.late == (2048, 4096)
    systems, found = family(length=200)
    assert gaps(compared(systems, found))["a", "b"].growth is None


def test_a_shrinking_gap_is_said_to_shrink():
    losses = {"a": lambda t: 0 * t, "b": lambda t: 3 - 0.1 * np.log2(t + 1)}
    texts = [(f"n{i}", 4096) for i in range(3)]
    found = readings(losses, texts, spread=0.01)
    systems = [system("a", learns=False), system("b", learns=False)]
    (slope,) = gaps(compared(systems, found))["a", "b"].slopes
    assert slope.verdict == "shrinks with position"


def test_whole_novels_have_a_slope_to_128_k_and_one_to_the_end():
    losses = {"a": lambda t: 0 * t, "b": lambda t: 0 * t + 1}
    texts = [("x", 300_000), ("y", 125_000)]
    systems = [system("a", learns=False), system("b", learns=False)]
    found = compared(systems, readings(losses, texts, spread=0.1))
    gap = gaps(found)["a", "b"]
    assert [(s.start, s.stop) for s in gap.slopes] == [(2048, 131_072), (2048, 300_000)]
    assert gap.growth.late == (65_536, 131_072), "the last that both novels reach"
    curve = gap.curves["doublings"]
    assert curve.edges[-3:] == (131_072, 262_144, 300_000)
    assert curve.novels[-3:] == (2, 1, 1)
    assert set(np.diff(gap.curves["linear"].edges)[:-1]) == {8192}


def test_only_what_both_have_read_counts():
    losses = {"a": lambda t: 0 * t, "b": lambda t: np.where(t < 128, 1.0, 9.0)}
    texts = [("x", 512), ("y", 512)]
    found = readings(losses, texts, limits={"b": 128})
    systems = [system("a", learns=False), system("b", learns=False, limit=128)]
    comparison = compared(systems, found)
    gap = gaps(comparison)["a", "b"]
    assert gap.to == 128 and gap.overall.mean == 1
    assert any("reads 128 tokens, no more" in note for note in comparison.notes)


def test_what_must_be_known_is_said():
    systems = [system("a"), system("b", learns=False, tokens_seen=50, trained_to=None)]
    said = " ".join(compare.notes(systems, 8192))
    assert "Trained on unequal numbers of tokens: a 100, b 50." in said
    assert "a trained on sequences of up to 2,048 tokens" in said
    assert "No card gives the training length of b." in said
    systems, found = family(novels=1)
    assert "One document gives no interval." in compared(systems, found).notes


def test_the_share_of_a_ceiling_s_lead_is_the_one_put_in():
    losses = {
        "a": lambda t: 4.0 - 0.1 * (t >= 512),
        "a, frozen": lambda t: 4.0 + 0 * t,
        "all": lambda t: 4.0 - 0.4 * (t >= 512),
    }
    texts = [(f"novel{i}", 1024) for i in range(4)]
    found = readings(losses, texts, limits={"all": 768})
    systems = [system("a"), system("all", learns=False, limit=768)]
    whole, late = compare.compare(systems, found, text_of(found), "all").shares
    assert (whole.start, whole.stop, late.start, late.stop) == (0, 768, 576, 768)
    assert np.isclose(late.lead.mean, 0.4) and np.isclose(late.saved.mean, 0.1)
    assert np.isclose(whole.lead.mean, 0.4 / 3), "only what both have read counts"
    assert np.isclose(whole.share.mean, 0.25) and np.isclose(late.share.mean, 0.25)


def test_no_share_of_a_lead_that_may_be_none():
    losses = {
        "a": lambda t: 3.9 + 0 * t,
        "a, frozen": lambda t: 4.0 + 0 * t,
        "all": lambda t: 3.99 + 0 * t,
    }
    texts = [(f"novel{i}", 256) for i in range(4)]
    found = readings(losses, texts, spread=0.1)
    found.nll["all"] = [row - 0.3 * i for i, row in enumerate(found.nll["all"])]
    systems = [system("a"), system("all", learns=False)]
    whole, _ = compare.compare(systems, found, text_of(found), "all").shares
    assert whole.lead.sign == 0 and np.isnan(whole.share.mean)


def test_no_share_of_a_lead_that_the_learner_has():
    losses = {
        "a": lambda t: 3.8 + 0 * t,
        "a, frozen": lambda t: 3.9 + 0 * t,
        "all": lambda t: 4.0 + 0 * t,
    }
    texts = [(f"novel{i}", 256) for i in range(4)]
    found, systems = readings(losses, texts), [system("a"), system("all", learns=False)]
    whole, _ = compare.compare(systems, found, text_of(found), "all").shares
    assert whole.lead.sign < 0 and np.isnan(whole.share.mean)
    assert (whole.share.novels, round(whole.saved.mean, 6)) == (4, 0.1)


@pytest.mark.parametrize("wrong", ["a", "nobody"])
def test_a_ceiling_is_a_model_compared_that_never_learns(wrong):
    systems, found = family()
    with pytest.raises(ValueError, match=rf"never learns \(one of b\): got {wrong}"):
        compare.compare(systems, found, text_of(found), wrong)


def test_a_comparison_goes_through_a_file_and_back():
    systems, found = family()
    result = compared(systems, found)
    data = results.to_json(result)
    again = results.open_result(data, compare.Comparison)
    assert results.to_json(again) == data and again.text == result.text
    assert data["losses"]["a, frozen"]["by_novel"] == [4, 5.01, 6.02, 7.03]
    assert data["gaps"][0]["slopes"][0]["change"]["novels"] == 4
