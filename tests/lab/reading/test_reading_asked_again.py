"""What was asked, elsewhere: the lines print the numbers of the screen."""

import shlex

import pytest

from lab import checkpoints, memories
from lab.reading import asked_again
from lab.reading.asked_again import Asked
from lab.reading.asking import COMPLETE, CONTINUE, Asking, OfMemory, OfReading, Question
from lab.reading.programs import Loaded, Programs
from lab.reading.session import Reading


TEXT = "The ships came in, one after the other. " * 5
SHIPS = Question(text='"The" ships', answer="came", tokens=12)


@pytest.fixture
def mine(tmp_path, monkeypatch, nano):
    """A folder with `my.txt` and the memory of it, where the model is `nano`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", lambda name: nano)
    (tmp_path / "my.txt").write_text(TEXT)
    load = lambda name: Loaded(nano, name, "bytes", "f" * 64)
    reading = Reading(Programs("nano", load=load).wait("needle"), TEXT)
    while not reading.done:
        reading.step()
    memories.save("ships.memory", *reading.states["learning"], name="nano")
    return reading


def printed(asked, question, capsys) -> list[tuple[str, float]]:
    """What the lines print of each column: its name, and nats of the answer."""
    exec(asked_again.lines(asked, question), {})
    rows = [line for line in capsys.readouterr().out.splitlines() if "." in line]
    numbers = [row.rsplit(" ", 2) for row in rows if row[:3] in ("win", "wei", "nei")]
    return [(name, float(nats)) for name, nats, _ in numbers]


@pytest.mark.parametrize("chunk", [None, 4])
def test_the_lines_find_the_numbers_of_the_screen(mine, chunk, capsys):
    source = OfReading(mine, chunk)
    found = Asking(source, SHIPS).finish().columns
    lines = printed(Asked("nano", "bytes", read=source.read), SHIPS, capsys)
    expected = [(name, column.found.nats) for name, column in found.items()]
    assert lines == [(name, pytest.approx(nats, abs=1e-5)) for name, nats in expected]


def test_the_lines_ask_a_memory(mine, capsys):
    memory = memories.open_memory("ships.memory")
    source = OfMemory(mine.programs, memory, "ships.memory")
    found = Asking(source, SHIPS).finish().columns
    lines = printed(Asked("nano", "bytes", memory="ships.memory"), SHIPS, capsys)
    expected = [(name, column.found.nats) for name, column in found.items()]
    assert lines == [(name, pytest.approx(nats, abs=1e-5)) for name, nats in expected]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (SHIPS, ["ask", "my.txt", '"The" ships', "--answer", "came"]),
        (Question(COMPLETE, "The"), ["generate", "my.txt", "--frozen", "--prompt"]),
        (Question(CONTINUE, seed=3), ["generate", "my.txt", "--frozen", "--seed"]),
    ],
)
def test_the_command_is_one_that_the_command_line_takes(question, words):
    from lab import cli

    line = shlex.split(
        asked_again.command(Asked("tiny-e2e", "bytes", read=96), question)
    )
    assert line[0] == "ttt-lab" and set(words) <= set(line)
    assert line[1] in cli.VERBS
