"""What a reading costs is known from its start, and its model is nobody's alone."""

import jax
import pytest

import ttt_core as ttt
from lab.reading import marks, memory
from lab.reading.programs import Loaded, Programs
from lab.reading.session import Reading


TEXT = "The ships came home one after the other, and nobody counted them. " * 8


@pytest.fixture(scope="module")
def programs():
    model = ttt.preset("nano").build(key=jax.random.key(0))
    loaded = Loaded(model, "nano", "bytes", "f" * 64)
    return Programs("nano", load=lambda name: loaded).start().wait("needle", 300)


def test_a_reading_costs_its_text_its_numbers_and_its_states(programs):
    short, long = (Reading(programs, TEXT * n) for n in (1, 4))
    per_token = 4 + 8 + 2 * 4  # an id, a span, and the nats of two streams
    more = memory.nbytes(long) - memory.nbytes(short)
    assert more > 3 * len(TEXT) * per_token
    assert more < 3 * len(TEXT) * 3 * per_token
    # From the first step on, the learner has fast weights of its own; of the states on
    # the way each stream keeps a few.
    long.step()
    begun, states = memory.nbytes(long), long.states.values()
    one = max(sum(a.nbytes for a in jax.tree.leaves(state)) for state, _ in states)
    while not long.done:
        long.step()
    assert memory.nbytes(long) <= begun + 2 * marks.MOST * one
    assert long.filled > 4 * marks.MOST
    model = sum(leaf.nbytes for leaf in jax.tree.leaves(programs.loaded.model))
    assert memory.nbytes(short) < model


def test_the_process_is_larger_than_its_readings(programs):
    assert memory.process_bytes() > memory.nbytes(Reading(programs, TEXT))


def test_a_model_is_opened_again_where_python_has_lost_count(programs):
    tries = []

    def load(name):
        tries.append(name)
        if len(tries) == 1:
            raise SystemError("AST constructor recursion depth mismatch")
        return programs.loaded

    assert Programs("nano", load=load).open().loaded is programs.loaded
    assert tries == ["nano", "nano"]
