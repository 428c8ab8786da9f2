# %% [markdown]
# # Fast weights by hand
#
# **Goal.** Everything in this course rests on one step of gradient descent, taken on text that has just been read. Here you take it by hand, in one layer: you see what it writes, what fits, what it saves on a real text. Then you meet the disappointment that the rest of the course is about.
#
# **Time** 25 minutes. **You need** a CPU, and to know what a matrix product, a softmax and a gradient are. Nothing is downloaded.
#
# 1. A layer is a memory
# 2. How much fits?
# 3. A layer that predicts
# 4. Reading on: dynamic evaluation
# 5. A trained Transformer does the same
# 6. Why it disappoints

# %%
import jax
import jax.numpy as jnp
import numpy as np
from ipywidgets import FloatLogSlider, interact

from lab import checkpoints
from lab.data import documents, tokenizers
from lab.evals.compare import Comparison
from lab.evals.toy import Toy
from lab.lessons import by_hand, rates
from lab.plots import by_hand as plots
from lab.plots import compare as compare_plots
from lab.plots import rates as rate_plots
from lab.quick import quick
from lab.recipes import toy as paper
from lab.results import open_result


np.set_printoptions(precision=3, suppress=True)

# %% [markdown]
# **Five words of JAX**, for those who know numpy. Functions are changed into other functions, and nothing is changed in place.
#
# | word | what it does |
# |---|---|
# | `jnp` | numpy's functions, on JAX's arrays |
# | `jax.grad(f)` | the function that computes the gradient of `f` in its first argument; `jax.value_and_grad(f)` returns the value too |
# | `jax.vmap(f, (None, 0))` | runs `f` for every row of its second argument (0: along axis 0), the first being the same for all (`None`) |
# | `jax.lax.scan(step, start, rows)` | the loop `for row in rows: carry, out = step(carry, row)`, from `carry = start`; returns the last `carry` and all the `out` |
# | `jax.random.key(0)` | a seed; the same key draws the same numbers |
#
# ## 1. A layer is a memory
#
# A layer is a matrix `W`: a vector goes in, another comes out. We want it to remember pairs: given the key `k`, answer with the value `v`. Ours are random directions, each of length 1. It starts empty. How wrong it is, we measure by the squared error.

# %%
keys, values = by_hand.draw_pairs(jax.random.key(0), count=8, width=64)


def wrong(W):
    return jnp.sum((keys @ W - values) ** 2) / 2


empty = jnp.zeros((64, 64))
g = jax.grad(wrong)(empty)
W = empty - 1.0 * g  # one step of gradient descent, rate 1
print(f"wrong by {wrong(empty):.2f} before the step, {wrong(W):.2f} after")

# %% [markdown]
# That is a *fast weight*: a weight that one look at the data has changed. What did the step write? The gradient can be worked out by hand:
#
# $$-\frac{\partial}{\partial W}\,\frac12 \sum_i \lVert k_i W - v_i \rVert^2 = \sum_i k_i^\top (v_i - k_i W)$$
#
# One *outer product* for each pair: the key says where, the error says what. At `W = 0` the error is the value itself.

# %%
written = sum(jnp.outer(k, v) for k, v in zip(keys, values, strict=True))
np.testing.assert_allclose(W, written, atol=1e-5)

# %% [markdown]
# **Predict.** Now ask this matrix a question `q`: compute `q @ W`. You know the formula that comes out by another name. Which?
#
# <details><summary>Answer</summary>
#
# Attention, without its softmax: every value, weighted by how well its key matches the question, $\sum_i (q \cdot k_i)\, v_i$. Attention keeps all keys and values and does this sum at every question. The matrix has done it in advance, and forgotten the keys. Nothing was lost in the sum but the softmax, and with it the sharpness.
#
# </details>

