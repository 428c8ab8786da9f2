"""`ttt-lab inspect words`: which words benefited from learning while reading."""

import numpy as np
from rich.table import Table

from lab.analysis.headlines import headline as headline
from lab.commands.inspect import Look, Opened
from lab.commands.options import Output, finish
from lab.commands.progress import waiting
from lab.commands.tables import say, signed
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept


def words(look: Look = Look(), output: Output = Output()):
    """Which words benefited: by kind, by what was read before, and how far back."""
    result = look_at(look.open())
    finish(result, result.subject.stem, output, show)


def look_at(opened: Opened):
    """The result, with default options (`lab.analysis.words.Words`)."""
    from lab.analysis import walk as walks
    from lab.analysis import words as numbers

    walk = opened.walk()
    other = _at_most(opened.other, len(opened.ids), opened.model.config.chunk)
    with waiting(f"reading {opened.null.name}, and the text with its weights"):
        learned = walks.take(opened.model, other)
        fast = learned.weights[max(learned.weights)]
        null = numbers.unrelated(opened.model, fast, walk.ids)
    with waiting("counting words"):
        counts = _counts()
        return numbers.measure(
            walk.frozen.ravel(),
            walk.gain.ravel(),
            walk.frozen.ravel() - null,
            walk.ids,
            opened.tokenizer,
            opened.subject,
            counts=counts,
            null_tokens=len(learned.ids),
        )


def _at_most(ids: np.ndarray, tokens: int, chunk: int) -> np.ndarray:
    return ids[: max(tokens, 2 * chunk)]


def _counts() -> dict[str, int] | None:
    """How often words occur in the training novels, counted once and kept."""
    from lab.data import corpora
    from lab.data.words import corpus_counts

    measure = lambda: _arrays(corpus_counts())
    found, many = Kept("words", "counts")(measure, corpora.stamp("eltec-eng", "train"))
    return dict(zip(found.tolist(), many.tolist(), strict=True)) or None


def _arrays(counts) -> list[np.ndarray]:
    counts = counts or {}
    return [np.array(list(counts), str), np.array(list(counts.values()), int)]


def show(result):
    """What every group of tokens gained, then words and passages."""
    console = Terminal()
    console.print(f"{result.subject}: {headline(result)}\n", style="bold")
    console.print(_groups("kind of token", result.kinds + (result.whole,)))
    console.print(_groups("longest phrase read before", result.seen))
    console.print(_when(result.when | result.again))
    console.print(_saved("words with most saved", result.saved))
    if result.lost:
        console.print(_saved("words with most lost", result.lost))
    if result.passages:
        console.print(_passages(result.passages))
    say(_notes(result), console)


def _groups(title: str, groups) -> Table:
    heads = ("tokens", "frozen", "saved", "other weights")
    table = Table(title, *heads, "share")
    for group in groups:
        cells = (f"{group.tokens:,}", f"{group.cost:.2f}", *_both(group))
        table.add_row(group.name, *cells, f"{round(group.share, 2) + 0.0:.0%}")
    return table


def _when(when: dict) -> Table:
    from lab.analysis.words import WHEN

    table = Table("saved, by the last time of it", *WHEN)
    for kind, groups in when.items():
        found = {group.name: group for group in groups}
        cells = [signed(found[w].gain, 2) if w in found else "" for w in WHEN]
        table.add_row(kind, *cells)
    return table


def _saved(title: str, found) -> Table:
    heads = ("kind", "times", "nats in all", "first time", "later, each")
    table = Table(title, *heads)
    for one in found:
        later = "" if one.later is None else f"{one.later:+.2f}"
        cells = (one.kind, f"{one.times:,}", f"{one.nats:+.1f}", f"{one.first:+.2f}")
        table.add_row(one.word, *cells, later)
    return table


def _passages(found) -> Table:
    heads = ("tokens", "tokens back", "nats saved")
    table = Table("passages read before", *heads)
    for one in found:
        cells = (f"{one.tokens:,}", f"{one.back:,}", f"{one.nats:+.1f}")
        table.add_row(f"“{one.text}”", *cells)
    return table


def _both(group) -> tuple[str, str]:
    return signed(group.gain, 2), signed(group.null, 2)


def _notes(result) -> list[str]:
    subject = result.subject
    reach = "without a bound" if subject.reach is None else f"{subject.reach:,} tokens"
    return [
        "Nats per token (frozen: the twin's cost), 95 % over "
        f"{result.stretches} stretches of this document.",
        f"Other weights: those that {result.null_tokens:,} tokens of "
        f"{subject.null} left, an unrelated document. What they save too is a "
        "manner of writing.",
        f"Attention reaches back {reach}. Rare words by {result.frequencies}; "
        "names: capitalised inside a sentence.",
    ]
