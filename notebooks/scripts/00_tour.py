# %% [markdown]
# # A model reads a book
#
# **Goal.** Watch a language model learn from a text *while it reads it*: every few dozen tokens it takes one step of gradient descent on what it has just read. You will see what that saves, how far the weights move, what they remember, and what they do not.
#
# **Time** 25 minutes, or 15 for sections 1, 3, 4 and 8 (run all cells, read these). **You need** a CPU. Nothing is downloaded, and nothing here needs mathematics; that begins in notebook 01. The book is the beginning of E. F. Benson's *Dodo* (1893), which comes with this repository: a novel by an author that the model has never met.
#
# 1. A finished picture
# 2. The model and its twin
# 3. One chunk
# 4. Reading on
# 5. A needle
# 6. A knob: how fast should it learn?
# 7. Your own text
# 8. A memory as a file
# 9. What it cannot do

# %%
import tempfile
from pathlib import Path

import jax
import numpy as np
from IPython.display import HTML, display
from ipywidgets import FloatSlider, IntSlider, interact

import ttt_core as ttt
from lab import checkpoints, memories, plots, published
from lab.data import documents, needles, tokenizers
from lab.lessons import rates
from lab.plots import memories as memory_plots
from lab.plots import rates as rate_plots
from lab.plots import timeline
from lab.quick import quick
from lab.reading.session import Reading


MODEL = "tiny-e2e"
BOOK, ANOTHER = "dodo-1893", "marjoribanks-1866-needle"
recorded = {name: published.recording(name) for name in (BOOK, ANOTHER)}
texts = {name: trace.text.decode() for name, trace in recorded.items()}
text = texts[BOOK]
print(text[:157], "...")

# %% [markdown]
# ## 1. A finished picture
#
# A language model reads *tokens*, words or pieces of words. Before each it gives every token there is a probability of coming next. What the model pays for the one that comes, its *loss*, is minus the logarithm of that probability. The text is read in *chunks*, here of 64 tokens; the model is a Transformer, a stack of *blocks*, each with *attention*, which looks back at earlier tokens, and an *MLP*, which works on one token alone.
#
# This reading was recorded when the model was published. Two readers went through the same text, from the same weights: one **learns** from each chunk after scoring it, the other, its **frozen twin**, never does. A bar is what learning saved on one chunk, in nats per token: the frozen reader's loss minus the learner's. (A nat is the loss's unit, natural logarithms: at 0.69 nats less, a token looked twice as likely.)

# %%
trace = recorded[BOOK]
about = trace.header
print(
    f"{about.model} reads {about.document}: {trace.read:,} tokens, chunks of "
    f"{about.chunk}, {about.fast_blocks} of {about.layers} blocks learn"
)
plots.gain(trace)


# %% [markdown]
# **What to look for.** The first bar is zero: before the first step there is nothing to have learned. After that blue bars (learning helped) should outweigh orange ones (the frozen twin was better), and the line, the mean so far, should stay above zero. **What would falsify it:** a mean that wanders around zero.
#
# Here is the same reading as a film. Drag the slider. (It needs a running kernel, so every slider of this course has a twin beneath it that stands still: the same picture at one setting, or several compared, for those who read this page without a kernel.) The text is coloured token by token: blue where learning made the token cheaper, orange where it made it dearer. A dotted line marks the places where the weights changed.

# %%
def look(chunk):
    so_far = trace.upto(chunk)
    start = so_far.read - 4 * about.chunk
    display(HTML(plots.coloured_text(so_far, start=start, ahead=200)))
    return plots.loss_per_chunk(so_far, extent=trace.read)


half = trace.filled // 2
interact(look, chunk=IntSlider(half, min=1, max=trace.filled, continuous_update=False))
display(HTML(plots.coloured_text(trace, start=trace.read - 256)))
plots.loss_per_chunk(trace)

