"""The view "Watch it read", driven without a browser."""

import dataclasses
import html
import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import streamlit as st
import synthetic_published
from streamlit.testing.v1 import AppTest
from synthetic_trace import synthetic

from app import cache
from lab import published
from lab.measure import certificates
from lab.reading import programs
from lab.reading.changes import Changes


MAIN = Path(__file__).parents[2] / "app" / "main.py"
SENTENCE = "The ships came home one after the other, and nobody counted them. "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A published folder with a nano model and two recordings; empty caches."""
    monkeypatch.setattr(published, "HERE", tmp_path)
    monkeypatch.setattr(programs, "load_model", synthetic_published.nano)
    _forget()
    yield synthetic_published.write(tmp_path)
    _forget()


def _forget():
    st.cache_data.clear()
    st.cache_resource.clear()


def opened(**url) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    for name, value in url.items():
        app.query_params[name] = value
    app.switch_page("views/watch.py")
    return well(app.run())


def well(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def click(app: AppTest, key: str) -> AppTest:
    return well(app.button(key=key).click().run())


def headline(app: AppTest) -> str:
    return next(read(m) for m in app.markdown if m.value.startswith("**Chunk"))


def words(app: AppTest) -> str:
    return "\n".join(read(e) for e in (*app.markdown, *app.caption, *app.info))


def read(element) -> str:
    """What a visitor sees of a piece of Markdown in which signs have backslashes."""
    return re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", element.value).replace("\u2060", "")


def scrubber(app: AppTest):
    return next(slider for slider in app.slider if slider.label == "Chunk")


def problem(app: AppTest) -> str:
    return read(app.error[0])


def started(app: AppTest, seconds: float = 60) -> AppTest:
    """Press Start, and wait as the browser does."""
    click(app, "start")
    end = time.monotonic() + seconds
    while app.session_state["starting"] and time.monotonic() < end:
        time.sleep(0.1)
        well(app.run())
    return app


def live(
    app: AppTest, document="Paste a text", text=SENTENCE * 8, model="nano"
) -> AppTest:
    """Press Start on a document and wait for the first chunk."""
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.selectbox(key="widget-model").set_value(model).run())
    well(app.selectbox(key="widget-document").set_value(document).run())
    if app.text_area:
        well(app.text_area(key="widget-pasted").set_value(text).run())
    ready = cache.programs(model).start()
    click(app, "start")
    ready.wait("needle", timeout=300)
    return well(app.run())


def test_it_opens_on_a_finished_recording_and_says_what_to_look_for(folder):
    app = opened()
    assert headline(app).startswith("**Chunk 60** of 60")
    assert words(app).count("What to look for") == 3
    assert "Recorded: sotu/1981-Carter-1, read by tiny-e2e" in words(app)
    assert not app.error


def test_one_line_says_whether_the_model_was_audited(folder, monkeypatch):
    assert "Not audited yet: `ttt-lab audit` checks that tiny-e2e" in words(opened())
    found = "audited 2026-11-26: nothing is seen before its time, 12 checks"
    monkeypatch.setattr(certificates, "line", lambda model_hash: found)
    _forget()
    assert f"tiny-e2e was {found}." in words(opened())


def test_the_first_picture_needs_neither_jax_nor_the_core(tmp_path):
    code = (
        "import sys, pathlib, synthetic_published as s;"
        f"s.publish(pathlib.Path({str(tmp_path)!r}));"
        "from lab.reading.programs import Programs;"
        "Programs.start = lambda self, after: self;"
        "from streamlit.testing.v1 import AppTest;"
        f"app = AppTest.from_file({str(MAIN)!r}, default_timeout=60);"
        "app.switch_page('views/watch.py').run();"
        "assert not app.exception and len(app.get('plotly_chart')) == 2, app;"
        "print([m for m in ('jax', 'equinox', 'ttt_core') if m in sys.modules])"
    )
    here, root = Path(__file__).parent, MAIN.parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{here}:{root}", "PATH": "", "HOME": str(tmp_path)},
    )
    assert found.stdout.strip() == "[]", found.stderr


def test_play_goes_on_by_itself_until_the_end(folder):
    app = opened()
    click(app, "play")
    seen = [headline(app).split("**")[1]]
    while app.button(key="play").label == "Pause":
        well(app.run())
        seen.append(headline(app).split("**")[1])
    assert seen[:3] == ["Chunk 4", "Chunk 8", "Chunk 12"] and seen[-1] == "Chunk 60"
    assert app.query_params["chunk"] == "60"


def test_pause_one_chunk_and_reset(folder):
    app = opened(chunk="10")
    assert headline(app).startswith("**Chunk 10**")
    click(app, "one")
    assert headline(app).startswith("**Chunk 11**")
    click(app, "play")
    click(app, "play")
    assert app.button(key="play").label == "Play"
    paused = headline(app)
    assert headline(well(app.run())) == paused
    click(app, "reset")
    assert headline(app).startswith("**Chunk 0**")


def test_the_scrubber_goes_back_and_stands_still(folder):
    app = opened()
    assert scrubber(app).value == 60
    well(scrubber(app).set_value(33).run())
    assert headline(app).startswith("**Chunk 33**")
    assert app.button(key="play").label == "Play"
    assert app.query_params["chunk"] == "33"


def test_a_scrubber_of_the_past_is_not_heard(folder):
    app = opened(chunk="20")
    old = scrubber(app).key
    click(app, "one")
    assert scrubber(app).key != old
    click(app, "play")
    assert scrubber(app).disabled


def test_another_recording_is_chosen_and_stands_in_the_url(folder):
    app = opened()
    well(app.selectbox(key="widget-recording").set_value("carter-plain").run())
    assert headline(app).startswith("**Chunk 30** of 30")
    assert "needle" not in app.query_params
    assert "Nothing is planted" in words(app)
    well(app.selectbox(key="widget-recording").set_value("carter").run())
    assert app.query_params["needle"] == "The pass-key is 831."


def test_a_url_opens_the_recording_it_was_copied_from(folder):
    app = opened(doc="sotu/1981-Carter-1", chunk="7")
    assert headline(app).startswith("**Chunk 7** of 30")
    app = opened(doc="sotu/1981-Carter-1", needle="The pass-key is 831.", chunk="7")
    assert headline(app).startswith("**Chunk 7** of 60")


def test_a_url_for_something_unrecorded_opens_live_reading(folder):
    app = opened(doc="sotu/1790-Washington-1", needle="passkey-3", depth="0.4")
    assert app.segmented_control(key="widget-source").value == "live"
    assert app.selectbox(key="widget-document").value == "sotu/1790-Washington-1"
    assert app.number_input(key="widget-seed").value == 3
    assert app.slider(key="widget-depth").value == 0.4


def test_a_text_longer_than_what_is_read_says_so(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.selectbox(key="widget-document").set_value("Paste a text").run())
    well(app.text_area(key="widget-pasted").set_value(SENTENCE).run())
    assert "address does not hold it" in words(app) and "are read" not in words(app)
    well(app.text_area(key="widget-pasted").set_value("a word " * 4_000).run())
    assert "About 8,000 tokens; the first 4,096 are read." in words(app)


def test_a_sentence_of_ones_own_is_planted(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.button_group(key="widget-needle").set_value("sentence").run())
    well(app.text_input(key="widget-sentence").set_value("The cat is Tom.").run())
    assert app.query_params["needle"] == "The cat is Tom."


def test_a_url_that_wants_no_needle_opens_the_recording_without(folder):
    app = opened(needle="none")
    assert app.segmented_control(key="widget-source").value == "recorded"
    assert headline(app).startswith("**Chunk 30** of 30")
    assert "Nothing is planted" in words(app)


def test_numbers_in_a_url_that_are_none_or_too_large_do_no_harm(folder):
    # a digit to Python that is no number, no place at all, and more than there are
    unrecorded = "sotu/1790-Washington-1"
    app = opened(doc=unrecorded, needle="passkey-123456", chunk="\u00b2", depth="nan")
    assert not app.number_input
    for word in ("passkey-123456", "\u00b2", "nan"):
        assert word in problem(app)
    app = opened(doc=unrecorded, needle="passkey-7", depth="inf")
    assert app.slider(key="widget-depth").value == 0.3
    assert "depth=inf in the address is no place between 0 and 1" in problem(app)
    app = opened(chunk="9" * 5_000, needle=f"passkey-{'9' * 5_000}", depth="9" * 5_000)
    assert headline(app).startswith("**Chunk 60** of 60")
    assert len(problem(app)) < 600


def test_reading_live_goes_chunk_by_chunk_to_the_end(folder):
    app = live(opened(doc="sotu/1981-Carter-1"))
    assert app.button(key="play").label == "Pause"
    assert "Live: pasted text, read by nano" in words(app)
    well(app.segmented_control(key="widget-speed").set_value(1).run())
    before = int(headline(app).split("**")[1].split()[1])
    well(app.run())
    assert int(headline(app).split("**")[1].split()[1]) == before + 1
    click(app, "play")
    paused = headline(app)
    assert headline(well(app.run())) == paused
    click(app, "play")
    while app.button(key="play").label == "Pause":
        well(app.run())
    total = len(SENTENCE * 8)
    assert headline(app).startswith(f"**Chunk {total // 16}** of {total // 16}")
    assert f"{total} tokens read" in headline(app)


def test_from_the_third_chunk_on_there_is_a_mean_with_its_interval(folder):
    app = live(opened())
    while int(headline(app).split("**")[1].split()[1]) < 3:
        assert "too early to say" in headline(app)
        well(app.run())
    assert re.search(r"learning .*\d ± \d\.\d{3}", headline(app))


def test_a_model_that_never_learns_is_marked_and_reads_all_the_same(folder):
    app = opened(doc="sotu/1981-Carter-1")
    well(app.segmented_control(key="widget-source").set_value("live").run())
    assert app.selectbox(key="widget-model").options == [
        "nano",
        "nano-half",
        "nano-static (sliding-window attention over 16 tokens, never learns)",
    ]
    app = live(app, model="nano-static")
    assert "nano-static never learns, so it is its own twin" in headline(app)
    assert "blocks of which none learn text" in words(app)


@pytest.mark.parametrize(
    ("noted", "said"),
    [
        ({"reach": 762}, "its attention reaches 762 tokens back"),
        ({"reach": 0}, "its attention reaches back to the start"),
        ({"reach": 0, "attends": False}, "it has no attention"),
        (
            {"reach": 0, "carried_by": ("Mamba 2",)},
            "sees 32 tokens, the states of Mamba 2 carry the earlier text",
        ),
    ],
)
def test_what_else_a_model_knows_of_the_text_is_said(noted, said):
    def page(header):
        from types import SimpleNamespace

        from app.panels import about

        trace = SimpleNamespace(header=header)
        about.setup(SimpleNamespace(trace=trace, reading=None))

    header = dataclasses.replace(synthetic().header, **noted)
    app = AppTest.from_function(page, args=(header,)).run()
    assert said in read(well(app).caption[0])


def test_beside_a_model_that_never_learns_one_that_learns_reads_along(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.selectbox(key="widget-model").set_value("nano-static").run())
    assert app.multiselect(key="widget-beside").value == ["nano"]
    assert "it is of use beside a model that learns" in words(app)
    app = live(app, model="nano-static")
    cache.programs("nano").start().wait("twin", timeout=300)
    while app.button(key="play").label == "Pause":
        well(app.run())
    assert re.search(r"###### nano is \d\.\d+ ± .* than nano-static", words(app))
    assert "no word has a colour" in words(app)
    well(app.segmented_control(key="widget-source").set_value("recorded").run())
    assert "nano-static" not in words(app)


def test_another_inner_rate_is_read_with_and_noted(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.select_slider(key="widget-rate").set_value(4.0).run())
    app = live(app)
    well(app.run())
    header = app.session_state["reading"].trace.header
    assert header.inner_lr == 4.0 and header.provenance["rate"] == 4.0


def test_rule_chunk_and_window_are_changed_and_stand_in_command_and_trace(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.selectbox(key="widget-model").set_value("nano").run())
    well(app.selectbox(key="widget-inner_rule").set_value("momentum").run())
    chunk = app.selectbox(key="widget-inner_chunk")
    half = cache.cards()["nano"]["config"]["chunk"] // 2
    well(chunk.set_value(half).run())
    changed = Changes("momentum", half)
    app = live_with(app, changed)
    header = app.session_state["reading"].trace.header
    assert (header.chunk, header.provenance["rule"]) == (half, "momentum")
    well(app.run())
    assert f"--rule momentum --chunk {half}" in " ".join(c.value for c in app.code)
    assert f"nano with rule momentum, chunk {half}" in words(app)


def live_with(app: AppTest, changed: Changes) -> AppTest:
    """Press Start on a pasted text, with a changed way of learning."""
    well(app.selectbox(key="widget-document").set_value("Paste a text").run())
    well(app.text_area(key="widget-pasted").set_value(SENTENCE * 8).run())
    ready = cache.programs("nano", changed).start()
    click(app, "start")
    ready.wait("needle", timeout=300)
    return well(app.run())


def test_sizes_that_do_not_go_together_are_said_before_the_start(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.selectbox(key="widget-model").set_value("nano").run())
    sizes = app.selectbox(key="widget-inner_chunk").options
    window = cache.cards()["nano"]["config"]["window"]
    assert any(int(size.split()[0]) > window for size in sizes)
    most = max(int(size.split()[0]) for size in sizes)
    well(app.selectbox(key="widget-inner_chunk").set_value(most).run())
    assert "must not exceed `window`" in words(app).replace("\\", "")
    click(app, "as-trained")
    assert "must not exceed" not in words(app)


def test_changes_are_of_one_model_and_marked_with_their_cost(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    well(app.selectbox(key="widget-model").set_value("nano").run())
    assert "instant" in app.select_slider(key="widget-rate").label
    assert "recompiles" in app.selectbox(key="widget-inner_rule").label
    well(app.selectbox(key="widget-inner_rule").set_value("adam").run())
    well(app.selectbox(key="widget-model").set_value("nano-half").run())
    assert app.selectbox(key="widget-inner_rule").value == "sgd"
    # Models' labels say their speed once it is known, and AppTest looks them up.
    ready = cache.programs("nano-half").start().wait("needle", timeout=300)
    assert ready.seconds_to_compile > 0
    app = opened(model="nano-half", doc="sotu/1790-Washington")
    assert "recompiles (about " in app.selectbox(key="widget-inner_rule").label


def test_the_form_folds_when_reading_starts_and_opens_again(folder):
    app = live(opened())
    assert not any(box.key == "widget-model" for box in app.selectbox)
    click(app, "again")
    assert app.selectbox(key="widget-model").value == "nano"
    assert not app.get("plotly_chart")  # an old reading does not stay below
    assert [b.key for b in app.button if b.proto.type == "primary"] == ["start"]
    click(app, "back")
    assert [b.key for b in app.button if b.proto.type == "primary"] == ["play"]


def test_models_are_listed_with_size_and_speed_before_they_read(folder):
    card = json.loads((folder / "models" / "nano.json").read_text())
    card["config"] |= {"chunk": 64, "layers": 6, "window": 128}
    card |= {"parameters": 2_101_632, "experiment": {"method": "meta"}}
    (folder / "models" / "mine.json").write_text(json.dumps(card))
    app = opened(doc="sotu/1790-Washington-1", model="mine")
    options = app.selectbox(key="widget-model").options
    assert "mine (2.1 M weights, about 3,600 tokens/s)" in options
    assert "after every 64 tokens a gradient step changes 1 of its 6" in words(app)
    assert re.search(r"4,096 tokens take about \d+ s here at 4×", words(app))


def test_the_needle_of_a_recording_is_not_planted_in_my_own_text(folder):
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    assert app.session_state["needle"] == "sentence"
    well(app.selectbox(key="widget-document").set_value("Paste a text").run())
    assert app.session_state["needle"] == "none"


def test_the_text_goes_where_the_visitor_goes_and_follows_again(folder):
    app = opened()
    click(app, "earlier")
    gone = app.session_state["text_place"]
    assert 0 < gone < 36
    click(app, "later")
    assert app.session_state["text_place"] > gone
    click(app, "follow")
    assert app.session_state["text_place"] is None


def test_a_click_on_a_chart_takes_the_text_there(folder):
    def page():
        from app import session
        from app.panels import charts

        session.begin()
        charts._go_to("chart", 16)

    app = AppTest.from_function(page)
    for points, place in (([{"x": 168.0}], 10), ([], 10), ([{"x": 16}], 0)):
        app.session_state["chart"] = {"selection": {"points": points}}
        well(app.run())
        assert app.session_state["text_place"] == place


def test_more_is_shown_to_who_asks_for_more(folder):
    app = opened()
    assert len(app.get("plotly_chart")) == 2
    well(app.toggle(key="widget-more").set_value(True).run())
    assert len(app.get("plotly_chart")) == 6
    assert "Where learning saved most" in words(app)


@pytest.mark.parametrize("grain", ["sentence", "chunk"])
def test_the_text_is_coloured_by_sentence_or_chunk(folder, grain):
    app = opened()
    count = lambda: text_of(app).count("data-n=")
    tokens = count()
    well(app.segmented_control(key="widget-grain").set_value(grain).run())
    assert 0 < count() < tokens


def text_of(app: AppTest) -> str:
    return next(h.proto.body for h in app.get("html") if "data-n=" in h.proto.body)


def test_a_needle_of_my_own_is_planted_and_asked_for(folder):
    app = opened(needle="My cat is called Tom.", depth="0.2")
    app = live(app)
    for _ in range(12):
        well(app.run())
    assert "My cat is called Tom." in words(app)
    assert "Asked after each chunk: “My cat is called …”" in words(app)


@pytest.mark.parametrize(
    ("document", "text", "said"),
    [
        ("Paste a text", "   ", "The text is empty"),
        ("Paste a text", "Too short.", "at least 32 tokens"),
        ("Upload a text file", "", "No file has been uploaded yet"),
    ],
)
def test_bad_input_becomes_a_sentence(folder, document, text, said):
    app = live(opened(), document, text)
    assert said in problem(app)
    assert app.button(key="start") and not app.get("plotly_chart")


def test_an_upload_that_is_not_utf_8_becomes_a_sentence(folder):
    app = opened()
    app.session_state["uploaded"] = ("old.txt", b"h\xe9las")
    app = live(app, "Upload a text file")
    assert "old.txt is not UTF-8 text: byte 1 is 0xe9" in problem(app)


def test_an_unknown_document_is_named_and_files_of_the_host_stay_closed(folder):
    app = opened(doc="sotu/1790-Washingtun-1")
    assert "did you mean 'sotu/1790-Washington-1'?" in problem(app)
    for path in (
        "../../etc/passwd",
        str(MAIN),
        "nonsense",
        "Paste a text",
        "x" * 9_000,
    ):
        app = opened(doc=path)
        assert f"There is no document '{path[:60]}" in problem(app)
        assert headline(app).startswith("**Chunk 60** of 60")
        assert app.query_params["doc"] == "sotu/1981-Carter-1"


def test_a_parameter_that_is_not_ours_changes_nothing(folder):
    app = opened(foo="bar")
    assert headline(app).startswith("**Chunk 60** of 60") and not app.error
    assert "foo" not in app.query_params


def test_no_recording_is_shown_under_another_models_name(folder):
    app = opened(doc="sotu/1981-Carter-1", model="nano")
    assert app.segmented_control(key="widget-source").value == "live"
    assert app.selectbox(key="widget-model").value == "nano"
    assert not app.get("plotly_chart")
    assert "Start reading* lets nano read sotu/1981-Carter-1" in words(app)
    app = well(app.segmented_control(key="widget-source").set_value("recorded").run())
    assert app.query_params["model"] == "tiny-e2e"
    again = opened(**{name: app.query_params[name] for name in app.query_params})
    assert "Recorded: sotu/1981-Carter-1, read by tiny-e2e" in words(again)
    assert not again.error


def test_models_of_runs_are_offered_after_the_published(folder, tmp_path):
    card = (folder / "models" / "nano.json").read_text()
    for name, text in {
        "mine": card,
        "nano": card,
        "cut": card[:20],
        "bad": "[]",
    }.items():
        place = tmp_path / "runs" / name
        place.mkdir(parents=True)
        (place / f"{name}.json").write_text(text)
    app = opened(model="mine")
    well(app.segmented_control(key="widget-source").set_value("live").run())
    chosen = app.selectbox(key="widget-model")
    assert (chosen.value, len(chosen.options)) == ("mine", 4)
    assert "There is no model" not in words(app)


def test_an_unknown_model_is_named_and_another_offered(folder):
    app = opened(doc="sotu/1790-Washington-1", model="huge")
    assert "no model 'huge' here" in problem(app)
    assert app.selectbox(key="widget-model").value == "nano"


def test_a_model_that_cannot_be_opened_is_said_in_a_sentence(folder, monkeypatch):
    def broken(name):
        raise ValueError("its file is damaged.")

    monkeypatch.setattr(programs, "load_model", broken)
    app = opened()
    well(app.segmented_control(key="widget-source").set_value("live").run())
    started(app)
    assert "'nano' cannot be used: its file is damaged." in problem(app)
    monkeypatch.setattr(programs, "load_model", synthetic_published.nano)
    well(app.selectbox(key="widget-document").set_value("Paste a text").run())
    well(app.text_area(key="widget-pasted").set_value(SENTENCE * 8).run())
    started(app)
    assert not app.error and "Live: pasted text, read by nano" in words(app)


MARKUP = (
    "The fare is $5 and the tax is $3, *he said*; <script>document.title='seen'"
    "</script> :red[mind] [a link](javascript:alert(1)) `code` | a | b |"
)
CONTROLS = "The light\x00 went \x1b[31mout\x07.\u202e reversed \u202c"


def test_markup_of_a_visitor_is_text_in_document_needle_and_caption(folder):
    app = opened(needle=f"{MARKUP} My cat is called *Tom*.", depth="0")
    app = live(app, text=f"{MARKUP}\n" * 8)
    for _ in range(3):
        well(app.run())
    (planted,) = [c for c in app.caption if c.value.startswith("Planted at")]
    assert f"“{MARKUP} My cat is called *Tom*.”" in read(planted)
    for sign in "$*[`|<":
        assert not re.search(rf"(?<!\\){re.escape(sign)}", planted.value), sign
    (text,) = [h for h in app.get("html") if "pre-wrap" in h.proto.body]
    assert "<script" not in text.proto.body and "&lt;" in text.proto.body


def test_a_file_name_with_markup_stands_as_written_in_an_error_and_a_caption(folder):
    name = "my*notes*_v2_$5$.txt"
    app = opened()
    app.session_state["uploaded"] = (name, b"\xff\xfe\x00")
    assert name in problem(live(app, "Upload a text file"))
    assert r"my\*notes\*\_v2\_\$5\$" in app.error[0].value
    app.session_state["uploaded"] = (name, SENTENCE.encode() * 8)
    live(app, "Upload a text file")
    assert f"Live: {name}, read by nano" in words(app)


def test_controls_are_seen_and_do_nothing(folder):
    app = live(opened(), text=f"{CONTROLS}\n" * 12)
    for _ in range(3):
        well(app.run())
    (text,) = [h for h in app.get("html") if "pre-wrap" in h.proto.body]
    assert not set(text.proto.body) & set("\x00\x1b\x07\u202e\u202c")
    shown = html.unescape(re.sub("<[^>]*>", "", text.proto.body))
    assert r"\x00 went \x1b[31mout\x07.\u202e reversed" in shown


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.98])
def test_a_damaged_file_takes_only_itself_away(folder, keep):
    for name in ("traces/carter.npz", "models/nano-half.json"):
        path = folder / name
        data = path.read_bytes()
        kept = int(keep * len(data)) if keep < 1 else keep
        path.write_bytes(data[:kept])
    app = opened()
    assert headline(app).startswith("**Chunk 30** of 30") and not app.error
    assert "carter.npz is damaged" in read(app.warning[0])
    assert "nano-half.json is damaged" in read(app.warning[0])
    well(app.segmented_control(key="widget-source").set_value("live").run())
    assert "nano-half" not in app.selectbox(key="widget-model").options


def test_a_recording_that_breaks_while_it_is_shown_becomes_a_sentence(folder):
    app = opened()
    (folder / "traces/carter-plain.npz").write_bytes(b"PK")
    well(app.selectbox(key="widget-recording").set_value("carter-plain").run())
    assert "carter-plain.npz is not a trace" in problem(app)
    well(app.selectbox(key="widget-recording").set_value("carter").run())
    assert headline(app).startswith("**Chunk 60** of 60")


@pytest.mark.parametrize(
    "card", ["[]", "{}", "null", '{"config": 3}', '{"config": {}}']
)
def test_a_card_of_something_else_takes_only_itself_away(folder, card):
    (folder / "models/nano-half.json").write_text(card)
    assert "nano-half.json is damaged" in read(opened().warning[0])


def test_with_nothing_published_it_says_how_to_make_something(folder):
    for path in (*folder.glob("models/*"), *folder.glob("traces/*")):
        path.unlink()
    app = opened()
    assert "No reading is recorded here yet" in words(app)
    well(app.segmented_control(key="widget-source").set_value("live").run())
    assert "ttt-lab train tiny-e2e" in words(app)


def test_a_file_that_is_too_large_is_refused_by_the_uploader():
    settings = tomllib.loads(
        (MAIN.parent / ".streamlit" / "config.toml").read_text("utf-8")
    )
    most = settings["server"]["maxUploadSize"]
    assert f"at most {most} MB" in MAIN.with_name("panels").joinpath(
        "source.py"
    ).read_text("utf-8")


@pytest.mark.parametrize("key", ["play", "one", "reset"])
def test_a_recording_that_goes_while_it_is_open_is_a_sentence(folder, key):
    app = opened(chunk="3")
    for path in published.HERE.glob("traces/*"):
        path.unlink()
    st.cache_resource.clear()
    click(app, key)
    assert not app.session_state["playing"]
    assert "recording" in problem(app) or "Nothing is recorded here" in words(app)


def test_one_chunk_that_cannot_be_read_is_a_sentence(folder, monkeypatch):
    app = live(opened(), text=SENTENCE * 30)
    well(app.run())
    reading = app.session_state["reading"]

    def fails(*_):
        raise ValueError("The program of this chunk is not to be had.")

    monkeypatch.setattr(type(reading), "read_for", fails)
    monkeypatch.setattr(type(reading), "waiting", None)
    app.session_state["playing"] = False
    app.session_state["chunk"] = None
    well(app.run())
    click(app, "one")
    assert "not to be had" in problem(app)
