"""Results: kept, listed, opened as what they were, or refused with the field."""

import dataclasses
import json
import math
from typing import ClassVar

import pytest

from lab import results
from lab.analysis.overview import Overview
from lab.bench.remat import RematBench
from lab.bench.training import TrainingBench
from lab.plots.results import TYPES


@dataclasses.dataclass(frozen=True)
class Found:
    """A result with a bit of everything."""

    KIND: ClassVar[str] = "found"
    values: tuple[float, ...]
    best: float | None
    names: dict[str, int]


FOUND = Found((0.123456789, math.inf, -2.0), None, {"a": 1})


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    return results.keep(FOUND, "it")


def test_a_result_is_opened_as_what_it_was(kept):
    assert results.open_result(kept, Found) == FOUND
    (listed,) = results.listed(kept.parent)
    assert (listed.kind, listed.name) == ("found", "found-it")
    assert listed.provenance["commit"]


def test_what_is_not_a_number_is_null_in_the_file(kept):
    data = results.to_json(Found((math.nan,), None, {}))
    assert data["values"] == [None]
    assert math.isnan(results.open_result(data, Found).values[0])
    json.dumps(data, allow_nan=False)


def test_another_kind_and_a_field_that_does_not_fit_are_refused(kept):
    data = json.loads(kept.read_text("utf-8"))
    with pytest.raises(ValueError, match="holds a found result, not bench-remat"):
        results.open_result(kept, RematBench)
    with pytest.raises(ValueError, match=r"no found result: .*names\['a'\]"):
        results.open_result(data | {"names": {"a": "x"}}, Found)
    with pytest.raises(ValueError, match="extra fields found"):
        results.open_result(data | {"more": 1}, Found)


@pytest.mark.parametrize("content", ["", "[1]", '{"kind": 3}', "[" * 100_000])
def test_a_damaged_result_is_named_and_takes_only_itself_away(content, kept):
    bad = kept.with_name("bad.json")
    bad.write_text(content)
    with pytest.raises(ValueError, match=r"bad\.json is not a result, or is damaged"):
        results.open_result(bad, Found)
    assert [one.name for one in results.listed(kept.parent)] == ["found-it"]
    (said,) = results.damaged(kept.parent)
    assert "bad.json is not a result" in said


def test_a_result_that_is_not_there_names_those_that_are():
    with pytest.raises(FileNotFoundError, match="bench-read"):
        results.open_result("none-such", Found)


@pytest.mark.parametrize("kept", results.listed(), ids=lambda kept: kept.name)
def test_every_published_result_opens(kept):
    others = (Overview, RematBench, TrainingBench)  # which have no figures
    types = TYPES | {kind.KIND: kind for kind in others}
    assert results.open_result(kept.path, types[kept.kind])
