"""The view "Inside the weights", driven without a browser, on the published results."""

import dataclasses
import shutil
import time

import pytest
from test_watch import opened, well, words

from app import jobs, kept
from app.panels import look_into
from lab import published, results, runs
from lab.analysis.influence import Influence
from lab.analysis.looks import LOOKS, seconds


NOVEL = "tiny-e2e-ENG18840_Lee"
BRAVE = "The mayor, Bartholomew Quill, was brave. Nobody counted the ships. "


def inside(**state):
    app = opened()
    for name, value in state.items():
        app.session_state[name] = value
    app.switch_page("views/inside.py")
    return well(app.run())


def html(app) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


@pytest.mark.parametrize("name", LOOKS)
def test_every_look_has_headline_words_and_figures_at_once(name):
    app = inside(look=name)
    assert LOOKS[name].question in words(app)
    assert "What to look for:" in words(app)
    assert "What would prove it wrong:" in words(app)
    assert len(app.get("plotly_chart")) == 1
    assert "ttt-lab inspect" in app.code[0].value
    assert not app.error and not app.warning
    for part in kept.parts(name)[1:]:
        well(app.button_group(key=f"part-{name}").set_value(part).run())
        assert len(app.get("plotly_chart")) == 1


def test_what_we_make_of_it_stands_under_published_looks_only():
    found = published.findings()
    assert set(found) == set(LOOKS)
    assert all(text.endswith(".") and "|" not in text for text in found.values())
    app = inside(look="forgetting")
    assert found["forgetting"] in "\n".join(one.value for one in app.markdown)


def test_both_published_documents_can_be_chosen():
    app = inside()
    (box,) = [box for box in app.selectbox if box.label.startswith("What was read")]
    assert any("State of the Union" in option for option in box.options)
    assert any("Miss Brown" in option for option in box.options)
    well(box.set_value(("tiny-e2e", "sotu-chronicle", False)).run())
    assert "92% of the strongest teachers" in words(app)


def test_a_token_that_is_chosen_shows_the_passages_that_taught_it():
    taught = results.open_result(f"influence-{NOVEL}", Influence).taught
    app = inside(subject=("tiny-e2e", "eltec-eng/ENG18840_Lee", False))
    assert "Per</span>ry thought" in html(app)
    pills = app.button_group(key="widget-taught")
    well(pills.set_value(2).run())
    assert taught[2].token.strip() in html(app) and "Cosmo" in html(app)
    assert f"at token {taught[2].place:,}" in html(app)


def test_the_weights_can_be_seen_at_an_earlier_time():
    app = inside(look="anatomy")
    (slider,) = app.select_slider
    well(slider.set_value(slider.options and 0).run())
    assert "After 0 tokens" in words(app)


def test_the_strength_of_a_memory_is_chosen_and_its_costs_change():
    app = inside(look="strength", subject=("tiny-e2e", "eltec-eng/ENG18840_Lee", False))
    assert "With 1 times the memory" in words(app)
    costs = app.table[0].value["nats a token"].tolist()
    well(app.select_slider(key="widget-strength").set_value(0.5).run())
    assert "With 0.5 times the memory" in words(app)
    assert app.table[0].value["nats a token"].tolist() != costs
    well(app.select_slider[0].set_value(0.0).run())
    assert app.table[0].value["saved"].tolist()[0].startswith("+0.000")


@pytest.fixture
def asked(monkeypatch):
    """Commands that were asked for; none is begun."""
    found = []

    def start(verb, values, *, title="", **options):
        found.append((verb, values, title, options))
        return jobs.Job("1", verb, (), title, time.time())

    monkeypatch.setattr(jobs, "start", start)
    return found


def begin(app):
    return well(app.button(key="look-start").click().run())


def test_a_look_at_the_text_on_screen_says_its_time_and_is_a_command(asked):
    app = inside()
    assert "this takes about" in words(app)
    begin(app)
    ((verb, values, title, options),) = asked
    assert (verb, values) == ("inspect influence", [])
    assert options["model"] == "tiny-e2e" and options["tokens"] == 8_192
    assert options["document"] in title


