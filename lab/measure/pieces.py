"""How many tokens to read at a time.

A model that learns reads chunk by chunk. One that does not may read wider pieces: the
same mathematics in larger products, and the same numbers to rounding.
"""

import dataclasses


# Tokens of a piece: no wider than a window, and widest with full attention alone.
WIDE, WIDE_FULL = 128, 512


def widest(config) -> int:
    """Tokens of a piece that suit a `ModelConfig`: its chunk where it learns.

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
    """The model with `widest` pieces for chunks; what binds by chunks goes on so."""
    config = model.config
    changes = {"chunk": widest(config), "bind_chunk": config.bind_every}
    return dataclasses.replace(model, config=config.replace(**changes))
