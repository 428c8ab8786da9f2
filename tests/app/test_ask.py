"""The view "Ask it", driven without a browser."""

import pytest
from test_watch import SENTENCE, click, folder, live, opened, problem, well, words  # noqa: F401

from app import cache, jobs
from app.panels import columns, look_into
from lab import memories


def page(app):
    app.switch_page("views/ask.py")
    return well(app.run())


def finished(app, name="asking"):
    """Run as the browser does, until the work is done."""
    for _ in range(400):
        work = app.session_state[name]
        if work is None or work.done:
            return well(app.run())
        well(app.run())
    raise AssertionError("it is never done")


def read(app, model="nano", text=SENTENCE * 8):
    """A reading that is begun on the page, to its end."""
    page(app)
    well(app.selectbox(key="widget-document").set_value("Paste a text").run())
    well(app.selectbox(key="widget-model").set_value(model).run())
    well(app.text_area(key="widget-pasted").set_value(text).run())
    cache.programs(model).start().wait("needle", timeout=300)
    click(app, "read")
    for _ in range(200):
        if not (app.session_state["starting"] or app.session_state["playing"]):
            return app
        well(app.run())
    raise AssertionError("it never ends")


def ask(app, question="The ships came", answer="home"):
    typed(app, question, answer)
    return finished(app)


def typed(app, question, answer=""):
    """Fill in the form and press its button, as one message from the browser."""
    app.text_input(key="typed-question").set_value(question)
    app.text_input(key="typed-answer").set_value(answer)
    click(app, "ask")


def texts(app):
    return [h.proto.body for h in app.get("html") if 'class="said"' in h.proto.body]


def test_without_a_reading_it_offers_to_make_one(folder):  # noqa: F811
    app = page(opened())
    assert "Nothing is read yet" in words(app)
    assert app.button(key="read").label == "Read it"


def test_a_text_is_read_and_asked_and_four_columns_answer(folder):  # noqa: F811
    app = ask(read(opened()))
    told = words(app)
    assert "The weights alone make “home”" in told
    assert len(texts(app)) == 4
    assert all("<b>The ships came</b>" in text for text in texts(app))
    assert any("ttt-lab ask my.txt" in code.value for code in app.code)


def test_one_memory_is_taken_away_by_one_button(folder):  # noqa: F811
    app = ask(read(opened()))
    for choice, gone in (("weights", "Window only"), ("window", "Weights only")):
        well(app.segmented_control(key="widget-columns").set_value(choice).run())
        assert len(texts(app)) == 2 and f"**{gone}**" not in words(app)


def test_asking_leaves_the_reading_as_it_is_and_earlier_places_can_be_asked(folder):  # noqa: F811
    app = read(opened())
    reading = app.session_state["reading"]
    before = reading.trace
    ask(app)
    well(app.slider(key="widget-place").set_value(2).run())
    finished(app)
    assert len(texts(app)) == 4 and not app.error
    assert app.session_state["asking"].source.chunk == 2
    assert app.session_state["reading"] is reading
    assert (reading.trace.nll == before.nll).all()


def test_an_answer_can_be_stopped(folder):  # noqa: F811
    app = read(opened())
    typed(app, "The ships")
    if not app.session_state["asking"].done:
        click(app, "stop")
    assert app.session_state["asking"].done
    assert "stop" not in [button.key for button in app.button]


@pytest.mark.parametrize("kind", ["complete", "continue"])
def test_a_sentence_is_completed_and_the_text_continued(folder, kind):  # noqa: F811
    app = read(opened())
    well(app.segmented_control(key="widget-asked").set_value(kind).run())
    if kind == "complete":
        app.text_input(key="typed-question").set_value("The ships")
    app.slider(key="dial-tokens").set_value(8)
    click(app, "ask")
    assert app.session_state["asking"].question.tokens == 8
    finished(app)
    assert len(texts(app)) == 4 and not app.error


def test_an_empty_question_gets_a_sentence(folder):  # noqa: F811
    app = read(opened())
    typed(app, "  ")
    assert "There is no question yet" in problem(app)


def test_what_a_visitor_asks_is_shown_as_it_is_written(folder):  # noqa: F811
    app = ask(read(opened()), "<img src=x onerror=alert(1)> $x$", "<b>*home*</b>")
    assert all("<img" not in text and "&lt;img" in text for text in texts(app))
    assert "“<b>*home*</b>”" in words(app)


