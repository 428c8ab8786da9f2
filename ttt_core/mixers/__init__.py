"""Sequence mixers, one per file, behind one interface.

    (x[seq, d_model], state) -> (y[seq, d_model], state)        for any seq >= 1

Whole sequences in training, chunks in streaming, one token in decoding: the same
function, and the three agree to rounding. With `state=None` the call is a whole
sequence from the start and hands no state on. `init_state(capacity, dtype)` gives the
state before the first token (only full attention needs the capacity, in tokens).
`BUILDERS` maps a name in `ModelConfig.mixers` to the function that builds it; "none" is
a block without a mixer.
"""

from ttt_core.mixers.full import build_full
from ttt_core.mixers.window import build_window


BUILDERS = {
    "window": build_window,
    "full": build_full,
    "none": lambda config, *, key: None,
}
