"""Is anything seen before its time? Checks of a model and of all that reads it.

Results of this field have been withdrawn because a loss had seen the future. Here
losses are provoked to show it: a token is changed, and every loss before the token must
keep its bits, in all ways of reading (`read`, as a stream; `meta_loss`, as training
reads a whole sequence; `lab.measure.nats`, as evaluations read). A check that could
pass because nothing happened has a control beside it: the change must be seen *after*
the token, a value that was just told must be found.

Where equality is claimed of one program with other data, it is equality of bits. Two
programs agree to rounding (`Subject.rounding`).

    checks = audit(model, tokens)      # in the order of CHECKS, one function a check
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from lab.measure.certificates import FAILED, NOT_APPLICABLE, PASSED, Check
from lab.measure.intervals import Interval, interval
from lab.measure.plain import minus, moved, norm, plain_step
from lab.measure.subject import FURTHEST, UNITS, Subject, gap, prepare
from lab.measure.told import told


PAIRS = 8  # of values that are told too late, or in time
STATIC = "takes no step on the text"


def audit(
    model,
    text: np.ndarray,
    *,
    seed: int = 0,
    only: tuple[str, ...] = (),
    report: Callable[[int, int, str], None] | None = None,
) -> tuple[Check, ...]:
    """All checks of a model (or `only` some, by name), on a text of token ids.

    `report(done, total, name)`: called before each check and at the end.

    **Raises** `ValueError` for a text that is too short, or of one or two tokens only.
    """
    subject = prepare(model, text, seed=seed)
    chosen = {name: CHECKS[name] for name in only or CHECKS}
    tell, found = report or (lambda done, total, name: None), []
    for name, check in chosen.items():
        tell(len(found), len(chosen), name)
        found.append(check(subject))
    tell(len(found), len(chosen), "done")
    return tuple(found)


@dataclasses.dataclass
class Worst:
    """The largest number so far, and the words for where it was found."""

    value: float = 0.0
    place: str = ""

    def see(self, value: float, place: str = ""):
        """Take in another number; NaN is the worst there is."""
        value = math.inf if math.isnan(value) else float(value)
        if value > self.value:
            self.value, self.place = value, place


def _judge(
    name: str, tried: str, worst: Worst, limit: float, unit: str, control: str = ""
) -> Check:
    """The verdict on a worst number, and on a control that says what is wrong."""
    apart = f"{worst.value:.3g} {unit} apart: {worst.place}"
    why = apart if not worst.value <= limit else control
    verdict = FAILED if why else PASSED
    return Check(name, tried, verdict, worst.value, unit, why)


def _no_use(name: str, tried: str, why: str) -> Check:
    return Check(name, tried, NOT_APPLICABLE, why=why)


# The checks, in the order of CHECKS.


def future(s: Subject) -> Check:
    """A token is changed, and all from the token on: no loss before it may move."""
    worst, unseen = Worst(), ""
    for reader, form, read in _ways(s):
        before = read(s.tokens)
        for place, changed in _changes(s):
            after = read(changed)
            where = f"{form}, {reader}, token {place} changed"
            parts = [_until(one, place, s.chunk) for one in (before, after)]
            worst.see(gap(*parts), where)
            if gap(before.nll[place:], after.nll[place:]) == 0:
                unseen = f"the change itself was not seen: {where}"
    ways = len(s.readers) * len(s.forms)
    tried = (
        f"tokens {', '.join(map(str, s.places))} of {s.length}, and all from there on, "
        f"changed, read in {ways} ways: losses and steps before"
    )
    return _judge("future", tried, worst, 0, "nats", unseen)


def _ways(s: Subject) -> Iterator[tuple[str, str, Callable]]:
    for reader, model in s.readers.items():
        for form, read in s.forms.items():
            yield reader, form, functools.partial(read, model)


def _changes(s: Subject) -> Iterator[tuple[int, np.ndarray]]:
    other = s.other(s.tokens)
    for place in s.places:
        for stop in (place + 1, s.length):
            changed = s.tokens.copy()
            changed[place:stop] = other[place:stop]
            yield place, changed


def _until(report, place: int, chunk: int) -> list[np.ndarray]:
    """All that a report says of the time before a token."""
    names = ("loss", "grad_norm", "update_norm", "drift", "learned", "refused")
    steps = [getattr(report, n)[: place // chunk] for n in names if hasattr(report, n)]
    return [report.nll[:place], *steps]


def prefix(s: Subject) -> Check:
    """Losses are those of predictions by a reader who was given nothing but the past.

    The prediction is made before the token is known to the program, so what agrees with
    it cannot have used the token, nor any later one.
    """
    import ttt_core as ttt

    worst = Worst()
    reports = {(r, f): read(s.tokens) for r, f, read in _ways(s)}
    for place in s.places:
        for reader, model in s.readers.items():
            state, _ = s.read(model, s.tokens[:place])
            expected = _nats(ttt.predict(model, state, [])[-1], s.tokens[place])
            for form in s.forms:
                apart = abs(reports[reader, form].nll[place] - expected)
                worst.see(apart, f"{form}, {reader}, token {place}")
    tried = f"{len(s.places)} tokens, each predicted from the text before it alone"
    return _judge("prefix", tried, worst, s.rounding, "nats")


def _nats(logits, token: int) -> float:
    logits = np.asarray(logits).astype(np.float64)
    top = logits.max()
    return float(top + np.log(np.exp(logits - top).sum()) - logits[token])


def order(s: Subject) -> Check:
    """A chunk is scored by the weights from before it: its step cannot move its loss.

    Reading a chunk at inner rate 0 and at the model's own is one program with other
    data, so the chunk's losses must have the same bits, and later ones other bits.
    """
    import ttt_core as ttt

    tried = "chunks read at the model's inner rate and at 0: the same losses"
    if not s.learns:
        return _no_use("order", tried, STATIC)
    worst, idle = Worst(), ""
    state = ttt.init_state(s.model, capacity=len(s.text))
    for i in range(UNITS):
        piece = s.tokens[i * s.chunk : (i + 1) * s.chunk]
        known = np.asarray(ttt.score(s.model, state, [], piece))
        _, still = ttt.read_chunk(s.model, state, piece, rate=0.0)
        state, report = ttt.read_chunk(s.model, state, piece)
        worst.see(gap(report.nll, still.nll), f"streaming, chunk {i}")
        scored = gap(report.nll, known)
        worst.see(scored if scored > s.rounding else 0, f"asked before chunk {i}")
    whole, still = s.whole(s.model, s.tokens), s.whole(s.model, s.tokens, rate=0.0)
    worst.see(gap(whole.nll[: s.chunk], still.nll[: s.chunk]), "whole sequence")
    if gap(whole.nll, still.nll) == 0:
        idle = "the inner steps change no later loss"
    return _judge("order", tried, worst, 0, "nats", idle)


def arithmetic(s: Subject) -> Check:
    """The report's numbers and the weights are those of the equation, done plainly.

    The gradient of the chunk's mean loss, its norm, the clip, the step: in a few lines
    that share the forward pass alone with the program under audit.
    """
    worst, whole = Worst(), s.whole(s.model, s.tokens)
    for i, (state, report, fast, said) in enumerate(_both_ways(s)):
        apart = norm(minus(state.fast, fast))
        apart /= max(said["update_norm"], 1e-30) if s.learns else 1
        worst.see(apart, f"weights, chunk {i}")
        for name, value in said.items():
            streamed, of_whole = getattr(report, name), getattr(whole, name)[i]
            worst.see(_relative(streamed, value), f"{name}, streaming, chunk {i}")
            worst.see(_relative(of_whole, value), f"{name}, whole sequence, chunk {i}")
    tried = f"{UNITS} chunks computed again: gradient, norm, clip, step, drift"
    return _judge("arithmetic", tried, worst, s.rounding, "of the value")


def _both_ways(s: Subject) -> Iterator[tuple]:
    """Chunk by chunk: the stream's state and report, the plain weights and numbers."""
    import ttt_core as ttt

    state, step = ttt.init_state(s.model, capacity=len(s.text)), plain_step(s.model)
    fast, rule_state, mixers = state.fast, state.rule_state, state.mixers
    origin, last = state.fast, s.model.config.bos
    for i in range(UNITS):
        piece = s.tokens[i * s.chunk : (i + 1) * s.chunk]
        inputs, last = np.concatenate([[last], piece[:-1]]).astype(np.int32), piece[-1]
        state, report = ttt.read_chunk(s.model, state, piece)
        before = fast
        said, fast, rule_state, mixers = step(fast, rule_state, mixers, inputs, piece)
        yield state, report, fast, said | moved(before, fast, origin)