def test_a_model_that_never_learns_says_so(folder):  # noqa: F811
    app = ask(read(opened(), model="nano-static"))
    assert "This model never learns" in words(app)
    assert len(texts(app)) == 2
    assert "never learns, so a text leaves nothing" in words(app)


def test_a_reading_of_the_other_page_is_asked_and_a_needle_is_asked_for(folder):  # noqa: F811
    app = live(opened(needle="passkey-3"), text=SENTENCE * 20)
    app.session_state["playing"] = False
    page(app)
    for _ in range(3):
        well(app.run())
    assert app.text_input(key="typed-question").value.startswith("One of the special")


def test_a_memory_is_kept_opened_asked_and_mixed(folder):  # noqa: F811
    app = read(opened())
    for name in ("ships", "boats"):
        well(app.text_input(key="memory-name").set_value(name).run())
        click(app, "keep")
    assert [path.stem for path in memories.paths()] == ["boats", "ships"]
    click(app, "keep")
    assert "take another name" in problem(app)
    well(app.segmented_control(key="widget-answerer").set_value("memory").run())
    well(app.selectbox(key="memory-choice").set_value("ships").run())
    assert "pasted text" in str(app.table[0].value)
    ask(app)
    assert len(texts(app)) == 2 and not app.error
    assert any("--memory ships" in code.value for code in app.code)
    click(app, "mix")
    assert app.session_state["memory"][1].card.mixed == ("0.5 * ships", "0.5 * boats")
    ask(app)
    assert len(texts(app)) == 2 and not app.error


def test_an_upload_that_is_no_memory_gets_a_sentence(folder):  # noqa: F811
    app = page(opened())
    well(app.segmented_control(key="widget-answerer").set_value("memory").run())
    assert "There are no memories here yet" in words(app)
    upload = app.get("file_uploader")[0]
    upload.set_value([("holiday.jpg", b"\xff\xd8\xff" * 50, "image/jpeg")])
    well(app.run())
    assert "holiday.jpg is not a memory" in problem(app)


def test_the_grid_fills_and_says_what_is_out_of_reach(folder, monkeypatch):  # noqa: F811
    from lab.reading import grid

    app = read(opened(), text=SENTENCE * 30)
    monkeypatch.setattr(grid, "LENGTHS", (160, 320))
    click(app, "fill")
    finished(app, "grid")
    assert not app.error
    assert "Out of attention's reach" in words(app)
    assert any("chart-grid" in chart.proto.id for chart in app.get("plotly_chart"))


def test_a_grid_of_a_text_too_short_gets_a_sentence(folder):  # noqa: F811
    app = read(opened(), text=SENTENCE * 6)
    click(app, "fill")
    assert "give a longer text" in problem(app)


def test_answers_of_another_reading_are_not_shown(folder):  # noqa: F811
    app = ask(read(opened()))
    assert len(texts(app)) == 4
    app = read(app, text=SENTENCE * 9)
    assert not texts(app) and app.session_state["grid"] is None


def test_a_part_of_what_was_learned_has_no_command_but_lines(folder):  # noqa: F811
    app = read(opened())
    app.slider(key="dial-alpha").set_value(0.5)
    typed(app, "The ships", "came")
    finished(app)
    (lines,) = [code.value for code in app.code]
    assert "asking.columns(model, learned, frozen, 0.5)" in lines


def test_a_sentence_is_hidden_or_not(folder):  # noqa: F811
    app = page(opened())
    assert app.toggle(key="widget-hide").value
    well(app.toggle(key="widget-hide").set_value(False).run())
    assert read(app).session_state["reading"].plan.needle is None
    assert app.text_input(key="typed-question").value == ""


def test_a_reading_stops_on_the_way_is_asked_and_read_on(folder):  # noqa: F811
    app = page(opened())
    well(app.selectbox(key="widget-cap").set_value(16_384).run())
    app.session_state["pasted"] = SENTENCE * 3_000
    app.session_state["document"] = "Paste a text"
    well(app.selectbox(key="widget-model").set_value("nano").run())
    cache.programs("nano").start().wait("needle", timeout=300)
    click(app, "read")
    while not app.session_state["playing"]:
        well(app.run())
    click(app, "enough")
    reading = app.session_state["reading"]
    assert 0 < reading.filled and not reading.done
    ask(app)
    assert len(texts(app)) == 4 and not app.error
    before = reading.filled
    click(app, "go-on")
    assert reading.filled > before and app.session_state["playing"]


