"""Token ids at the door: bad ones get a sentence."""

import numpy as np
import pytest

import ttt_core as ttt
from ttt_core.tokens import as_tokens


SMALL = np.arange(4, dtype="u2")


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ([1, 2, 10], "token id 10 is outside of the vocabulary, 0 to 9"),
        ([1, -3], "token id -3 is outside"),
        ([2**31], "token id 2147483648 is outside"),
        ([[1, 2]], r"one row of ids, \[length\]: got shape \[1, 2\]; use jax.vmap"),
        (np.array(["light"]), "ids, not text: got array.*encode it first"),
        ([[1, 2], [3]], "got rows of several lengths; read one document at a time"),
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


TEXT = ["The light went out.", ["The", "light"], ("a",), b"light"]


@pytest.mark.parametrize("text", TEXT)
@pytest.mark.parametrize("door", ["read", "score", "predict", "generate", "meta_loss"])
def test_text_given_where_ids_belong_says_encode_it_first(door, text, nano, getkey):
    state = () if door == "meta_loss" else (ttt.init_state(nano),)
    more = {"score": ([1],), "generate": (3,)}.get(door, ())
    knobs = {"key": getkey()} if door == "generate" else {}
    with pytest.raises(Exception, match="ids, not text.*encode it first") as caught:
        getattr(ttt, door)(nano, *state, text, *more, **knobs)
    assert type(caught.value) is ValueError


def test_a_chunk_of_text_is_refused_too(nano):
    with pytest.raises(ValueError, match="encode it first"):
        ttt.read_chunk(nano, ttt.init_state(nano), ["a"] * nano.config.chunk)
    with pytest.raises(ValueError, match="encode it first"):
        ttt.read_chunk(nano, ttt.init_state(nano), "a text of any length")
