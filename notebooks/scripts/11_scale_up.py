# %% [markdown]
# # Scale up
#
# **Goal.** Chapter 05 trained on one device for half a minute. The paper's largest model trains for half a day on a hundred. You will run one outer step on eight devices that your machine pretends to have, see which arrays are cut and which are copied, check that eight devices say what one says, find out what three billion weights need before anybody rents anything, let two processes join, and open a checkpoint in the authors' own layout.
#
# **Time** 30 minutes. **You need** a CPU and chapter 05; chapter 02 helps. Nothing is downloaded, and no GPU is needed.
#
# 1. Eight devices on one machine
# 2. What is cut, what is copied
# 3. The same numbers
# 4. Will it fit?
# 5. Several hosts
# 6. GPU and TPU
# 7. The authors' checkpoints

# %%
import functools
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import optax
from ipywidgets import interact

import ttt_core as ttt
from lab import checkpoints
from lab.data import documents, tokenizers
from lab.interop import official
from lab.lessons import meshes
from lab.plots import meshes as plots
from lab.quick import quick
from lab.recipes.experiment import Experiment, Stage
from lab.recipes.settings import make_experiment
from lab.training import accelerators, devices, hosts
from lab.training.loop import make_optimizer
from lab.training.machine import size_of
from lab.training.plan import plan_run
from ttt_core.scale.sharding import make_mesh


jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)  # before JAX is first used

# %% [markdown]
# ## 1. Eight devices on one machine
#
# JAX can divide a CPU into as many devices as you like. They are not faster than one (they share its cores), but a program cannot tell them from eight GPUs: arrays lie on one or another, and have to be sent. So whatever goes wrong on a pod for reasons of *arithmetic* goes wrong here first, at no cost.
#
# The devices form a **mesh** with two axes. Along `data` lie the sequences of a batch: each device reads its own. Along `model` the weights are cut, if one copy is too large for a device.

# %%
assert len(jax.devices()) == 8
mesh = make_mesh(2, 4)
for share, row in enumerate(mesh.devices, start=1):
    print(f"share {share} of the batch:", *(f"device {d.id + 1}" for d in row))

config = ttt.preset("nano").replace(
    d_model=32, heads=8, layers=2, d_ff=48, d_fast=64, window=16, chunk=8
)
stage = Stage("short", "sotu", tokens=8 * 24, seq=24, batch=8, lr=1e-2)
(phase,) = Experiment("two-blocks", config, "bytes", (stage,)).phases
text = documents.load("sotu/1862-Lincoln-1").text[:1000]
ids = np.asarray(tokenizers.load("bytes").encode(text), np.int32)
tokens = ids[: 8 * 25].reshape(8, 25)  # eight sequences of three chunks
print(f"a model of {config.layers} blocks, a batch of {len(tokens)} sequences")

# %% [markdown]
# The model is a dwarf, because a program for a mesh takes a while to compile, whatever its size.
#
# ## 2. What is cut, what is copied
#
# A matrix can be cut by rows or by columns. The rule here is to cut each along the axis that its *activations* share: attention by heads, MLPs by hidden units, the embedding by vocabulary. Then a device computes its heads or its units from beginning to end, and the devices of a row exchange one sum for each sublayer. No device ever needs a whole matrix.
#
# **Predict.** On a mesh of 2 x 4 (two shares of the batch, weights in four pieces): which arrays stay whole on every device? The model has 8 heads of queries, but 2 of keys and values; 48 and 64 hidden units; a vocabulary of 257.

# %%
MESHES = {"8 x 1": (8, 1), "4 x 2": (4, 2), "2 x 4": (2, 4), "1 x 8": (1, 8)}


def look(mesh):
    data, cut = MESHES[mesh]
    return plots.who_holds(meshes.layout(config, data=data, cut=cut))


interact(look, mesh=list(MESHES))
look("2 x 4")

# %% [markdown]
# (The choice needs a running kernel; the figure beneath it stands still at one mesh, for those who read this page without one.)
#
# <details><summary>Answer</summary>
#
# Norms, which are too small to matter. `wk` and `wv`, because two heads do not divide into four pieces. And `embed`: 257 is a prime. That is no mistake, only a waste: what does not divide stays whole, and the numbers are the same.
#
# </details>
#
# **What to look for.** Along a row of the picture, four colours that come twice: the two shares of the batch have a copy each of the same four pieces. Only the first row, the sequences, differs between the halves: that is what `data` means. **What would falsify it:** a row with fewer pieces than it should have. The next cell asks JAX itself where the arrays lie.

