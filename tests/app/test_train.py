"""The view "Train one", driven without a browser; a tiny command is the training."""

import json
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_jobs import until
from test_watch import click, folder, well, words  # noqa: F401

from app import jobs, session, training
from lab import runs
from lab.training import watching


MAIN = Path(__file__).parents[2] / "app" / "main.py"
TRAINER = Path(__file__).with_name("errand_trainer.py")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, str(TRAINER)))
    yield
    for job in jobs.queue():
        job.stop()
    for job in jobs.listing():
        until(lambda job=job: not job.is_alive)


def opened() -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.switch_page("views/train.py")
    return well(app.run())


def chosen(app, seed=3, tokens=50_000, recipe="tiny-e2e") -> AppTest:
    well(app.selectbox(key="widget-train_recipe").set_value(recipe).run())
    well(app.selectbox(key="widget-train_tokens").set_value(tokens).run())
    return well(app.number_input(key="widget-train_seed").set_value(seed).run())


def trained(app) -> AppTest:
    click(app, "train")
    until(lambda: not jobs.queue())
    return well(app.run())


def test_it_says_the_time_beforehand_and_what_is_new_here(folder):  # noqa: F811
    app = opened()
    assert "About 92 s on this machine" in words(app)
    assert "Nothing has been trained here yet" in words(app)
    chosen(app, tokens=2_000_000, recipe="tiny-full")
    assert "About 2 min on this machine. You" in words(app)


def test_a_training_and_its_twin_appear_and_end_with_a_verdict(folder):  # noqa: F811
    app = trained(chosen(opened()))
    assert len(app.get("plotly_chart")) == 3
    said = words(app) + app.success[0].value
    assert "Step 24** of 24" in said and "(plain twin 2.5" in said
    assert "gain **+0.0200**" in said
    assert "**2.5000** nats per token while it learns and 2.5200 with" in said
    assert "its plain twin costs 2.6000." in said
    for what in ("outer loss", "gain", "plain twin"):
        assert f"**{what}**" in said, what
    assert "ttt-lab train tiny-e2e --size nano --run tiny-e2e-nano-50k-seed3" in (
        "".join(code.value for code in app.code)
    )
    assert not app.error and app.button(key="stop").disabled


def test_a_reload_and_another_visitor_find_the_training(folder):  # noqa: F811
    app = chosen(opened(), seed=900)
    click(app, "train")
    other = opened()
    assert "tiny-e2e-nano-50k-seed900" in words(other)
    assert other.number_input(key="widget-train_seed").value == 900
    assert not other.button(key="stop").disabled
    until(lambda: watching.curves("tiny-e2e-nano-50k-seed900"))
    click(other, "stop")
    until(lambda: not jobs.queue())
    well(app.run())
    assert "Training tiny-e2e-nano-50k-seed900 was stopped" in words(app)
    assert app.button(key="stop").disabled and not app.button(key="resume").disabled


def test_it_goes_on_where_it_was_stopped(folder):  # noqa: F811
    app = trained(chosen(opened(), seed=901))  # the tiny trainer stops by itself
    assert "was stopped" in words(app)
    click(app, "resume")
    until(lambda: not jobs.queue())
    well(app.run())
    assert app.success and app.button(key="resume").disabled


def test_what_is_finished_is_not_trained_again(folder):  # noqa: F811
    app = trained(chosen(opened()))
    (runs.folder("tiny-e2e-nano-50k-seed3-plain") / "nano-e2e.json").unlink()
    click(well(app.run()), "resume")
    until(lambda: len(jobs.listing()) == 3 and not jobs.queue())
    assert [job.words[4] for job in jobs.listing()] == [
        "tiny-e2e-nano-50k-seed3-plain",
        "tiny-e2e-nano-50k-seed3-plain",
        "tiny-e2e-nano-50k-seed3",
    ]


def test_an_error_of_the_training_is_a_sentence(folder):  # noqa: F811
    app = trained(chosen(opened(), seed=902))
    assert "has failed. It says: the disk is full" in words(app)


def test_a_full_queue_is_a_sentence(folder, monkeypatch):  # noqa: F811
    monkeypatch.setattr(jobs, "MOST", 0)
    app = click(chosen(opened()), "train")
    assert "0 commands run or wait already" in app.error[0].value.replace("\\", "")


def test_the_model_is_opened_in_watch(folder):  # noqa: F811
    app = trained(chosen(opened()))
    click(app, "watch")
    assert app.session_state["model"] == "tiny-e2e-nano-50k-seed3"
    assert app.session_state["source"] == "live"
    assert app.title[0].value == "Watch it read"


def test_earlier_trainings_are_shown_again(folder):  # noqa: F811
    app = trained(chosen(opened(), seed=1))
    trained(chosen(app, seed=2))
    assert "Earlier trainings on this machine (2)" in app.expander[0].label
    click(app, "show-tiny-e2e-nano-50k-seed1")
    assert "tiny-e2e-nano-50k-seed1 is trained." in words(app)
    assert app.number_input(key="widget-train_seed").value == 1


def test_a_model_that_never_learns_has_no_twin(folder):  # noqa: F811
    app = trained(chosen(opened(), recipe="tiny-full"))
    assert len(jobs.listing()) == 1
    assert app.success and "plain twin costs" not in app.success[0].value


@pytest.mark.parametrize(
    "name", ["../x-nano-50k-seed1", "nope-nano-50k-seed1", "tiny-e2e-nano-1k-seed1", ""]
)
def test_other_names_are_no_training(name):
    assert training.named(name) is None


def test_names_say_everything():
    wanted = training.Training("toy", 100_000, 7)
    assert training.named(wanted.name) == training.named(wanted.twin) == wanted
    assert session.DEFAULTS["train_recipe"] in training.KINDS


def test_a_damaged_run_is_no_traceback(folder):  # noqa: F811
    place = runs.folder("tiny-e2e-nano-50k-seed5")
    place.mkdir(parents=True)
    (place / "metrics.jsonl").write_text('{"step": 0}\n{"st')
    (place / "experiment.json").write_text(json.dumps({"name": 3}))
    app = opened()
    assert "nobody trains it now" in words(app)
