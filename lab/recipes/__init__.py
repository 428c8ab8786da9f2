"""Recipes: one Python file for each thing we train.

A recipe module states its question, cost and expected number as constants, so that they
can be listed without JAX. It builds its `Experiment` in `experiment(size)`, or names in
`points_at(size)` the model whose weights it uses unchanged.
"""

from lab.recipes import (
    smollm2,
    tiny_e2e,
    tiny_e2e_recall,
    tiny_full,
    tiny_gdn,
    tiny_hybrid,
    tiny_kvb,
    tiny_mamba2,
    tiny_naive,
    tiny_swa,
    toy,
)


RECIPES = {
    "tiny-e2e": tiny_e2e,
    "tiny-swa": tiny_swa,
    "tiny-naive": tiny_naive,
    "tiny-full": tiny_full,
    "tiny-hybrid": tiny_hybrid,
    "tiny-mamba2": tiny_mamba2,
    "tiny-gdn": tiny_gdn,
    "tiny-kvb": tiny_kvb,
    "tiny-e2e-recall": tiny_e2e_recall,
    **toy.VARIANTS,
    **smollm2.VARIANTS,
}
