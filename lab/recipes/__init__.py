"""Recipes: one Python file for each thing we train.

A recipe module states its question, cost and expected number as constants, so that they
can be listed without JAX, and builds its `Experiment` in `experiment(size)`; or it
`points_at(size)` the model whose weights it uses as they are.
"""

from lab.recipes import tiny_e2e, tiny_full, tiny_naive, tiny_swa


RECIPES = {
    "tiny-e2e": tiny_e2e,
    "tiny-swa": tiny_swa,
    "tiny-naive": tiny_naive,
    "tiny-full": tiny_full,
}