# %%
optimizer = optax.adamw(1e-2, b1=0.9)
begun, _ = devices.begin(phase, optimizer, mesh, seed=0)
held = sum(array.addressable_data(0).nbytes for array in jax.tree.leaves(begun))
lies = meshes.layout(config, data=2, cut=4)
whole = sum(array.nbytes for array in jax.tree.leaves(begun))
print(f"the model has {size_of(whole)}; device 1 holds {size_of(held)} of it,")
print(f"of which {size_of(lies.copied)} lie on every other device as well")
assert held == lies.per_device and lies.copied < held < whole

large = make_experiment("tiny-e2e", "3b").model
lies = meshes.layout(large, data=32, cut=4)
print(f"3B, cut in four: {100 * lies.copied / lies.per_device:.2f} % is copied")

# %% [markdown]
# At 3B nearly everything is cut: the waste is the dwarf's, whose vocabulary does not divide. And one thing that makes this method different from others is not in the picture, since it exists only while a sequence is read: its **fast weights** (the rows called *fast* are where those start). Each sequence has its own, so there are as many as there are sequences on a device, cut like the rest along `model`, and *never* exchanged along `data`. Of all that a step computes, only the outer gradient crosses that line.
#
# ## 3. The same numbers
#
# Now the whole outer step: eight sequences are read, each learning as it goes, the gradient goes back through all inner steps, and is averaged. Once on one device, once on eight, with AdamW.
#
# AdamW keeps a running mean of gradients; after one step that is a tenth of the gradient, so it can be read from there.
#
# **Predict.** Will loss and gradient be the same to the bit, to seven digits, to three? And the weights *after* the step?

# %%
flat = lambda tree: np.concatenate([np.ravel(a) for a in jax.tree.leaves(tree)])


@functools.cache
def compiled(data, cut):
    mesh = make_mesh(data, cut, jax.devices()[: data * cut])
    return mesh, devices.compile_step(phase, optimizer, mesh)


def step_on(data, cut, tokens=tokens):
    mesh, step = compiled(data, cut)
    model, state = devices.begin(phase, optimizer, mesh, seed=0)
    model, state, said = step(model, state, tokens, 1.0)
    gradient = flat(devices.gather(state[0].mu)) / 0.1
    return float(said["loss"]), gradient, flat(devices.gather(model))


# %%
SHOWN = {name: MESHES[name] for name in quick(("8 x 1", "2 x 4"), ("2 x 4",))}
loss, gradient, weights = step_on(1, 1)
print(f"one device: loss {loss:.6f}")
apart = {}
distance = lambda found: np.linalg.norm(found - gradient) / np.linalg.norm(gradient)
for name, (data, cut) in SHOWN.items():
    its_loss, found, after = step_on(data, cut)
    print(f"mesh {name}: loss {its_loss:.6f}, gradient off by {distance(found):.0e}")
    assert abs(its_loss - loss) < 1e-4 and distance(found) < 1e-4
    apart["by the gradient itself"] = 1e-2 * abs(found - gradient)
    apart[f"by AdamW, {name}"] = abs(after - weights)
plots.moved_apart(gradient, apart)

# %%
worst = np.argmax(apart["by AdamW, 2 x 4"])
by_adam = apart["by AdamW, 2 x 4"].max()
by_gradient = apart["by the gradient itself"].max()
print(f"furthest apart after AdamW: {by_adam:.0e}; had the step been")
print(f"the gradient times the same rate: {by_gradient:.0e}")
print(f"that weight's gradient: {abs(gradient[worst]):.0e}", end=", ")
print(f"the median weight's: {np.median(abs(gradient)):.0e}")
assert by_adam > by_gradient
assert abs(gradient[worst]) < np.median(abs(gradient))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Loss and gradient: to about six or seven digits, and not to the bit. Eight devices add the same numbers in another order, and float32 rounds each sum.
#
# The weights differ by far more than the gradients do, and only some of them. AdamW's first step is *sign-like*: it divides each gradient by its own size, $g / (|g| + 10^{-8})$, so that every weight moves by about the rate. Where a gradient is all but zero, what is left of it is rounding, and AdamW blows it up to a step of full length. In larger models some of these weights even go opposite ways, a whole rate each. It does no harm, since such a weight hardly matters to the loss; but it is why one compares *gradients*, not weights, to know whether a mesh computes the right thing.
#
# </details>
#
# **What to look for.** Grey, had the step been the gradient times the rate: the smaller a gradient, the smaller its error. AdamW's points do the opposite. On the right they lie flat, at the last bit of the weights themselves; on the left, where gradients are small, they climb. **What would falsify that it is rounding:** AdamW's points high up on the right, too: a large gradient that differs.
#
# How large would a real mistake be? Suppose that devices forgot to average, and each went on with the gradient of its own sequence. We can have that without another program: give all devices the first sequence.

