"""Every look in words: what it asks, what to look for, what would prove it wrong.

The explorer, the page of `ttt-lab inspect all` and the course take these words from
here. `seconds` says beforehand how long a look takes.
"""

import dataclasses
import math
from collections.abc import Iterable


OPENING = 15.0  # seconds until a model is open and the text is read
PARAMETERS = 2_101_632  # of tiny-e2e, which `Look.fixed` and `Look.each` are of


@dataclasses.dataclass(frozen=True)
class Look:
    """One look at what a document left in the weights.

    `title`: in two words. `question`: what it asks. `look_for`: where to look in its
    figures. `falsified`: what one would see there if nothing were to be found. `fixed`,
    `each`: seconds on two cores, for any text and more for each 1,024 tokens of it
    (tiny-e2e, programs made before).
    """

    title: str
    question: str
    look_for: str
    falsified: str
    fixed: float
    each: float

    @property
    def words(self) -> tuple[str, str]:
        """How to read its figures, as two paragraphs."""
        return (
            f"What to look for: {self.look_for}",
            f"What would prove it wrong: {self.falsified}",
        )


LOOKS = {
    "words": Look(
        "Words",
        "Which words benefited?",
        "names and phrases that come back. Kind by kind, blue dots lie far right "
        "of the orange ones, which are the weights of another text.",
        "if blue and orange lay together, the weights would hold a manner of writing "
        "and nothing of this text; and a gain on words that stand here for the first "
        "time could not be memory.",
        5.0,
        0.42,
    ),
    "retention": Look(
        "Retention",
        "What stays of a chunk, and for how long?",
        "blue below the diagonal, where a chunk was read before: it fades from the "
        "diagonal to the right as other text is read.",
        "if the map were as blue above the diagonal, where nothing was read yet, it "
        "would show the text's manner and no memory. The pink line by age is the "
        "difference, and would be zero.",
        8.0,
        0.9,
    ),
    "influence": Look(
        "Influence",
        "Which chunks taught a token?",
        "choose a token: its teachers are earlier passages without which it "
        "would have cost more. They should hold the very word.",
        "if teachers held the word no more often than any earlier passage does, the "
        "map would be noise; the grey line, an unrelated text, shows how much noise.",
        27.0,
        1.65,
    ),
    "forgetting": Look(
        "Forgetting",
        "The window, the weights, or both?",
        "how little is lost when the window is emptied (blue, dotted), beside what is "
        "lost when the weights are taken back (orange).",
        "if orange ran as low as blue, the weights would hold nothing that the window "
        "does not; if the grey bars were as long, it would not be this document.",
        3.0,
        0.42,
    ),
    "anatomy": Look(
        "Anatomy",
        "How do the weights change?",
        "which matrix of which block moved most, and in how many directions, beside "
        "the same tokens in a random order.",
        "if the shuffled text moved the weights as far and in as many directions, "
        "the change would be of the words' frequencies and not of what was said.",
        9.0,
        1.18,
    ),
    "directions": Look(
        "Directions",
        "What does a direction of the change say?",
        "blue points right of the dashed line: directions that write what comes next "
        "where the text excites them.",
        "if no blue point lay beyond the line that 95 % of the nulls stay below, the "
        "lists of words would be no evidence, as any direction has such lists.",
        5.0,
        0.6,
    ),
    "interference": Look(
        "Interference",
        "What does a second text do to the first?",
        "how much of the gain on A is left after B was read too, and which remedy "
        "leaves more.",
        "if the pink bars were zero, what is left of A could come from any text; if "
        "all ways of reading left the same, no remedy would help.",
        40.0,
        0.3,
    ),
    "strength": Look(
        "Strength",
        "How much of the memory is best?",
        "blue, passages that were read: it rises from alpha 0, and the best amount may "
        "lie beyond all of it. Where pink falls while blue still rises, more of the "
        "memory costs the rest of the language.",
        "if blue, pink and orange rose together, the change would be a better model "
        "of English and no memory of this text.",
        8.0,
        0.42,
    ),
    "access": Look(
        "Access",
        "Is a fact stored, or can it be had?",
        "whether a planted fact is cheaper, is written freely, and answers only its "
        "own question, far beyond attention's reach.",
        "a decoy (dotted), a question about another thing: if its line runs as high, a "
        "name is stored and no fact. With learning off every line is exactly zero.",
        60.0,
        0.75,
    ),
    "ceiling": Look(
        "Ceiling",
        "How much of the far text's worth is that?",
        "the distance between blue and grey: what comes from this far text and not "
        "from any. The band is what seeing it is worth to a model with full attention.",
        "if grey ran as high as blue, learning would help as much after another text.",
        60.0,
        0.05,
    ),
}


def seconds(name: str, tokens: int, parameters: int | None = None) -> float:
    """About how long a look at `tokens` tokens takes on two cores, its model open.

    `parameters`: of the model; a larger one takes longer in proportion.

    **Raises** `KeyError` for a look that there is not.

    >>> seconds("access", 8_192) > seconds("words", 8_192)
    True
    """
    look = LOOKS[name]
    size = max(1.0, (parameters or PARAMETERS) / PARAMETERS)
    return size * (look.fixed + look.each * math.ceil(tokens / 1024))


def together(names: Iterable[str], tokens: int, parameters: int | None = None) -> float:
    """The same for several looks of one command, with the opening of the model."""
    return OPENING + sum(seconds(name, tokens, parameters) for name in names)
