"""PPO's losses against rlax and against numbers by hand, in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from on_policy_batches import ADVANTAGES, OLD, batch_of
from sample_environments import Corridor

import jaxrl
from jaxrl.agents.base import Clock
from jaxrl.distributions import categorical

CLOCK = Clock(jnp.int32(0), jnp.int32(10))
NEW = np.array([0.8, 0.2, 0.1, 0.9, 0.3])
"""Probabilities of the actions by the policy that is learned: ratios of 1.6, 0.5, 0.4, 1.125 and 3 to `OLD`."""


def policy(probabilities=NEW):
    """Action 0 with these probabilities, else action 1."""
    return categorical(jnp.asarray(np.log(np.stack([probabilities, 1 - probabilities], -1)), jnp.float32))


@pytest.mark.parametrize("clip", [0.1, 0.2, 0.7])
def test_the_clipped_surrogate_is_that_of_the_paper_and_of_rlax(clip):
    agent = jaxrl.PPO(Corridor(), clip=clip)
    result, measured = agent.policy_loss(policy(), batch_of(), jnp.asarray(ADVANTAGES, jnp.float32), CLOCK)
    ratio = NEW / np.exp(OLD)
    by_hand = [-min(r * a, float(np.clip(r, 1 - clip, 1 + clip)) * a) for r, a in zip(ratio, ADVANTAGES, strict=True)]
    assert float(result) == pytest.approx(np.mean(by_hand), rel=1e-5)
    theirs = rlax.clipped_surrogate_pg_loss(jnp.asarray(ratio), jnp.asarray(ADVANTAGES), clip)
    assert float(result) == pytest.approx(float(theirs), rel=1e-5)
    assert float(measured["kl"]) == pytest.approx(np.mean(ratio - 1 - np.log(ratio)), rel=1e-5)
    assert float(measured["clip_fraction"]) == pytest.approx(np.mean(np.abs(ratio - 1) > clip))


def test_nothing_is_gained_by_going_beyond_the_clip_on_either_side():
    agent = jaxrl.PPO(Corridor(), clip=0.2)

    def loss(logits):
        return agent.policy_loss(categorical(logits), batch_of(), jnp.asarray(ADVANTAGES, jnp.float32), CLOCK)[0]

    logits = jnp.asarray(np.log(np.stack([NEW, 1 - NEW], -1)), jnp.float32)
    moved = np.abs(np.asarray(jax.grad(loss)(logits))).max(-1) > 0
    # Ratio 1.6 of a gain, and 0.4 of a loss: clipped. 0.5 of a gain, and 3 of a loss: not.
    np.testing.assert_array_equal(moved, [False, True, False, True, True])


def test_the_clip_follows_its_schedule():
    agent = jaxrl.PPO(Corridor(), clip=0.4, clip_end_fraction=0.5, schedule="linear")
    half = Clock(jnp.int32(5), jnp.int32(10))
    assert [float(agent._clip(clock)) for clock in (CLOCK, half)] == pytest.approx([0.4, 0.3])


@pytest.mark.parametrize("value_clip", [None, 0.5])
def test_values_are_clipped_pessimistically(value_clip):
    agent = jaxrl.PPO(Corridor(), value_clip=value_clip)
    old, new, target = np.array([1.0, 1, 1, 1]), np.array([1.2, 3, 3, -4]), np.array([2.0, 4, 1, 0])
    result = agent.value_errors(jnp.asarray(new, jnp.float32), batch_of(value=old, target=target), CLOCK)
    errors = 0.5 * (new - target) ** 2
    if value_clip is not None:
        # Values as far as 0.5 from the old ones: 1.2, 1.5, 1.5 and 0.5.
        errors = np.maximum(errors, 0.5 * (np.array([1.2, 1.5, 1.5, 0.5]) - target) ** 2)
        assert errors[1] == 0.5 * 2.5**2
    np.testing.assert_allclose(result, errors, rtol=1e-6)


def test_the_whole_loss_adds_its_parts():
    """On a table of logits and values: a network without hidden layers over one-hot cells."""
    agent = jaxrl.PPO(
        Corridor(), hidden=(), clip=0.2, value_cost=0.7, entropy_cost=0.3, normalize_advantages=True, minibatches=1
    )
    params = agent.init(jax.random.key(0)).params
    obs, action = np.array([0, 1, 2, 1, 0]), np.array([0, 1, 0, 0, 1])
    heads, _ = agent._model.step(params, (), jnp.asarray(obs))
    logits, value = np.asarray(heads.policy, np.float64), np.asarray(heads.value, np.float64)
    target, old = np.array([1.0, 2, 3, 4, 5]), np.log([0.4, 0.6, 0.3, 0.5, 0.9])
    batch = batch_of(action=action, log_prob=old, target=target)
    batch = dataclasses.replace(batch, obs=jnp.asarray(obs), advantage=jnp.asarray(ADVANTAGES, jnp.float32))
    loss, measured = agent._measured_loss(params, batch, CLOCK)
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    ratio = np.exp(log_probabilities[np.arange(5), action] - old)
    advantage = (ADVANTAGES - ADVANTAGES.mean()) / (ADVANTAGES.std() + 1e-8)
    surrogate = -np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage).mean()
    entropy = -(np.exp(log_probabilities) * log_probabilities).sum(-1).mean()
    value_loss = 0.5 * ((value - target) ** 2).mean()
    assert float(loss) == pytest.approx(surrogate + 0.7 * value_loss - 0.3 * entropy, rel=1e-5)
    assert float(measured["entropy"]) == pytest.approx(entropy, rel=1e-5)
    assert float(measured["value_loss"]) == pytest.approx(value_loss, rel=1e-5)


def test_a_divergence_that_is_too_great_stops_one_member_and_not_another():
    """With a target of almost none, one update is made (whose measurements are at a ratio of 1) and no second one."""
    agent = jaxrl.PPO(
        jaxrl.make("CartPole-v1"), num_envs=2, rollout_steps=16, hidden=(8,), epochs=5, minibatches=1,
        learning_rate=1e-2, schedule="constant", target_kl=1e6,
    )  # fmt: skip
    targets = np.float32([1e-12, 1e6])
    together = jaxrl.train(
        agent, iterations=1, log_points=1, seeds=[5, 5], vary={"target_kl": targets}, progress=False, devices=1
    )
    alone = [
        jaxrl.train(jaxrl.PPO(**fields), iterations=1, log_points=1, seeds=[5], progress=False, devices=1)
        for fields in (
            {**vars(agent), "epochs": 1, "target_kl": None},
            {**vars(agent), "target_kl": None},
        )
    ]
    for place, one in enumerate(alone):
        for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(one.params), strict=True):
            np.testing.assert_allclose(a[place], b[0], rtol=1e-4, atol=1e-5)
    weights = [jax.tree.leaves(one.params)[1] for one in alone]
    assert not np.allclose(*weights, atol=1e-4)


def test_ppo_learns_the_corridor():
    # Staying in the last cell pays most: 0 + 1 + 2 + 3 + 3 + ... until the time limit.
    agent = jaxrl.PPO(
        Corridor(cells=4, max_steps=8), hidden=(16,), rollout_steps=16, learning_rate=3e-3, entropy_cost=0.02
    )
    result = jaxrl.train(agent, iterations=150, seeds=3, progress=False)
    assert result.returns.mean(axis=1).min() == 0 + 1 + 2 + 3 * 5
