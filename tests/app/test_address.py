"""The page's address: what it says comes back; what makes no sense is a sentence."""

import pytest
from streamlit.testing.v1 import AppTest
from test_watch import MAIN, folder, live, opened, well, words  # noqa: F401

from app import address, session


def visit(page, **params):
    """A new visit to a page with an address."""
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    for name, value in params.items():
        app.query_params[name] = value
    app.switch_page(f"views/{page}.py")
    return well(app.run())


def said(app) -> dict[str, str]:
    """The parameters; Streamlit gives those of before the visit as they were."""
    items = app.query_params.items()
    return {n: v if isinstance(v, str) else v[-1] for n, v in items}


def test_models_beside_and_how_it_learns_come_back_from_the_address(folder):  # noqa: F811
    asked = dict(beside="nano-static,nano", rate="0.5", rule="muon", every="4")
    app = visit("watch", model="nano-half", **asked)
    assert app.session_state["source"] == "live"
    assert app.multiselect(key="widget-beside").value == ["nano-static", "nano"]
    assert app.selectbox(key="widget-inner_rule").value == "muon"
    assert app.selectbox(key="widget-inner_chunk").value == 4
    assert app.select_slider(key="widget-rate").value == 0.5
    assert asked.items() <= said(app).items() and not app.error


def test_an_emptied_list_of_models_stays_empty(folder):  # noqa: F811
    app = visit("watch", model="nano-static", beside="none")
    assert app.multiselect(key="widget-beside").value == []
    assert said(app)["beside"] == "none"


def test_a_model_that_is_to_read_beside_itself_is_named(folder):  # noqa: F811
    app = visit("watch", model="nano-half", beside="nano-half,nano")
    assert "does not read beside itself" in app.error[0].value
    assert app.multiselect(key="widget-beside").value == ["nano"]
    changed = dict(model="nano-half", beside="nano-half", rule="muon")
    app = visit("watch", **changed)
    assert not app.error
    assert app.multiselect(key="widget-beside").value == ["nano-half"]


def test_a_recording_says_nothing_of_what_only_live_readings_have(folder):  # noqa: F811
    assert said(opened()).keys().isdisjoint({"beside", "rate", "rule", "look", "ask"})


def test_a_look_comes_back_from_the_address_and_follows_the_choice():
    app = visit("inside", look="strength")
    assert app.session_state["look"] == "strength"
    assert "How much of the memory is best?" in words(app)
    well(app.button_group(key="widget-look").set_value("words").run())
    assert said(app) == {"look": "words"}


def test_a_question_comes_back_from_the_address(folder):  # noqa: F811
    app = visit("ask", model="nano", ask="The ships came *home*")
    assert said(app)["ask"] == "The ships came *home*"
    assert app.session_state["question"] == "The ships came *home*"


@pytest.mark.parametrize(
    ("params", "page"),
    [
        ({"look": "words"}, "Inside the weights"),
        ({"ask": "Who counts"}, "Ask it"),
        ({"model": "nano"}, "Watch it read"),
    ],
)
def test_the_start_leads_to_the_page_that_an_address_asks_for(folder, params, page):  # noqa: F811
    app = visit("start", **params)
    assert app.title[0].value == page


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("look", "<script>", "is no look"),
        ("look", "word", "did you mean"),
        ("ask", "x" * 301, "longer than 300"),
        ("beside", "a,b,c,d", "names 4 models"),
        ("rate", "nan", "none of the inner rates"),
        ("rule", "muom", "did you mean"),
        ("every", "0", "size of no chunk"),
        ("every", "1e3", "size of no chunk"),
        ("window", "-8", "size of no window"),
        ("window", "9" * 40, "size of no window"),
    ],
)
def test_what_makes_no_sense_is_a_sentence_and_the_default_stays(name, value, meant):
    values, problems = address.read({name: value})
    assert values == {} and meant in problems[0] and len(problems[0]) < 400


@pytest.mark.parametrize("page", ["watch", "ask", "inside"])
def test_hostile_values_are_named_on_the_page_itself(folder, page):  # noqa: F811
    params = dict(beside="nano,**bold**", rule="<b>", look="[x](http://y)", every="x")
    app = visit(page, model="nano", **params)
    (problem,) = [one.value for one in app.error]
    assert "There is no model" in problem and "is no look" in problem
    assert "**bold**" not in problem and "[x](" not in problem


def test_sizes_that_do_not_fit_the_model_are_said_where_they_are_chosen(folder):  # noqa: F811
    app = visit("watch", model="nano", every="9999")
    assert "must not exceed" in words(app)


def test_every_value_that_is_written_is_read_again():
    values = dict(session.DEFAULTS) | dict(
        source="live",
        beside=["tiny-swa", "toy"],
        rate=0.01,
        inner_of="tiny-e2e",
        inner_rule="adam",
        inner_chunk=32,
        inner_window=64,
    )
    again, problems = address.read(address.write(values))
    assert not problems
    names = ("beside", "rate", "inner_rule", "inner_chunk", "inner_window")
    assert {name: again[name] for name in names} == {n: values[n] for n in names}
