"""`ttt-lab inspect directions`: what does a direction of the change say?"""

import numpy as np

from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish
from lab.commands.progress import counting, waiting
from lab.commands.tables import say
from lab.commands.terminal import Terminal


def directions(look: Look = Look(), output: Output = Output()):
    """What directions of the change promote, and the passages that excite them."""
    result = look_at(look.open())
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened):
    """The result for a model and a document that are open."""
    from lab.analysis import directions as numbers
    from lab.analysis import walk as walks

    walk = opened.walk()
    with counting("the same tokens in a random order", "tokens") as report:
        null = walks.take(opened.model, walks.shuffled(opened.ids), report=report)
    with waiting("looking at directions"):
        text, other = (numbers.read(opened.model, one) for one in (walk, null))
        return numbers.measure(
            opened.model,
            text,
            other,
            subject=opened.subject,
            decode=opened.tokenizer.decode,
        )


def show(result):
    """Directions beyond the nulls with words and passages, and how many are not."""
    console = Terminal()
    console.print(f"What the change says: {result.subject}\n", style="bold")
    for one in result.shown:
        _print(console, one)
    say(_notes(result), console)
    for one in result.null_shown:
        _print(console, one, "random order, ", "dim")


def _print(console: Terminal, one, before: str = "", style: str | None = None):
    console.print(
        f"{before}block {one.block}, {one.kind} {one.number}: score {one.score:+.3f}, "
        f"{one.share:.1%} of the change",
        style=style,
    )
    for name in ("promoted", "suppressed"):
        words = " ".join(word.strip() or "·" for word in getattr(one, name))
        console.print(f"  {name}: {words}", style=style)
    for passage in one.passages:
        before = " ".join(passage.text.split())
        follows = passage.follows.strip() or "·"
        words = f"  {passage.by:+.1f} sd: … {before} [{follows}]"
        console.print(words, style=style)


def _notes(result) -> list[str]:
    level = lambda scores: f"{np.quantile(scores, 0.95) if scores else 0.0:+.3f}"
    return [
        "score: correlation of what excites a direction with the logit that it writes "
        f"for the token that follows, over {result.places:,} places.",
        "unit: a hidden unit of a block that learns. singular: a direction of the "
        "change, the strongest is 1. sd: how much [the next token] here excites it, in "
        "standard deviations over all places.",
        f"{len(result.shown)} of {len(result.scores)} directions are beyond 95 % of "
        f"each null ({result.bar:+.3f}) and are shown; {result.hidden} say no more "
        "than a null's.",
        f"95 % of random directions score below {level(result.random)}, of wrong pairs "
        f"below {level(result.mixed)}, of the same tokens in a random order below "
        f"{level(result.shuffled)}; the best of these:",
    ]