# %% [markdown]
# **What to look for.** Which words turn blue? Look for names, repeated phrases, the text's own way of speaking. Some tokens are orange: a step that helps on average hurts some words. **What would falsify the story:** colours that look the same on words seen before and on words that are new.
#
# ## 2. The model and its twin
#
# Now live. A model is a *pytree* of arrays: objects in objects, with arrays at the ends, as a PyTorch module with its parameters. Most arrays are *slow*: fixed once training is over. The *fast* ones, one MLP in each of the last blocks, are what learns while reading. Training chose where they start, so that learning from there helps: it is *meta-training*, and chapter 02 is about it.

# %%
model = checkpoints.load(MODEL)
twin = ttt.without_learning(model)
config = model.config
fast, slow = ttt.split(model)
count = lambda tree: sum(array.size for array in jax.tree.leaves(tree))
print(f"{count(model):,} weights, {count(fast):,} of them fast")
print(f"attention sees {config.window} tokens in each of {config.layers} blocks,")
print(f"so nothing older than {config.reach} tokens can reach it")
assert count(fast) + count(slow) == count(model)

# %% [markdown]
# The last line is the point of it all. The attention of this model is a *sliding window*: a token looks at itself and 127 before it. What it finds there has looked back in the block below, so six blocks reach 6 × 127 tokens. Whatever it still knows about text further back than its reach, it knows through its fast weights.
#
# Two questions come up again and again, and one picture answers each. The first: how do sequence, chunk, batch and window relate? (The sizes are small enough to be seen; a real model has more of everything.)

# %%
timeline.sizes(batch=3, seq=32, chunk=8, window=12)

# %% [markdown]
# A *sequence* is one document, or a piece of it. It is cut into *chunks*, after each of which the weights take a step. A *batch* is several sequences side by side, each with fast weights of its own; only training has batches. The *window* slides from token to token and does not care where chunks end.
#
# The second: when do the weights change, when are they reset, and what does each token see?

# %%
timeline.who_sees(documents=2, tokens=24, chunk=8, window=12)

# %% [markdown]
# **What to look for.** Read a row from left to right: it is one token being predicted. Orange is what one block's attention sees, blue what has gone into the weights, pink what is in both. At a dotted line the weights change, and for the rows below all tokens up to the line are in the weights: pink while the window reaches them, then blue. At the full line another document begins: the weights are reset to the start, the window is empty, and nothing of the first document is seen. (Several blocks reach further back than one, as the line above says.) **What would falsify it:** anything but grey on the diagonal or to the right of it: a token that sees itself, or the future.
#
# ## 3. One chunk
#
# All that a reader remembers is its state. `read_chunk` scores a chunk of tokens, takes one step of gradient descent on it (an *inner* step; *outer* ones trained the model), and returns the state after it. It changes nothing in place: the old state is still there, which we will use to ask questions.
#
# **Predict.** Both readers begin with the same weights. Which one predicts the *first* chunk better?

# %%
card = checkpoints.card(MODEL)
tokenizer = tokenizers.load(card["tokenizer"])
ids = np.asarray(tokenizer.encode(text))

start = ttt.init_state(model)
after, report = ttt.read_chunk(model, start, ids[: config.chunk])
_, frozen = ttt.read_chunk(twin, ttt.init_state(twin), ids[: config.chunk])
print(f"loss: learning {report.loss:.4f}, frozen {frozen.loss:.4f} nats per token")
moved = " and ".join(f"{100 * drift:.2f} %" for drift in report.drift)
print(f"the step moved the fast blocks by {moved} of their norm")
np.testing.assert_allclose(report.nll, frozen.nll, atol=1e-4)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Neither. Every token is scored with the weights from *before* its chunk, and only then learned from. Nothing in these numbers has seen its own answer.
#
# </details>
#
# ## 4. Reading on
#
# Reading on is a loop. The state goes in and comes out; from the second chunk on, the learner reads with other weights than its twin.

