"""What is each model, what can it show, and how long will it take here?

A card says what a model is; the sentences are made from it. The speed is what was
measured on this machine once the model's programs are ready; before, an estimate from
the operations that a token takes. Nothing is loaded: importing this file needs no jax.
"""

from collections.abc import Mapping
from typing import NamedTuple

from lab import published


# Operations a second that reading got from two cores (`ttt-lab bench read`): 3,600
# tokens/s of tiny-e2e with its twin, 11,000 of tiny-swa.
OPERATIONS = 45e9
CHARACTERS = 3.5  # a token of English, with our vocabularies
STEP = 2.0e-3  # seconds that a chunk takes at least, however small it is
PICTURE = 0.35  # seconds that a picture takes to be drawn
MIXERS = {
    "window": "sliding-window attention over {window} tokens",
    "sinks": "sliding-window attention over {window} tokens and the first few",
    "full": "full attention",
    "mamba2": "Mamba 2 states",
    "gated_delta": "Gated DeltaNet states",
    "kv_binding": "TTT-KVB states, which learn keys and not text",
    "none": "no attention at all",
}


class Note(NamedTuple):
    """A model in words: `what` it is, what it `shows`, and its size."""

    what: str
    shows: str
    size: str
    learns: bool


def note(card: Mapping) -> Note:
    """The model of a card in words."""
    learns = published.learns(card)
    what = " and ".join(_seen(card))
    what = f"{what}; {_learner(card) if learns else _static(card)}"
    return Note(what[:1].upper() + what[1:], _shows(learns), size(card), learns)


def mixes(card: Mapping) -> str:
    """What mixes a model's tokens, such as "full attention", in few words."""
    return " and ".join(words.partition(",")[0] for words in _seen(card))


def size(card: Mapping) -> str:
    """The number of weights, such as "2.1 M weights"; empty where a card is silent."""
    count = card.get("parameters") or 0
    for unit, one in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= one:
            return f"{count / one:,.1f} {unit} weights"
    return f"{count} weights" if count else ""


def tokens_per_second(card: Mapping, measured: float | None = None) -> float | None:
    """Tokens read a second, the twin's reading included, without any drawing.

    `measured`: seconds that a chunk took here. None for a card without a size.
    """
    chunk = card["config"].get("chunk") or 1
    if measured is not None:
        return chunk / max(measured, 1e-9)
    if not (count := card.get("parameters")):
        return None
    # Forward 2 operations a weight; learning as much again, and the twin reads too.
    passes = 3 if published.learns(card) else 1
    return chunk / max(chunk * 2 * passes * count / OPERATIONS, STEP)


def seconds(
    card: Mapping, tokens: int, chunks: int, speed: float | None
) -> float | None:
    """How long a reading of so many tokens takes on the page, drawing included.

    `chunks`: read for each picture. `speed`: from `tokens_per_second`.
    """
    if speed is None:
        return None
    pictures = tokens / (chunks * (card["config"].get("chunk") or 1))
    return tokens / speed + PICTURE * pictures


def _seen(card: Mapping) -> list[str]:
    """Each kind of mixer of a model, in words."""
    config = card["config"]
    mixers, window = config.get("mixers", ["window"]), config.get("window", 0)
    kinds = dict.fromkeys(mixers)
    return [MIXERS.get(one, one).format(window=f"{window:,}") for one in kinds]


def _learner(card: Mapping) -> str:
    config = card["config"]
    chunk, blocks = config.get("chunk", 0), config["fast_blocks"]
    after = f"after every {chunk:,} tokens" if chunk > 1 else "after every token"
    layers = config.get("layers", blocks)
    said = f"{after} a gradient step changes {blocks} of its {layers} blocks"
    method = (card.get("experiment") or {}).get("method")
    how = {
        "meta": "it was trained to learn that way",
        "plain": "it was never trained to learn that way: the control",
    }
    return f"{said} ({how[method]})" if method in how else said


def _static(card: Mapping) -> str:
    return f"it {card.get('remark') or 'never learns while it reads'}"


def _shows(learns: bool) -> str:
    if learns:
        return (
            "It can show what learning saves on each token, and whether a planted "
            "needle is still known once attention cannot see it."
        )
    return (
        "Nothing is learned from the text, so there is no gain and no drift to see: it "
        "is of use beside a model that learns, on the same text."
    )


def about(seconds: float | None) -> str:
    """A time in words, as exact as an estimate is.

    >>> about(3.2), about(75.0), about(5000.0), about(None)
    ('3 s', '1 min', '1.4 h', 'an unknown time')
    """
    if seconds is None:
        return "an unknown time"
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 3_600 else f"{seconds / 3_600:.1f} h"
