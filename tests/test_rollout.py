"""Playing many environments side by side: no two episodes share a start, and the statistics are those of the game."""

import dataclasses

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxrl
from jaxrl import random_bits
from jaxrl.collecting import collect, collect_randomly, keys_to_collect, start_all, window
from jaxrl.envs import CartPole

KEY = jax.random.key(5)


@jaxrl.pytree
class State:
    start: jax.Array
    age: jax.Array


@jaxrl.pytree
class Short(jaxrl.Environment):
    """Ends after 1 to `longest` steps, as its start has it; the observation is the start."""

    longest: int = jaxrl.static(default=3)
    least_steps: int = jaxrl.static(default=8)
    max_steps: int = jaxrl.static(default=50)

    @property
    def observation_space(self):
        return jaxrl.Box(0.0, 2.0**32, (2,))

    @property
    def action_space(self):
        return jaxrl.Discrete(2)

    def reset(self, key):
        return self.begin(random_bits.bits(key, ()))

    def begin(self, start):
        state = State(start, jnp.int32(0))
        return state, self.observe(state)

    def observe(self, state):
        return jnp.stack([state.start >> 16, state.start & 0xFFFF]).astype(jnp.float32)

    def step(self, state, action, key):
        state = State(state.start, state.age + 1)
        ended = state.age > (state.start % self.longest).astype(jnp.int32)
        return state, jaxrl.TimeStep(self.observe(state), jnp.float32(1), ended, jnp.zeros((), bool))


def starts_of(transitions, episodes):
    """The start of every episode, and of those under way at the end: u32[episodes]."""
    obs = np.asarray(transitions.obs).reshape(-1, 2)[np.asarray(transitions.length).ravel() == 1]
    fresh = np.asarray(episodes.obs)[np.asarray(episodes.length) == 0]
    high, low = np.concatenate([obs, fresh]).T.astype(np.uint32)
    return high << 16 | low


def collected(env, steps, num_envs, key=KEY):
    start_key, play_key = jax.random.split(key)
    return jax.jit(lambda e: collect_randomly(env, e, steps, play_key))(start_all(env, start_key, num_envs))


@pytest.mark.parametrize("steps", [47, 48])
@pytest.mark.parametrize("least_steps", [1, 2, 8, 16])
def test_no_two_episodes_share_a_start_whatever_is_hinted(least_steps, steps):
    episodes, transitions = collected(Short(least_steps=least_steps), steps=steps, num_envs=40)
    assert transitions.length.shape == (steps, 40)
    starts = starts_of(transitions, episodes)
    assert len(starts) > 47 * 40 / 3
    assert len(np.unique(starts)) == len(starts)


@pytest.mark.parametrize("steps", [29, 32])
@pytest.mark.parametrize("least_steps", [1, 4, 16])
def test_the_next_decision_is_made_from_the_state_after_the_reset(least_steps, steps):
    episodes, played = jax.tree.map(np.asarray, collected(Short(least_steps=least_steps), steps=steps, num_envs=16))
    ended = played.terminated | played.truncated
    following = np.concatenate([played.obs[1:], episodes.obs[None]])
    # Within an episode the observation stays; an episode that ends hands over to another one.
    np.testing.assert_array_equal(played.obs, played.next_obs)
    np.testing.assert_array_equal((following == played.next_obs).all(-1), ~ended)
    lengths = np.concatenate([played.length[1:], episodes.length[None] + 1])
    np.testing.assert_array_equal(lengths, np.where(ended, 1, played.length + 1))


def test_an_environment_s_numbers_depend_on_no_other_one():
    """The first ends once in the window; whether the second ends twice decides what runs, but nothing of the first."""
    env, keys = Short(longest=8), jax.random.split(KEY, keys_to_collect(Short(), 8, 2))
    noise = jnp.zeros((8, 2), jnp.int32)

    def played(second):
        starts = jnp.uint32([6, second])
        states = jax.vmap(env.begin)(starts)
        episodes = dataclasses.replace(start_all(env, KEY, 2), state=states[0], obs=states[1])
        return jax.jit(lambda e: collect(env, e, lambda _, row: row, noise, keys))(episodes)

    # Starts of the second environment that end at once, and late.
    (_, early), (_, late) = played(0), played(7)
    ends = np.asarray(early.terminated).sum(0), np.asarray(late.terminated).sum(0)
    assert ends[0][0] == ends[1][0] == 1
    assert ends[0][1] > 1 >= ends[1][1]
    for a, b in zip(jax.tree.leaves(early), jax.tree.leaves(late), strict=True):
        np.testing.assert_array_equal(a[:, 0], b[:, 0])