def _relative(found, expected) -> float:
    """The largest difference, relative to the largest value expected."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if not expected.size:
        return 0.0
    scale = np.abs(expected).max()
    return gap(found, expected) / scale if scale else gap(found, expected)


def cutting(s: Subject) -> Check:
    """A text that is cut into calls in any way leaves the same state, bit for bit."""
    worst, random = Worst(), np.random.default_rng(s.seed)
    edges = np.arange(s.unit, s.length, s.unit)
    ways = {
        "one token first": [1],
        "before and after each edge": np.sort([*(edges - 1), *(edges + 1)]),
        "in thirds of a unit": np.arange(s.unit // 3, s.length, s.unit // 3),
        "anywhere": np.sort(random.integers(0, s.length, 7)),
    }
    for reader, model in s.readers.items():
        state, report = s.read(model, s.tokens)
        for words, cuts in ways.items():
            found, nll = s.read(model, s.tokens, cuts)
            worst.see(gap(state, found), f"{reader}, {words}: the state")
            apart = gap(report.nll, nll)
            worst.see(apart if apart > s.rounding else 0, f"{reader}, {words}: losses")
    tried = f"{len(ways)} ways of cutting {s.length} tokens: fast weights and state"
    return _judge("cutting", tried, worst, 0, "in the state")


def documents(s: Subject) -> Check:
    """A document is read after two others: the other leaves no trace in it."""
    first, middle, last = (s.text[i * s.unit :][: s.length] for i in range(3))
    worst, unlike = Worst(), ""
    for reader, model in s.readers.items():
        runs = {}
        for name, before in (("after one", first), ("after another", last)):
            s.read(model, before)
            runs[name] = s.read(model, middle)
        worst.see(gap(*runs.values()), f"{reader}, a fresh state is not fresh")
        if gap(s.read(model, last)[1].nll, runs["after one"][1].nll) == 0:
            unlike = "two documents cannot be told apart"
    tried = f"{s.length} tokens read with a fresh state after two other documents"
    return _judge("documents", tried, worst, 0, "nats", unlike)


def batch(s: Subject) -> Check:
    """A neighbour in the batch is exchanged: the others keep their bits."""
    import jax

    a, b, c = (s.text[i * s.unit :][: s.length] for i in range(3))
    rows = lambda *texts: np.stack([[s.model.config.bos, *t] for t in texts])
    worst, unlike = Worst(), ""
    row = lambda tree, i: jax.tree.map(lambda leaf: np.asarray(leaf)[i], tree)
    for reader, model in s.readers.items():
        training = functools.partial(s.batch, model)
        for form, read in (
            ("meta_gradient", lambda *t, go=training: go(rows(*t).astype(np.int32))),
            ("vmapped read_chunk", functools.partial(_side_by_side, s, model)),
        ):
            ab, ac, cb = read(a, b), read(a, c), read(c, b)
            worst.see(gap(row(ab, 0), row(ac, 0)), f"{form}, {reader}, the first row")
            worst.see(gap(row(ab, 1), row(cb, 1)), f"{form}, {reader}, the second row")
            if gap(row(ab, 1), row(ac, 1)) == 0:
                unlike = f"rows cannot be told apart: {form}"
    tried = "each row's neighbour exchanged, in training and in streams side by side"
    return _judge("batch", tried, worst, 0, "nats", unlike)


def _side_by_side(s: Subject, model, *texts: np.ndarray):
    """Two chunks of several streams, vmapped: states and reports, `[streams]`."""
    import jax
    import jax.numpy as jnp

    import ttt_core as ttt

    start = ttt.init_state(model, capacity=len(s.text))
    states = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(texts)), start)
    read, reports = jax.vmap(functools.partial(ttt.read_chunk, model)), []
    for i in range(2):
        piece = slice(i * s.chunk, (i + 1) * s.chunk)
        states, report = read(states, np.stack([text[piece] for text in texts]))
        reports.append(report)
    return states, reports


def frozen(s: Subject) -> Check:
    """The twin that is said not to learn does not, and has the learner's weights."""
    import jax

    import ttt_core as ttt

    worst, idle = Worst(), ""
    origin, _ = ttt.split(s.model)
    worst.see(gap(jax.tree.leaves(s.model), jax.tree.leaves(s.twin)), "other weights")
    state, stream = s.read(s.twin, s.tokens)
    worst.see(gap(state.fast, origin), "its fast weights moved")
    for form, report in (("streaming", stream), ("whole", s.whole(s.twin, s.tokens))):
        for name in ("drift", "update_norm", "learned"):
            number = np.asarray(getattr(report, name), np.float64)
            worst.see(gap(number, np.zeros_like(number)), f"{name}, {form}")
    if s.learns and gap(stream.nll, s.stream(s.model, s.tokens).nll) == 0:
        idle = "the learner reads as its twin does"
    tried = f"{s.length} tokens: drift, steps and fast weights of the frozen twin"
    return _judge("frozen", tried, worst, 0, "of the weights", idle)


