"""Whole episodes: exactly the number asked for, each begun in order, and none but their own steps counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rollout_environments
from rollout_environments import Called, Host, Short, start_numbers, steps_of_start

import jaxrl
from jaxrl.actors import start_actors
from jaxrl.rollout import Policy, blank_rows, play_episodes

KEY = jax.random.key(3)
ROWS = 64


def recorder(num_envs):
    """A policy that remembers how many observations of the episode it has seen, and gives its noise as extras."""

    def act(carry, episodes, row):
        return jnp.zeros(num_envs, jnp.int32), carry + 1, {"seen": carry, "noise": row}

    return Policy(act, jnp.zeros(num_envs, jnp.int32))


def play(env, episodes, num_envs, key=KEY):
    """(every step [ROWS, envs], whether it counts, how many time steps) of whole episodes."""
    policy = recorder(num_envs)
    actors = start_actors(env, key, num_envs, policy.initial_carry)

    def noise(time):
        return jnp.full(num_envs, 10 * time, jnp.int32)

    def record(step):
        return {"step": step, "active": jnp.zeros(num_envs, bool)}

    def fold(rows, time, step, active):
        return jax.tree.map(lambda x, y: x.at[time].set(y), rows, {"step": step, "active": active})

    begin = blank_rows(env, actors, policy, noise(jnp.int32(0)), record, ROWS)
    rows, time = play_episodes(env, actors, policy, episodes, noise, key, fold, begin)
    return rows["step"], rows["active"], time


def scheduled(ended, episodes):
    """Which steps bool[time, envs] belong to an episode, by where episodes end: the rule, in plain Python."""
    active = np.zeros_like(ended)
    going, started = np.ones(ended.shape[1], bool), ended.shape[1]
    for time in range(len(ended)):
        active[time] = going
        for place in np.flatnonzero(going & ended[time]):
            going[place] = started < episodes
            started += going[place]
    return active


@pytest.mark.parametrize("costly", [False, True])
@pytest.mark.parametrize(("longest", "episodes", "num_envs"), [(5, 5, 5), (5, 17, 4), (9, 8, 5), (1, 12, 5), (6, 7, 1)])
def test_exactly_the_episodes_asked_for_are_played_in_order(longest, episodes, num_envs, costly):
    env = Short(longest=longest, costly_reset=costly)
    steps, active, time = jax.tree.map(np.asarray, jax.jit(lambda: play(env, episodes, num_envs))())
    ended = np.asarray(steps.transition.ended) & (np.arange(ROWS) < time)[:, None]
    np.testing.assert_array_equal(active[:time], scheduled(ended, episodes)[:time])
    assert (ended & active).sum() == episodes
    # The last step ends the last episode, and every counted episode is whole.
    assert active[time - 1].any()
    assert not active[time:].any()
    starts = start_numbers(steps.transition.obs)[active]
    played, counts = np.unique(starts, return_counts=True)
    assert len(played) == episodes
    np.testing.assert_array_equal(counts, steps_of_start(env, played))


def test_the_carry_and_the_noise_are_those_of_the_step():
    steps, active, time = jax.tree.map(np.asarray, jax.jit(lambda: play(Short(longest=5), 17, 4))())
    np.testing.assert_array_equal(steps.extras["seen"][active], (steps.transition.length - 1)[active])
    np.testing.assert_array_equal(steps.extras["noise"][:time, 0], 10 * np.arange(time))


def test_every_step_is_played_once(monkeypatch):
    monkeypatch.setattr(rollout_environments, "HOST", Host())
    steps, active, time = jax.tree.map(np.asarray, jax.jit(lambda: play(Called(longest=3), 20, 3))())
    jax.effects_barrier()
    assert len(rollout_environments.HOST.steps) == 3 * time
    starts, lengths = start_numbers(steps.transition.obs)[active], steps.transition.length[active]
    calls = rollout_environments.HOST.steps
    for call in zip(starts.tolist(), (lengths - 1).tolist(), strict=True):
        assert calls.count(call) == 1


@pytest.mark.parametrize("costly", [False, True])
def test_members_are_played_as_if_alone(costly):
    env = Short(longest=7, costly_reset=costly)
    members = jax.random.split(KEY, 5)
    steps, active, times = jax.jit(jax.vmap(lambda key: play(env, 9, 4, key)))(members)
    for number, key in enumerate(members):
        alone, alone_active, time = jax.jit(lambda key: play(env, 9, 4, key))(key)
        # Members that are done wait for the others.
        assert time <= times[number] == times[0]
        np.testing.assert_array_equal(active[number], alone_active)
        for a, b in zip(jax.tree.leaves(steps), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(a[number][np.asarray(alone_active)], b[np.asarray(alone_active)])


@jaxrl.pytree
class BreaksAfterItsEnd(jaxrl.Environment):
    """Ends after two steps; who steps it on gets NaN."""

    max_steps: int = jaxrl.static(default=10)

    @property
    def observation_space(self):
        return jaxrl.Box(shape=(1,))

    @property
    def action_space(self):
        return jaxrl.Discrete(2)

    def reset(self, key):
        age = jax.random.randint(key, (), 0, 2).astype(jnp.float32)
        return age, age[None]

    def step(self, state, action, key):
        age = jnp.where(state >= 3, jnp.nan, state + 1)
        return age, jaxrl.TimeStep(age[None], age, age >= 3)


@pytest.mark.parametrize("baseline", ["none", "time", "value"])
def test_an_environment_without_an_episode_left_idles_in_a_state_that_it_may_be_in(baseline):
    agent = jaxrl.Reinforce(BreaksAfterItsEnd(), num_envs=4, episodes_per_update=6, baseline=baseline, hidden=(4,))
    result = jaxrl.train(agent, iterations=3, seeds=2, progress=False)
    assert not result.log["diverged"].any()
    assert np.isfinite(result.log["loss"]).all()