# %%
readers = {"learning": model, "frozen": twin}
states = {name: ttt.init_state(reader) for name, reader in readers.items()}
print("chunk  learning  frozen  saved")
for i in range(quick(12, 4)):  # the tests of this course take the smaller number
    piece, loss = ids[i * config.chunk : (i + 1) * config.chunk], {}
    for name, reader in readers.items():
        states[name], report = ttt.read_chunk(reader, states[name], piece)
        loss[name] = float(report.loss)
    saved = loss["frozen"] - loss["learning"]
    print(f"{i + 1:5}  {loss['learning']:8.3f}  {loss['frozen']:6.3f}  {saved:+.3f}")

# %% [markdown]
# `lab.reading.Reading` runs this loop and writes everything down. We let it read on, and plant a **needle** on the way: a sentence with a made-up number, which the model has never seen. That is for section 5.
#
# **Predict.** Will the saving grow without end, level off, or fade as the text goes on?

# %%
needle = needles.passkey(seed=1)
print(needle.sentence)

size = quick(8192, 1600)
reading = Reading(
    MODEL, text, document=BOOK, needle=needle, at=0.1, tokens=size, seed=1
)
while not reading.done:
    reading.step()
live = reading.trace
assert live.learned.all() and not live.refused.any()

# %%
interval = live.gain_interval()
if interval:
    mean, half = interval
    verdict = "excludes" if abs(mean) > half else "includes"
    print(f"learning saved {mean:+.3f} ± {half:.3f} nats per token (95 %)")
    print(f"the interval {verdict} zero")
plots.gain(live)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Look at the bars rather than at the line, and at stretches of them: single ones jump, as the second did. At first the saving grows, while the reader gets used to this kind of text. From then on it comes and goes with the topic: high where the text repeats itself (lists, stock phrases, names), low where it says something new.
#
# </details>
#
# **What to look for.** A mean above zero, with an interval that excludes it. **What would falsify it:** an interval that includes zero. One document is an anecdote, though; `ttt-lab eval compare` asks the same of many.
#
# How far have the weights gone?

# %%
display(plots.loss_per_chunk(live))
plots.drift(live)

# %% [markdown]
# **What to look for.** The weights leave quickly and then slow down: early steps agree with each other, later ones partly undo each other. **What would falsify that this is learning:** weights that move as far while the curves above lie on each other.
#
# ## 5. A needle
#
# Does the model still know the number? We ask it on a **fork**: take the state, make the model continue "…is:", note how surprising the right number is, throw the fork away. The stream never learns that it was asked.
#
# A cheap answer proves nothing: numbers follow "is:" in any text. So we ask twice, of two documents that differ in one thing. In one there is the needle; in the other, *filler of exactly as many tokens*. The difference is what is known thanks to the needle.
#
# **Predict.** We ask when the needle has just left attention's reach. What is the difference for the frozen twin: positive, about zero, or exactly zero?

# %%
planted = needles.plant(tokenizer, text[:20_000], needle, at=0.1)
out_of_reach = planted.stop + config.reach


def answer_cost(reader, tokens):
    state, _ = ttt.read(reader, ttt.init_state(reader), tokens[:out_of_reach])
    return float(ttt.score(reader, state, planted.prompt, planted.answer).sum())


recalled = {}
for name, reader in readers.items():
    absent, present = (
        answer_cost(reader, t) for t in (planted.absent, planted.present)
    )
    recalled[name] = absent - present
    print(f"{name:>8}: {absent:.3f} without it, {present:.3f} with it, in nats:")
    print(f"          {recalled[name]:+.3f} recalled")
assert recalled["frozen"] == 0.0

# %% [markdown]
# <details><summary>Answer</summary>
#
# Exactly zero, to the last bit. No path leads from the needle to the answer any more, neither through attention nor through weights. This is the floor on which the next picture stands: anything the learner has above it, it has in its fast weights.
#
# </details>