# %%
question = keys[3] + 0.1 * jax.random.normal(jax.random.key(1), (64,))
attention = (keys @ question) @ values  # linear attention: no softmax
np.testing.assert_allclose(question @ W, attention, atol=1e-5)
nearest = jnp.argmax(values @ (question @ W))
print("asked for pair 3, the closest value is that of pair", nearest)
assert nearest == 3

# %% [markdown]
# ## 2. How much fits?
#
# The matrix has the same size whatever it was told. That is why reading costs the same after a million tokens, and it cannot be free.
#
# **Predict.** The keys are random directions of 64 numbers, each of length 1, so that two of them match by $1/64$ on average when squared. With how many pairs is an answer as bad as none (an error of 1)? Does it help to write the pairs one by one, each step looking at what is already there?

# %%
counts = quick((2, 4, 8, 16, 32, 64, 128, 256), (2, 64, 256))
found = by_hand.capacity(jax.random.key(2), counts, draws=quick(16, 4))
at = dict(zip(counts, found.once, strict=True))
assert abs(at[64] - 63 / 64) < 0.1  # the law: (pairs - 1) / width
assert (found.one_by_one < found.once).all()
plots.capacity(found)

# %% [markdown]
# <details><summary>Answer</summary>
#
# In one step, at 64 pairs: as many as the matrix has rows. Every other pair adds $1/64$ of *crosstalk*. Writing one by one helps, though not for ever: a step corrects what the earlier ones got wrong (this is called the delta rule; Gated DeltaNet is built on it). But then new pairs overwrite old ones.
#
# </details>
#
# **What to look for.** Blue on the dotted law, green below it, and no line that stays at zero. **What would falsify it:** an error that does not depend on how much is stored. A memory of fixed size must choose what to keep; who chooses? Here nobody does. The gradient writes what is *surprising now*. Hold on to that thought until section 6.
#
# ## 3. A layer that predicts
#
# Now text. Our language model is one matrix again, 256 × 256: row `a` holds the logits of the byte that follows byte `a`: 256 numbers, of which a softmax makes probabilities. Training it plainly needs no gradient: the best table is the logarithm of counts. We count 60 old State of the Union addresses.

# %%
old = documents.names(prepared=True)[1:61]
assert old[0].startswith("sotu/1790")
table = by_hand.table(documents.load(name).text for name in old)
text = documents.load("sotu/1981-Carter-1").text
ids = by_hand.as_bytes(text)[: quick(16_385, 2_049)]
x, y = by_hand.pairs_of(ids, chunk=64)
print(f"{len(x)} chunks of 64 bytes; chance is {np.log(256):.2f} nats per byte,")
print(f"the table pays {jax.vmap(by_hand.loss, (None, 0, 0))(table, x, y).mean():.2f}")


# %% [markdown]
# The same step, on the next-byte loss of one chunk. Again it is outer products: row `a` moves towards what followed `a`, away from what the table expected.

# %%
def loss(W, x, y):
    logits = jax.nn.log_softmax(W[x])
    return -jnp.mean(logits[jnp.arange(len(y)), y])


saw, came = jax.nn.one_hot(x[0], 256), jax.nn.one_hot(y[0], 256)
expected = jax.nn.softmax(table[x[0]])
by_formula = saw.T @ (came - expected) / 64  # what followed, minus what was expected
g = jax.grad(loss)(table, x[0], y[0])
np.testing.assert_allclose(-g, by_formula, atol=1e-6)

# %% [markdown]
# What is the step worth? Two questions: what does it save on the chunk it learned from, and on the *next* one, which it has not seen? We take one step from the same table on each chunk, at several rates, and average.
#
# **Predict** the two curves, over the rate. Do they rise together?

# %%
trials = quick((1, 3, 10, 30, 100), (3, 100))
step = by_hand.one_step(table, ids, trials, chunk=64)
assert step.taught[-1] > 0 > step.after[-1]
plots.one_step(step)


