"""What an evaluation found, in a sentence; and any two of its labels, side by side.

A label is a system, or a system's frozen twin (`tiny-e2e, frozen`).
"""

import math
from collections.abc import Iterable

import numpy as np

from lab.bench.reading import ReadingBench
from lab.evals.ablation import ABLATIONS, Ablation
from lab.evals.compare import Comparison
from lab.evals.compute import Compute, Row
from lab.evals.context import Contexts
from lab.evals.decode import REAL, STOPS, Decode
from lab.evals.decompose import Decomposition
from lab.evals.latency import Latency
from lab.evals.needles import Needles
from lab.evals.recall import Known, Recall
from lab.evals.route import Route
from lab.evals.rules import PAPERS, Rules
from lab.measure.intervals import Interval, interval, signed
from lab.measure.positions import short


FROZEN = ", frozen"
ALIKE = 1e-6  # nats; kept results are rounded to nine digits


def headline(result) -> str:
    """The main number of an evaluation in a sentence; "" for other kinds."""
    say = _HEADLINES.get(type(result))
    return say(result) if say else ""


def labels(result) -> list[str]:
    """What can be set against each other, the reference first; [] where nothing can."""
    find = _LABELS.get(type(result))
    return find(result) if find else []


def systems(names: Iterable[str]) -> list[str]:
    """The systems behind some labels, in their order, without frozen twins."""
    alone = lambda name: name.removesuffix(FROZEN).removesuffix(STOPS)
    return list(dict.fromkeys(map(alone, names)))


def models(result) -> list[str]:
    """The systems that a result is about, whether they can be set against others."""
    return systems(labels(result)) or list(getattr(result, "systems", ()))


def against(result, one: str, other: str) -> str:
    """Two labels of a result in a sentence, with an interval where there is one.

    **Raises** `ValueError` for the same label twice, and where the two cannot be
    compared.
    """
    if one == other:
        raise ValueError("Choose two different ones.")
    return _AGAINST[type(result)](result, one, other)


def _cheaper(one: str, other: str, gap: Interval, where: str) -> str:
    """A gap in nats as a sentence, the better label first."""
    if gap.mean < 0:
        flipped = Interval(-gap.mean, -gap.high, -gap.low, gap.novels)
        return _cheaper(other, one, flipped, where)
    if max(abs(gap.mean), gap.half) < ALIKE:
        return f"{one} and {other} read alike, to a millionth of a nat, {where}."
    sure = "" if gap.sign else "; the interval includes zero: no difference is shown"
    if not gap.is_known:
        sure = "; one text gives no interval"
    return (
        f"{one} reads {signed(gap)} nats a token cheaper than {other}, {where}{sure}."
    )


def _compared(result: Comparison) -> str:
    gap = next(g for g in result.gaps if g.better == result.reference)
    where = f"up to {gap.to:,} tokens of {len(result.text.units)} {result.text.unit}"
    return _cheaper(gap.better, gap.than, gap.overall, where)


def _compared_pair(result: Comparison, one: str, other: str) -> str:
    to = {gap.to for gap in result.gaps}
    if len(to) > 1:
        raise ValueError(
            "These systems have read passages of different lengths, so only the "
            "reference can be compared with each."
        )
    gap = interval(_behind(result, other) - _behind(result, one))
    where = f"up to {to.pop():,} tokens of {len(result.text.units)} {result.text.unit}"
    return _cheaper(one, other, gap, where)


def _behind(result: Comparison, label: str) -> np.ndarray:
    """By how much a label reads worse than the reference, by novel."""
    if label == result.reference:
        return np.zeros(len(result.text.units))
    gaps = {(gap.better, gap.than): np.array(gap.by_novel) for gap in result.gaps}
    if (result.reference, label) in gaps:
        return gaps[result.reference, label]
    base = label.removesuffix(FROZEN)
    return _behind(result, base) + gaps[base, label]


def _contexts(result: Contexts) -> str:
    """What the longest context is worth to the reference."""
    longest = list(result.by_label()[result.reference].values())[-1]
    worth = signed(longest.worth) if longest.worth else "nothing known"
    return (
        f"{result.reference} gains {worth} nats a token from "
        f"{short(longest.context)} instead of {short(result.contexts[0])} of context."
    )


def _contexts_pair(result: Contexts, one: str, other: str) -> str:
    scores = result.by_label()
    common = [at for at in scores[one] if at in scores[other]]
    if not common:
        raise ValueError(f"{one} and {other} have no context in common.")
    at = max(common)
    values = [np.array(scores[label][at].by_novel) for label in (one, other)]
    gap = interval(values[1] - values[0])
    where = f"with {at:,} tokens of context, over {len(values[0])} {result.text.unit}"
    return _cheaper(one, other, gap, where)


def _recalled(result: Recall) -> str:
    """What is known of a fact at the longest distance, by model."""
    parts = []
    for name, memory in result.systems.items():
        known, far = memory.learning or memory.frozen, memory.distances[-1]
        parts.append(
            f"{name} saves {signed(known.nats[-1], 2)} nats an answer token {far:,} "
            f"tokens later and would write {known.whole[-1].mean:.0%} of the answers"
        )
    return "; ".join(parts) + "."


