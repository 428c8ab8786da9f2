"""What is compiled, and what must not be compiled again."""

import contextlib
import dataclasses

import jax
import jax.monitoring
import pytest
from minis import build, text

import ttt_core as ttt


COMPILED = []


def _count(event, duration, **more):
    del duration
    if event.endswith("backend_compile_duration"):
        COMPILED.append(more)


jax.monitoring.register_event_duration_secs_listener(_count)


@contextlib.contextmanager
def compiles(n):
    """Fails unless exactly `n` programs are compiled (or fetched from the cache)."""
    before = len(COMPILED)
    yield
    assert len(COMPILED) - before == n, COMPILED[before:]


@pytest.fixture(scope="module")
def warm():
    """A model that has been called once through every door, and its state."""
    model = build(vocab=19)
    state, _ = ttt.read(model, ttt.init_state(model), text(9))
    use_all(model, state, 6)
    return model, state


def use_all(model, state, length, rate=1.0, **dials):
    tokens, knobs = text(length, seed=length), {"rate": rate}
    later, _ = ttt.read(model, state, tokens, **knobs)
    ttt.score(model, later, tokens, tokens[:2])
    ttt.predict(model, later, tokens)
    dials |= {"key": jax.random.key(length), **knobs}
    ttt.generate(model, later, tokens, length, **dials)


def test_the_counter_counts():
    with compiles(1):
        jax.jit(lambda x: x * 3 + 17)(2.0)


@pytest.mark.parametrize("length", [1, 2, 4, 5, 13, 31])
def test_a_new_length_compiles_nothing(warm, length):
    with compiles(0):
        use_all(*warm, length)


def test_new_numbers_compile_nothing(warm):
    model, state = warm
    with compiles(0):
        use_all(model, state, 7, rate=0.3, temperature=0.7, top_p=0.5)
        use_all(model, state, 7, rate=0.1, temperature=0.0)
        use_all(model, state, 7, top_k=3, repetition_penalty=1.3)


def test_a_new_rate_or_clip_in_the_configuration_compiles_nothing(warm):
    model, state = warm
    config = model.config.replace(lr=0.25, clip=3.0)
    with compiles(0):
        use_all(dataclasses.replace(model, config=config), state, 7)


def test_new_weights_of_the_same_shape_compile_nothing(warm):
    model, state = warm
    twice = jax.tree.map(lambda leaf: leaf + leaf, model)
    with compiles(0):
        use_all(twice, state, 7)


def test_three_programs_are_all_it_takes():
    model = build(vocab=21)
    state = ttt.init_state(model)
    use_all(
        build(vocab=19), ttt.init_state(build(vocab=19)), 5
    )  # eager bits and pieces
    before = len(COMPILED)
    use_all(model, state, 9)
    names = {more.get("fun_name", "") for more in COMPILED[before:]}
    programs = ("chunks_program", "_peek_program", "_block_program")
    assert len(COMPILED) - before == 3
    assert names == {f"jit({program})" for program in programs}