def masks(s: Subject) -> Check:
    """What does not count does not teach: masked targets, and an unfilled chunk."""
    tried = "targets masked, and a ragged tail: no step follows from them"
    if not s.learns:
        return _no_use("masks", tried, STATIC)
    worst = Worst()
    _see_masked_unit(s, worst)
    deaf = _see_masked_target(s, worst)
    steps = len(s.whole(s.model, s.tokens).loss)
    worst.see(abs(steps - s.length // s.chunk), "steps of the whole sequence")
    filled, _ = s.read(s.model, s.tokens[: UNITS * s.unit])
    with_tail, _ = s.read(s.model, s.tokens)
    worst.see(gap(filled.fast, with_tail.fast), "the tail taught the weights")
    return _judge("masks", tried, worst, 0, "of the weights", deaf)


def _see_masked_unit(s: Subject, worst: Worst):
    """All targets of the second unit masked: its chunks leave the weights alone."""
    mask = np.ones(s.length, bool)
    mask[s.unit : 2 * s.unit] = False
    report = s.whole(s.model, s.tokens, mask)
    inside = slice(s.unit // s.chunk, 2 * s.unit // s.chunk)
    worst.see(float(report.learned[inside].any()), "a masked chunk taught")
    worst.see(float(report.update_norm[inside].max()), "a masked chunk moved weights")
    drift = report.drift[inside]
    before = np.broadcast_to(report.drift[inside.start - 1], drift.shape)
    apart = gap(drift, before)  # summed anew in each chunk
    worst.see(apart if apart > s.rounding else 0, "drift in a masked chunk")


def _see_masked_target(s: Subject, worst: Worst) -> str:
    """The last target of a chunk is changed: masked, it may not move the chunk's step.

    A chunk's last token is no input of the chunk. Returns what is wrong with the
    control: the same change, not masked, must move the step.
    """
    if s.chunk == 1:
        return ""
    mask, place, step = np.ones(s.length, bool), 2 * s.chunk - 1, 1
    changed = s.tokens.copy()
    changed[place] = s.other(s.tokens)[place]
    told = lambda *args: s.whole(s.model, *args).grad_norm[step]
    if told(s.tokens) == told(changed):
        return "a change of a target moved no step, masked or not"
    mask[place] = False
    worst.see(gap(told(s.tokens, mask), told(changed, mask)), "a masked target taught")
    return ""


def reach(s: Subject) -> Check:
    """A needle that is out of reach is gone, exactly, where nothing learns.

    The same text with and without the needle: beyond the reach of the mixers the frozen
    twin's losses, and its answers, are the same bits.
    """
    import ttt_core as ttt

    tried, far = "a needle out of reach, present and absent", s.model.config.reach
    if far is None:
        return _no_use("reach", tried, "its mixers carry the whole past")
    if far > FURTHEST:
        why = f"its reach of {far:,} tokens is longer than an audit reads"
        return _no_use("reach", tried, why)
    start, size = s.chunk // 2, min(8, s.unit)
    beyond = start + size + far + 1  # the first loss that has no way to the needle
    present = s.text[: beyond + s.unit]
    absent = present.copy()
    absent[start : start + size] = s.other(absent)[start : start + size]
    (there, with_it), (gone, without) = (
        s.read(s.twin, text) for text in (present, absent)
    )
    worst, blind = Worst(), ""
    worst.see(gap(with_it.nll[beyond:], without.nll[beyond:]), "losses beyond reach")
    question = present[start : start + size]
    asked = [ttt.score(s.twin, state, question, question) for state in (there, gone)]
    worst.see(gap(*asked), "an answer beyond reach")
    if gap(with_it.nll[start:beyond], without.nll[start:beyond]) == 0:
        blind = "the needle was not seen within reach either"
    tried = f"a needle {far:,} tokens back, present and absent, the frozen twin reading"
    return _judge("reach", tried, worst, 0, "nats", blind)


def impossible(s: Subject) -> Check:
    """A value that is told only *later* is found in exactly half of the trials.

    Of each pair, one value and then the other is told behind the question. An honest
    reader prefers the same value both times, to the bit, and is right once.
    """
    ahead = told(s, s.model, PAIRS, before=False)
    right = float(np.mean((ahead > 0) + 0.5 * (ahead == 0)))
    tried = f"{ahead.size} values told only after the question, each with a decoy"
    why = "" if right == 0.5 else f"{right:.0%} are found before they are told"
    verdict = FAILED if why else PASSED
    return Check("impossible", tried, verdict, right, "found, chance 0.5", why)


def possible(s: Subject) -> Check:
    """A value that is told *before* is found: the control of the control.

    It is cheaper than its decoy; or, where attention is not trained to find anything,
    learning makes it cheaper than it is to the frozen twin.
    """
    for pairs in (PAIRS, 4 * PAIRS):  # more where few do not decide
        found, unit = _found(s, pairs)
        tried = f"{2 * pairs} values told just before the question, each with a decoy"
        check = functools.partial(Check, "possible", tried, worst=found.mean, unit=unit)
        if found.low > 0:
            return check(PASSED)
    said = f"({found.mean:+.3f} ± {found.half:.3f} {unit})"
    if s.learns:
        return check(FAILED, why=f"what was just learned is not found {said}")
    why = f"{STATIC}, and makes no use of what was just read {said}"
    return check(NOT_APPLICABLE, why=why)


def _found(s: Subject, pairs: int) -> tuple[Interval, str]:
    """Nats by which values told are ahead, and of what, over pairs."""
    ahead = told(s, s.model, pairs, before=True)
    found = interval(ahead.mean(axis=1))
    if found.low > 0 or not s.learns:
        return found, "nats ahead"
    twin = told(s, s.twin, pairs, before=True)
    return interval((ahead - twin).mean(axis=1)), "nats ahead of the twin"


CHECKS: dict[str, Callable[[Subject], Check]] = {
    check.__name__: check
    for check in (
        future,
        prefix,
        order,
        arithmetic,
        cutting,
        documents,
        batch,
        frozen,
        masks,
        reach,
        impossible,
        possible,
    )
}
