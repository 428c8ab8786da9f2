# %% [markdown]
# # Test-time training, from the first gradient on
#
# Each chapter is a notebook that runs on a CPU, from top to bottom, without a network. It asks you to predict before it shows, says what would prove it wrong, and ends with exercises whose answers are hidden.
#
# | | chapter | minutes |
# |---|---|---|
# | 00 | [A model reads a book](00_tour.ipynb) | 25 |
# | 01 | [Fast weights by hand](01_fast_weights_by_hand.ipynb) | 25 |
# | 02 | [The gradient through the loop](02_gradient_through_the_loop.ipynb) | 30 |
# | 03 | [The toy of the paper](03_the_toy_of_the_paper.ipynb) | 25 |
# | 04 | [The real model](04_the_real_model.ipynb) | 30 |
# | 05 | [Train tiny](05_train_tiny.ipynb) | 25 |
# | 11 | [Scale up](11_scale_up.ipynb) | 30 |
# | 12 | [For Flax users](12_for_flax_users.ipynb) | 20 |
#
# **A student** who wants to understand the method reads 00, 01, 02, 03. **An engineer** who wants to use and train such models reads 00, 04, 05, 11, and 12 with models of Flax. Who has a quarter of an hour reads sections 1, 3, 4 and 8 of chapter 00.
#
# Follow a link, then *Run* > *Run All Cells*, or go cell by cell with Shift-Enter, which is better: predict first. The same chapters as pages to read without a kernel: `ttt-lab course build`.