def test_dials_reach_the_question(folder):  # noqa: F811
    app = read(opened())
    app.slider(key="dial-temperature").set_value(0.8)
    app.slider(key="dial-top_p").set_value(0.5)
    app.number_input(key="dial-dice").set_value(7)
    typed(app, "The ships")
    asked = app.session_state["asking"].question
    assert (asked.temperature, asked.top_p, asked.seed) == (0.8, 0.5, 7)
    finished(app)
    assert "The text that was read, as my.txt" in labels(app)


def labels(app):
    return [button.label for button in app.get("download_button")]


def test_a_grid_can_be_stopped(folder, monkeypatch):  # noqa: F811
    from lab.reading import grid

    app = read(opened(), text=SENTENCE * 30)
    monkeypatch.setattr(grid, "LENGTHS", (160, 320))
    well(app.selectbox(key="widget-longest").set_value(1_024).run())
    well(app.text_input(key="widget-hidden").set_value("The cat is Tom|Tom").run())
    click(app, "fill")
    assert not app.session_state["grid"].done
    assert app.session_state["grid"].needle.answer.strip() == "Tom"
    click(app, "stop-grid")
    assert app.session_state["grid"].done and not app.error
    assert "fill" in [button.key for button in app.button]


def test_a_memory_takes_a_form_is_uploaded_and_mixed_by_a_share(folder):  # noqa: F811
    app = read(opened())
    for name, form in (("ships", "float16"), ("boats", "rank8")):
        well(app.text_input(key="memory-name").set_value(name).run())
        well(app.selectbox(key="memory-form").set_value(form).run())
        click(app, "keep")
        assert app.session_state["memory"][1].card.form.startswith(form[:4])
    assert "Download the memory" in labels(app)
    well(app.segmented_control(key="widget-answerer").set_value("memory").run())
    file = next(path for path in memories.paths() if path.stem == "ships")
    upload = app.file_uploader(key="memory-upload")
    upload.set_value([("mine.memory", file.read_bytes(), "application/octet-stream")])
    well(app.run())
    assert app.session_state["memory"][0] == "mine.memory"
    well(app.selectbox(key="mix-with").set_value("boats").run())
    well(app.slider(key="mix-share").set_value(0.25).run())
    click(app, "mix")
    assert app.session_state["memory"][1].card.mixed[-1] == "0.25 * boats"
    # A name without a letter is a name, too, and the file to download has another.
    upload = app.file_uploader(key="memory-upload")
    upload.set_value([("!!!", file.read_bytes(), "application/octet-stream")])
    well(app.run())
    assert app.session_state["memory"][0] == "!!!" and not app.error
    assert "Download the memory" in labels(app)


def test_an_answer_leads_to_the_passages_that_taught_it(folder, monkeypatch):  # noqa: F811
    asked = []

    def start(verb, values, *, title="", **options):
        asked.append((verb, options))
        return jobs.Job("1", verb, (), title, 0.0)

    monkeypatch.setattr(jobs, "start", start)
    app = read(opened())
    typed(app, "The ships came", "home")
    if not app.session_state["asking"].done:  # and no way out before it is
        assert "who-taught" not in [button.key for button in app.button]
    finished(app)
    assert "“home”" in app.button(key="who-taught").label
    click(app, "who-taught")
    ((verb, options),) = asked
    assert verb == "inspect influence" and options["word"] == "home"
    assert options["model"] == "nano" and options["tokens"] == 4_096
    assert app.session_state["look_document"] == look_into.ON_SCREEN


def test_nobody_taught_what_the_text_does_not_hold(folder):  # noqa: F811
    app = ask(read(opened()), answer="Quillfeather")
    assert "who-taught" not in [button.key for button in app.button]


@pytest.mark.parametrize(
    "times, said",
    [
        (1.0, "no likelier than"),
        (3.21, "3.2 times as likely as"),
        (1e17, "over a trillion times as likely as"),
        (1e-17, "over a trillion times less likely than"),
    ],
)
def test_how_many_times_is_said_in_words(times, said):
    assert columns._times(times) == said
