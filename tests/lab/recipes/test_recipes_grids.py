"""Grids of trainings: one setting varied, its plain twin beside, telling names."""

import pytest

from lab.recipes import grids
from lab.recipes.grids import Budget


def test_the_usual_setting_is_one_training_for_all_grids():
    budget = Budget(seeds=1)
    usual = {
        next(p for p in grids.ablation(axis, budget) if p.value == value)
        for axis, value in (("window", 32), ("chunk", 16), ("layers", 1))
    }
    names = {(pair.learning[0].name, pair.plain[0].name) for pair in usual}
    assert names == {("nano-e2e-1200000-seed=0", "nano-e2e-1200000-seed=0-plain")}
    assert grids.budgets(budget, (1.0,))[0].learning == usual.pop().learning


@pytest.mark.parametrize("size", grids.SIZES)
@pytest.mark.parametrize("axis", grids.AXES)
def test_every_training_differs_from_the_usual_in_what_is_varied(axis, size):
    field = {"layers": "fast_blocks"}.get(axis, axis)
    pairs = grids.ablation(axis, Budget(size, seeds=2))
    assert [pair.value for pair in pairs] == sorted(grids.AXES[axis][size])
    for pair in pairs:
        assert [one.seed for one in pair.learning] == [0, 1]
        for one, twin in zip(pair.learning, pair.plain, strict=True):
            assert getattr(one.model, field) == pair.value
            assert one.method == "meta" and twin.method == "plain"
            assert one.stages == twin.stages and one.seed == twin.seed
    names = [one.name for pair in pairs for one in pair.learning]
    assert len(set(names)) == len(names)


def test_chunks_have_one_plain_twin_and_windows_one_each():
    twins = lambda axis: {p.plain[0].name for p in grids.ablation(axis, Budget())}
    assert len(twins("chunk")) == 1 and len(twins("window")) == 4


def test_more_fast_blocks_are_paid_for_by_narrower_ones():
    pairs = grids.ablation("layers", Budget())
    sizes = [grids._weights(pair.learning[0].model) for pair in pairs]
    assert max(sizes) < 1.04 * min(sizes)
    assert [pair.learning[0].model.d_ff for pair in pairs] == [64, 56, 48, 40]


def test_widths_see_as_many_tokens_per_weight():
    for pair in grids.widths(Budget()):
        weights = grids._weights(pair.learning[0].model)
        assert 1_200_000 / 56_064 == pytest.approx(pair.tokens / weights, rel=0.02)


def test_a_budget_of_its_own_has_a_schedule_of_its_own():
    for pair in grids.budgets(Budget()):
        stage = pair.learning[0].stages[0]
        assert stage.tokens == 1_200_000 * pair.value and stage.warmup == 0.1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: grids.ablation("windows", Budget()), "did you mean 'window'?"),
        (lambda: Budget("small"), "size"),
        (lambda: grids.ablation("chunk", Budget(), (64,)), "chunk"),
        (lambda: grids.ablation("layers", Budget(), (5,)), "fast_blocks"),
        (lambda: grids.widths(Budget(), (0.3,)), "0.6 heads"),
        (lambda: grids.ablation("window", Budget(settings=("seed=4",))), "set twice"),
        (lambda: grids.ablation("window", Budget(tokens=0)), "tokens"),
    ],
)
def test_what_cannot_be_is_a_sentence(make, said):
    with pytest.raises(ValueError, match=said):
        make()