# %%
_, own, _ = step_on(2, 4, np.tile(tokens[:1], (8, 1)))
print(f"without the average the gradient is off by {distance(own):.2f}")
assert distance(own) > 0.1

# %% [markdown]
# A mistake is as large as the gradient itself, a million times more than rounding. There is no need to guess which of the two one has seen. (`tests/lab/training` asserts the same of every mesh, in float32 and bfloat16.)
#
# ## 4. Will it fit?
#
# A model of 3 billion weights has 11 GiB in float32, and AdamW keeps two more copies. Then there is what the backward pass needs. To find out by trying costs a pod; `ttt-lab plan` traces the program on shapes alone and adds up. (At a terminal: `ttt-lab plan tiny-e2e --size 3b --devices 128 --device h200`.)
#
# **Predict.** In the paper's extension at 32 K tokens, with one sequence on a device: what takes most memory? The weights, AdamW, the activations that the backward pass keeps, or the fast weights?

# %%
big = make_experiment("tiny-e2e", "3b")
stages = [(phase, make_optimizer(big, phase.stage)) for phase in big.phases]
plan = functools.cache(lambda devices, cut: plan_run(stages, devices=devices, cut=cut))
CUTS, GIB = (1, 2, 4, 8), 2**30
pretrain, extend = plan(128, 1)
for one in (pretrain, extend):
    print(f"{one.name}: {one.seq:,} tokens, {size_of(one.total)} on each device")
learners = extend.seq // large.chunk
print(f"one learner has {size_of(extend.fast_bytes)}; {learners} are kept:", end=" ")
print(size_of(extend.memory["kept fast weights"]))
assert max(extend.memory, key=extend.memory.get) == "kept fast weights"
assert pretrain.total < 80 * GIB < extend.total < 141 * GIB


# %%
def fits(cut):
    return plots.memory({one.name: one.memory for one in plan(128, cut)}, 80)


interact(fits, cut=list(CUTS))
plots.memory({f"cut in {cut}": plan(128, cut)[1].memory for cut in CUTS}, 80)

# %% [markdown]
# (The choice needs a running kernel; the figure beneath it compares all cuts at once and stands still.)
#
# <details><summary>Answer</summary>
#
# The fast weights. The gradient goes back through every inner step, and each step began with other weights: one copy of them for each chunk of the text. That part exists in no other kind of training, and it grows with the *length*. (`remat`, which PyTorch calls activation checkpointing, keeps every second or fourth, and computes the others again; chapter 02 has the law.)
#
# </details>
#
# **What to look for.** The line is an H100. Whole, the 64 sequences of the extension (two million tokens a step) fill 64 of the 128 devices, and the others stand idle; cut in two, a pair of devices shares each sequence, and every part is about halved. From there on the parts of the model (weights, AdamW, gradient) go on shrinking, but each group of devices reads two sequences at once, then four, so that what belongs to sequences does not shrink any more. **What would falsify a plan:** a compiler that asks for much more. Tests hold the plan of small models to what XLA asks for, within a factor of two. Nobody has checked it here at 3B, so leave room.
#
# ## 5. Several hosts
#
# A pod is many machines, and each runs *the same command*. Three things have to be settled before the first array: who leads, how many there are, and which one am I. Slurm, Cloud TPUs and Open MPI know (`--hosts auto`). Plain machines are listed, the leader first.

# %%
MACHINES = "10.0.0.1:9876,10.0.0.2,10.0.0.3"
for index in range(3):
    where = hosts.plain_addresses(MACHINES, index)
    print(f"on machine {index + 1}: ttt-lab train tiny-e2e --size 760m", end=" ")
    print(f"--hosts {MACHINES} --host-index {index}")
    print("    to JAX:", where)
    assert where["coordinator_address"] == "10.0.0.1:9876"
for wrong in ((MACHINES, 3), ("10.0.0.1,,10.0.0.3", 0)):
    try:
        hosts.plain_addresses(*wrong)
    except ValueError as error:
        print(f"\nrefused: {error}", end="")

# %% [markdown]
# That was dry. Now two processes that really join, on this machine: each has four devices, sees eight, and is told which rows of a batch to read.
#
# **Predict.** The first process says 10, the second 11, and both ask `agree`. What does each hear?