# %% [markdown]
# <details><summary>Answer</summary>
#
# Blue leaps: 64 bytes are quickly learned by heart. Orange rises by a hair (the numbers: hover over it) and then falls, deep: what helped on one chunk was mostly about that chunk.
#
# </details>
#
# **What to look for.** The two part ways. The best rate for orange lies far left of the best for blue. **What would falsify it:** curves on top of each other; then learning by heart would be learning. This is also why every number of this course is taken *before* the step: score first, then learn. The blue curve is cheating.
#
# ## 4. Reading on: dynamic evaluation
#
# One step gives little, but steps add up. Score a chunk, step, go on with the new table: a loop of three lines. People have done this to language models since 2010, under the name of *dynamic evaluation*.

# %%
def read(W, x, y, rate):
    def step(W, chunk):
        value, g = jax.value_and_grad(loss)(W, *chunk)  # score first ...
        return W - rate * g, value  # ... then learn

    return jax.lax.scan(step, W, (x, y))


_, frozen = read(table, x, y, 0.0)
_, losses = read(table, x, y, 10.0)
np.testing.assert_allclose(losses[0], frozen[0], rtol=1e-6)
print(f"frozen {frozen.mean():.3f}, learning {losses.mean():.3f} nats per byte")


# %% [markdown]
# **Predict.** The rate is ours to choose. Will the best one be larger or smaller than the best for a single step in section 3, for the chunk after it?

# %%
def turn(rate):
    swept = by_hand.sweep(table, ids, [rate], chunk=64)
    return rate_plots.gain_by_chunk(swept, limits=(-0.6, 0.6))


slider = FloatLogSlider(10, base=10, min=-1, max=2, step=0.25, continuous_update=False)
interact(turn, rate=slider)
swept = by_hand.sweep(table, ids, quick((0.3, 1, 3, 10, 30, 60), (3, 10)), chunk=64)
mean, half = swept.mean_gain()
assert mean.max() > 0
rate_plots.gain_by_rate(swept, naive=True)

# %% [markdown]
# The slider needs a kernel; the figure below it stands still for those who read this page without one, and compares what the slider can only show one at a time. (Where an axis says tokens, a token is one byte here.)
#
# <details><summary>Answer</summary>
#
# The same, as far as our few rates can tell: 10. But see what it is worth there: a step alone saves a few thousandths, the loop 0.07, because steps that point the same way add up. At 30 a step alone does harm, and the loop still gains. At 60 the reader is worse off than if it had never learned.
#
# </details>
#
# **What to look for.** A hill. On its top the interval clears zero: **it works**. **What would falsify it:** no rate at which it does.
#
# And how much is it? Let us ask what *could* be saved: the best table for this very text, by hindsight.

# %%
hindsight = by_hand.table([text])
never = float(swept.frozen.mean())
best = float(jax.vmap(loss, (None, 0, 0))(hindsight, x, y).mean())
print(f"frozen {never:.3f}, learning {never - mean.max():.3f}, by hindsight {best:.3f}")
print(f"learning saves {mean.max() / (never - best):.0%} of what could be saved")
assert 0 < mean.max() < never - best

# %% [markdown]
# ## 5. A trained Transformer does the same
#
# Nothing in the loop cares what the model is. `tiny-swa` is a small Transformer with a sliding window, trained plainly. `tiny-naive` is *the same weights*, and its last two blocks' fast MLPs take the step after every 64 tokens. `tiny-e2e` has the same shape and the same text behind it, but was *trained to learn* (how, is chapter 02). We read one text with all.

# %%
tokens = np.asarray(tokenizers.load("bpe-4k").encode(text))[: 64 * quick(48, 6)]
choices = quick((0, 0.25, 0.5, 1, 2, 4, 8), (0, 1))
naive = rates.sweep(checkpoints.load("tiny-naive"), tokens, choices)
trained = rates.sweep(checkpoints.load("tiny-e2e"), tokens, [1.0])
assert abs(naive.gain[0]).max() < 1e-4  # rate 0 is tiny-swa
print(f"plain           {naive.frozen.mean():.3f} nats per token")
print(f"naive, rate 1   {naive.loss[list(choices).index(1)].mean():.3f}")
print(f"naive, best     {naive.loss.mean(axis=1).min():.3f} (chosen by looking)")
print(f"trained to it   {trained.loss.mean():.3f}")
rate_plots.gain_by_rate(naive, naive=True)

