"""What came of a failure that was provoked: one sentence with its numbers."""

import math
from collections.abc import Callable, Iterable
from statistics import fmean

from lab.reading.failures import BROKEN, FROZEN, LEARNER, REMEDY, Failure, Line


LAST = 8  # chunks at the end


def verdict(failure: Failure) -> str:
    """One sentence with the numbers of a failure, for people."""
    return _TOLD[failure.name](failure)


def _rate(failure: Failure) -> str:
    own, frozen = failure.line(LEARNER), failure.line(FROZEN)
    first, *_, most = (one for one in failure.lines if one.role == BROKEN)
    return (
        f"At its own rate the last {LAST} chunks cost {_end(own)} nats per token, "
        f"frozen {_end(frozen)}, at {first.name} {_end(first)}; at {most.name} "
        f"{sum(most.refused)} of {len(most.refused)} steps are refused."
    )


def _clip(failure: Failure) -> str:
    bound, free = failure.line(LEARNER), failure.line(BROKEN)
    frozen, after = failure.line(FROZEN), _after(failure)
    return (
        f"The first chunk behind the page of one token costs {free.loss[after]:.2f} "
        f"nats per token without a clip, {bound.loss[after]:.2f} with it and "
        f"{frozen.loss[after]:.2f} frozen; at the end the weights have moved by "
        f"{free.drift[-1]:.0%} of their norm without a clip and {bound.drift[-1]:.0%} "
        "with it."
    )


def _own(failure: Failure) -> str:
    broken, spared, reads = (failure.line(role) for role in (BROKEN, REMEDY, LEARNER))
    return (
        f"In the end its own text costs it {broken.loss[-1]:.2f} nats per token: it "
        f"repeats itself. A passage held back costs {broken.probe[-1]:.2f} then, "
        f"{spared.probe[-1]:.2f} if it does not learn while it writes, and "
        f"{reads.probe[-1]:.2f} if it reads on instead."
    )


def _poison(failure: Failure) -> str:
    broken, spared, after = failure.line(BROKEN), failure.line(REMEDY), _after(failure)
    harm = [a - b for a, b in zip(broken.loss, spared.loss, strict=True)]
    return (
        f"Whoever has learned from the noise pays {harm[after]:+.2f} nats per token in "
        f"the first chunk behind it and {fmean(harm[-LAST:]):+.3f} in the last {LAST}; "
        f"a passage held back costs {broken.probe[-1]:.3f} instead of "
        f"{spared.probe[-1]:.3f} in the end."
    )


def _saturation(failure: Failure) -> str:
    same, new = failure.line(BROKEN), failure.line(LEARNER)
    first, second = list(_known(same.probe)), list(_known(new.probe))
    page = len(same.loss) // len(first)
    return (
        f"The page costs {fmean(same.loss[:page]):.2f} nats per token the first time "
        f"and {fmean(same.loss[-page:]):.2f} the {len(first)}th; another passage costs "
        f"{first[0]:.2f} after the first time, {first[-1]:.2f} after the "
        f"{len(first)}th, and {second[-1]:.2f} after as much new text."
    )


def _tail(failure: Failure) -> str:
    line = failure.line(LEARNER)
    return (
        f"From the weights alone the last chunk costs {line.loss[0]:.3f} nats a token "
        f"before it is read, {line.loss[-2]:.3f} with {line.ends[-2]} of its "
        f"{line.ends[-1]} tokens read, and {line.loss[-1]:.3f} once it is full."
    )


def _end(line: Line) -> str:
    """The mean loss of the last chunks, in words if it is no number."""
    mean = fmean(line.loss[-LAST:])
    return f"{mean:.2f}" if math.isfinite(mean) else "no number"


def _after(failure: Failure) -> int:
    """The first chunk after the passage that does harm."""
    return failure.marks[-1].token // failure.chunk


def _known(values: Iterable[float]) -> Iterable[float]:
    return filter(math.isfinite, values)


_TOLD: dict[str, Callable[[Failure], str]] = {
    "rate": _rate,
    "clip": _clip,
    "own": _own,
    "poison": _poison,
    "saturation": _saturation,
    "tail": _tail,
}
