"""A model and its twin side by side: their numbers and texts are those of the core."""

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab.measure.answers import ask
from lab.reading.pair import FROZEN, LEARNING, Pair
from lab.reading.programs import Loaded


TEXT = "The ships came in, one after the other. " * 3


@pytest.fixture(scope="module")
def pair(nano):
    made = Pair("nano", load=lambda name: Loaded(nano, name, "bytes", "f" * 64))
    made.read(np.asarray(made.tokenizer.encode(TEXT)))
    return made


@pytest.fixture(scope="module")
def states(nano, pair):
    """Model and state by label, read by the core in one call."""
    models = {LEARNING: nano, FROZEN: ttt.without_learning(nano)}
    ids = pair.tokenizer.encode(TEXT)
    read = lambda model: ttt.read(model, ttt.init_state(model), ids)[0]
    return {label: (model, read(model)) for label, model in models.items()}


def test_both_read_what_the_core_reads_and_one_of_them_learns(pair, states):
    assert [side.steps for side in pair.sides.values()] == [len(TEXT) // 16, 0]
    for label, (_, state) in states.items():
        for leaf, expected in zip(
            jax.tree.leaves(pair.sides[label].state.fast),
            jax.tree.leaves(state.fast),
            strict=True,
        ):
            np.testing.assert_array_equal(leaf, expected)


def test_both_are_asked(pair, states):
    prompt, answer = list(b"The ships"), list(b" came")
    found = pair.ask(prompt, answer)
    for label, (model, state) in states.items():
        expected = ask(model, state, prompt, answer)
        np.testing.assert_allclose(found[label].nll, expected.nll, atol=1e-5)
    assert found[LEARNING].nats != found[FROZEN].nats


@pytest.mark.parametrize("learns", [True, False])
def test_both_write_what_the_core_generates(pair, states, learns):
    before = pair.sides[LEARNING].state
    for label, (model, state) in states.items():
        tokens, _ = ttt.generate(
            model, state, list(b"And"), 40, key=jax.random.key(7), rate=float(learns)
        )
        pieces = pair.write(label, list(b"And"), 40, seed=7, learns=learns)
        written = "".join(pieces)
        # Half a character at the end is left out, where decoding puts U+FFFD.
        assert pair.tokenizer.decode(tokens.tolist()).startswith(written)
        assert len(written) > 10
    assert pair.sides[LEARNING].state is before


def test_writing_ends_before_a_stop_string(pair):
    whole = "".join(pair.write(LEARNING, [], 40, temperature=0.0))
    stop = whole[5:7]
    short = "".join(pair.write(LEARNING, [], 40, temperature=0.0, stops=(stop,)))
    assert short == whole[: whole.index(stop)]


def test_a_model_that_never_learns_stands_alone(nano):
    frozen = ttt.without_learning(nano)
    pair = Pair("still", load=lambda name: Loaded(frozen, name, "bytes", "f" * 64))
    assert list(pair.sides) == ["still"]