def test_members_are_played_as_if_alone_and_the_branch_stays_one():
    env = Short(longest=9)
    members = jax.random.split(KEY, 6)
    together = jax.jit(jax.vmap(lambda key: collected(env, 16, 4, key)))
    assert " conditional(" in together.lower(members).compile().as_text()
    for number, alone in enumerate(collected(env, 16, 4, key) for key in members):
        for a, b in zip(jax.tree.leaves(together(members)), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(a[number], b)


@pytest.mark.parametrize(
    ("steps", "least", "expected", "windows"),
    [(1, 8, 1, 1), (8, 8, 8, 1), (12, 8, 6, 2), (7, 4, 4, 2), (5, 8, 5, 1), (11, 8, 6, 2), (10, 4, 4, 3), (5, 1, 1, 5)],
)
def test_windows_are_few_and_even(steps, least, expected, windows):
    env = Short(least_steps=least)
    assert window(env, steps) == expected
    assert keys_to_collect(env, steps, 3) == 1 + 3 * windows


def test_windows_are_no_longer_than_episodes():
    assert window(Short(least_steps=8, max_steps=4), 32) == 4


def test_numbers_of_physics_are_those_of_playing_alone():
    """Of CartPoles that fall at once, so that the second path runs; alone, with the first path, to rounding."""
    env = CartPole(theta_limit=0.06)
    members = jax.random.split(KEY, 5)
    together = jax.jit(jax.vmap(lambda key: collected(env, 16, 1, key)))(members)
    for number, key in enumerate(members):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(collected(env, 16, 1, key)), strict=True):
            np.testing.assert_allclose(a[number], b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_bad_hint_is_refused(value):
    with pytest.raises((ValueError, TypeError), match=rf"Short.least_steps = {value!r} must be"):
        Short(least_steps=value)


def test_cartpole_starts_are_uniform_and_independent():
    env = jaxrl.make("CartPole-v1")
    _, transitions = collected(env, steps=512, num_envs=64)
    first = np.asarray(transitions.length) == 1
    starts = np.asarray(transitions.obs)[first]
    assert len(starts) > 1000
    assert len(np.unique(starts[:, 0])) > 0.999 * len(starts)
    for column in starts.T:
        assert stats.kstest(column, "uniform", (-0.05, 0.1)).pvalue > 1e-3
    correlations = np.corrcoef(np.concatenate([starts[:-1], starts[1:]], axis=1).T)
    assert np.abs(correlations - np.eye(8)).max() < 5 / np.sqrt(len(starts))


def first_lengths(env, episodes):
    """The length of the first episode of many environments under random play."""
    _, transitions = collected(env, steps=160, num_envs=episodes)
    ended = np.asarray(transitions.terminated | transitions.truncated)
    assert ended.any(0).all()
    return np.argmax(ended, axis=0) + 1


def test_random_play_lasts_as_long_as_on_gymnasium_s_own_cartpole():
    peer = gymnasium.make("CartPole-v1")
    actions = np.random.default_rng(0)
    lengths = []
    for number in range(1500):
        peer.reset(seed=number)
        steps, over = 0, False
        while not over:
            _, _, terminated, truncated, _ = peer.step(int(actions.integers(2)))
            steps, over = steps + 1, terminated or truncated
        lengths.append(steps)
    ours = first_lengths(jaxrl.make("CartPole-v1"), 6000)
    assert stats.ks_2samp(ours, lengths).pvalue > 1e-3


def test_cartpole_lasts_as_long_as_it_says():
    """From starts all over the box, the extremes included, and by every sequence of actions."""
    env = jaxrl.make("CartPole-v1")
    edge = np.float32([-0.05, 0.0, 0.05])
    starts = np.stack(np.meshgrid(edge, edge, edge, edge), -1).reshape(-1, 4)
    plans = (np.arange(2**env.least_steps)[:, None] >> np.arange(env.least_steps)) & 1

    def falls(start, plan):
        state = type(env.reset(KEY)[0])(*start)
        return jax.lax.scan(
            lambda s, a: (lambda after, step: (after, step.terminated))(*env.step(s, a, KEY)), state, plan
        )[1]

    fallen = np.asarray(jax.jit(jax.vmap(jax.vmap(falls, (None, 0)), (0, None)))(starts, plans))
    assert not fallen[..., :-1].any()
    assert fallen[..., -1].any()
