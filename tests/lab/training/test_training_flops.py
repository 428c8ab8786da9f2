"""Operations counted by hand against those that automatic differentiation asks for."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ttt_core as ttt
from lab.training import flops
from ttt_core.mixers import KINDS
from ttt_core.mixers.cost import count_keys
from ttt_core.mixers.window import look_back


MINI = ttt.ModelConfig(
    vocab=13,
    bos=0,
    d_model=8,
    layers=4,
    heads=4,
    kv_heads=2,
    d_ff=6,
    d_fast=10,
    fast_blocks=2,
    window=3,
    chunk=1,
)


def dot_flops(function, *args) -> int:
    """Operations of all matrix products that `function` traces to, scans unrolled."""
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr) -> int:
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (contract, _), _ = eqn.params["dimension_numbers"]
            summed = [eqn.invars[0].aval.shape[axis] for axis in contract]
            total += 2 * math.prod(summed) * math.prod(eqn.outvars[0].aval.shape)
        inside = [
            getattr(leaf, "jaxpr", leaf)
            for leaf in jax.tree.leaves(
                eqn.params, is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
            )
            if hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")
        ]
        total += eqn.params.get("length", 1) * sum(_count(part) for part in inside)
    return total


def plain_weights(config):
    """Zeros of the shapes that a Transformer of this configuration has."""
    d, kv = config.d_model, config.kv_heads * config.head_dim
    mlp = lambda width: [jnp.zeros(s) for s in ((d, width), (d, width), (width, d))]
    mixer = lambda: [jnp.zeros((d, n)) for n in (d, kv, kv, d)]
    slow = [(mixer(), mlp(config.d_ff)) for _ in range(config.layers)]
    fast = [mlp(config.d_fast) for _ in range(config.fast_blocks)]
    return slow, fast, jnp.zeros((d, config.vocab)), jnp.ones((config.vocab, d))


def plain_meta_loss(weights, tokens, config, learns=True):
    """Meta-training token by token (`chunk = 1`), no masks, nothing scanned."""
    slow, fast, head, embed = weights
    boundary = config.layers - config.fast_blocks
    seen, total = [[] for _ in slow], 0.0

    def blocks(x, fast, which):
        made = []
        for i in which:
            (wq, wk, wv, wo), mlp = slow[i]
            split = lambda y: y.reshape(-1, config.head_dim)
            q, k, v = split(x @ wq), split(x @ wk), split(x @ wv)
            x = x + attention(q, [*seen[i], (k, v)], config) @ wo
            if fast is not None:
                x = x + swiglu(x, fast[i - boundary])
            x = x + swiglu(x, mlp)
            made.append((k, v))
        return x, made

    def remember(which, made):
        for i, pair in zip(which, made, strict=True):
            seen[i] = [*seen[i], pair][-config.window + 1 :]

    low, high = range(boundary), range(boundary, config.layers)
    for n, token in enumerate(tokens):
        x, made = blocks(embed[token], None, low)
        remember(low, made)

        def loss(fast, x=x):
            y, made = blocks(x, fast, high)
            return jnp.sum(jnp.tanh(y @ head)), made

        if learns and n + 1 < len(tokens):
            (value, made), grads = jax.value_and_grad(loss, has_aux=True)(fast)
            fast = jax.tree.map(lambda w, g: w - jnp.tanh(g), fast, grads)
        else:
            value, made = loss(fast)
        remember(high, made)
        total += value
    return total


def swiglu(x, mlp):
    gate, up, down = mlp
    return (jnp.tanh(x @ gate) * (x @ up)) @ down


def attention(q, pairs, config):
    """Each key's score by a product of its own: no key costs what it is not worth."""
    group = config.heads // config.kv_heads
    rows = q.reshape(config.kv_heads, group, -1)
    scores = [jnp.einsum("kgd,kd->kg", rows, k) for k, _ in pairs]
    weights = jax.nn.softmax(jnp.stack(scores), axis=0)
    out = [
        jnp.einsum("kg,kd->kgd", w, v) for w, (_, v) in zip(weights, pairs, strict=True)
    ]
    return sum(out).reshape(-1)


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("changes", [{}, {"fast_blocks": 1}, {"kv_heads": 4}])
def test_the_count_is_what_differentiating_twice_asks_for(learns, changes):
    config, tokens = MINI.replace(**changes), [1, 2, 3, 4, 5, 6]
    weights = plain_weights(config)
    loss = lambda weights: plain_meta_loss(weights, tokens, config, learns)
    asked = dot_flops(jax.grad(loss), weights)
    method = "meta" if learns else "plain"
    assert flops.train_flops_per_token(config, 6, method) * 6 == asked


def test_full_attention_costs_what_the_paper_draws():
    """Paper, figure 8: 3B, FLOPs per token in units of 1e10, 8 K to 128 K."""
    full = ttt.preset("3b").replace(fast_blocks=0, d_ff=6912, mixers=("full",))
    window = full.replace(mixers=("window",))
    lengths = [2**n for n in range(13, 18)]
    count = lambda config: [
        flops.train_flops_per_token(config, seq) / 1e10 for seq in lengths
    ]
    drawn = [2.12, 2.53, 3.33, 4.95, 8.16]
    np.testing.assert_allclose(count(full), drawn, atol=0.01)
    assert count(window)[0] == count(full)[0]
    assert count(window)[-1] == pytest.approx(2.50, abs=0.01)


