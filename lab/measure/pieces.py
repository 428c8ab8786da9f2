"""How many tokens are read at a time?

A model that learns reads chunk by chunk. A model that does not learn may read wider
pieces: the same mathematics in larger products, and the same numbers to rounding.
"""

import dataclasses


# A piece has this many tokens, at most a window; the most with full attention alone.
WIDE, WIDE_FULL = 128, 512


def widest(config) -> int:
    """Tokens of a piece that suit a `ModelConfig`: one chunk for a model that learns.

    >>> widest(ttt.preset("tiny-full"))
    512
    """
    if config.learns:
        return config.chunk
    from ttt_core.mixers import kinds_of

    grow = all(kind.grows for kind in kinds_of(config))
    wide = WIDE_FULL if grow else min(WIDE, config.window)
    return max(config.chunk, wide)


def widened(model):
    """The model with `widest` pieces for chunks; KV binding keeps its own chunks."""
    config = model.config
    changes = {"chunk": widest(config), "bind_chunk": config.bind_every}
    return dataclasses.replace(model, config=config.replace(**changes))
