"""What was asked on a screen, as a command and as Python: the same numbers elsewhere.

The text of a visitor is in no catalogue, so it is named `my.txt`, and whoever runs the
lines saves it there first. The same holds for a memory that was uploaded.
"""

import shlex
from dataclasses import dataclass

from lab.reading.again import OWN_TEXT as MINE
from lab.reading.asking import ASK, COMPLETE, Question


@dataclass(frozen=True)
class Asked:
    """Who was asked, after what.

    `model`, `tokenizer`: names. `document`: a name of the catalogue, or `MINE`. `read`:
    tokens read. `memory`: a memory's name; then nothing else was read. `learns`: False
    for a model that never learns.
    """

    model: str
    tokenizer: str
    document: str = MINE
    read: int = 0
    memory: str = ""
    learns: bool = True


def command(asked: Asked, question: Question) -> str:
    """The `ttt-lab` command; it shows the reader and its frozen twin.

    "" where no command takes a part of what a reading has learned.
    """
    if question.alpha != 1 and not asked.memory:
        return ""
    if question.temperature == 0 and question.kind == ASK:
        words = ["ask", *_read(asked), question.text]
        words += ["--answer", question.answer] if question.answer else []
    else:
        words = ["generate", *_read(asked), "--frozen"]
        words += ["--prompt", question.text] if question.text else []
        words += ["--temperature", f"{question.temperature:g}"]
        words += ["--top-p", f"{question.top_p:g}", "--seed", str(question.seed)]
    words += ["--tokens", str(question.tokens), "--model", asked.model]
    words += ["--read", str(asked.read)] if not asked.memory else []
    words += ["--alpha", f"{question.alpha:g}"] if asked.memory else []
    return shlex.join(["ttt-lab", *words])


def _read(asked: Asked) -> list[str]:
    return ["--memory", asked.memory] if asked.memory else [asked.document]


def lines(asked: Asked, question: Question) -> str:
    """Python lines that ask the same columns, and print what is on screen."""
    return "\n".join([*_IMPORTS, *_opened(asked, question), *_asked(question)]) + "\n"


_IMPORTS = (
    "import jax",
    "",
    "import ttt_core as ttt",
    "from lab import checkpoints, memories",
    "from lab.data import documents, tokenizers",
    "from lab.measure.answers import ask",
    "from lab.reading import asking",
    "",
)


def _opened(asked: Asked, question: Question) -> list[str]:
    """The states of the columns, by name."""
    found = [
        f"model = checkpoints.load({asked.model!r})",
        f"words = tokenizers.load({asked.tokenizer!r})",
    ]
    if asked.memory:
        return [
            *found,
            f"alpha = {question.alpha!r}",
            f"learned = memories.load({asked.memory!r}, model, alpha=alpha)",
            "columns = {'weights only': learned, 'neither': ttt.init_state(model)}",
        ]
    source = f"ids = words.encode(documents.load({asked.document!r}).text)"
    found += [f"{source}[:{asked.read}]"]
    found += ["learned, _ = ttt.read(model, ttt.init_state(model), ids)"]
    if not asked.learns:
        return [*found, "columns = asking.columns(model, learned)"]
    return [
        *found,
        "twin = ttt.without_learning(model)",
        "frozen, _ = ttt.read(twin, ttt.init_state(twin), ids)",
        f"columns = asking.columns(model, learned, frozen, {question.alpha!r})",
    ]


def _asked(question: Question) -> list[str]:
    """What is asked of each column."""
    dials = f"temperature={question.temperature!r}, top_p={question.top_p!r}, rate=0.0"
    ends = {ASK: "the paragraph's", COMPLETE: "the sentence's"}.get(question.kind)
    lead = [f"# The screen ends at {ends} end."] if ends else []
    right = [f"answer = words.encode({question.end!r})"] if question.end else []
    graded = "found = ask(model, state, prompt, answer)"
    show = ["    print(name, found.nats, 1 + found.rank.max())"] if right else []
    return [
        f"prompt = words.encode({question.lead!r})",
        *right,
        *lead,
        "for name, state in columns.items():",
        *([f"    {graded}"] if right else []),
        *show,
        f"    dice = jax.random.key({question.seed})",
        f"    dials = dict({dials})",
        "    more = dict(key=dice, **dials)",
        f"    ids, _ = ttt.generate(model, state, prompt, {question.tokens}, **more)",
        "    print(words.decode(ids.tolist()))",
    ]