@pytest.mark.parametrize("window", [5, None])
@pytest.mark.parametrize("tokens", [0, 1, 4, 5, 6, 17])
def test_keys_are_counted_as_a_mask_counts_them(window, tokens):
    back = np.arange(tokens)[:, None] - np.arange(tokens)
    mask = (back >= 0) & (back < (window or tokens))
    assert count_keys(tokens, window) == mask.sum()


def test_only_chunks_that_a_later_one_reads_with_are_learned_from():
    config = MINI.replace(chunk=4, window=8)
    inner = lambda seq: flops.count_flops(config, seq).inner * seq
    assert inner(4) == 0 < inner(5) == inner(8) < inner(9) == inner(12)


def test_a_model_that_does_not_learn_costs_what_plain_training_does():
    still = MINI.replace(lr=0.0)
    plain = flops.train_flops_per_token(MINI, 6, "plain")
    assert flops.train_flops_per_token(still, 6) == plain
    assert plain == 3 * flops.count_flops(MINI, 6).forward


@pytest.mark.parametrize("learns", [True, False])
def test_the_real_step_computes_at_least_what_is_counted(learns):
    """Bands, rematerialised heads and scans cost extra; nothing may cost less."""
    config = ttt.preset("nano").replace(lr=float(learns), layers=8, fast_blocks=2)
    model = eqx.filter_eval_shape(config.build, key=jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((257,), jnp.int32)
    loss = lambda model, tokens: ttt.meta_loss(model, tokens)[0]
    arrays, static = eqx.partition(
        model, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)
    )
    step = lambda arrays, tokens: loss(eqx.combine(arrays, static), tokens)
    done = dot_flops(jax.grad(step), arrays, tokens) / 256
    counted = flops.train_flops_per_token(config, 256)
    assert counted <= done <= 1.6 * counted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((6, "naive"), "`method` is one of meta, plain"), ((0,), "`seq` must be >= 1")],
)
def test_what_cannot_be_counted_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        flops.train_flops_per_token(MINI, *arguments)


RECURRENT = MINI.replace(
    window=4, chunk=4, kv_heads=4, expand=1.5, state_dim=5, fast_blocks=0
)


@pytest.mark.parametrize("kind", ["mamba2", "gated_delta"])
def test_a_recurrence_costs_what_decoding_a_token_does(kind):
    config = RECURRENT.replace(mixers=(kind,))
    mixer = KINDS[kind].build(config, key=jax.random.key(0))
    token = jnp.ones((1, config.d_model))
    read = lambda x: mixer(x, mixer.init_state(0, x.dtype))[0]
    assert _mixers_alone(config, 1) == config.layers * dot_flops(read, token)
    assert _mixers_alone(config, 9) == 9 * _mixers_alone(config, 1)


def test_binding_costs_an_answer_a_token_and_two_for_each_that_is_bound():
    """Beside its window, which costs what windows cost."""
    config = RECURRENT.replace(mixers=("kv_binding",))
    mixer = KINDS["kv_binding"].build(config, key=jax.random.key(0))
    read = lambda x: mixer(x, None)[0]
    sizes = {"window": config.window, "theta": config.rope_theta, "kernel": "xla"}
    near = lambda q: look_back(q, q, q, None, **sizes)[0]
    for tokens in (1, 4, 5, 8, 11):
        heads = jnp.ones((tokens, config.heads, config.head_dim))
        asked = dot_flops(read, jnp.ones((tokens, config.d_model)))
        asked -= dot_flops(near, heads)  # bands are wider than the window
        asked += 4 * config.d_model * count_keys(tokens, config.window)
        assert _mixers_alone(config, tokens) == config.layers * asked


def _mixers_alone(config, tokens):
    """The forward count without MLPs and head."""
    forward = flops.count_flops(config, tokens).forward * tokens
    bare = config.replace(mixers=("none",))
    return forward - flops.count_flops(bare, tokens).forward * tokens


@pytest.mark.parametrize("kind", ["mamba2", "gated_delta", "kv_binding"])
def test_the_real_step_on_a_recurrence_computes_what_is_counted(kind):
    """By chunks of 64 there is more to do than token by token, and bands cost extra."""
    config = ttt.preset("nano").replace(
        mixers=(kind, "window"), layers=4, fast_blocks=3, expand=2.0, state_dim=16
    )
    model = eqx.filter_eval_shape(config.build, key=jax.random.key(0))
    arrays, static = eqx.partition(
        model, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)
    )
    step = lambda arrays, tokens: ttt.meta_loss(eqx.combine(arrays, static), tokens)[0]
    tokens = jax.ShapeDtypeStruct((257,), jnp.int32)
    done = dot_flops(jax.grad(step), arrays, tokens) / 256
    counted = flops.train_flops_per_token(config, 256)
    assert counted <= done <= 1.7 * counted


def test_weights_that_are_not_trained_need_no_backward_pass():
    """Blocks below the first fast one cost a forward pass and nothing else."""
    config = MINI.replace(layers=3, fast_blocks=1)
    whole, part = (flops.count_flops(config, 8, trained=t) for t in ("all", "fast"))
    assert (part.forward, part.inner) == (whole.forward, whole.inner)
    below = flops.count_flops(config.replace(layers=2, fast_blocks=0, lr=0.0), 8)
    head = 2 * config.d_model * config.vocab
    assert whole.backward - part.backward == 2 * (below.forward - head)
