"""Installed as a wheel, from any folder: texts, models and the explorer work."""

import os
import re
import shutil
import site
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PARTS = ("app", "datasets", "lab", "ttt_core")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
MOST_MB = 90  # the models are nearly all of it

pytestmark = pytest.mark.slow


def run(*command, **knobs) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **knobs,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: what an earlier build left must not count."""
    place = tmp_path_factory.mktemp("source")
    for part in PARTS:
        leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / part, place / part, ignore=leave)
    for name in FILES:
        shutil.copy(ROOT / name, place)
    run(sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "-w", ".", cwd=place)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """`bin/` of a new environment with the wheel, and what its processes inherit.

    The packages that the lab needs are those of this environment: they are put on the
    path behind the wheel, which takes a second instead of minutes.
    """
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", place)
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    pip = (sys.executable, "-m", "pip", "--python", place / "bin" / "python")
    run(*pip, "install", "--no-deps", wheel, env=inherited)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return place / "bin", inherited | {
        "COLUMNS": "160",
        "TTT_LAB_RUNS": str(place / "runs"),
    }


@pytest.fixture
def lab(installed, tmp_path):
    """`ttt-lab ...` in an empty folder."""
    commands, inherited = installed
    return lambda *words: run(commands / "ttt-lab", *words, cwd=tmp_path, env=inherited)


def test_a_wheel_holds_what_the_repository_holds(wheel, capsys):
    with zipfile.ZipFile(wheel) as opened:
        inside = {name for name in opened.namelist() if ".dist-info/" not in name}
    listed = run("git", "ls-files", *PARTS, cwd=ROOT).splitlines()
    moved = {re.sub("^datasets/", "lab/data/cards/", name) for name in listed}
    plates = {name for name in moved if name.endswith(".md") and "cards" not in name}
    pictures = {name for name in moved if name.endswith(".png")}
    assert inside - plates - pictures == moved - plates - pictures
    megabytes = wheel.stat().st_size / 1e6
    with capsys.disabled():
        print(f"\n{wheel.name}: {megabytes:.1f} MB")
    assert megabytes < MOST_MB


def test_it_is_the_wheel_that_is_tried(installed, tmp_path):
    commands, inherited = installed
    ask = "import app, lab, ttt_core; print(app.__file__, lab.__file__)"
    said = run(commands / "python", "-c", ask, cwd=tmp_path, env=inherited)
    assert all(path.startswith(str(commands.parent)) for path in said.split())


def test_the_command_lists_its_verbs_texts_and_models(lab):
    assert "usage: ttt-lab VERB" in lab("--help")
    assert "sotu-chronicle" in lab("data", "list")
    assert "the State of the Union, 1790 to today" in lab("data", "show", "sotu")
    assert "tiny-e2e" in lab("recipes")
    with pytest.raises(AssertionError, match="(?s)no model 'x'.*tiny-e2e.*tiny-swa"):
        lab("eval", "compare", "x")


def test_a_document_is_read_in_the_terminal(lab, installed):
    said = lab("stream", "--document", "sotu/1862-Lincoln-1", "--tokens", "256")
    assert "nats a token (95 %, 4 chunks)" in " ".join(said.split())


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_the_explorer_starts_and_reads_live(installed, tmp_path):
    from playwright.sync_api import sync_playwright

    commands, inherited = installed
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    explore = [commands / "ttt-lab", "explore", "--port", str(port), "--no-browser"]
    log = tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            explore, cwd=tmp_path, env=inherited, stdout=file, stderr=file
        )
    try:
        _await(f"http://127.0.0.1:{port}/_stcore/health", server, log)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            _read_live(browser.new_page(), f"http://127.0.0.1:{port}")
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def _await(url: str, server: subprocess.Popen, log: Path, seconds: float = 60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"The explorer did not answer within {seconds} s:\n{log.read_text()}")


def _read_live(page, address: str):
    page.goto(f"{address}/?model=tiny-e2e")
    page.wait_for_selector(".js-plotly-plot", timeout=60_000)
    page.get_by_test_id("stButtonGroup").get_by_text("Read live").click()
    page.get_by_role("button", name="Start reading").click()
    page.get_by_text(re.compile("^Live: ")).wait_for(timeout=240_000)
    page.get_by_text(re.compile(r"^Chunk [3-9] of")).first.wait_for(timeout=240_000)
