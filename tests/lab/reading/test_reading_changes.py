"""Another rule, chunk or window for one reading: the same weights, other programs."""

import dataclasses

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab.checkpoints import config_to_dict
from lab.reading import again, changes
from lab.reading.changes import Changes
from lab.reading.programs import Loaded, Programs
from lab.reading.session import Reading
from ttt_core import rules


TEXT = "Ships sail at dawn. The old captain counts his ropes and waits. " * 6


def test_the_rules_in_words_are_all_that_there_are():
    assert set(changes.RULES) == set(rules.RULES)


@pytest.mark.parametrize("rule", changes.RULES)
def test_a_changed_model_is_the_one_built_so_with_the_same_weights(nano, rule):
    made = Changes(rule, nano.config.chunk // 2, nano.config.window // 2)
    found = made.apply(nano, "nano")
    config = nano.config.replace(**made.recorded)
    wanted = config.build(key=jax.random.key(0))
    assert type(found.rule) is type(wanted.rule)
    # Two of Optax's transformations are never equal.
    found = dataclasses.replace(found, rule=wanted.rule)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for mine, theirs in zip(
        jax.tree.leaves((found.embed, found.fast_stacks, found.fast_mlps)),
        jax.tree.leaves((nano.embed, nano.fast_stacks, nano.fast_mlps)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_another_window_forgets_and_the_hash_tells_the_models_apart(nano):
    half = Changes(window=nano.config.window // 2).apply(nano, "nano")
    tokens = np.arange(2 * nano.config.window, dtype=np.int32) % 97
    nll = [ttt.read(m, ttt.init_state(m), tokens)[1].nll for m in (nano, half)]
    near = nano.config.window // 2
    np.testing.assert_allclose(nll[0][:near], nll[1][:near], atol=1e-5)
    assert np.abs(nll[0] - nll[1])[near + 1 :].max() > 1e-4


def test_a_reading_records_its_changes_and_can_be_made_again(nano):
    load = lambda name: Loaded(nano, name, "bytes", "f" * 64)
    made = Changes("momentum", nano.config.chunk // 2, nano.config.window)
    programs = Programs("nano", load=load, changes=made).start()
    reading = Reading(programs, TEXT, rate=0.5, tokens=64)
    header = reading.trace.header
    assert header.model_hash != "f" * 64
    assert header.chunk == nano.config.chunk // 2
    assert changes.of(header.provenance) == Changes("momentum", header.chunk)
    command = again.command(reading.trace)
    assert f"--rule momentum --chunk {header.chunk} --rate 0.5" in command
    lines = again.python(reading.trace)
    assert f"changes=Changes(rule='momentum', chunk={header.chunk})" in lines
    assert "rate=0.5" in lines
    plain = dataclasses.replace(header, provenance=header.provenance | {"rate": 1.0})
    assert plain.identity != header.identity


@pytest.mark.parametrize(
    ("made", "config", "said"),
    [
        (Changes("muom"), {}, "did you mean 'muon'"),
        (Changes(chunk=9_999), {}, "must not exceed `window`"),
        (Changes(chunk=0), {}, "`chunk` must be"),
        (Changes("adam"), {"lr": 0.0}, "no inner rule to change"),
        (Changes(chunk=8), {"fast_blocks": 0}, "no chunk between inner steps"),
        (Changes(window=8), {"mixers": ("full",)}, "no window to change"),
    ],
)
def test_what_a_model_cannot_be_is_refused_in_a_sentence(nano, made, config, said):
    card = {"config": config_to_dict(nano.config.replace(**config))}
    with pytest.raises(ValueError, match=said):
        changes.check(made, card, "nano")


def test_what_anybody_wrote_into_a_trace_is_not_believed():
    hostile = {"rule": 7, "chunk": "x", "window": None, "rate": "high"}
    assert changes.of(hostile) == Changes() and changes.options(hostile) == []


def test_compiling_is_told_from_opening_what_was_compiled(nano):
    load = lambda name: Loaded(nano, name, "bytes", "f" * 64)
    made = Programs("nano", load=load)
    assert made.seconds_to_compile is None
    made.start().wait("needle", 300)
    first = made.seconds_to_compile
    jax.clear_caches()
    after = Programs("nano", load=load).start().wait("needle", 300)
    assert first > 0 and after.seconds_to_compile > 0.3 * first
