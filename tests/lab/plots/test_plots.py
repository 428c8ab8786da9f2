"""Plots: they draw what the trace holds, at any length, and escape what they show."""

import itertools
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from synthetic_trace import synthetic

from lab import plots
from lab.plots import theme


FIGURES = (plots.loss_per_chunk, plots.gain, plots.drift, plots.overview, plots.recall)


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("chunks", [0, 1, 40])
def test_every_figure_draws_at_any_length(draw, chunks):
    figure = draw(synthetic().upto(chunks))
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    figure.to_json()


@pytest.mark.parametrize("draw", FIGURES[:4])
def test_figures_need_no_needle_and_no_fast_block(draw):
    draw(synthetic(needle=False, fast_blocks=0)).to_json()


@pytest.mark.parametrize("draw", [plots.loss_per_chunk, plots.gain, plots.recall])
def test_axes_have_units(draw):
    figure = draw(synthetic())
    assert "nats" in figure.layout.yaxis.title.text
    assert figure.layout.xaxis.title.text == "tokens read"


def test_the_axis_stays_still_when_told_its_end():
    figure = plots.loss_per_chunk(synthetic().upto(3), extent=640)
    assert figure.layout.xaxis.range == (0, 640)


def test_loss_shows_both_and_gain_their_difference():
    trace = synthetic()
    loss = {line.name: line for line in plots.loss_per_chunk(trace).data[:2]}
    bars = plots.gain(trace).data[0]
    difference = loss["frozen twin"].y - loss["with learning"].y
    np.testing.assert_allclose(bars.y, difference)
    colours = np.where(bars.y >= 0, theme.LEARNING, theme.FROZEN)
    assert list(bars.marker.color) == list(colours)


def test_recall_marks_the_needle_and_its_reach():
    words = [note.text.strip() for note in plots.recall(synthetic()).layout.annotations]
    assert words == ["needle planted", "needle leaves reach"]
    assert not plots.recall(synthetic().upto(3)).layout.annotations


def test_coloured_text_shows_all_text_and_no_markup_of_its_own():
    trace = synthetic(tail=0)
    shown = plots.coloured_text(trace, ahead=0)
    inside = re.sub("<[^>]*>", "", shown)
    end = trace.spans[-1, 1]
    assert "&lt;gentlemen&gt;" in inside and "\n\n" in inside
    plain = inside.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert plain.encode()[: end - 3] == trace.text[: end - 3]
    assert "\ufffd" not in plain[:-1]


def test_text_beyond_what_was_read_is_grey():
    shown = plots.coloured_text(synthetic().upto(0), ahead=30)
    assert shown.count("<span") == 1 and "opacity" in shown


def test_hovering_a_token_tells_its_three_numbers():
    trace = synthetic()
    shown = plots.coloured_text(trace, start=0, stop=1)
    assert f"{trace.nll[0]:.2f} nats with learning" in shown
    assert f"{trace.nll_twin[0]:.2f} without" in shown
    assert f"saved {trace.token_gain[0]:+.2f}" in shown


def test_needle_tokens_are_underlined_and_chunks_begin_with_a_dotted_line():
    shown = plots.coloured_text(synthetic(), start=96, stop=128, ahead=0)
    assert shown.count("border-left:2px dotted") == 2
    assert f"border-bottom:2px solid {theme.SUMMARY}" in shown


def test_a_lagging_twin_leaves_tokens_uncoloured():
    trace = synthetic()
    trace.nll_twin[:] = np.nan
    shown = plots.coloured_text(trace, ahead=0)
    assert "background" not in shown and "twin is not here yet" in shown


# What red-, green- and blue-blind eyes make of linear red, green and blue
# (Machado et al. 2009, severity 1).
BLIND = {
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
              [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
             [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
PAGES = {"light": "#ffffff", "dark": "#0e1117"}


def seen(colour: str, eyes: str) -> np.ndarray:
    """A colour in CIELAB, as such eyes see it."""
    given = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(given > 0.04045, ((given + 0.055) / 1.055) ** 2.4, given / 12.92)
    linear = np.clip(BLIND[eyes] @ linear, 0, 1)
    xyz = [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]]
    x, y, z = np.cbrt(np.maximum(np.array(xyz) @ linear, 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", BLIND)
def test_colour_blind_eyes_tell_learner_twin_and_summary_apart(eyes):
    colours = {"learner": theme.LEARNING, "twin": theme.FROZEN, "sum": theme.SUMMARY}
    apart = lambda one, two: np.linalg.norm(seen(one, eyes) - seen(two, eyes))
    for one, two in itertools.combinations(colours, 2):
        assert apart(colours[one], colours[two]) > 15, (one, two)
    for colour in colours.values():
        assert min(apart(colour, page) for page in PAGES.values()) > 30


def test_lines_of_one_figure_never_differ_in_colour_only():
    lines = plots.drift(synthetic(fast_blocks=6)).data
    blocks = [line for line in lines if (line.name or "").startswith("block")]
    assert len({line.line.dash for line in blocks}) == len(blocks) == 6
