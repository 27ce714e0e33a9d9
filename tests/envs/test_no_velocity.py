"""CartPole and Pendulum without velocities: the full environments, less what is hidden."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environment import start_episode, step_episode
from jaxrl.envs.no_velocity import CartPoleNoVelocity, PendulumNoVelocity

PAIRS = [("CartPoleNoVelocity-v1", "CartPole-v1", [0, 2]), ("PendulumNoVelocity-v1", "Pendulum-v1", [0, 1])]


@pytest.mark.parametrize(("name", "full", "seen"), PAIRS)
def test_it_is_the_full_environment_seen_through_a_mask(name, full, seen):
    """From the same keys and actions, through some resets, everything but the observations is equal."""

    def play(env, actions):
        def one(episode, row):
            key, action = row
            step_key, fresh_key = jax.random.split(key)
            following, played = step_episode(env, episode, action, step_key)
            fresh = start_episode(env, fresh_key)
            episode = jax.tree.map(lambda new, old: jnp.where(played.ended, new, old), fresh, following)
            return episode, (episode.state, episode.obs, played)

        keys = jax.random.split(jax.random.key(1), len(actions))
        first = start_episode(env, jax.random.key(0))
        return first.obs, jax.jit(lambda: jax.lax.scan(one, first, (keys, actions)))()[1]

    masked, whole = jaxrl.make(name), jaxrl.make(full)
    actions = whole.action_space.sample(jax.random.key(2), (500,))
    (first, (states, obs, played)), (full_first, (full_states, full_obs, full_played)) = (
        play(env, actions) for env in (masked, whole)
    )
    assert played.ended.sum() >= 2
    np.testing.assert_array_equal(first, full_first[jnp.array(seen)])
    np.testing.assert_array_equal(obs, full_obs[:, seen])
    np.testing.assert_array_equal(played.next_obs, full_played.next_obs[:, seen])
    jax.tree.map(np.testing.assert_array_equal, states, full_states)
    for field in ("reward", "terminated", "truncated", "length", "episode_return"):
        np.testing.assert_array_equal(getattr(played, field), getattr(full_played, field))


@pytest.mark.parametrize(("name", "full", "seen"), PAIRS)
def test_spaces_are_gymnasiums_without_the_hidden_elements(name, full, seen):
    ours, theirs = jaxrl.make(name), gymnasium.make(full)
    np.testing.assert_array_equal(ours.observation_space.low, theirs.observation_space.low[seen])
    np.testing.assert_array_equal(ours.observation_space.high, theirs.observation_space.high[seen])
    assert ours.observation_space.shape == (2,)
    assert ours.max_steps == theirs.spec.max_episode_steps


def test_physics_may_be_set_as_in_the_full_environments():
    env = jaxrl.make("CartPoleNoVelocity-v1", length=1.5, max_steps=50)
    assert (env.length, env.max_steps, env.solved_return) == (1.5, 50, 475)
    assert float(PendulumNoVelocity(max_torque=3.0).action_space.high) == 3


@pytest.mark.parametrize("env_class", [CartPoleNoVelocity, PendulumNoVelocity])
def test_they_pass_the_checker_and_can_be_drawn(env_class):
    env = env_class()
    assert not jaxrl.check_env(env).findings
    state, _ = env.reset(jax.random.key(0))
    base = env_class.__mro__[2]
    np.testing.assert_array_equal(env.render(state), base().render(state))