def _recalled_pair(result: Recall, one: str, other: str) -> str:
    """Both at the longest distance that both were asked at."""
    found = {label: _reader(result, label) for label in (one, other)}
    at = [set(distances) for distances, _ in found.values()]
    if not at[0] & at[1]:
        raise ValueError(f"{one} and {other} were not asked at the same distance.")
    far = max(at[0] & at[1])
    nats = [known.nats[list(d).index(far)] for d, known in found.values()]
    half = math.hypot(*(n.half for n in nats))
    mean = nats[0].mean - nats[1].mean
    if mean < 0:
        one, other, mean = other, one, -mean
    gap = Interval(mean, mean - half, mean + half, nats[0].novels)
    sure = "" if gap.sign else "; the interval includes zero: no difference is shown"
    return (
        f"{far:,} tokens after a fact, the fact saves {one} {signed(gap, 2)} nats an "
        f"answer token more than {other} (interval as of independent facts){sure}."
    )


def _reader(result: Recall, label: str) -> tuple[tuple[int, ...], Known]:
    """The distances and the knowledge of a label."""
    if label in result.systems:
        memory = result.systems[label]
        return memory.distances, memory.learning or memory.frozen
    memory = result.systems[label.removesuffix(FROZEN)]
    return memory.distances, memory.frozen


def _recall_labels(result: Recall) -> list[str]:
    twins = [f"{n}{FROZEN}" for n, memory in result.systems.items() if memory.learning]
    return [*result.systems, *twins]


def _read(result: ReadingBench) -> str:
    """What the first system's token costs, early and late."""
    row = result.rows[0]
    early, late = row.positions[0], row.positions[-1]
    return (
        f"Reading a token costs {row.system} {row.reading_ms[-1]:.2f} ms after "
        f"{late:,} tokens, {row.late_over_early:.1f} times as much as after {early:,}."
    )


def _read_pair(result: ReadingBench, one: str, other: str) -> str:
    rows = {row.system: row for row in result.rows}
    a, b = rows[one], rows[other]
    if b.reading_ms[-1] < a.reading_ms[-1]:
        a, b = b, a
    times = b.reading_ms[-1] / a.reading_ms[-1]
    return (
        f"After {a.positions[-1]:,} tokens, {b.system} takes {times:,.1f} times as "
        f"long to read a token as {a.system} ({b.reading_ms[-1]:.2f} and "
        f"{a.reading_ms[-1]:.2f} ms, medians of {result.repeats}; no interval was "
        "kept)."
    )


def _taken_apart(result: Decomposition) -> str:
    """The gap and its parts."""
    return (
        f"{result.title}: {signed(result.total.overall)} nats a token, of which "
        f"{signed(result.start.overall)} is the better start and "
        f"{signed(result.learning.overall)} learning while reading."
    )


def _needled(result: Needles) -> str:
    """What readers find again out of attention's reach, over all tasks.

    Where attention reaches everything, all needles count.
    """
    said, far = [], [one for one in result.cells if one.beyond]
    which = " that attention cannot reach" if far else ""
    for label in result.labels:
        cells = [one for one in far or result.cells if one.label == label]
        if label.endswith(FROZEN) or not cells:
            continue
        exact = np.mean([one.exact.mean for one in cells])
        nats = np.mean([one.nats.mean for one in cells])
        said.append(
            f"{label} writes {exact:.0%} of the needles{which}, "
            f"and saves {nats:+.2f} nats on a token of their answers"
        )
    return f"{'; '.join(said)}." if said else ""


def _routed(result: Route) -> str:
    """What each reader makes of the longest text, beside how often BM25 is right."""
    far, said = result.found.lengths[-1], []
    for label in result.found.labels:
        if cells := result.asked(label, far):
            exact = np.mean([one.exact.mean for one in cells])
            nats = np.mean([one.nats.mean for one in cells])
            said.append(f"{label} writes {exact:.0%} and saves {nats:+.2f} nats")
    rate = result.hit_rate(far)
    if not said or math.isnan(rate):
        return ""
    return (
        f"Of needles in {short(far)} tokens, on a token of their answers: "
        f"{'; '.join(said)}. BM25 puts the right passage back for {rate:.0%}."
    )


def _written(result: Decode) -> str:
    """The first model's texts against its frozen twin's, or against the real text."""
    first, *others = (row.label for row in result.rows)
    other = f"{first}{FROZEN}"
    return _written_pair(result, first, other if other in others else REAL)