# %%
plots.recall(live)

# %% [markdown]
# **What to look for.** Above: blue jumps when the needle has been read. Between the two marks attention can still see it, so orange may rise as well (a small model's attention is not good at it). Behind the second mark orange is exactly zero, and what is left of blue is memory in weights. Below: the place of the worst token of the answer among all entries of the vocabulary, 1 being what the model would say; dotted, the same reader without the needle. **What would falsify it:** blue at zero as well, or orange anywhere but at zero behind the second mark.
#
# Look at both. *Fewer nats* and *knowing the number* are different things: an answer can be much less surprising than without the needle, and still far from first place. And a place alone proves little: the dotted line is often not far behind.
#
# ## 6. A knob: how fast should it learn?
#
# The inner rate is the learning rate of the step, as a multiple of the one that the model was trained for. Turning it costs nothing but reading again. The slider reads the beginning of the text at one rate; the figure below it stands still and compares several.
#
# **Predict.** Is twice the rate better, worse, or the same?

# %%
beginning = ids[: quick(48, 8) * config.chunk]
turn = lambda rate: rate_plots.gain_by_chunk(
    rates.sweep(model, beginning, [rate]), limits=(-1, 1.5)
)
slider = FloatSlider(1.0, min=0.0, max=8.0, step=0.25, continuous_update=False)

interact(turn, rate=slider)
compared = rates.sweep(model, beginning, quick((0, 0.25, 0.5, 1, 2, 4, 8), (0, 1)))
assert abs(compared.gain[0]).max() < 1e-4  # rate 0 is the frozen twin
rate_plots.gain_by_rate(compared)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Somewhat worse here: a third of the gain is gone. At a quarter of the rate some is missing too; then comes a broad top, at half the rate and the whole one; to the right of it steps overshoot, until learning does harm. The start was meta-trained *for* rate 1, on novels, of which this is one. A text unlike those may ask for larger steps. The intervals are wide and this is one text: do not read much into neighbouring points.
#
# </details>
#
# **What to look for.** Zero at rate 0, by definition; a steep rise; most of the gain reached at rate 1. **What would falsify that learning helps here:** no rate at which the interval clears zero.

# %% [markdown]
# ## 7. Your own text
#
# Put the path of a text file between the quotes (UTF-8, a few pages at least), or any name that `ttt-lab data list` prints, and run the cell. Left empty, it reads another novel, Margaret Oliphant's *Miss Marjoribanks* (1866).

# %%
YOURS = ""

name = YOURS or ANOTHER
yours = documents.load(YOURS).text if YOURS else texts[ANOTHER]
own = Reading(MODEL, yours, document=name, tokens=quick(4096, 640))
while not own.done:
    own.step()
saved, half = own.trace.gain_interval() or (float("nan"), float("nan"))
print(f"{name}: learning saved {saved:+.3f} ± {half:.3f} nats per token")
display(HTML(plots.coloured_text(own.trace, start=max(0, own.trace.read - 256))))
plots.gain(own.trace)

# %% [markdown]
# ## 8. A memory as a file
#
# What is left of a book once the window has moved on is the *change* of the fast weights. It can be kept: about a megabyte, with a card that says which book, which model, and what it is worth.

# %%
box = Path(tempfile.mkdtemp())
path = box / "dodo.memory"
state, _ = ttt.read(model, ttt.init_state(model), ids[:size])
memories.save(path, state, model, document=BOOK, tokens=ids[:size], name=MODEL)
kept = memories.open_memory(path)
print(f"{size:,} tokens of {kept.card.document}: {path.stat().st_size / 1e6:.1f} MB")
memory_plots.gain_by_alpha({path.name: kept})

