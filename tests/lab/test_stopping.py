"""A command that is asked to stop says what it kept, and promises nothing else."""

import os
import signal
import time

import pytest
from command_line import run

from lab import cli, stopping


def waits():
    """A command that ends when it is interrupted."""
    os.kill(os.getpid(), waits.signal)
    time.sleep(5)


def keeps():
    """A command that keeps something."""
    try:
        waits()
    except KeyboardInterrupt as error:
        raise stopping.Stopped("stopped at token 7; kept in a.npz") from error


@pytest.mark.parametrize(("sent", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (waits, "ttt-lab: stopped.\n"),
        (keeps, "ttt-lab: stopped at token 7; kept in a.npz.\n"),
    ],
)
def test_a_stopped_command_ends_with_its_own_sentence(
    command, said, sent, code, monkeypatch, capsys
):
    monkeypatch.setattr(waits, "signal", getattr(signal, sent), raising=False)
    monkeypatch.setattr(cli, "find", lambda verb: command)
    before = signal.getsignal(signal.SIGTERM)
    assert run(monkeypatch, "stream") == code
    assert capsys.readouterr().err == said
    assert signal.getsignal(signal.SIGTERM) == before
