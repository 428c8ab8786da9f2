"""What commands print with: text as written, no orders, whatever is printed."""

import io
from pathlib import Path

import pytest
from rich.table import Table

import lab.commands
from lab.commands.terminal import Terminal


ANYTHING = "[bold]my*notes*[/bold] :smile: \x1b[31m\u202e [/oops]"
SHOWN = r"[bold]my*notes*[/bold] :smile: \x1b[31m\u202e [/oops]"
FOLDER = Path(lab.commands.__file__).parent
# Only the type of its console, and a training whose words are the lab's own.
ACCEPTED = {"terminal.py", "progress.py", "train.py"}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_text_is_printed_as_written_wherever_it_stands(is_terminal):
    out = io.StringIO()
    knobs = {"force_terminal": is_terminal, "no_color": True, "width": 100}
    terminal = Terminal(file=out, **knobs)
    table = Table(ANYTHING, title=ANYTHING, caption=ANYTHING)
    table.add_row(ANYTHING)
    terminal.print(ANYTHING)
    terminal.print(ANYTHING, style="bold", soft_wrap=True)
    terminal.print(table)
    assert out.getvalue().count(SHOWN) == 6
    assert "\x1b[31m" not in out.getvalue() and "\u202e" not in out.getvalue()


def test_every_command_prints_this_way():
    files = {path for path in FOLDER.glob("*.py") if path.name not in ACCEPTED}
    plain = [p.name for p in files if "rich.console import Console" in p.read_text()]
    assert not plain, f"{', '.join(plain)}: print with `lab.commands.terminal.Terminal`"
