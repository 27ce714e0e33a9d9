"""A2C's loss by hand, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from on_policy_batches import ADVANTAGES, batch_of
from sample_environments import Corridor

import jaxrl
from jaxrl.agents.base import Clock
from jaxrl.distributions import categorical

CLOCK = Clock(jnp.int32(0), jnp.int32(10))


def test_the_policy_s_loss_is_that_of_rlax():
    agent = jaxrl.A2C(Corridor())
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)
    actions, advantages = jnp.asarray([0, 1, 1, 0, 1]), jnp.asarray(ADVANTAGES, jnp.float32)

    def ours(logits):
        return agent.policy_loss(categorical(logits), batch_of(action=actions), advantages, CLOCK)[0]

    def theirs(logits):
        return rlax.policy_gradient_loss(logits, actions, advantages, jnp.ones(5))

    assert float(ours(logits)) == pytest.approx(float(theirs(logits)), rel=1e-5)
    np.testing.assert_allclose(jax.grad(ours)(logits), jax.grad(theirs)(logits), rtol=1e-4, atol=1e-6)


def test_one_update_is_made_from_every_rollout():
    agent = jaxrl.A2C(Corridor(), optimizer="sgd", max_grad_norm=None, hidden=(), learning_rate=0.1)
    state = agent.init(jax.random.key(0))
    after, _ = agent.iterate(state, CLOCK)
    moved = [not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (state.params, after.params)), strict=True)]
    assert any(moved)


def test_a2c_learns_the_corridor():
    # Staying in the last cell pays most: 0 + 1 + 2 + 3 + 3 + ... until the time limit.
    # The bonus is of the order of the rewards: without it, some stop for good in the cell before.
    agent = jaxrl.A2C(Corridor(cells=4, max_steps=8), hidden=(16,), learning_rate=3e-3, entropy_cost=0.5)
    result = jaxrl.train(agent, iterations=600, seeds=3, progress=False)
    assert result.returns.mean(axis=1).min() == 0 + 1 + 2 + 3 * 5