def _written_pair(result: Decode, one: str, other: str) -> str:
    """Two writers: what the judge pays, and how much each repeats."""
    gap = result.over(one, other)
    if gap.mean > 0:
        one, other, gap = other, one, result.over(other, one)
    sure = "" if gap.sign else "; the interval includes zero: no difference is shown"
    sure = sure if gap.is_known else "; one document gives no interval"
    saved = signed(Interval(-gap.mean, -gap.high, -gap.low, gap.novels)).lstrip("+")
    many = [float(np.mean(result.by_label[who].repeated)) for who in (one, other)]
    return (
        f"What {one} writes costs {result.judge} {saved} nats a byte less than what "
        f"{other} writes, over {result.places}{sure}; of their "
        f"4-grams {many[0]:.1%} and {many[1]:.1%} are repeated."
    )


def _ruled(result: Rules) -> str:
    """The best inner rule against the paper's, each at its best rate."""
    others = [row for row in result.rows if row.rule != PAPERS]
    if not others:
        return ""
    best = others[0]
    told = (
        f"{best.rule} saves {signed(best.over_sgd)} nats a token over the paper's rule"
        if best.over_sgd.mean > 0
        else f"no rule saves more than the paper's; {best.rule} comes next, "
        f"{signed(best.over_sgd)} nats a token"
    )
    sure = "" if best.over_sgd.sign else "; the interval includes zero"
    return f"As {result.model} reads, {told}{sure}."


_ABLATED = {
    "window": "a window of {:,} tokens",
    "chunk": "chunks of {:,} tokens",
    "layers": "fast MLPs in {:,} of its blocks",
}


def _ablated(result: Ablation) -> str:
    """The best value against the usual one, and what learning saves at the ends."""
    name = _ABLATED[result.AXIS].format
    best, first, last = result.best, result.rows[0], result.rows[-1]
    told = f"{result.recipe} reads best with {name(best.value)}"
    if best.value != result.usual:
        over = best.over_usual
        sure = "" if over.sign else ", which documents and seeds do not both show"
        told += f", {signed(over.overall)} over {name(result.usual)}{sure}"
    ends = [
        f"{signed(row.over_plain.overall)} nats a token with {name(row.value)}"
        for row in (first, last)
    ]
    alone = " (one training of each: seeds may differ by more)" * (result.seeds == 1)
    return f"{told}{alone}; over its plain twin it saves {' and '.join(ends)}."


def _computed(result: Compute) -> str:
    """What learning saves in the smallest and largest model and training."""
    saved = lambda row: signed(row.over_plain.overall)
    size, longer = result.widths, result.budgets
    return (
        f"Over its plain twin {result.recipe} saves {saved(size[0])} nats a token with "
        f"{size[0].weights:,} weights and {saved(size[-1])} with "
        f"{size[-1].weights:,}; after {_millions(longer[0])} M tokens "
        f"{saved(longer[0])}, after {_millions(longer[-1])} M {saved(longer[-1])}."
    )


def _millions(row: Row) -> str:
    return f"{row.tokens / 1e6:.2g}"


def _crossed(result: Latency) -> str:
    """Where full attention, or what grows like it, becomes dearer than the first."""
    first, said = result.rows[0].system, []
    for one in result.crossings:
        if one.act != "prompt" or math.isnan(one.at):
            continue
        if one.always:
            said.append(f"{one.other} at every length")
        else:
            said.append(f"{one.other} from {short(round(one.at))} tokens on")
    row = result.rows[0].prompt
    flat = (
        f"A token of a prompt of {short(row.at[-1])} costs {first} "
        f"{row.late_over_early:.2f} times one of {short(row.at[0])}"
    )
    dearer = f"; dearer: {', '.join(said)}" if said else ""
    return f"{flat}{dearer}."


def _crossed_pair(result: Latency, one: str, other: str) -> str:
    rows = {row.system: row for row in result.rows}
    a, b = sorted((rows[one], rows[other]), key=lambda row: row.prompt.ms[-1])
    parts = [
        f"{getattr(b, act).ms[-1] / getattr(a, act).ms[-1]:,.1f} times {words}"
        for act, words in (
            ("prompt", "to read a prompt"),
            ("writing", "to write"),
            ("training", "to train on"),
        )
    ]
    return (
        f"A token at the longest contexts takes {b.system}, measured in {a.system}'s "
        f"time, {', '.join(parts)} (best of {result.repeats} turns)."
    )


_HEADLINES = {
    **dict.fromkeys(ABLATIONS.values(), _ablated),
    Compute: _computed,
    Latency: _crossed,
    Needles: _needled,
    Route: _routed,
    Decode: _written,
    Rules: _ruled,
    Comparison: _compared,
    Contexts: _contexts,
    Recall: _recalled,
    ReadingBench: _read,
    Decomposition: _taken_apart,
}
_LABELS = {
    Comparison: lambda result: list(result.losses),
    Contexts: lambda result: list(result.by_label()),
    Recall: _recall_labels,
    Decode: lambda result: list(result.by_label),
    ReadingBench: lambda result: [row.system for row in result.rows],
    Latency: lambda result: [row.system for row in result.rows],
}
_AGAINST = {
    Comparison: _compared_pair,
    Contexts: _contexts_pair,
    Recall: _recalled_pair,
    Decode: _written_pair,
    ReadingBench: _read_pair,
    Latency: _crossed_pair,
}
