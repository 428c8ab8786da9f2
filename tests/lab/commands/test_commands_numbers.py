"""Numbers that a command is asked for are checked before the command runs."""

import dataclasses
import importlib
import inspect
import typing

import pytest
from command_line import run

from lab import cli
from lab.commands import numbers


# A share of the text, or a number of tokens about which the text has its own say.
ELSEWHERE = {"at", "tokens"}


def functions():
    for place in cli.VERBS.values():
        module, name = place.split(":")
        yield getattr(importlib.import_module(f"lab.{module}"), name)


def options(function):
    """Names and types of a verb's options, those of dataclasses too."""
    for name, kind in typing.get_type_hints(function).items():
        if dataclasses.is_dataclass(kind):
            yield from options(kind)
        elif name != "return":
            yield name, kind


def is_number(kind) -> bool:
    parts = typing.get_args(kind)
    return kind in (int, float) or any(is_number(part) for part in parts)


def test_every_number_that_an_option_takes_has_a_range():
    every = [pair for function in functions() for pair in options(function)]
    found = {name for name, kind in every if is_number(kind)}
    assert found - ELSEWHERE == set(numbers.NUMBERS)


def test_defaults_are_within_their_ranges():
    for function in functions():
        of = {
            p.name: p.default for p in inspect.signature(function).parameters.values()
        }
        for name, value in numbers._options(of):
            numbers.check(name, value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("plan tiny-e2e --memory nan", "--memory must be > 0: got nan"),
        ("plan tiny-e2e --memory -1", "--memory must be > 0: got -1.0 (GiB"),
        ("plan tiny-e2e --devices 0", "--devices must be >= 1: got 0"),
        ("plan tiny-e2e --devices 100000000000", "--devices must be <= 1,000,000"),
        ("train tiny-e2e --cut 0", "--cut must be >= 1: got 0"),
        ("train tiny-e2e --checkpoint-every nan", "--checkpoint-every must be >= 0"),
        ("data train-tokenizer --vocab 100000000000", "--vocab must be <= 1,048,576"),
        ("bench read tiny-e2e --contexts 8192 0", "--contexts must be >= 1: got 0"),
        ("bench train --repeats 0", "--repeats must be >= 1: got 0"),
        ("bench remat --seq 0", "--seq must be >= 2: got 0"),
        ("eval recall tiny-e2e --seed -1", "--seed must be >= 0: got -1"),
        ("eval decompose tiny-e2e tiny-swa --starts -1", "--starts must be >= 0"),
        ("eval context tiny-e2e --region 0", "--region must be >= 1: got 0"),
        ("eval toy --rates nan", "--rates must be >= 0: got nan"),
        ("explore --port 80000", "--port must be <= 65,535: got 80,000"),
    ],
)
def test_a_number_out_of_range_gets_a_sentence(words, sentence, monkeypatch, capsys):
    assert run(monkeypatch, *words.split()) == 1
    assert sentence in capsys.readouterr().err
