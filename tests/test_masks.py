"""Masks of several choices at once, from the environment to a file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from structured_environments import LockedPanel

import jaxrl
from jaxrl import masks
from jaxrl.actors import start_actors
from jaxrl.env_checker import EnvironmentCheckError
from jaxrl.rollout import random_rollout

SPACE = jaxrl.MultiDiscrete((3, 2))
MASK = jnp.array([True, False, True, False, True])
"""Actions (0, 1) and (2, 1)."""


def test_what_a_mask_allows():
    allowed = [(i, j) for i in range(3) for j in range(2) if masks.allows(SPACE, MASK, jnp.array([i, j]))]
    assert allowed == [(0, 1), (2, 1)]
    assert masks.allows(jaxrl.Discrete(3), MASK[:3], jnp.int32(2))
    assert not masks.allows(jaxrl.Discrete(3), MASK[:3], jnp.int32(1))
    assert masks.allows_any(SPACE, MASK)
    assert not masks.allows_any(SPACE, MASK.at[4].set(False))  # The second choice has nothing left.
    assert [part.tolist() for part in masks.split_choices(MASK, SPACE)] == [[True, False, True], [False, True]]


def test_each_choice_is_drawn_by_a_number_of_its_own():
    drawn = [
        masks.draw_allowed(SPACE, jnp.ones(5, bool), jnp.array([u, v])).tolist() for u, v in [(0.7, 0.4), (0, 0.6)]
    ]
    assert drawn == [[2, 0], [0, 1]]
    assert masks.draw_allowed(SPACE, MASK, jnp.array([0.6, 0.1])).tolist() == [2, 1]
    one = masks.draw_allowed(jaxrl.Discrete(3), MASK[:3], jnp.float32(0.6))
    assert (one.shape, int(one)) == ((), 2)


def test_random_play_is_uniform_over_what_is_allowed():
    env = LockedPanel()
    actors = start_actors(env, jax.random.key(0), 64)
    record = lambda step: (step.before.mask, step.transition.action)  # noqa: E731
    mask, action = jax.jit(lambda a: random_rollout(env, a, 100, jax.random.key(1), record)[1])(actors)
    mask, action = np.asarray(mask).reshape(-1, 5), np.asarray(action).reshape(-1, 2)
    rows = np.arange(len(mask))
    assert mask[rows, action[:, 0]].all()
    assert mask[rows, 3 + action[:, 1]].all()
    free = mask[:, 3:].all(axis=1) & mask[:, 0]  # Positions 0 and 2, and both of the other switch.
    counts = np.histogram2d(action[free, 0], action[free, 1], bins=(3, 2))[0][[0, 2]]
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_a_policy_has_the_probabilities_of_what_is_allowed():
    logits = np.random.default_rng(0).normal(size=5).astype(np.float32)
    agent = jaxrl.PPO(LockedPanel(), hidden=(4,), num_envs=2, rollout_steps=4, minibatches=2)
    policy = agent._model.distribution(None, jnp.asarray(logits), MASK)
    first, second = special.softmax(logits[[0, 2]]), np.ones(1)
    expected = np.log(np.outer(first, second).ravel())
    found = [float(policy.log_prob(jnp.array(action))) for action in [(0, 1), (2, 1)]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert float(policy.log_prob(jnp.array([1, 1]))) < -1e30
    np.testing.assert_allclose(policy.entropy(), stats.entropy(first), rtol=1e-5)
    assert policy.mode().tolist() == [[0, 2][int(np.argmax(logits[[0, 2]]))], 1]


@pytest.mark.parametrize("algorithm", [jaxrl.PPO, jaxrl.A2C])
@pytest.mark.parametrize("persistence", [0.0, 0.5])
def test_agents_never_choose_what_is_forbidden(algorithm, persistence):
    more = {"minibatches": 2} if algorithm is jaxrl.PPO else {}
    agent = algorithm(LockedPanel(), hidden=(8,), num_envs=8, rollout_steps=8, persistence=persistence, **more)
    result = jaxrl.train(agent, iterations=20, progress=False)
    assert np.nanmin(result.log["episode_return"]) >= 0  # A forbidden action costs 100.
    assert np.asarray(jaxrl.evaluate(result, 32)).min() >= 0


def test_a_member_takes_the_mask():
    agent = jaxrl.PPO(LockedPanel(), hidden=(4,), num_envs=2, rollout_steps=4, minibatches=2)
    member = jaxrl.train(agent, iterations=1, progress=False).member(0)
    obs = {"dial": 0.5, "lamps": (2, [1, 3])}
    for i in range(3):
        for j in range(2):
            mask = [i == k for k in range(3)] + [j == k for k in range(2)]
            assert member.policy(obs, mask=mask).tolist() == [i, j]
    with pytest.raises(ValueError, match=r"mask has shape \(3,\), and must have one flag for each of the 5 actions"):
        member.policy(obs, mask=[True, True, True])
    with pytest.raises(ValueError, match="mask allows no action: at least one of its flags of each choice"):
        member.policy(obs, mask=[True, True, True, False, False])


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (lambda state: jnp.ones(3, bool), "mask-shape"),
        (lambda state: jnp.ones(5), "mask-dtype"),
        (lambda state: jnp.array([True, True, True, False, False]), "mask-empty"),
    ],
)
def test_check_env_finds_wrong_masks(mask, code):
    assert jaxrl.check_env(LockedPanel(), steps=64).findings == ()

    @jaxrl.pytree
    class Wrong(LockedPanel):
        def action_mask(self, state):
            return mask(state)

    with pytest.raises(EnvironmentCheckError, match=f"\\[{code}\\]"):
        jaxrl.check_env(Wrong(), steps=64)


def test_what_random_action_gives_must_be_allowed():
    @jaxrl.pytree
    class Wrong(LockedPanel):
        def random_action(self, state, uniform):
            return jnp.zeros(2, jnp.int32)

    with pytest.raises(EnvironmentCheckError, match="action-forbidden"):
        jaxrl.check_env(Wrong(), steps=200)


def test_sticky_actions_repeat_no_forbidden_choice():
    env = jaxrl.wrappers.StickyAction(LockedPanel(), p=0.9)
    actors = start_actors(env, jax.random.key(0), 32)
    rewards = jax.jit(lambda a: random_rollout(env, a, 50, jax.random.key(1), lambda s: s.transition.reward)[1])(actors)
    assert float(jnp.min(rewards)) >= 0
