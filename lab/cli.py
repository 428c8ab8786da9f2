"""The command `ttt-lab`.

Everything heavy is imported where it is used, so that `--help` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro


GROUPS = {
    "data": "texts and tokenizers: list, show, prepare",
    "eval": "numbers and curves of a trained model",
    "bench": "speed and memory on this machine",
}


# Options are dataclasses whose flags stand without a prefix; positionals show names.
MARKERS = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.PositionalMetavarFromFieldName,
)


def main():
    """Run one command; errors of the user's making are printed as a sentence."""
    arguments = sys.argv[1:]
    group = arguments[0] if arguments else ""
    if group in GROUPS:
        commands, arguments = _group(group), arguments[1:]
        prog, description = f"ttt-lab {group}", GROUPS[group]
    else:
        more = "\n".join(f"  ttt-lab {name:6} {text}" for name, text in GROUPS.items())
        commands, prog = _top(), "ttt-lab"
        description = (
            f"Watch, train and measure models that learn while they read.\n{more}"
        )
    try:
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog=prog,
            description=description,
            args=arguments or ["--help"],
            config=MARKERS,
        )
    except (ValueError, OSError, FloatingPointError, ImportError) as error:
        print(f"ttt-lab: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("ttt-lab: stopped; the same command goes on from there.", file=sys.stderr)
        sys.exit(130)


def train(
    recipe: tyro.conf.Positional[str],
    /,
    size: str = "tiny",
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = (),
    plain: bool = False,
    until: str | None = None,
    run: str | None = None,
    publish: bool = False,
    sweep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=A,B,C")] = (),
    tokens: float = 5e5,
    elastic: bool = False,
    checkpoint_every: float = 120.0,
    track: Literal["tensorboard", "trackio", "wandb"] | None = None,
    cut: int = 1,
    hosts: str | None = None,
    host_index: int | None = None,
):
    """Train a recipe; run again to resume where it stopped.

    Args:
        recipe: a name from `ttt-lab recipes`.
        size: one of the recipe's sizes.
        set: overrides, as `lr=2e-3` (every stage) `extend.lr=1e-3` `model.window=256`.
        plain: train the twin that is not meta-trained (inner rate 0).
        until: stop after this stage; the same command without it goes on.
        run: name of the run folder in .runs/ (default: the experiment's name).
        publish: put the finished model into lab/published/models.
        sweep: compare settings by short runs of the first stage, as `lr=2e-3,4e-3`.
        tokens: length of each of a sweep's runs.
        elastic: resume even on other devices than the run was begun on.
        checkpoint_every: seconds between checkpoints; changes no number.
        track: mirror the metrics to a program that shows curves; needs no account.
        cut: cut weights and fast weights into so many pieces over the devices.
        hosts: "auto" (Slurm, TPU pods, Open MPI), or ADDRESS:PORT,ADDRESS,...: run the
            same command on each.
        host_index: which of the addresses this host is, from 0.
    """
    from lab.training.hosts import join_hosts

    join_hosts(hosts, host_index)
    from lab.commands.train import Options, make_experiment, run_recipe

    options = Options(
        size, set, plain, run, until, publish, elastic, checkpoint_every, track, cut
    )
    if not sweep:
        run_recipe(recipe, options)
        return
    from lab.commands.sweep import run_sweep

    run_sweep(make_experiment(recipe, options), sweep, int(tokens), options)


def recipes():
    """List the recipes with their question, cost and expected number."""
    from rich.console import Console
    from rich.table import Table

    from lab.recipes import RECIPES

    table = Table.grid(padding=(0, 2, 1, 0))
    for name, recipe in RECIPES.items():
        told = (
            recipe.QUESTION,
            f"[dim]cost[/dim] {recipe.COST}",
            f"[dim]expected[/dim] {recipe.EXPECTED}",
            f"[dim]sizes[/dim] {', '.join(recipe.SIZES)}",
        )
        table.add_row(f"[bold]{name}[/bold]", "\n".join(told))
    Console().print(table)


def explore(port: int = 8501, browser: bool = True):
    """Open the explorer on 127.0.0.1.

    Args:
        port: the port that it listens on.
        browser: open a browser window too, where there is a screen.
    """
    import os
    import subprocess
    import webbrowser

    app = Path(__file__).resolve().parents[1] / "app"
    address = ["--server.address=127.0.0.1", f"--server.port={port}"]
    command = [sys.executable, "-m", "streamlit", "run", str(app / "main.py"), *address]
    server = subprocess.Popen(command, cwd=app)
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if browser and has_screen and _answers(port, server):
        webbrowser.open(f"http://127.0.0.1:{port}")
    sys.exit(server.wait())


def _answers(port: int, server, seconds: float = 30.0) -> bool:
    """Whether the server takes connections within some seconds."""
    import socket
    import time

    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.2)
    return False


def _group(name: str) -> dict:
    if name == "data":
        from lab.commands import data as commands

        return {
            "list": commands.list_,
            "show": commands.show,
            "prepare": commands.prepare,
            "train-tokenizer": commands.train_tokenizer,
        }
    if name == "eval":
        from lab.commands.agreement import agreement
        from lab.commands.attention import attention
        from lab.commands.compare import compare
        from lab.commands.context import context
        from lab.commands.decompose import decompose
        from lab.commands.recall import recall
        from lab.commands.toy import toy
        from lab.commands.tune_inner import tune_inner

        return {
            "compare": compare,
            "context": context,
            "decompose": decompose,
            "tune-inner": tune_inner,
            "recall": recall,
            "attention": attention,
            "agreement": agreement,
            "toy": toy,
        }
    from lab.commands import bench as commands

    return {
        "read": commands.read,
        "train": commands.train,
        "remat": commands.remat,
    }


def _top() -> dict:
    from lab.commands.plan import plan
    from lab.commands.stream import stream

    return {
        "train": train,
        "plan": plan,
        "recipes": recipes,
        "stream": stream,
        "explore": explore,
    }


if __name__ == "__main__":
    main()
