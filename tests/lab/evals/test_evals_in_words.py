"""Evaluations in words, any two labels side by side, and the paper's numbers."""

import dataclasses

import numpy as np
import pytest

from lab import plots, results
from lab.bench.reading import ReadingBench
from lab.evals import in_words
from lab.evals.compare import Comparison
from lab.evals.context import Contexts
from lab.evals.decompose import Decomposition
from lab.evals.paper import REPORTED
from lab.evals.recall import Recall
from lab.measure.intervals import interval, signed
from lab.plots import theme
from lab.plots.results import TYPES


def compared() -> Comparison:
    return results.open_result("compare-tiny-e2e-eltec-eng-val-16384", Comparison)


def contexts() -> Contexts:
    return results.open_result("context-tiny-e2e-eltec-eng-val", Contexts)


def test_two_labels_that_are_not_the_reference_are_compared_by_novel():
    result = compared()
    losses = [np.array(result.losses[n].by_novel) for n in ("tiny-full", "tiny-swa")]
    expected = interval(losses[0] - losses[1])
    said = in_words.against(result, "tiny-full", "tiny-swa")
    assert said.startswith(f"tiny-swa reads {signed(expected)} nats a token cheaper")
    assert said == in_words.against(result, "tiny-swa", "tiny-full")


def test_equal_readers_are_called_equal_and_the_same_twice_is_refused():
    said = in_words.against(compared(), "tiny-naive, frozen", "tiny-swa")
    assert "read alike" in said
    with pytest.raises(ValueError, match="two different"):
        in_words.against(compared(), "tiny-swa", "tiny-swa")


def test_passages_of_different_lengths_are_not_compared():
    result = compared()
    first = dataclasses.replace(result.gaps[0], to=8)
    result = dataclasses.replace(result, gaps=(first, *result.gaps[1:]))
    with pytest.raises(ValueError, match="different lengths"):
        in_words.against(result, "tiny-naive", "tiny-full")


def test_contexts_are_compared_at_the_longest_that_both_read():
    said = in_words.against(contexts(), "tiny-e2e", "tiny-full")
    assert "with 16,384 tokens of context" in said
    assert "131,072" in in_words.against(contexts(), "tiny-e2e", "tiny-swa")


def test_a_difference_within_its_interval_is_not_called_one():
    result = results.open_result("recall-tiny-e2e-tiny-e2e-recall-trained", Recall)
    said = in_words.against(result, "tiny-e2e", "tiny-e2e-recall")
    assert said.startswith("16,384 tokens after a fact, the fact saves tiny-e2e-recall")
    assert "no difference is shown" in said


def test_every_kind_that_the_paper_has_has_a_headline():
    for kept in results.listed():
        if kept.kind in REPORTED:
            found = results.open_result(kept.path, TYPES[kept.kind])
            assert in_words.headline(found).endswith(".")
    assert in_words.headline(None) == "" and in_words.labels(None) == []


@pytest.mark.parametrize("kind", REPORTED)
def test_what_the_paper_reports_is_drawn_with_our_colours(kind):
    reported = REPORTED[kind]
    lines = {line.name: line for line in plots.reported_curves(reported).data}
    assert lines.keys() == reported.curves.keys()
    first = next(iter(lines))  # TTT-E2E, or one of its contexts
    assert lines.get("TTT-E2E", lines[first]).line.color == theme.LEARNING
    for name, values in reported.curves.items():
        assert list(lines[name].y) == list(values) and len(values) == len(reported.at)


def test_a_method_of_the_paper_looks_as_our_model_beside_it():
    systems = in_words.systems(in_words.labels(compared()))
    ours = {line.name: line for line in plots.gap_by_position(compared()).data}
    paper = plots.reported_curves(REPORTED["compare"], systems)
    theirs = {line.name: line.line.color for line in paper.data}
    assert theirs["sliding window"] == ours["over tiny-swa"].line.color
    assert theirs["full attention"] == ours["over tiny-full"].line.color


def test_what_is_said_beside_the_paper_holds_for_our_published_results():
    gaps = {gap.than: gap for gap in compared().gaps if gap.better == "tiny-e2e"}
    assert gaps["tiny-swa"].overall.sign == gaps["tiny-full"].overall.sign == 1
    e2e, frozen = contexts().by_label()["tiny-e2e"], contexts().by_label()["tiny-swa"]
    assert e2e[131072].loss.mean < e2e[32768].loss.mean - 0.01
    assert abs(frozen[131072].loss.mean - frozen[32768].loss.mean) < 0.001
    rows = results.open_result("bench-read", ReadingBench).rows
    pairs = lambda row: zip(row.positions, row.reading_ms, strict=True)
    cost = {row.system: dict(pairs(row)) for row in rows}
    assert cost["tiny-full"][512] < cost["tiny-e2e"][512]
    assert cost["tiny-full"][8192] > cost["tiny-e2e"][8192]
    name = "decompose-tiny-e2e-tiny-swa-eltec-eng-val-16384"
    parts = results.open_result(name, Decomposition)
    assert parts.learning.overall.mean > 0.9 * parts.total.overall.mean


def test_only_the_chosen_labels_are_drawn():
    only = ("tiny-e2e", "tiny-full")
    names = lambda figure: {line.name for line in figure.data if line.name}
    assert names(plots.loss_by_position(compared(), only)) == set(only)
    assert names(plots.gap_by_position(compared(), only)) == {"over tiny-full"}
    assert names(plots.loss_by_context(contexts(), only)) == set(only)
    recall = results.open_result("recall-tiny-e2e-tiny-e2e-recall", Recall)
    drawn = names(plots.nats_by_distance(recall, ("tiny-e2e-recall, frozen",)))
    assert drawn == {"tiny-e2e-recall, frozen"}
    rows = results.open_result("bench-read", ReadingBench)
    assert names(plots.reading_cost(rows, only)) == set(only)


def test_a_pretrained_model_has_a_verdict_of_its_own():
    found = REPORTED["compare"]
    assert found.beside(["smollm2-e2e", "smollm2"]) == found.pretrained != found.verdict
    assert found.beside(["tiny-e2e", "tiny-full"]) == found.verdict
    needles = results.open_result("needles-smollm2-e2e-smollm2", TYPES["needles"])
    about = in_words.models(needles)
    assert REPORTED["needles"].beside(about) == REPORTED["needles"].pretrained != ""
    assert REPORTED["context"].beside(["smollm2-e2e"]) == REPORTED["context"].verdict
