"""`ttt-lab explore`: the explorer, in a browser if there is a screen."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from lab import files
from lab.commands.terminal import Terminal


APP = Path(__file__).resolve().parents[2] / "app"
HOME = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")
NEXT = 100  # this many ports are tried after one that is taken


def explore(port: int = 8501, browser: bool = True, host: str = HOME):
    """Open the explorer on 127.0.0.1.

    From another machine, an SSH tunnel is the safe way: run `ssh -L
    8501:127.0.0.1:8501 MACHINE` there, and open http://127.0.0.1:8501 in its browser.

    Args:
        port: the port that the explorer listens on, or the next one that is free.
        browser: open a browser window too, if there is a screen.
        host: another address of this machine to listen on. Whoever can reach the
            address can use the explorer: there is no password.
    """
    free, say = free_port(host, port), Terminal(error=True).print
    if free != port:
        say(f"Port {port} is taken by another program: the explorer takes {free}.")
    if host != HOME:
        say(warning(host, free), style="yellow")
    server = subprocess.Popen(command(host, free), cwd=APP, env=_environment())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        address = HOME if host in EVERYWHERE else host
        if browser and _has_screen() and _answers(address, free, server):
            webbrowser.open(f"http://{address}:{free}")
        status = server.wait()
    except KeyboardInterrupt:
        status = 0  # Ctrl-C is how an explorer ends
    finally:
        _end(server)
    sys.exit(status)


def free_port(host: str, port: int) -> int:
    """`port`, or the next one that no other program listens on.

    **Raises** `ValueError` for an address that is not this machine's, a port that is
    reserved, or if all of the next ports are taken.
    """
    last = min(port + NEXT, 65_535)
    for candidate in range(port, last + 1):
        if _is_free(host, candidate):
            return candidate
    raise ValueError(f"Ports {port} to {last} are taken: name another with --port.")


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.create_server((host, port), family=_family(host)):
            return True
    except PermissionError as error:
        raise ValueError(
            f"Port {port} is reserved for the administrator: take one from 1024 on."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise ValueError(
            f"This machine cannot listen on --host {host} ({error.strerror}): name an "
            "address of this machine, or 0.0.0.0 for all."
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def warning(host: str, port: int) -> str:
    """What an address that others can reach means, and the safe way."""
    return (
        f"Whoever can reach {host} can use this explorer: there is no password, and "
        "readings take this machine's time and memory. For yourself alone, leave out "
        f"--host and run `ssh -L {port}:{HOME}:{port} MACHINE` on the other machine."
    )


def command(host: str, port: int) -> list[str]:
    """The command that serves the explorer, protected whatever the user's settings."""
    options = {
        "address": host,
        "port": port,
        "enableCORS": "true",
        "enableXsrfProtection": "true",
    }
    flags = [f"--server.{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(APP / "main.py"), *flags]


def _environment() -> dict[str, str]:
    """The server runs in its own folder, and yet lists the runs of this one."""
    return os.environ | {"TTT_LAB_RUNS": str(files.runs())}


def _end(server: subprocess.Popen, seconds: float = 10.0):
    """Leave no server behind, however the command ends."""
    server.terminate()
    try:
        server.wait(seconds)
    except subprocess.TimeoutExpired:
        server.kill()


def _has_screen() -> bool:
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, displays))


def _answers(
    host: str, port: int, server: subprocess.Popen, seconds: float = 30.0
) -> bool:
    """Whether the server accepts connections within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with socket.socket(_family(host)) as door:
            if door.connect_ex((host, port)) == 0:
                return True
        time.sleep(0.2)
    return False