# %% [markdown]
# **What to look for.** The hill again. Naive learning saves a good deal on this text; the model that was trained for it reads better still. **What would falsify the story:** a naive reader, at its best rate, level with the trained one.
#
# One text is an anecdote. Here is the same question put to four novels that no model has met, at positions up to 16,384 (`ttt-lab eval compare`, published with this repository). The rate of `tiny-naive` was chosen on the novels it was trained on, as one would.

# %%
result = open_result("compare-tiny-e2e-eltec-eng-val-16384", Comparison)
gaps = {(gap.better, gap.than): gap.overall for gap in result.gaps}
rows = {
    "learning naively saves": ("tiny-naive", "tiny-naive, frozen"),
    "trained to learn, beyond that": ("tiny-e2e", "tiny-naive"),
    "both": ("tiny-e2e", "tiny-swa"),
}
for words, pair in rows.items():
    print(f"{words:>30}: {gaps[pair].mean:+.3f} ± {gaps[pair].half:.3f} nats per token")
    assert gaps[pair].low > 0
compare_plots.loss_by_position(result)

# %% [markdown]
# **What to look for.** Three levels: plain and the frozen twins, naive below them, end to end lowest, and the last gap nearly equal in every novel, hence its narrow interval. (`tiny-full` is full attention, which so small a training serves badly.) **What would falsify it:** an interval of the middle row that touches zero. The naive line falls as it reads on: learning naively is real, and here it is worth more than half of the whole. So what is disappointing?
#
# ## 6. Why it disappoints
#
# **Predict.** Take away attention, so that learning is the *only* way to use what was read (the paper's toy, chapter 03). Full attention saves something over no attention, its gain. What share of that gain does a naive learner reach? (Below, `b` is the number of tokens between steps, and *learning* is trained to learn.)

# %%
loss_at_the_end = {kind: losses[-1] for kind, losses in paper.PAPER.items()}
most = loss_at_the_end["none"] - loss_at_the_end["full"]
ours = open_result("toy-toy", Toy).curves
for kind in ("naive", "b16", "b1"):
    there = (loss_at_the_end["none"] - loss_at_the_end[kind]) / most
    print(f"{ours[kind].label:>16}: {there:4.0%} in the paper, at the last position;")
    print(f"{'':16}  {ours[kind].share_of_full:4.0%} here, over the last quarter")
assert ours["naive"].share_of_full < ours["b1"].share_of_full

# %% [markdown]
# <details><summary>Answer</summary>
#
# A quarter in the paper, four tenths in ours. The same steps, from weights that were trained to be stepped from, reach all of it in the paper, and seven to nine tenths here.
#
# </details>
#
# So the step is not to blame: the *start* is. Three things are wrong with starting from plainly trained weights.
#
# * **Nobody asked them to be easy to teach.** They are the best guess of someone who will never learn again. Where a step will take them was never looked at.
# * **What the gradient writes is what surprises now**, as in section 2, whether or not it will be of use later. Nothing has shaped the other layers so that useful things are what surprises.
# * **The rate is found by trial**, and a wrong one hurts. The next cell prints what was tried for our toy. And the rate that is best on one kind of text need not be on another.

# %%
about = ours["naive"].about
print(f"{about.model}, naive: nats per token on training novels, by inner rate")
for one in about.tried:
    chosen = "  <- the best, used above" if one.rate == about.rate else ""
    print(f"{one.rate:6}: {one.loss:.3f}{chosen}")
worst, best = (f(one.loss for one in about.tried) for f in (max, min))
assert worst - best > ours["naive"].gain_overall.mean  # more than learning saves

