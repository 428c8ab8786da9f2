"""Progress: a line in a terminal, and now and then a plain line elsewhere."""

import io

from rich.console import Console

from lab.commands import progress
from lab.commands.progress import LINES, Bar


def shown(*, terminal: bool, steps: int, news=()) -> str:
    """What a loop of so many steps prints."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, no_color=True)
    with Bar(steps, console) as bar:
        assert bar.is_untouched
        for step in range(1, steps + 1):
            bar.show(step, "reading", f"at {step}", news=step in news)
        assert not bar.is_untouched
    return out.getvalue()


def test_plain_lines_come_now_and_then_and_at_the_end():
    lines = shown(terminal=False, steps=1000).splitlines()
    assert LINES <= len(lines) <= LINES + 1
    assert lines[0] == "reading at 1  0%"
    assert lines[-1] == "reading at 1000  100%, 0 s left"


def test_a_short_command_prints_every_step_once():
    lines = shown(terminal=False, steps=3).splitlines()
    assert [line.partition("  ")[0] for line in lines] == [
        "reading at 1",
        "reading at 2",
        "reading at 3",
    ]


def test_news_are_printed_at_once():
    quiet, told = (shown(terminal=False, steps=1000, news=n) for n in ((), (7,)))
    assert "at 7  " in told and "at 7  " not in quiet


def test_a_terminal_gets_one_line_with_the_time_left():
    said = shown(terminal=True, steps=50)
    assert "reading" in said and "at 50" in said and "0:00:00 left" in said


def test_a_narrow_terminal_cuts_the_words_and_not_the_time():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, no_color=True)
    with Bar(2, console) as bar:
        bar.show(1, "reading", "word " * 30)
        bar.show(2, "reading", "word " * 30)
    assert "0:00:00 left" in out.getvalue() and "word…" in out.getvalue()


def test_a_narrow_terminal_leaves_out_parts_and_cuts_no_number():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, no_color=True)
    with Bar(2, console) as bar:
        for done in (1, 2):
            words = "step 1234/2929  loss 3.141  gain +0.271  14,142 tokens/s"
            bar.show(done, "tiny-e2e pretrain", words)
    assert "gain +0.271" in out.getvalue() and "0:00:00 left" in out.getvalue()
    assert "14," not in out.getvalue() and "…" not in out.getvalue()


def test_what_has_not_begun_shows_nothing():
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal)
        with Bar(10, console) as bar:
            pass
        assert bar.is_untouched and out.getvalue().strip() == ""


def test_silence_has_an_end(monkeypatch):
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    assert len(shown(terminal=False, steps=1000).splitlines()) == 1000


def test_the_time_left_follows_from_the_speed(monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with Bar(4, Console(file=out, width=100)) as bar:
        bar.show(0, "reading")
        bar.show(2, "reading")
    assert out.getvalue().splitlines()[1].endswith("50%, 10 s left")


def test_words_of_others_are_shown_and_not_obeyed():
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=100, no_color=True)
        with Bar(2, console) as bar:
            bar.show(1, "[red]x[/red]", "\x1b[2J[/bold]")
        assert "[red]x[/red]" in out.getvalue()
        assert "\\x1b[2J[/bold]" in out.getvalue()


def test_counting_shows_counts_and_nothing_where_nothing_is_done(capsys):
    with progress.counting("reading", "tokens") as report:
        report(0, 0)
    assert capsys.readouterr().err == ""
    with progress.counting("reading", "tokens") as report:
        report(0, 5000)
        report(5000, 5000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("reading 0 of 5,000 tokens  0%")
    assert lines[-1].startswith("reading 5,000 of 5,000 tokens  100%")
