"""Recipes: one Python file for each thing we train.

A recipe module states its question, cost and expected number as constants, so that they
can be listed without JAX, and builds its `Experiment` in `experiment(size)`.
"""

from lab.recipes import tiny_e2e


RECIPES = {"tiny-e2e": tiny_e2e}
