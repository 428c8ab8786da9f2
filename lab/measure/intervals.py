"""How sure: Student's t-intervals over novels, shares, batch means, slopes.

Inputs are one value (or one row of bins) per novel, NaN where a novel has no value. A
novel (an address, a document) is the independent unit; its passages are not
independent. Every interval of the lab is made here.
"""

import dataclasses
import math

import numpy as np

from lab.measure.positions import middles


LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over `novels` units and its 95 % interval (NaN below two units)."""

    mean: float
    low: float
    high: float
    novels: int

    @property
    def half(self) -> float:
        """Half the interval's width: the number after a `±`."""
        return (self.high - self.low) / 2

    @property
    def is_known(self) -> bool:
        """Whether there is an interval, and not only a mean."""
        return math.isfinite(self.low)

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval excludes zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Mean and interval in each bin: `edges [bins + 1]` in tokens, others `[bins]`.

    `novels`: number of novels that reach the bin.
    """

    edges: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    novels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.mean)

    def at(self, i: int) -> Interval:
        """The interval in one bin."""
        return Interval(self.mean[i], self.low[i], self.high[i], self.novels[i])

    def since(self, first: int) -> "Curve":
        """The curve without its first bins."""
        names = [field.name for field in dataclasses.fields(self)]
        return Curve(**{name: getattr(self, name)[first:] for name in names})

    def flipped(self) -> "Curve":
        """The curve of the opposite difference."""
        minus = lambda values: tuple(-value for value in values)
        low, high = minus(self.high), minus(self.low)
        return dataclasses.replace(self, mean=minus(self.mean), low=low, high=high)


def signed(value: Interval, digits: int = 3) -> str:
    """A number such as `+0.351 ±0.036`; the mean alone if there is no interval."""
    if not value.novels:
        return "none"
    mean = round(value.mean, digits) + 0.0  # never -0.000
    if not value.is_known:
        return f"{mean:+.{digits}f}"
    return f"{mean:+.{digits}f} ±{value.half:.{digits}f}"


def interval(values) -> Interval:
    """Mean and t-interval over the units that have a value, `values [novels]`."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(values.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = _t(n - 1) * float(np.std(values, ddof=1)) / n**0.5
    return Interval(mean, mean - half, mean + half, n)


def batch_means(values, blocks: int = 20) -> Interval:
    """Mean and interval of a series whose neighbours are alike, `values [chunks]`.

    The interval comes from the means of consecutive stretches (batch means): `blocks`
    stretches, or fewer (at least three) so that each has two values. It is NaN for
    fewer than three values.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 3:
        mean = float(values.mean()) if len(values) else math.nan
        return Interval(mean, math.nan, math.nan, 0)
    stretches = np.array_split(values, max(3, min(blocks, len(values) // 2)))
    found = interval([stretch.mean() for stretch in stretches])
    mean = float(values.mean())
    return Interval(mean, mean - found.half, mean + found.half, found.novels)


def ratio(sums, counts) -> Interval:
    """A mean over all that was counted, with an interval over groups, `[groups]` each.

    Groups count as much as they hold, so a mean of their means would not do: each group
    is left out once (the jackknife). A group that holds nothing does not count.
    """
    sums, counts = (np.asarray(values, np.float64) for values in (sums, counts))
    return _jackknife(sums[counts > 0], counts[counts > 0])


def part_of(parts, wholes) -> Interval:
    """The share of a difference that another is: mean part over mean whole, `[novels]`.

    Each novel is left out once (the jackknife), since a share of a novel's own small
    difference says nothing. NaN throughout where the whole is not told from zero.
    """
    parts, wholes = (np.asarray(values, np.float64) for values in (parts, wholes))
    there = np.isfinite(parts) & np.isfinite(wholes)
    if interval(wholes[there]).sign == 0:
        return Interval(math.nan, math.nan, math.nan, int(there.sum()))
    return _jackknife(parts[there], wholes[there])


def _jackknife(tops: np.ndarray, bottoms: np.ndarray) -> Interval:
    """The ratio of two sums and its interval, each unit left out once."""
    n = len(tops)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(tops.sum() / bottoms.sum())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    without = (tops.sum() - tops) / (bottoms.sum() - bottoms)
    half = _t(n - 1) * float(np.std(without)) * (n - 1) ** 0.5
    return Interval(mean, mean - half, mean + half, n)


def share(values) -> Interval:
    """Mean of zeros and ones and its Wilson interval, `values [cases]`.

    Unlike a t-interval, a Wilson interval stays between 0 and 1, and has a width even
    if all cases are alike: 0 right of 24 means less than 14 %.
    """
    from scipy import stats

    right, cases = int(np.sum(values)), len(values)
    found = stats.binomtest(right, cases).proportion_ci(LEVEL, method="wilson")
    return Interval(right / cases, float(found.low), float(found.high), cases)


def curve(rows, edges) -> Curve:
    """`interval` in each bin, `rows [novels, bins]`, `edges [bins + 1]`."""
    return curve_of([interval(column) for column in np.asarray(rows).T], edges)


def curve_of(found: list[Interval], edges) -> Curve:
    """A list of intervals as a curve."""
    parts = (tuple(getattr(one, name) for one in found) for name in _PARTS)
    return Curve(tuple(int(edge) for edge in edges), *parts)


def slope(rows, edges, start: int, stop: int) -> Interval:
    """Change of a gap with each doubling of the position, from `start` to `stop`.

    The bins' means are fitted by least squares to log2 of their middles, novel by
    novel; then follows a t-interval over novels. A novel with fewer than three bins in
    the range has no slope.
    """
    edges = np.asarray(edges)
    inside = (edges[:-1] >= start) & (edges[1:] <= stop)
    place = np.log2(middles(edges))
    return interval([_fit(place[inside], row[inside]) for row in rows])


_PARTS = ("mean", "low", "high", "novels")


def _t(freedom: int) -> float:
    """The bound within which 95 % of Student's t distribution lie."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(freedom, 0.5 + LEVEL / 2))


def _fit(place: np.ndarray, row: np.ndarray) -> float:
    there = np.isfinite(row)
    if there.sum() < 3:
        return math.nan
    return float(np.polyfit(place[there], row[there], 1)[0])
