"""Is a value found that was told? A key and its value, told in time or too late.

    before:   key A key A key A ...   key [A or B?]   text
    behind:   text                    key [A or B?]   key A key A key A ...

A reader that is honest can know the value in the first case alone. Both values of a
pair take both parts, so that a liking for one of them cancels out.
"""

import numpy as np

from lab.measure.subject import Subject


def told(s: Subject, model, pairs: int, *, before: bool) -> np.ndarray:
    """Nats by which a value that is told is cheaper than its decoy, `[pairs, 2]`.

    A key, and behind the key one of two random values is scored. The rest of the text,
    before the key or behind the value, is the key with one of the values, again and
    again; in the second column with the other one.
    """
    random, known = np.random.default_rng(s.seed), np.unique(s.text)
    drawn = [random.choice(known, 3, replace=False) for _ in range(pairs)]
    rows = [((key, a, b), (key, b, a)) for key, a, b in drawn]
    return np.array(
        [[_ahead(s, model, words, before) for words in row] for row in rows]
    )


def _ahead(s: Subject, model, words: tuple[int, int, int], before: bool) -> float:
    key, value, decoy = words
    place = (s.unit + s.unit // 2) // 2 * 2
    again = np.resize([key, value], s.length).astype(np.int32)
    text = s.tokens.copy()
    part = slice(0, place) if before else slice(place + 2, None)
    text[part] = again[part]
    text[place], cost = key, {}
    for candidate in (value, decoy):
        text[place + 1] = candidate
        cost[candidate] = float(s.whole(model, text).nll[place + 1])
    return cost[decoy] - cost[value]