# %% [markdown]
# **What to look for.** Chunks of the book are read again, each with an empty window, and with no, a part, all, or twice of the memory in place. Zero at zero, and a rise up to 1, all of it. (The line may rise a little beyond 1: a longer change in the same direction can save more on what was read.) **What would falsify that it is a memory:** a line at zero.
#
# Now we put it into a fresh reader, whose window is empty: not one word of the book is before it. And we ask who said something. The novel's heroine is called Dodo; nobody in it is called Edith so far.
#
# **Predict.** Which of the two names becomes cheaper, and by how much?

# %%
remembers, knows_nothing = memories.load(path, model), ttt.init_state(model)
question, cheaper = tokenizer.encode('\n\n"My dear," said'), {}
for name in (" Dodo", " Edith"):
    costs = [
        float(ttt.score(model, reader, question, tokenizer.encode(name)).sum())
        for reader in (knows_nothing, remembers)
    ]
    cheaper[name] = costs[0] - costs[1]
    print(f"{name:>6}: {costs[0]:5.2f} nats without, {costs[1]:5.2f} with the memory")
assert cheaper[" Dodo"] > 3 and cheaper[" Dodo"] > cheaper[" Edith"] + 3

# %%
stop = lambda ids: tokenizer.decode(ids).endswith((".", "\n"))
for words, reader in {"without": knows_nothing, "with": remembers}.items():
    knobs = dict(key=jax.random.key(0), temperature=0, stop=stop)
    written, _ = ttt.generate(model, reader, question, 24, **knobs)
    print(f'{words:>7}: "My dear," said{tokenizer.decode(written)}'.rstrip())
print(f"\nin another kernel:  state = memories.load({str(path)!r}, model)")
print(f"at a terminal:      ttt-lab ask --memory {path} '\"My dear,\" said'")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Dodo, by about ten nats: from hopeless to likely. Edith costs more than before, because likelihood is shared out and Dodo has taken some. The weights hold no sentence of the book. They hold who speaks in it, and how.
#
# </details>
#
# To open it in another kernel, on another day, takes the file and the model, and neither the book nor this notebook: `from lab import checkpoints, memories`, then `model = checkpoints.load("tiny-e2e")`, then the line that was printed. (The folder here is a temporary one: give a path of your own. `ttt-lab memory` saves, mixes and compares them.) A memory fits the model that made it, and any other is refused.
#
# ## 9. What it cannot do
#
# * **Recall exactly, outside its window.** The next cell says where the number stands after the whole reading. A compressed memory keeps the gist and loses the digits. Full attention keeps them; that is its advantage, and what it pays for with memory.
# * **Write well.** It is a very small model, trained for an hour or so on a CPU. We measure it in nats against itself, not against what you are used to.
# * **Prove more than was asked.** The saving could be getting used to novels of this kind rather than learning *this* one. Exercise 2 separates the two.

# %%
after = live.read - live.header.needle.stop
place, without = (1 + live.worst_rank(stream)[-1] for stream in (0, 1))
print(
    f"{after:,} tokens later, place of the number's worst token, of {config.vocab:,}:"
)
print(f"{place:,} with learning; {without:,} had the needle not been there")
print(
    f"recalled: {live.recall(learning=True)[-1]:+.2f} nats with learning,",
    f"{live.recall(learning=False)[-1]:+.2f} frozen",
)
assert live.recall(learning=False)[-1] == 0.0

