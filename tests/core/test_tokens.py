"""Token ids at the door: bad ones get a sentence."""

import numpy as np
import pytest

from ttt_core.tokens import as_tokens


SMALL = np.arange(4, dtype="u2")


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ([1, 2, 10], "token id 10 is outside of the vocabulary, 0 to 9"),
        ([1, -3], "token id -3 is outside"),
        ([2**31], "token id 2147483648 is outside"),
        ([[1, 2]], r"one row of ids, \[length\]: got shape \[1, 2\]; use jax.vmap"),
        ([1.5], "whole numbers: got dtype float64; encode the text"),
    ],
)
def test_what_is_no_row_of_ids_is_refused(tokens, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_tokens(tokens, vocab=10)


@pytest.mark.parametrize("tokens", [[], (), np.zeros(0), [3, 9], SMALL])
def test_anything_that_is_a_row_of_ids_will_do(tokens):
    array = as_tokens(tokens, vocab=10)
    assert array.dtype == np.int32 and array.tolist() == list(tokens)
