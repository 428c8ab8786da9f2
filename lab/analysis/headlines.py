"""What a look found, in one sentence with its numbers: for tables, pages and explorer.

>>> headline("no result of a look")
''
"""

import numpy as np

from lab.analysis.access import Access
from lab.analysis.anatomy import Anatomy
from lab.analysis.ceiling import Ceiling
from lab.analysis.directions import Directions
from lab.analysis.forgetting import Forgetting
from lab.analysis.influence import Influence
from lab.analysis.interference import Interference
from lab.analysis.retention import Retention
from lab.analysis.strength import Strength
from lab.analysis.words import Group, Words
from lab.measure.intervals import Interval, signed


def headline(result) -> str:
    """What was found, in a sentence; "" for what is no result of a look."""
    say = _HEADLINES.get(type(result))
    return say(result) if say else ""


def influence_found(result: Influence) -> list[str]:
    """How much all chunks taught, and whether teachers hold what they taught."""
    found = []
    if np.isfinite(result.share):
        found.append(
            f"All influences together are {result.share:.0%} of what learning saved."
        )
    named = [teacher.says_it for one in result.taught for teacher in one.teachers[:1]]
    if named:
        common = np.mean([one.common for one in result.taught])
        found.append(
            f"{np.mean(named):.0%} of the strongest teachers hold the token that they "
            f"taught; {common:.0%} of all earlier spans do."
        )
    return found


def best(result: Ceiling) -> int:
    """The context at which the far text is worth most to the ceiling."""
    return max(range(1, len(result.far)), key=lambda i: result.far[i].mean)


def percent(value: Interval) -> str:
    """A share with its interval, such as `23% (15% to 35%)`."""
    return f"{value.mean:.0%} ({value.low:.0%} to {value.high:.0%})"


def _words(result: Words) -> str:
    """On which kinds of token most and least was saved, above the null."""
    whole = result.whole
    told = f"learning saved {signed(whole.gain)} nats a token"
    null = f"an unrelated document's weights {signed(whole.null)}"
    if not result.ranked:
        return f"{told}, {null}"
    most, least = result.ranked[0], result.ranked[-1]
    ends = f"most on {most.name} {_pair(most)}, least on {least.name} {_pair(least)}"
    return f"{told}, {null}; {ends}"


def _pair(group: Group) -> str:
    return f"({group.gain.mean:+.2f}, {group.null.mean:+.2f})"


def _retention(result: Retention) -> str:
    """How many chunks entered, and how many of those were kept."""
    entered = f"{percent(result.entered)} of the chunks entered at once"
    if not result.kept.novels:
        return entered
    return f"{entered}; {percent(result.kept)} of those keep half or more to the end"


def _influence(result: Influence) -> str:
    """How much all chunks taught, and whether teachers hold what they taught."""
    found = " ".join(influence_found(result))
    return found or "Learning saved on no token that has a teacher."


def _forgetting(result: Forgetting) -> str:
    """What the weights are worth beside the window, and the window beside them."""
    worth = (
        f"{name} {signed(result.worth[name])} (an unrelated text's "
        f"{signed(result.null[name])})"
        for name in list(result.worth)[::2]
    )
    return f"Worth, in nats a token: {'; '.join(worth)}"


def _anatomy(result: Anatomy) -> str:
    """How far the weights moved, in how many directions, against shuffled tokens."""
    down, null = (
        [one for one in rows if one.name == "down"][-1]
        for rows in (result.text, result.null)
    )
    return (
        f"the last block's down-projection moved {down.moved[-1]:.0%} of its length in "
        f"{down.rank[-1]:.0f} directions (the same tokens shuffled: "
        f"{null.moved[-1]:.0%} in {null.rank[-1]:.0f})"
    )


def _directions(result: Directions) -> str:
    """How many directions of the change say more than a null's."""
    many = len(result.scores)
    return f"{len(result.shown)} of {many} directions say more than any null's"


def _interference(result: Interference) -> str:
    """What a second text takes of a first, and what the best remedy leaves."""
    plain, added = result.remedies["one after the other"], result.remedies["added"]
    return (
        f"reading B takes {signed(plain.lost)} of {signed(plain.first)} nats a token "
        f"gained on A; memories made apart and added lose {signed(added.lost)}"
    )


def _strength(result: Strength) -> str:
    """What all of the memory saves, and how much of it would save most."""
    full, least = result.at(1.0), result.best()
    where = "no other amount saves more" if least == 1 else f"most at alpha {least:g}"
    words = {
        "read": "on what it read",
        "unread": "on the text that follows",
        "unrelated": "on another text",
    }
    told = ", ".join(
        f"{signed(found.saved[full])} {words[kind]}"
        for kind, found in result.passages.items()
    )
    return f"All of the memory saves {told}, in nats a token; on what it read {where}"


def _access(result: Access) -> str:
    """What is stored and what can be had at the longest distance, by model."""
    parts = []
    for name, known in result.systems.items():
        five = known.learning or known.frozen
        parts.append(
            f"{name} saves {signed(five.nats[-1], 2)} nats (a decoy "
            f"{five.decoy[-1].mean:+.2f}) and writes {five.said[-1].mean:.0%} of "
            f"{result.facts} answers (to a decoy {five.said_decoy[-1].mean:.0%})"
        )
    return f"{result.distances[-1]:,} tokens after a fact, {'; '.join(parts)}"


def _ceiling(result: Ceiling) -> str:
    """What the far text gives to learning, and to the model that sees it."""
    at = best(result)
    return (
        f"At {result.contexts[at]:,} tokens, learning gets "
        f"{signed(result.text[at])} from the far text being this one, and "
        f"{result.ceiling} {signed(result.far[at])}"
    )


_HEADLINES = {
    Access: _access,
    Anatomy: _anatomy,
    Ceiling: _ceiling,
    Directions: _directions,
    Forgetting: _forgetting,
    Influence: _influence,
    Interference: _interference,
    Retention: _retention,
    Strength: _strength,
    Words: _words,
}
