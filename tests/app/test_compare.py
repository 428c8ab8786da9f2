"""The view "Compare", driven without a browser, on the published results."""

import pytest
from test_watch import opened, well, words

from lab.evals.paper import REPORTED


def compare(kind="compare"):
    app = opened()
    app.session_state["compared"] = kind
    app.switch_page("views/compare.py")
    return well(app.run())


@pytest.mark.parametrize("kind", REPORTED)
def test_every_question_has_a_headline_our_figure_and_the_papers(kind):
    app = compare(kind)
    assert len(app.get("plotly_chart")) == 2
    assert "Beside ours:" in words(app) and "What to look for:" in words(app)
    source = REPORTED[kind].source
    assert source in words(app) and "ttt-lab" in app.code[0].value
    assert not app.error and not app.warning


def test_two_pinned_models_are_told_apart_with_an_interval():
    app = compare()
    assert "0.336 ±0.126 nats a token cheaper than tiny-e2e, frozen" in words(app)
    second = [box for box in app.selectbox if box.label == "Another model"][0]
    well(second.set_value("tiny-e2e").run())
    assert "Choose two different ones." in words(app)
    well(app.selectbox(key=second.key).set_value("tiny-full").run())
    assert "0.537 ±0.163 nats a token cheaper than tiny-full" in words(app)


def test_models_can_be_left_out_of_the_figure():
    app = compare("bench-read")
    spec = app.get("plotly_chart")[0].proto.spec
    assert "tiny-mamba2" in spec
    (pills,) = [group for group in app.button_group if group.label == "Models shown"]
    well(pills.set_value(["tiny-e2e", "tiny-full"]).run())
    spec = app.get("plotly_chart")[0].proto.spec
    assert "tiny-full" in spec and "tiny-mamba2" not in spec


@pytest.mark.parametrize("kind", REPORTED)
def test_every_figure_of_ours_can_be_chosen(kind):
    app = compare(kind)
    group = app.button_group(key=f"figure-{kind}")
    for part in group.options:
        name = part if isinstance(part, str) else part.content
        assert name


def test_another_question_is_chosen():
    app = compare("compare")
    well(app.segmented_control(key="widget-compared").set_value("bench-read").run())
    assert app.session_state["compared"] == "bench-read" and not app.error


def test_a_text_of_ones_own_is_compared_with_a_plain_window():
    app = compare()
    well(app.button(key="mine").click().run())
    assert app.session_state["document"] == "Paste a text"
    assert app.session_state["beside"] == ["tiny-swa"]
    (box,) = app.multiselect
    assert any("tiny-swa (sliding-window attention" in one for one in box.options)
