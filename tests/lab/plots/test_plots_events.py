"""Signs on the time line: chapters, questions, the needle; as many as can be told."""

import dataclasses

import numpy as np
from synthetic_trace import synthetic

from lab import plots
from lab.plots import events, headlines
from lab.plots.curves import clip_of
from lab.plots.playable import playable
from lab.traces import Event


BODY = "Ships went out, and came home. " * 12


def read(parts=6, **more):
    """A made-up reading of a text with chapters, a byte a token."""
    text = "\n\n".join(f"CHAPTER {i + 1}.\n\n{BODY}" for i in range(parts)).encode()
    trace = synthetic(**more)
    starts = np.linspace(0, len(text) - 1, trace.read).astype(np.int32)
    spans = np.stack([starts, np.append(starts[1:], len(text))], 1)
    return dataclasses.replace(trace, text=text, spans=spans)


def signs(figure):
    (found,) = [line for line in figure.data if line.yaxis == "y9"]
    return dict(zip(found.text, found.x, strict=True))


def test_chapters_stand_where_they_begin_and_only_once_they_are_read():
    trace = read(chunks=40)
    found = events.chapters_read(trace)
    assert [one.label for one in found] == [f"CHAPTER {i + 1}." for i in range(6)]
    for one in found:
        first, last = trace.spans[one.token]
        assert b"CHAPTER" in trace.text[first : last + 7]
    half = trace.upto(20)
    assert len(events.chapters_read(half)) == 3
    assert events.now_in(half) == "CHAPTER 3."
    assert events.now_in(trace.upto(0)) == ""


def test_every_chart_over_time_has_the_signs_with_questions_and_needle():
    trace = read(chunks=40)
    asked = Event(4, 5 * trace.header.chunk, "asked", "asked: <b>who?</b>")
    header = dataclasses.replace(trace.header, events=(*trace.header.events, asked))
    trace = dataclasses.replace(trace, header=header)
    for draw in (plots.loss_per_chunk, plots.gain, plots.drift):
        found = signs(draw(trace))
        assert found["asked: &lt;b&gt;who?&lt;/b&gt;"] == 5 * trace.header.chunk
        assert {"CHAPTER 2.", "needle planted"} <= found.keys()
    assert "CHAPTER 2." in playable(trace)


def test_no_more_chapters_are_drawn_than_can_be_told_apart():
    trace = read(parts=40, chunks=40)
    extent = 20 * trace.read  # a long axis, of which little is read
    found = signs(plots.gain(trace, extent=extent))
    assert 1 <= sum(said.startswith("CHAPTER") for said in found) <= 4


def test_gradients_have_a_red_line_at_the_clip_that_steps_show():
    trace = synthetic(chunks=40)
    norms = np.linspace(0.5, 2.0, 40).astype(np.float32)
    clipped = dataclasses.replace(
        trace, grad_norm=norms, update_norm=np.minimum(norms, 1.25)
    )
    assert clip_of(clipped) == 1.25
    red = [s for s in plots.gradients(clipped).layout.shapes if s.y0 == 1.25]
    assert (
        len(red) == 1
        and "clip 1.25" in plots.gradients(clipped).layout.annotations[0].text
    )
    said = headlines.gradients(clipped)
    assert said.startswith(f"{(norms > 1.2625).sum()} of 40 inner steps")
    free = dataclasses.replace(trace, grad_norm=norms, update_norm=norms)
    assert clip_of(free) is None and not plots.gradients(free).layout.annotations
    assert "the median; none was refused" in headlines.gradients(free)


def test_steps_that_are_not_finite_leave_gradients_drawable():
    trace = synthetic(chunks=20)
    norms, steps = np.full(20, np.inf), np.zeros(20)
    lost = dataclasses.replace(
        trace, grad_norm=norms, update_norm=steps, refused=np.ones(20, bool)
    )
    assert clip_of(lost) is None
    assert "20 refused" in headlines.gradients(lost)
    assert len(plots.gradients(lost, frame=lost).data[1].x) == 20
