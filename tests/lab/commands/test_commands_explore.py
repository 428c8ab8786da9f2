"""Where the explorer listens: nobody else's port, nobody else's address."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from command_line import run

from lab.commands import explore


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield door.getsockname()[1]


class Server:
    """What takes the place of a started server: it ends at once."""

    def __init__(self, command, **knobs):
        self.command, self.knobs = command, knobs
        Server.started = self

    def wait(self, seconds=None):
        return 0

    def terminate(self):
        self.ended = True

    def poll(self):
        return None


@pytest.fixture
def server(monkeypatch):
    """The server that the command starts, and the pages that it opens."""
    before, opened = signal.getsignal(signal.SIGTERM), []
    monkeypatch.setattr(subprocess, "Popen", Server)
    monkeypatch.setattr(explore, "_has_screen", lambda: True)
    monkeypatch.setattr(explore, "_answers", lambda *_: True)
    monkeypatch.setattr(explore.webbrowser, "open", opened.append)
    Server.opened = opened
    yield Server
    signal.signal(signal.SIGTERM, before)


def test_a_taken_port_is_named_and_the_next_one_is_opened(
    taken, server, monkeypatch, capsys
):
    assert run(monkeypatch, "explore", "--port", str(taken)) == 0
    free = explore.free_port("127.0.0.1", taken)
    assert free > taken
    assert f"Port {taken} is taken by another program" in capsys.readouterr().err
    assert server.opened == [f"http://127.0.0.1:{free}"]
    assert f"--server.port={free}" in server.started.command
    assert server.started.ended


def test_protection_stays_on_and_the_runs_are_those_of_this_folder(
    server, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TTT_LAB_RUNS", raising=False)
    assert run(monkeypatch, "explore") == 0
    flags = ("address=127.0.0.1", "enableCORS=true", "enableXsrfProtection=true")
    assert {f"--server.{flag}" for flag in flags} <= set(server.started.command)
    assert server.started.knobs["env"]["TTT_LAB_RUNS"] == str(tmp_path / ".runs")
    assert "password" not in capsys.readouterr().err


def test_an_address_that_others_reach_comes_with_a_warning(server, monkeypatch, capsys):
    assert run(monkeypatch, "explore", "--host", "0.0.0.0", "--port", "18501") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "there is no password" in said and "ssh -L" in said
    assert "--server.address=0.0.0.0" in server.started.command
    assert "--server.enableXsrfProtection=true" in server.started.command
    assert server.opened[0].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--port", "80000"], "--port must be <= 65,535: got 80,000"),
        (["--port", "0"], "--port must be >= 1: got 0"),
        (["--host", "203.0.113.7"], "cannot listen on --host 203.0.113.7"),
        (["--host", "no such host"], "cannot listen on --host no such host"),
    ],
)
def test_what_cannot_be_listened_on_gets_a_sentence(
    words, sentence, server, monkeypatch, capsys
):
    assert run(monkeypatch, "explore", *words) == 1
    assert sentence in capsys.readouterr().err


def test_a_reserved_port_gets_a_sentence(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ValueError, match="Port 80 is reserved"):
        explore.free_port("127.0.0.1", 80)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_explorer_that_ends_leaves_no_server_behind(how, tmp_path):
    port = explore.free_port("127.0.0.1", 20_000)
    words = [sys.executable, "-m", "lab", "explore", f"--port={port}", "--no-browser"]
    inherited = os.environ | {"PYTHONPATH": str(explore.APP.parent)}
    started = subprocess.Popen(words, env=inherited, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while explore._is_free("127.0.0.1", port) and time.monotonic() < end:
        time.sleep(0.1)
    assert not explore._is_free("127.0.0.1", port)
    started.send_signal(how)
    said = started.communicate(timeout=30)[1]
    assert started.returncode == (0 if how == signal.SIGINT else 143), said
    assert explore._is_free("127.0.0.1", port)
    assert "resume" not in said and "Traceback" not in said
