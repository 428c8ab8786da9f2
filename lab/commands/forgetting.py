"""`ttt-lab inspect forgetting`: what is in the window, and what in the weights?"""

from typing import Annotated

import numpy as np
from rich.table import Table

from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish, option
from lab.commands.progress import counting, waiting
from lab.commands.tables import say, signed, span
from lab.commands.terminal import Terminal
from lab.data import scripts
from lab.measure.parts import Kept


WRITTEN = 3  # places at which texts are written
LENGTH = 40  # tokens of each
SHOWN = 160  # characters of the document beside them
NOTES = (
    "Window: what attention still sees of the text. Weights: as learned from it; W0: "
    "as before reading.",
    "Intervals are 95 %, over places of this document.",
)


def forgetting(
    look: Look = Look(),
    question: Annotated[str, option("TEXT")] = "",
    answer: Annotated[str, option("TEXT")] = "",
    output: Output = Output(),
):
    """What is in the window and what in the weights: either is taken away.

    Four readers of what follows: window and weights, each as learned or as before
    reading. Nats, and what they write.

    Args:
        question: ask this after all was read, such as "The hostages were held in".
        answer: the answer that is scored, such as "Iran".

    **Raises** `ValueError` for an answer without a question.
    """
    if answer.strip() and not question.strip():
        raise ValueError("There is an answer and no question: give --question too.")
    result = look_at(look.open(), question, answer)
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened, question: str = "", answer: str = ""):
    """Nats and texts from four states (`lab.analysis.forgetting`)."""
    from lab.analysis import forgetting as numbers
    from lab.quick import quick

    subject, model = opened.subject, opened.model
    document = np.concatenate([opened.ids, opened.later])
    stops = numbers.places(
        subject.chunks, len(opened.later) // subject.chunk, quick(numbers.PLACES, 3)
    )
    shown = [stops[i] for i in numbers.spread(0, len(stops) - 1, quick(WRITTEN, 1))]
    texts = []

    def see(stop: int, states: dict):
        if stop in shown:
            texts.append(_text(opened, document, stop, states))

    with Kept("forgetting", "places") as keep:
        with counting(f"reading {opened.document.name}", "tokens") as report:
            key = (opened.sha256, subject.text_hash)
            own, null = numbers.measure(
                model, document, opened.other, stops, report, keep, key, see
            )
    asked = _ask(opened, question, answer) if question.strip() else None
    return numbers.summary(subject, stops, own, null, tuple(texts), asked)


def _text(opened: Opened, document: np.ndarray, stop: int, states: dict):
    """What each column writes at a place."""
    from lab.analysis.forgetting import Text

    at = stop * opened.model.config.chunk
    decode = lambda ids: opened.tokenizer.decode(ids.tolist())
    return Text(
        read=at,
        before=decode(document[max(0, at - 64) : at])[-SHOWN:],
        after=decode(document[at : at + 64])[:SHOWN],
        written={
            name: _write(opened, state, [], temperature=0.8, top_p=0.95)
            for name, state in states.items()
        },
    )


def _ask(opened: Opened, question: str, answer: str):
    """The question after all that was read, from the four states."""
    from lab.analysis.forgetting import Asked, visit
    from lab.measure import answers

    question, answer = " ".join(question.split()), " ".join(answer.split())
    prompt = opened.tokenizer.encode(f"\n\n{question}")
    expected = opened.tokenizer.encode(scripts.gap(question, answer) + answer)
    with waiting("asking"):
        ((_, states),) = visit(opened.model, opened.ids, [opened.subject.chunks])
        found = {
            name: answers.ask(opened.model, state, prompt, expected)
            for name, state in states.items()
            if expected
        }
        written = {
            name: _write(opened, state, prompt, ("\n\n",), temperature=0.0)
            for name, state in states.items()
        }
    return Asked(
        question=question,
        answer=answer,
        nats={name: one.nats for name, one in found.items()},
        first={name: one.first for name, one in found.items()},
        written=written,
    )


def _write(opened: Opened, state, prompt: list[int], stops=(), **dials) -> str:
    """What a state writes after a prompt, learning nothing; the same random numbers."""
    from itertools import islice

    import jax

    import ttt_core as ttt
    from lab.reading.writing import Written
    from ttt_core.decode import Dials, write

    state, _ = ttt.read(opened.model, state, prompt, rate=0.0)
    knobs = {"key": jax.random.key(0), "seen": prompt, "rate": 0.0}
    endless = write(opened.model, state, dials=Dials(**dials), **knobs)
    text = Written(opened.tokenizer, stops)
    for token, _ in islice(endless, LENGTH):
        text.add(token)
        if text.stopped:
            break
    text.end()
    return text.text


def show(result):
    """Nats by column, what each memory is worth, and the texts."""
    console = Terminal()
    console.print(_by_column(result))
    console.print(_by_memory(result))
    for text in result.texts:
        head = f"After {text.read:,} tokens: … {_line(text.before)}"
        console.print(f"\n{head}", style="bold")
        _written({"the document": text.after, **text.written}, console)
    if result.asked:
        console.print(f"\n{result.asked.question} …", style="bold", soft_wrap=True)
        _written(result.asked.written, console)
        if result.asked.answer:
            console.print(_answers(result.asked))
    say(NOTES, console)


def _by_column(result) -> Table:
    title = f"{result.subject}: nats per token of what follows"
    first, names = next(iter(result.nats.values())), list(result.nats)
    return _filled(Table("tokens read on", *names, title=title), first.edges, result)


def _filled(table: Table, edges, result) -> Table:
    for i, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
        cells = (f"{curve.mean[i]:.3f}" for curve in result.nats.values())
        table.add_row(span(low, high), *cells)
    overall = (f"{one.mean:.3f} ±{one.half:.3f}" for one in result.overall.values())
    table.add_row("all", *overall, style="bold")
    return table


def _by_memory(result) -> Table:
    table = Table("what is worth how much", "here", f"in {result.subject.null} (null)")
    for name, value in result.worth.items():
        table.add_row(name, signed(value), signed(result.null[name]))
    return table


def _answers(asked) -> Table:
    table = Table("the answer", "nats per token", "first choice", title=asked.answer)
    for name, nats in asked.nats.items():
        table.add_row(name, f"{nats:.3f}", f"{asked.first[name]:.0%}")
    return table


def _written(texts: dict[str, str], console: Terminal):
    """Texts below each other, with their names."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in texts.items():
        table.add_row(name, _line(text) or "(nothing)")
    console.print(table)


def _line(text: str) -> str:
    return " ".join(text.split())
