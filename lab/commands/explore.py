"""`ttt-lab explore`: the explorer, in a browser if there is a screen."""

import os
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path


APP = Path(__file__).resolve().parents[2] / "app"


def explore(port: int = 8501, browser: bool = True):
    """Open the explorer on 127.0.0.1.

    Args:
        port: the port that the explorer listens on.
        browser: open a browser window too, if there is a screen.
    """
    address = ["--server.address=127.0.0.1", f"--server.port={port}"]
    command = [sys.executable, "-m", "streamlit", "run", str(APP / "main.py"), *address]
    server = subprocess.Popen(command, cwd=APP)
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if browser and has_screen and _answers(port, server):
        webbrowser.open(f"http://127.0.0.1:{port}")
    sys.exit(server.wait())


def _answers(port: int, server: subprocess.Popen, seconds: float = 30.0) -> bool:
    """Whether the server accepts connections within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.2)
    return False