# %%
CODE = """
import sys, jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
from lab.training import devices, hosts
hosts.join_hosts(sys.argv[1], int(sys.argv[2]))
me, (heard,) = jax.process_index(), hosts.agree(10 + jax.process_index())
share, of = devices.rows(devices.make_mesh(8))
sys.stdout.write(  # at once, as the library that connects the two prints, too
    f"process {me + 1} of {jax.process_count()}: {jax.local_device_count()} devices of "
    f"{jax.device_count()}, share {share + 1} of {of}, heard {heard}, writes "
    f"{'files' if hosts.is_leader() else 'nothing'}\\n")
"""
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    both = f"127.0.0.1:{free.getsockname()[1]},127.0.0.1"

# %%
start = lambda index: subprocess.Popen(
    [sys.executable, "-c", CODE, both, str(index)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
)
pair = [start(0), start(1)]
lines = [one.communicate(timeout=300)[0].splitlines() for one in pair]
said = [line for one in lines for line in one if line.startswith("process")]
print(*said, sep="\n")
assert len(said) == 2
assert all("4 devices of 8" in line and "heard 11" in line for line in said)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Both hear 11, the greatest. Whatever decides what a process *does* (go on, save, stop) must be agreed on, or one of them waits for ever in a sum that the other never comes to. A signal that reaches one machine stops all after the same step.
#
# </details>
#
# If a machine dies, the others notice within seconds and end; the same commands go on from the last checkpoint (chapter 05), which must be on a disk that all see.
#
# ## 6. GPU and TPU
#
# What changes in a recipe for another kind of device? Nothing: no line of `lab/recipes` or `ttt_core` names one. What changes is around it:
#
# * **JAX itself**: `pip install -e '.[gpu]'` or `'.[tpu]'`. The same command then finds the devices.
# * **Memory**, so the cut: `--cut N`, as the plan says.
# * **Precision.** A float32 product runs as TF32 on NVIDIA and as bfloat16 on a TPU, unless told otherwise. Numbers that agreed to seven digits above agree to three there. The paper's sizes compute in bfloat16 anyhow, and keep weights and inner steps in float32.
#
# **Predict.** 128 devices, 3B, both stages: an H100 has 80 GiB, an H200 141, a B200 180, a TPU v5p 95 and a v6e 32. Which of these cannot train it without cutting weights?

# %%
SHARE = 0.3  # of its peak that a device keeps up
for name in ("h100", "h200", "b200", "tpu-v5p", "tpu-v6e"):
    kind = accelerators.find(name)
    found = plan_run(stages, devices=128, limit=kind.memory * GIB)
    pace = kind.peak(large.compute_dtype) * SHARE
    hours = sum(p.all_flops / np.prod(p.mesh) for p in found) / pace / 3600
    most = max(p.total for p in found)
    verdict = "fits" if most <= kind.memory * GIB else "does not fit"
    print(f"{kind.title:>22}: {kind.memory:3g} GiB, cut {found[0].mesh[1]},", end=" ")
    print(f"{size_of(most)} {verdict}, about {hours:.0f} hours")

# %% [markdown]
# <details><summary>Answer</summary>
#
# All with less than 118 GiB must cut. And 32 GiB are not enough in any cut, because with the cut grows the number of sequences that a group of devices reads at once. Read one after another (`--set pretrain.accumulate=4 extend.accumulate=4`, weights in eight pieces) they need 20.5 GiB; exercise 2 drives this further.
#
# </details>
#
# The hours are a rule of three with a guess in it: 30 % of a peak. `lab/LOG.md` says what was measured: 42 % on two cores of a CPU. Trainings of this repository have run on CPUs and, small ones, on a GPU; on a TPU none has run so far. What is said of TPUs rests on the plan, and on the equality of section 3.
#
# ## 7. The authors' checkpoints
#
# The authors of the paper publish weights in the layout of Orbax, the usual library for checkpoints in JAX. `lab.interop.official` reads and writes it. We have none here, and they are large; so we make one, from the published `tiny-e2e`, and open it as if it came from them.
#
# **Predict.** A checkpoint is twenty arrays. What of a model can *not* be known from their shapes?

# %%
box = Path(tempfile.mkdtemp())
model = checkpoints.load("tiny-e2e")
official.save(box / "exported", model)
arrays = official.read_arrays(box / "exported")
for path, array in list(arrays.items())[::4]:
    print(f"{'x'.join(map(str, array.shape)):>10}  {path}")
assert len(arrays) == 20

# %%
ours = model.config
opened = official.load(
    box / "exported",
    window=ours.window,
    chunk=ours.chunk,
    rope_theta=ours.rope_theta,
    bos=ours.bos,
)
speech = documents.load("sotu/1862-Lincoln-1").text
page = np.asarray(tokenizers.load("bpe-4k").encode(speech))
page = page[: quick(32, 8) * ours.chunk]
read = lambda reader: ttt.read(reader, ttt.init_state(reader), page)[1].nll
np.testing.assert_array_equal(read(opened), read(model))
print(f"{len(page):,} tokens read: the same losses, to the bit")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Whatever has no array of its own: window, chunk, the base of the rotary positions, the inner rate and its clip, and which token begins a text. `official.load` has the paper's values for them. Exercise 3 shows what a wrong one costs: nothing complains.
#
# </details>
#
# **What to look for.** All layers in one array each (`h.blocks`), the fast MLPs apart (`prime_storage`). With one of theirs the call is `official.load("checkpoints/125m_ttt_e2e_pretrain_dclm_8k_1x_cc")`, without further arguments. **What would falsify that it is the same model:** one loss that differs in its last bit.
#
# ## Summary
#
# * A mesh has two axes: sequences along `data`, weights along `model`. Fast weights belong to a sequence and never cross `data`; the outer gradient does.
# * Eight devices give one device's gradient to rounding. Compare gradients: AdamW makes rounding look large.
# * Memory can be known before anything is rented. At long contexts the copies of the fast weights are the largest part.
# * Several hosts run the same command, and agree on everything that decides what comes next.
#
# ## Exercises
#
# **1.** Does it matter which device reads which sequence? Give the batch in reverse order.
#
# <details><summary>Answer</summary>
#
# No. The outer gradient is a mean over sequences, and each sequence learns for itself. If it did matter, something would cross `data` that must not: say, fast weights.
#
# ```python
# _, reversed_rows, _ = step_on(2, 4, tokens[::-1])
# print(f"in reverse order the gradient is off by {distance(reversed_rows):.0e}")
# assert distance(reversed_rows) < 1e-4
# ```
#
# </details>
#
# **2.** With how few H100 (80 GiB) can the 3B be trained at all, for somebody who has time? A device may read its sequences one after another: `accumulate`, a setting of each stage, says in how many parts.
#
# <details><summary>Answer</summary>
#
# Two. One device cannot hold the model's own part and one sequence of 32 K; two hold half of each. It takes more than a month rather than half a day: 128 devices buy time, not room.
#
# ```python
# parts = ("pretrain.accumulate=128", "extend.accumulate=64")
# patient = make_experiment("tiny-e2e", "3b", parts)
# patient = [(p, make_optimizer(patient, p.stage)) for p in patient.phases]
# most = {}
# for many in (8, 2, 1):
#     found = plan_run(patient, devices=many, limit=80 * GIB)
#     most[many] = max(p.total for p in found)
#     print(f"{many} devices, cut in {found[0].mesh[1]}: {size_of(most[many])}")
# assert most[2] <= 80 * GIB < most[1]
# ```
#
# </details>
#
# **3.** Load the checkpoint with another chunk, or another base of the rotary positions. Who notices?
#
# <details><summary>Answer</summary>
#
# Nobody: all arrays fit. The loss is what notices, by three hundredths of a nat with the chunk (the model learns in other steps than it was trained for), by five with the positions. So after loading, read a text whose loss is known.
#
# ```python
# right = float(read(model).mean())
# chunk = official.load(box / "exported", ours.window, 16, ours.rope_theta, bos=ours.bos)
# theta = official.load(box / "exported", ours.window, ours.chunk, bos=ours.bos)
# for words, reader in {"chunk 16": chunk, "theta 500,000": theta}.items():
#     print(f"{words:>14}: {float(read(reader).mean()) - right:+.3f} nats per token")
# assert float(read(chunk).mean()) != right
# assert float(read(theta).mean()) > right + 0.01
# ```
#
# </details>
#
# ## References
#
# * *End-to-End Test-Time Training for Long Context*, arXiv 2512.23675: table 3 (sizes, batches, rates), section 3 (the two stages).
# * In this repository: `ttt_core/scale/sharding.py` (the rule for every array), `lab/training/devices.py` (the compiled step), `lab/training/plan.py`, `lab/training/hosts.py`, `lab/interop/official.py`; `ttt-lab plan --help`.
