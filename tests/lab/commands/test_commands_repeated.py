"""An option of several values that is given twice loses none of them."""

import pytest
from command_line import run

from lab import cli
from lab.commands.repeated import joined
from lab.commands.train import train


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tiny-e2e --set a=1 --set b=2", "tiny-e2e --set a=1 b=2"),
        ("tiny-e2e --set a=1 c=3 --set b=2", "tiny-e2e --set a=1 c=3 b=2"),
        ("tiny-e2e --set=a=1 --set=b=2", "tiny-e2e --set a=1 b=2"),
        ("--set a=1 --plain tiny-e2e --set b=2", "--set a=1 b=2 --plain tiny-e2e"),
        ("x --sweep lr=1,2 --run y --sweep m=3", "x --sweep lr=1,2 m=3 --run y"),
        ("x --tokens 5 --tokens 6", "x --tokens 5 --tokens 6"),
        ("", ""),
    ],
)
def test_the_values_of_a_repeated_option_stand_together(typed, meant):
    assert joined(train, typed.split()) == meant.split()


@pytest.mark.parametrize("typed", ["x --sweep", "x --set --run y", "--sweep --sweep"])
def test_an_option_of_several_values_without_one_is_refused(typed):
    with pytest.raises(ValueError, match="^--s[we]+[ept]+ needs a value behind it"):
        joined(train, typed.split())


@pytest.mark.parametrize(
    ("verb", "option"),
    [("train", "set"), ("plan", "set"), ("train", "sweep"), ("generate", "stop")],
)
def test_every_verb_with_such_an_option_joins_it(verb, option):
    words = ["x", f"--{option}", "a=1", f"--{option}", "b=2"]
    together = ["x", f"--{option}", "a=1", "b=2"]
    assert joined(cli.find(verb), words) == together


def test_both_settings_reach_the_experiment(monkeypatch, capsys):
    words = ("plan", "tiny-e2e", "--set", "model.nonsense=1", "--set", "batch=8")
    assert run(monkeypatch, *words) == 1
    assert "model.nonsense" in capsys.readouterr().err
