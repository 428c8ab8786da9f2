"""Every number in `lab/published/findings.md` is the one in its result."""

import dataclasses
import re
from pathlib import Path

import pytest

from lab import results
from lab.commands.tables import signed
from lab.measure.intervals import Curve, Interval
from lab.plots.results import TYPES


PAGE = Path(__file__).parents[1] / "lab/published/findings.md"
UNKNOWN = "…"
ROW = re.compile(
    r"\| (?P<said>[^|]+) \| (?P<cell>[^|]+) \| `(?P<file>[^`]+)` (?P<way>[^|]+) \|"
)


def rows(text):
    """`(finding, cell, file, way)` of every row that names a result."""
    return [found.groups() for found in map(ROW.match, text.splitlines()) if found]


def at(value, way):
    """What stands in a result, at the end of a way such as `kinds/names/gain`."""
    for step in way.strip().split("/"):
        if isinstance(value, dict):
            value = value[step]
        elif isinstance(value, Curve) and re.fullmatch(r"-?\d+", step):
            value = value.at(int(step))
        elif dataclasses.is_dataclass(value):
            value = getattr(value, step)
        elif re.fullmatch(r"-?\d+", step):
            value = value[int(step)]
        else:
            value = next(one for one in value if one.name == step)
    return value


def cell_of(value, like):
    """A number as the page says it; a share where the page says one."""
    if "%" in like:
        ends = [round(100 * end) for end in (value.mean, value.low, value.high)]
        return "{}% ({} to {})".format(*ends)
    if isinstance(value, Interval):
        return signed(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def expected(file, way, like):
    """The cell that a result asks for, None if it is not published."""
    if not (results.PUBLISHED / f"{file}.json").exists():
        return None
    return cell_of(at(results.open_result(file, TYPES[file.split("-")[0]]), way), like)


FOUND = rows(PAGE.read_text("utf-8"))


def test_every_row_of_a_table_names_its_result():
    lines = PAGE.read_text("utf-8").splitlines()
    told = [line for line in lines if line.startswith("|")]
    heads = sum(line.startswith("|---") for line in told)
    assert len(FOUND) == len(told) - 2 * heads and len(FOUND) > 20


@pytest.mark.parametrize("row", FOUND, ids=lambda row: row[3])
def test_a_finding_says_what_was_measured(row):
    _, cell, file, way = row
    assert file.split("-")[0] in TYPES
    asked = expected(file, way, cell)
    assert cell == asked or (asked is None and UNKNOWN in cell)


def test_ways_lead_to_the_numbers_that_they_name():
    one = Interval(1.5, 1.0, 2.0, 3)
    group = dataclasses.make_dataclass("G", ["name", "gain"])("names", one)
    whole = dataclasses.make_dataclass("W", ["kinds", "when"])((group,), {"a": [one]})
    assert at(whole, "kinds/names/gain") is one and at(whole, "when/a/-1") is one
    assert cell_of(one, UNKNOWN) == "+1.500 ±0.500"
    assert cell_of(Interval(0.67, 0.39, 0.86, 12), "…%") == "67% (39 to 86)"
    assert cell_of(12_345, UNKNOWN) == "12,345"