# %% [markdown]
# ## Summary
#
# * A reader scores a chunk, takes one step of gradient descent on it, and goes on. State in, state out.
# * What that saves is always shown against its frozen twin: the same weights, learning switched off.
# * Beyond its reach, attention knows exactly nothing. What is left is in the fast weights: fewer nats, rarely the very words.
#
# ## Exercises
#
# **1.** Plant a sentence of your own: `needles.from_sentence("The name of the cat is Bartholomew.")`. Is a word easier to keep than a number? Does it help to plant it twice? (A needle has a `sentence`, a `question` and an `answer`; `dataclasses.replace(needle, sentence=...)` plants something else and asks the same.)
#
# <details><summary>Answer</summary>
#
# A common word is cheap already, so there is little to save; a rare name has more, here even more than the number of section 5. Repetition helps: the second time, the gradient works on a start that has moved the right way. (Here the sentence is simply written twice, and compared with filler for both.)
#
# ```python
# import dataclasses
#
#
# def kept(sentence, times=1):
#     cat = needles.from_sentence(sentence)
#     again = dataclasses.replace(cat, sentence=" ".join([cat.sentence] * times))
#     planted = needles.plant(tokenizer, text[:20_000], again, at=0.1)
#     costs = []
#     for tokens in (planted.absent, planted.present):
#         stop = planted.stop + config.reach
#         state, _ = ttt.read(model, ttt.init_state(model), tokens[:stop])
#         nats = ttt.score(model, state, planted.prompt, planted.answer)
#         costs.append(float(nats.sum()))
#     return costs[0] - costs[1]
#
#
# common = kept("The name of the cat is Tom.")
# rare = kept("The name of the cat is Bartholomew.")
# twice = kept("The name of the cat is Bartholomew.", times=2)
# print(f"Tom {common:+.2f}, Bartholomew {rare:+.2f}, twice {twice:+.2f} nats")
# assert twice > rare > common
# ```
#
# </details>
#
# **2.** Is the saving about *this* text, or about this kind of text? Let one learner read the other novel first, freeze it, and compare on the first text: frozen, frozen after the other text, learning. (`ttt.merge(state.fast, slow)` undoes `ttt.split`: a model whose fast weights start at what was learned.)
#
# <details><summary>Answer</summary>
#
# The middle one tells how much carries over from another text of the same kind; what the learner has above it belongs to this text. From one novel to another author's little carries over, or what was learned there is even in the way here.
#
# ```python
# before = np.asarray(tokenizer.encode(texts[ANOTHER][: 4 * size]))
# state, _ = ttt.read(model, ttt.init_state(model), before)
# warm = ttt.without_learning(ttt.merge(state.fast, slow))
# loss = {}
# for name, reader in (readers | {"frozen, after another": warm}).items():
#     _, report = ttt.read(reader, ttt.init_state(reader), ids[:size])
#     loss[name] = float(report.nll.mean())
#     print(f"{name:>22}: {loss[name]:.3f} nats per token")
# assert loss["learning"] < loss["frozen"]
# ```
#
# </details>
#
# **3.** Does reading get slower as the text gets longer? Time `ttt.read_chunk` for the first chunk and for the hundredth. (Calls return before the work is done, as on a GPU in PyTorch: wait with `jax.block_until_ready`. And a first call compiles: take the best of several.)
#
# <details><summary>Answer</summary>
#
# No. The state has the same size always: a window of keys and one set of fast weights. `ttt-lab bench read` measures it properly, after 200,000 tokens.
#
# ```python
# import timeit
#
#
# def seconds(state):
#     read = lambda: jax.block_until_ready(ttt.read_chunk(model, state, chunk))
#     return min(timeit.repeat(read, number=1, repeat=10))
#
#
# chunk = ids[: config.chunk]
# late, _ = ttt.read(model, ttt.init_state(model), ids[: quick(100, 10) * config.chunk])
# first, hundredth = seconds(ttt.init_state(model)), seconds(late)
# print(f"the first chunk {1000 * first:.1f} ms, a late one {1000 * hundredth:.1f} ms")
# assert hundredth < 3 * first
# ```
#
# </details>
#
# ## References
#
# * *End-to-End Test-Time Training for Long Context*, arXiv 2512.23675: section 2.1 (learning at test time), 2.3 (chunks and the sliding window) and table 2 (what it cannot recall).
# * In this repository: `ttt_core/stream.py` (the state), `lab/reading/session.py` (this loop, with its twin and its needle), `lab/data/needles.py`.
# * The explorer shows the same panels moving: `make explore`.
