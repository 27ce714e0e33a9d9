"""Recurrent networks against Haiku's cells, stepped one at a time and differentiated by JAX."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import networks
from jaxrl.networks import recurrence
from jaxrl.networks.cells import CELLS
from jaxrl.networks.recurrent import Memory
from jaxrl.spaces import Box

FEATURES, SIZE, TIME, BATCH = 5, 6, 9, 3
KINDS = ("w_i", "w_h", "b")


def haiku_s(cell, params, carry, features, reset):
    """Outputs [time, batch, size] and the last carry by Haiku's own cell, of parameters of `Memory`."""
    weights = {
        kind: jnp.concatenate([params[cell][f"{kind}_{name}"] for name in CELLS[cell].matrices], -1) for kind in KINDS
    }
    if cell == "gru":
        core = hk.without_apply_rng(hk.transform(lambda x, state: hk.GRU(SIZE)(x, state)))
        params, state, initial = {"gru": weights}, carry[0], jnp.zeros_like(carry[0])
    else:
        core = hk.without_apply_rng(hk.transform(lambda x, state: hk.LSTM(SIZE)(x, state)))
        matrix = jnp.concatenate([weights["w_i"], weights["w_h"]])
        params = {"lstm/linear": {"w": matrix, "b": weights["b"]}}
        state, initial = hk.LSTMState(*carry), hk.LSTMState(*map(jnp.zeros_like, carry))
    outputs = []
    for x, ends in zip(features, reset, strict=True):
        state = jax.tree.map(lambda old, zero, ends=ends: jnp.where(ends[:, None], zero, old), state, initial)
        output, state = core.apply(params, x, state)
        outputs.append(output)
    return jnp.stack(outputs), tuple(state) if cell == "lstm" else (state,)


def ours(cell, params, carry, features, reset):
    memory = hk.transform(lambda c, x, r: Memory(cell, SIZE, "truncated_normal").unroll(x, c, r))
    return hk.without_apply_rng(memory).apply(params, carry, features.reshape(-1, FEATURES), reset)


def inputs(cell, seed=0, batch=BATCH):
    keys = jax.random.split(jax.random.key(seed), 6)
    shapes = {"w_i": (FEATURES,), "w_h": (SIZE,), "b": ()}
    weights = {
        f"{kind}_{name}": jax.random.normal(jax.random.fold_in(keys[i], j), (*shapes[kind], width * SIZE)) / 2
        for i, kind in enumerate(KINDS)
        for j, (name, width) in enumerate(CELLS[cell].matrices.items())
    }
    carry = tuple(jax.random.normal(keys[3], (CELLS[cell].carries, batch, SIZE)))
    reset = jax.random.bernoulli(keys[4], 0.3, (TIME, batch))
    return {cell: weights}, carry, jax.random.normal(keys[5], (TIME, batch, FEATURES)), reset


@pytest.mark.parametrize("batch", [BATCH, 1])
@pytest.mark.parametrize("members", [None, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_are_haiku_s(cell, members, batch):
    params, carry, features, reset = inputs(cell, 0, batch)
    if members:
        several = [inputs(cell, seed, batch) for seed in range(members)]
        params, carry, features, reset = jax.tree.map(lambda *x: jnp.stack(x), *several)

    def everything(function, params, carry, features, reset):
        def loss(params, carry, features):
            outputs, last = function(cell, params, carry, features, reset)
            scales = jnp.arange(outputs.size).reshape(outputs.shape) % 7
            return jnp.sum(jnp.sin(outputs) * scales) + sum(jnp.sum((i + 2) * x**2) for i, x in enumerate(last))

        values = function(cell, params, carry, features, reset)
        return values, jax.grad(loss, (0, 1, 2))(params, carry, features)

    def run(function):
        one = lambda *arguments: everything(function, *arguments)  # noqa: E731
        return jax.jit(jax.vmap(one) if members else one)(params, carry, features, reset)

    mine, peer = run(ours), run(haiku_s)
    assert jax.tree.structure(mine) == jax.tree.structure(peer)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(peer), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_a_reset_cuts_gradients_and_values():
    params, carry, features, _ = inputs("gru")
    reset = jnp.zeros((TIME, BATCH), bool).at[4, 1].set(True)

    def output(carry, features):
        return ours("gru", params, carry, features, reset)[0][5, :].sum(-1)

    of_carry, of_features = jax.jacrev(output, (0, 1))(carry, features)
    influence = np.abs(of_features).sum(-1)  # [batch of the output, time, batch]
    for row in range(BATCH):
        since = 4 if row == 1 else 0
        assert np.all(influence[row, since:6, row] > 0)
        assert np.all(influence[row, :since, row] == 0)
        assert np.all(influence[row, 6:] == 0)
        assert (np.abs(of_carry[0][row, row]).sum() > 0) == (row != 1)
    fresh = ours("gru", params, (jnp.zeros((BATCH, SIZE)),), features[4:], reset[4:] & False)[0]
    np.testing.assert_allclose(ours("gru", params, carry, features, reset)[0][4:, 1], fresh[:, 1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_unrolling_equals_stepping(cell, shared):
    network = networks.recurrent_actor_critic(
        Box(shape=(2, 2)), (8,), 3, memory=cell, memory_size=SIZE, shared=shared, head_scales=(1.0, 1.0)
    )
    obs = jax.random.normal(jax.random.key(1), (TIME, BATCH, 2, 2))
    reset = jax.random.bernoulli(jax.random.key(2), 0.3, (TIME, BATCH))
    params = network.init(jax.random.key(0), obs[0])
    carry = network.initial_carry(BATCH)
    (policy, value), last = jax.jit(network.unroll)(params, carry, obs, reset)
    assert (policy.shape, value.shape) == ((TIME, BATCH, 3), (TIME, BATCH))
    step = jax.jit(network.step)
    for t in range(TIME):
        heads, carry = step(params, recurrence.reset_carry(carry, reset[t]), obs[t])
        np.testing.assert_allclose(policy[t], heads[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(value[t], heads[1], rtol=1e-4, atol=1e-5)
    for a, b in zip(last, carry, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_layers_are_where_they_are_said_to_be():
    def shapes(**options):
        network = networks.recurrent_actor_critic(Box(shape=(4,)), (16, 8), 3, memory_size=SIZE, **options)
        params = network.init(jax.random.key(0), jnp.zeros((1, 4)))
        return {name: layer.get("w", layer.get("w_h_gates")).shape for name, layer in params.items()}

    before = {"mlp/~/linear_0": (4, 16), "mlp/~/linear_1": (16, 8), "gru": (SIZE, 2 * SIZE)}
    apart = {"policy/~/linear_0": (SIZE, 8), "value/~/linear_0": (SIZE, 8)}
    assert shapes() == before | apart | {"policy_head": (8, 3), "value_head": (8, 1)}
    assert shapes(after=()) == before | {"policy_head": (SIZE, 3), "value_head": (SIZE, 1)}
    together = {"after/~/linear_0": (SIZE, 5), "policy_head": (5, 3), "value_head": (5, 1)}
    assert shapes(after=(5,), shared=True) == before | together


def test_an_unknown_memory_is_named():
    with pytest.raises(ValueError, match="memory = 'rnn' is unknown: choose one of gru, lstm"):
        networks.recurrent_actor_critic(Box(shape=(4,)), (8,), 2, memory="rnn")
