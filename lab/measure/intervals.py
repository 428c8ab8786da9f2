"""How sure: Student's t-intervals over novels, shares, and the slope of a gap.

Inputs are one value (or one row of bins) a novel, NaN where a novel has none: a novel
is the independent unit, its passages are not.
"""

import dataclasses

import numpy as np
from scipy import stats

from lab.measure.positions import middles


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over `novels` novels and its 95 % t-interval (NaN below two novels)."""

    mean: float
    low: float
    high: float
    novels: int

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval excludes zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def as_json(self) -> dict:
        """Rounded, with None for what is not defined."""
        low, high = rounded([self.low, self.high])
        interval = None if low is None else [low, high]
        mean = rounded([self.mean])[0]
        return {"mean": mean, "interval_95": interval, "novels": self.novels}


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """Mean and interval over novels in each bin: `edges [bins + 1]`, others `[bins]`.

    `novels` counts those that reach the bin.
    """

    edges: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    novels: np.ndarray

    def as_json(self) -> dict:
        """Rounded lists, None for what is not defined."""
        lists = {name: rounded(getattr(self, name)) for name in ("mean", "low", "high")}
        return {"edges": self.edges.tolist(), **lists, "novels": self.novels.tolist()}


def interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Mean and t-interval over the novels that have a value, `values [novels]`."""
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(values.mean())
    if n == 1:
        return Interval(mean, np.nan, np.nan, 1)
    half = float(stats.sem(values) * stats.t.ppf(0.5 + level / 2, n - 1))
    return Interval(mean, mean - half, mean + half, n)


def share(values: np.ndarray, level: float = 0.95) -> Interval:
    """Mean of zeros and ones and its Wilson interval, `values [cases]`.

    Unlike a t-interval it stays between 0 and 1, and is no point where all are alike:
    none right of 24 means less than 14 %.
    """
    right, cases = int(values.sum()), len(values)
    found = stats.binomtest(right, cases).proportion_ci(level, method="wilson")
    return Interval(right / cases, float(found.low), float(found.high), cases)


def curve(values: np.ndarray, edges: np.ndarray) -> Curve:
    """`interval` in each bin, `values [novels, bins]`."""
    found = [interval(column) for column in values.T]
    columns = ([getattr(i, name) for i in found] for name in ("mean", "low", "high"))
    return Curve(edges, *map(np.array, columns), np.array([i.novels for i in found]))


def slope(values: np.ndarray, edges: np.ndarray, start: int, stop: int) -> Interval:
    """Change of a gap with each doubling of the position, over `start` to `stop`.

    Least squares of the bins' means on log2 of their middles, novel by novel; then a
    t-interval over novels. A novel with fewer than three bins there has no slope.
    """
    inside = (edges[:-1] >= start) & (edges[1:] <= stop)
    place = np.log2(middles(edges))
    return interval(np.array([_fit(place[inside], row[inside]) for row in values]))


def _fit(place: np.ndarray, row: np.ndarray) -> float:
    there = np.isfinite(row)
    if there.sum() < 3:
        return np.nan
    return float(np.polyfit(place[there], row[there], 1)[0])


def rounded(values, digits: int = 5) -> list:
    """Numbers for JSON: rounded, None where not finite."""
    return [round(float(v), digits) if np.isfinite(v) else None for v in values]