def test_a_pasted_text_becomes_a_file_with_a_name_that_tells_others_nothing(asked):
    app = inside(look_document="Paste a text", pasted=BRAVE * 40, wanted_look="all")
    begin(app)
    ((verb, _, title, options),) = asked
    path = runs.folder("..").resolve() / options["document"]
    assert verb == "inspect all" and "Quill" not in title
    assert path.read_text("utf-8") == BRAVE * 40


def test_a_file_another_model_and_a_length_are_chosen(asked):
    app = inside(look_document="Upload a text file")
    upload = app.file_uploader(key="look-upload")
    upload.set_value([("mine.txt", BRAVE.encode("utf-16"), "text/plain")])
    well(app.run())
    well(app.selectbox(key="widget-look_model").set_value("tiny-e2e-recall").run())
    well(app.selectbox(key="widget-look_cap").set_value(4_096).run())
    begin(app)
    ((_, _, title, options),) = asked
    assert (options["model"], options["tokens"]) == ("tiny-e2e-recall", 4_096)
    path = runs.folder("..").resolve() / options["document"]
    assert path.read_text("utf-8") == BRAVE and "mine" not in title


def test_an_empty_text_is_refused_with_a_sentence(asked):
    app = begin(inside(look_document="Paste a text", pasted=" "))
    assert not asked and "The text is empty" in app.error[0].value


def test_a_look_is_shown_to_whoever_has_the_text_and_to_nobody_else(tmp_path):
    document = kept.own_text("mine.txt", BRAVE)
    source = results.PUBLISHED / f"words-{NOVEL}.json"
    text = source.read_text("utf-8").replace("eltec-eng/ENG18840_Lee", document)
    folder = runs.folder("evals")
    folder.mkdir(parents=True)
    (folder / "words-mine.json").write_text(text, "utf-8")
    kept._listed.clear()
    options = lambda app: str([box.options for box in app.selectbox])
    assert "looked into here" not in options(inside())
    mine = inside(look_document="Upload a text file", uploaded=("mine.txt", b""))
    assert "looked into here" not in options(mine)
    there = ("mine.txt", BRAVE.encode())
    mine = inside(look_document="Upload a text file", uploaded=there)
    assert "looked into here" in options(mine)


def test_a_damaged_result_is_named_and_the_others_are_shown():
    folder = runs.folder("evals")
    folder.mkdir(parents=True)
    (folder / "words-broken.json").write_text("{", "utf-8")
    kept._damaged.clear(), kept._listed.clear()
    app = inside()
    assert "words\\-broken\\.json" in app.warning[0].value
    assert len(app.get("plotly_chart")) == 1


def test_without_results_the_page_says_how_to_make_some(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    assert "ttt-lab inspect all" in inside().info[0].value


def test_a_look_that_is_done_is_opened(asked, monkeypatch):
    app = begin(inside(wanted_look="words"))
    key = app.session_state["look_opens"]["subject"]
    shutil.copytree(results.PUBLISHED, runs.folder("evals"))
    monkeypatch.setattr(jobs.Job, "state", jobs.DONE)
    kept._listed.clear()
    well(app.run())
    assert app.session_state["look"] == "words" and key[2] is True


def test_larger_models_and_longer_texts_take_longer():
    for name in LOOKS:
        assert seconds(name, 131_072) >= seconds(name, 8_192) > 0
        assert seconds(name, 8_192, 10**9) > seconds(name, 8_192)


def test_the_model_that_is_offered_learns():
    app = inside()
    (box,) = [box for box in app.selectbox if box.label.startswith("Model")]
    names = set(published.models())
    assert "tiny-e2e" in box.options and "tiny-swa" in names - set(box.options)
    assert look_into.ON_SCREEN in str([box.options for box in app.selectbox])


def test_a_word_that_comes_twice_has_a_button_for_each_place(monkeypatch):
    opened_as_it_is = kept.opened

    def twice(one):
        result = opened_as_it_is(one)
        if one.kind != "influence":
            return result
        first, other = result.taught[:2]
        again = dataclasses.replace(first, place=first.place + 99)
        return dataclasses.replace(result, taught=(first, again, other))

    monkeypatch.setattr(kept, "opened", twice)
    app = inside(look="influence", taught=0)
    (pills,) = [g for g in app.button_group if g.label.startswith("A token")]
    assert len(set(pills.options)) == 3
    assert [" at " in name for name in pills.options] == [True, True, False]
