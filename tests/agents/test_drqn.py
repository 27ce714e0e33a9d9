"""DRQN against hand-computed numbers, its own policy and rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from sample_environments import Corridor
from small_runs import run_iterations

import jaxrl
from jaxrl import replay


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_sequences_replay_what_the_policy_remembered(memory):
    agent = jaxrl.DRQN(
        jaxrl.make("CartPole-v1", max_steps=7), hidden=(8,), memory=memory, memory_size=4, num_envs=2, train_every=3,
        buffer_size=60, learning_starts=10**6,
    )  # fmt: skip
    state = run_iterations(agent, 8)  # Of ten writes that fit.
    params = state.learner.params
    batch = replay.sequences(state.replay, state.carries, jnp.arange(12), 9, jnp.int32(23))
    assert bool(batch.reset.any())
    carry = batch.carry
    values, _ = agent._unroll(params, carry, batch, slice(None))
    for time in range(9):
        initial = agent.initial_carry(12)
        carry = jax.tree.map(lambda x, y, t=time: jnp.where(batch.reset[t][:, None], y, x), carry, initial)
        expected, carry = agent.outputs(params, carry, batch.steps.obs[time])
        np.testing.assert_allclose(values[time], expected, rtol=1e-4, atol=1e-5)
        if time % 3 == 2 and time < 8:
            # After three more rows the policy had this memory, but for episodes that ended with the last of them.
            later = replay.take(state.carries, jnp.arange(12) + (time // 3 + 1) * 2)
            same = ~np.asarray(batch.steps.ended[time]) & (np.arange(12) + (time // 3 + 1) * 2 < 16)
            assert same.any()
            for one, other in zip(carry, later, strict=True):
                np.testing.assert_allclose(one[same], other[same], rtol=1e-4, atol=1e-5)


def test_rescaling_is_rlax_s():
    agent = jaxrl.DRQN(Corridor(), rescale=True)
    values = jnp.asarray([-300.0, -1.0, 0.0, 0.5, 20.0, 500.0])
    np.testing.assert_allclose(agent._scaled(values), rlax.signed_hyperbolic(values), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(agent._unscaled(agent._scaled(values)), values, rtol=1e-2, atol=1e-3)


def test_the_burn_in_is_not_learned_from():
    agent = jaxrl.DRQN(Corridor(cells=9), hidden=(8,), burn_in=3, sequence_length=2, num_envs=1)
    rows = jnp.arange(6)[:, None]
    zeros, flags = jnp.zeros((6, 1), jnp.int32), jnp.zeros((6, 1), bool)
    params = agent.init_learner(jax.random.key(0)).params
    gradients, losses = [], []
    for reward in ([9.0, 9, 9, 0, 0, 0], [0.0] * 6, [0.0, 0, 0, 9, 0, 0]):
        steps = replay.Experience(rows, None, zeros, jnp.asarray(reward)[:, None], None, None, flags, flags)
        batch = replay.Sequences(agent.initial_carry(1), steps, flags, ~flags)
        losses.append(float(agent.loss(params, params, batch)[0]))
        gradients.append(jax.grad(lambda p, b=batch: agent.loss(p, params, b)[0])(params))
    assert losses[0] == losses[1] != losses[2]
    # Observations of the burn-in, one-hot inputs, get no gradient; those that are learned from do.
    inputs = np.asarray(gradients[2]["mlp/~/linear_0"]["w"])
    assert not inputs[:3].any()
    assert inputs[3].any()
    assert inputs[4].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"buffer_size": 64, "sequence_length": 20}, "make sequences of 25 steps .* 16 for each environment"),
        ({"n_step": 5, "sequence_length": 4}, "n_step = 5 must be at most sequence_length = 4"),
        ({"replay": "prioritized", "priority": "gradient"}, "priority = 'gradient' is for single transitions"),
    ],
)
def test_what_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.DRQN(Corridor(), **fields)


def test_nothing_of_the_replay_buffer_outlives_the_run():
    agent = jaxrl.DRQN(Corridor(), memory_size=4, hidden=(4,), batch_size=2, buffer_size=80, sequence_length=4)
    state = agent.final_state(jax.eval_shape(agent.init, jax.random.key(0)))
    buffer = {name: getattr(state, name) for name in ("replay", "carries", "priorities", "actors")}
    assert jax.tree.leaves(buffer) == []