# %% [markdown]
# If the start is to blame, train the start. "How good are these weights *as something to learn from*?" is a number: the loss of the whole text, read while learning. It has a gradient, through all the steps. That is chapter 02.
#
# ## Summary
#
# * A gradient step on a layer writes outer products: a memory of fixed size, read like attention without a softmax.
# * A step that helps on its own chunk need not help on the next. Score first, then learn.
# * Learning while reading with plainly trained weights (dynamic evaluation, *naive*) works. It leaves a good part of what could be had, because nobody trained the weights for it.
#
# ## Exercises
#
# **1.** The delta rule of section 2, again: write 64 pairs one by one, then measure the error of the *first* eight and of the *last* eight. Which does a memory of fixed size forget?
#
# <details><summary>Answer</summary>
#
# The old ones. Every later step corrects the matrix for its own key and disturbs all keys that match a little. The last pair is exact.
#
# ```python
# keys, values = by_hand.draw_pairs(jax.random.key(3), count=64, width=64)
# W = jnp.zeros((64, 64))
# for k, v in zip(keys, values, strict=True):
#     W = W + jnp.outer(k, v - k @ W)
# error = jnp.sum((keys @ W - values) ** 2, axis=1)
# print(f"first eight {error[:8].mean():.2f}, last eight {error[-8:].mean():.2f}")
# assert error[:8].mean() > 2 * error[-8:].mean() and error[-1] < 1e-6
# ```
#
# </details>
#
# **2.** Chunks of 16 bytes instead of 64: four times as many steps. What happens to the best rate, and does reading get better?
#
# <details><summary>Answer</summary>
#
# The loss of a chunk is a *mean*: with 16 bytes each byte weighs four times as much, so the best rate falls by about as much. What is saved is nearly the same: the bytes are the same and say the same; small chunks only say it a little earlier. In chapter 03, where every token counts, it matters more.
#
# ```python
# grid = (1, 3, 10, 30)
# best = {}
# for chunk in (16, 64):
#     gains, _ = by_hand.sweep(table, ids, grid, chunk).mean_gain()
#     best[chunk] = grid[int(gains.argmax())]
#     print(f"chunks of {chunk}: best rate {best[chunk]}, saves {gains.max():.3f}")
# assert best[16] < best[64]
# ```
#
# </details>
#
# **3.** Clip the step: scale the gradient down to a norm of at most 0.05 before the step is taken, and read at rate 60. Is the clip worth having?
#
# <details><summary>Answer</summary>
#
# Yes, as a safety belt. At a rate that would do damage it takes out the largest steps, those on the most surprising chunks. `ttt_core.inner.clip_by_norm` does the same to a whole tree of fast weights.
#
# ```python
# def clipped(W, x, y, rate, limit):
#     def step(W, chunk):
#         value, g = jax.value_and_grad(loss)(W, *chunk)
#         g = g * jnp.minimum(1.0, limit / jnp.linalg.norm(g))
#         return W - rate * g, value
#
#     return jax.lax.scan(step, W, (x, y))[1].mean()
#
#
# with_clip, without = (clipped(table, x, y, 60.0, c) for c in (0.05, jnp.inf))
# print(f"rate 60: clipped {with_clip:.3f}, not clipped {without:.3f}")
# assert with_clip < without
# ```
#
# </details>
#
# ## References
#
# * Mikolov, Karafiát, Burget, Černocký, Khudanpur, *Recurrent neural network based language model*, 2010 (dynamic evaluation); Krause, Kahembwe, Murray, Renals, *Dynamic Evaluation of Neural Sequence Models*, 2018.
# * Schlag, Irie, Schmidhuber, *Linear Transformers Are Secretly Fast Weight Programmers*, 2021: the outer products of section 1.
# * *End-to-End Test-Time Training for Long Context*, arXiv 2512.23675: section 2.1 (TTT-naive, and why it falls short).
# * In this repository: `lab/lessons/by_hand.py`, `ttt_core/inner.py` (the step, for any model), `lab/evals/compare.py`.
