"""The command `ttt-lab`: its verbs, one line each.

A verb is a function: its signature is the command line and its docstring is the help.
The module is imported when the verb is called, and the lists of verbs are read from the
source without importing anything, so that `ttt-lab --help` answers at once.
"""

import ast
import errno
import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from lab import stopping
from lab.names import choose
from lab.visible import visible


VERBS = {  # typed words: the module in `lab`, and the function in the module
    "train": "commands.train:train",
    "plan": "commands.plan:plan",
    "recipes": "commands.recipes:recipes",
    "stream": "commands.stream:stream",
    "audit": "commands.audit:audit",
    "plot": "commands.plot:plot",
    "export": "commands.export:export",
    "ask": "commands.ask:ask",
    "generate": "commands.generate:generate",
    "explore": "commands.explore:explore",
    "model list": "commands.model:list_",
    "model add": "commands.model:add",
    "model learn": "commands.model:learn",
    "model show": "commands.model:show",
    "model remove": "commands.model:remove",
    "memory save": "commands.memory:save",
    "memory load": "commands.memory:load",
    "memory show": "commands.memory:show",
    "memory diff": "commands.memory:diff",
    "memory mix": "commands.memory:mix",
    "memory forget": "commands.memory:forget",
    "memory list": "commands.memory:list_",
    "data list": "commands.data:list_",
    "data show": "commands.data:show",
    "data prepare": "commands.data:prepare",
    "data train-tokenizer": "commands.data:train_tokenizer",
    "eval compare": "commands.compare:compare",
    "eval context": "commands.context:context",
    "eval decompose": "commands.decompose:decompose",
    "eval tune-inner": "commands.tune_inner:tune_inner",
    "eval rules": "commands.rules:rules",
    "eval ablation": "commands.ablation:ablation",
    "eval compute": "commands.compute:compute",
    "eval latency": "commands.latency:latency",
    "eval recall": "commands.recall:recall",
    "eval needles": "commands.needles:needles",
    "eval route": "commands.route:route",
    "eval decode": "commands.decode:decode",
    "eval attention": "commands.attention:attention",
    "eval agreement": "commands.agreement:agreement",
    "eval breaking": "commands.breaking:breaking",
    "eval toy": "commands.toy:toy",
    "inspect all": "commands.look:all_",
    "inspect words": "commands.words:words",
    "inspect retention": "commands.retention:retention",
    "inspect influence": "commands.influence:influence",
    "inspect forgetting": "commands.forgetting:forgetting",
    "inspect anatomy": "commands.anatomy:anatomy",
    "inspect directions": "commands.directions:directions",
    "inspect interference": "commands.interference:interference",
    "inspect strength": "commands.strength:strength",
    "inspect access": "commands.access:access",
    "inspect ceiling": "commands.ceiling:ceiling",
    "report": "commands.report:report",
    "course build": "commands.course:build",
    "course pair": "commands.course:pair",
    "bench all": "commands.bench:everything",
    "bench read": "commands.bench:read",
    "bench train": "commands.bench:train",
    "bench remat": "commands.bench:remat",
}
# Errors that people can mend: each is printed as a sentence, without a traceback.
SENTENCES = (ValueError, OSError, FloatingPointError, ImportError)
GROUPS = {
    "": "Watch, train and measure models that learn while they read.",
    "model": "Pretrained models, kept on this machine.",
    "memory": "What a document left in the weights, as a file.",
    "data": "Texts and tokenizers.",
    "eval": "Numbers and curves of trained models.",
    "inspect": "What got into the weights.",
    "course": "The notebooks, as pages and as scripts.",
    "bench": "Speed and memory on this machine.",
}


def main():
    """Run one verb; an error that the user can fix is printed as a sentence."""
    print_anything()
    try:
        with stopping.interrupts():
            _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)  # as a process that SIGPIPE ends
    except SENTENCES as error:
        print(f"ttt-lab: {visible(_sentence(error))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as error:
        print(f"ttt-lab: {visible(stopping.sentence(error))}", file=sys.stderr)
        sys.exit(stopping.exit_code(error))


def _sentence(error: Exception) -> str:
    """What an error says; of one of the operating system, a sentence is made."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename} cannot be used: {error.strerror.lower()}."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full: make some space, and run the same command again."
    return str(error)


def _run(words: list[str]):
    group = words.pop(0) if words and words[0] in GROUPS else ""
    if not words or words[0] in ("-h", "--help"):
        print(listing(group))
        return
    verb, arguments = f"{group} {words[0]}".strip(), words[1:]
    function = find(verb)
    import tyro  # after `find`: a mistyped verb should not wait for this import

    markers = (  # options are dataclasses, and their flags have no prefix
        tyro.conf.OmitArgPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.PositionalMetavarFromFieldName,
    )
    arguments = importlib.import_module("lab.commands.repeated").joined(
        function, arguments
    )
    terminal = importlib.import_module("lab.commands.terminal")
    with terminal.fitted() if {"-h", "--help"} & set(arguments) else nullcontext():
        tyro.cli(function, prog=f"ttt-lab {verb}", args=arguments, config=markers)


def print_anything():
    """Let nothing printed fail: what the console cannot show is replaced."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def find(verb: str) -> Callable:
    """The function of a verb, from its module; it checks its numbers before it runs.

    **Raises** `ValueError` for a verb that does not exist, naming the closest.
    """
    module, name = VERBS[choose("verb", verb, VERBS)].split(":")
    numbers = importlib.import_module("lab.commands.numbers")
    found = getattr(importlib.import_module(f"lab.{module}"), name)
    # An argument's description is one line for `tyro`, which breaks it as it fits.
    found.__doc__ = re.sub(r"\n {8,}(?=\S)", " ", inspect.getdoc(found) or "")
    return numbers.checked(found)


def listing(group: str = "") -> str:
    """The verbs of a group, or of all groups, with what each of them does."""
    parts = [f"usage: {' '.join(['ttt-lab', group]).strip()} VERB ..."]
    for name, about in GROUPS.items():
        if group in ("", name):
            verbs = [verb for verb in VERBS if _group_of(verb) == name]
            parts += [about, "\n".join(map(_line, verbs))]
    return "\n\n".join([*parts, "ttt-lab VERB --help lists a verb's options."])


def says(verb: str) -> str:
    """The first line of a verb's docstring, read from its source."""
    module, name = VERBS[verb].split(":")
    path = Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py")
    functions = ast.parse(path.read_text("utf-8")).body
    (found,) = (node for node in functions if getattr(node, "name", "") == name)
    return (ast.get_docstring(found) or "").partition("\n")[0]


def _group_of(verb: str) -> str:
    return verb.rpartition(" ")[0]


def _line(verb: str) -> str:
    indent = 4 + max(map(len, VERBS))
    return textwrap.fill(
        says(verb),
        width=min(100, shutil.get_terminal_size().columns),
        initial_indent=f"  {verb}".ljust(indent),
        subsequent_indent=" " * indent,
    )


if __name__ == "__main__":
    main()
