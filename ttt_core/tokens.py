"""Looking at token ids at the door, where they are still numbers on the host."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ttt_core.shapes import is_concrete


def as_tokens(tokens: Any, vocab: int) -> Int[np.ndarray, " seq"] | Int[Array, " seq"]:
    """Token ids as `int32 [seq]` on the host; traced ids as they are.

    **Raises** `ValueError` for text, and for anything else that is not one row of whole
    numbers inside the vocabulary.
    """
    _check_not_text(tokens)
    if not is_concrete(tokens):
        check_tokens(tokens, vocab)
        return tokens
    array = as_array(tokens)
    array = array.astype(np.int32) if array.size == 0 else array
    check_tokens(array, vocab)
    return array.astype(np.int32)


def _check_not_text(tokens: Any):
    """**Raises** `ValueError` for text: a string, bytes, or strings in a list."""
    text = isinstance(tokens, (str, bytes, bytearray))
    if not text and isinstance(tokens, (list, tuple)):
        text = any(isinstance(one, (str, bytes)) for one in tokens)
    if isinstance(tokens, np.ndarray):
        text = tokens.dtype.kind in "US"
    if text:
        shown = repr(tokens)
        raise ValueError(
            f"tokens must be ids, not text: got {shown[:40]}{'...' * (len(shown) > 40)}"
            "; encode it first, with the model's tokenizer: "
            "`lab.data.tokenizers.load(name).encode(text)`."
        )


def as_array(tokens: Any) -> np.ndarray:
    """Tokens as NumPy has them.

    **Raises** `ValueError` for rows of several lengths, or what is no sequence.
    """
    try:
        return np.asarray(tokens)
    except ValueError as error:
        raise ValueError(
            "tokens must be one row of ids, [length]: got rows of several lengths; "
            "read one document at a time."
        ) from error


def check_tokens(tokens: Any, vocab: int, *, at_least: int = 0):
    """Refuse ids that no embedding row exists for; traced ids are not looked at.

    **Raises** `ValueError` with the offending value.
    """
    _check_not_text(tokens)
    if tokens.ndim != 1:
        raise ValueError(
            f"tokens must be one row of ids, [length]: got shape {list(tokens.shape)}; "
            "use jax.vmap for a batch."
        )
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            f"tokens must be whole numbers: got dtype {tokens.dtype}; "
            "encode the text with the model's tokenizer first."
        )
    if len(tokens) < at_least:
        raise ValueError(
            f"need at least {at_least} tokens (BOS, then the text): got {len(tokens)}; "
            "is the document empty?"
        )
    if not is_concrete(tokens) or len(tokens) == 0:
        return
    ids = np.asarray(tokens)  # Inside a jit, even reducing a constant is traced.
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocab:
        raise ValueError(
            f"token id {low if low < 0 else high} is outside of the vocabulary, 0 to "
            f"{vocab - 1}; was the text encoded by another model's tokenizer?"
        )
