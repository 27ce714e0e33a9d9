"""The environments with tables against Gymnasium's: every transition, every start, and whole episodes."""

import warnings

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl

WORLDS = {
    "FrozenLake-v1": ({}, {}),
    "FrozenLake8x8-v1": ({}, {}),
    "FrozenLake-v1 firm": ({"success_rate": None}, {"is_slippery": False}),
    "FrozenLake-v1 own": (
        {"success_rate": 0.7, "layout": "SFHF/FFSF/HFFG", "goal_reward": 3, "hole_reward": -2, "ice_reward": -0.5},
        {"success_rate": 0.7, "desc": ["SFHF", "FFSF", "HFFG"], "reward_schedule": (3, -2, -0.5)},
    ),
    "CliffWalking-v1": ({}, {}),
    "CliffWalkingSlippery-v1": ({}, {}),
    "Taxi-v4": ({}, {}),
    "Taxi-v4 rainy": ({"drive_rate": 0.75}, {"is_rainy": True, "rainy_probability": 0.75}),
}
worlds = pytest.mark.parametrize("name", WORLDS)


def pair(name):
    ours, theirs = WORLDS[name]
    name = name.split()[0]
    return jaxrl.make(name, **ours), gymnasium.make(name, disable_env_checker=True, **theirs)


@worlds
def test_every_transition_equals_gymnasiums(name):
    env, theirs = pair(name)
    model, table = env.model, theirs.unwrapped.P
    assert model.successor.shape[:2] == (theirs.observation_space.n, theirs.action_space.n)
    for state, by_action in table.items():
        for action, entries in by_action.items():
            here = [column[state, action] for column in (model.successor, model.reward, model.terminated)]
            if len(entries) == 1:
                entries = [(model.probability[state, action, k], *entries[0][1:]) for k in range(len(here[0]))]
            probability, *outcome = zip(*entries, strict=True)
            np.testing.assert_allclose(model.probability[state, action], probability, rtol=1e-12)
            np.testing.assert_array_equal(here, outcome, err_msg=f"state {state}, action {action}")
    np.testing.assert_allclose(model.probability.sum(-1), 1, rtol=1e-12)


@worlds
def test_starts_limits_and_masks_are_gymnasiums(name):
    env, theirs = pair(name)
    starts = np.zeros(theirs.observation_space.n)
    starts[env.starts] = 1 / len(env.starts)
    np.testing.assert_allclose(starts, theirs.unwrapped.initial_state_distrib, rtol=1e-12)
    drawn = jax.vmap(lambda key: env.reset(key)[0])(jax.random.split(jax.random.key(0), 9000))
    counts = np.bincount(drawn, minlength=len(starts))
    # Five standard deviations of a count.
    assert np.all(abs(counts - 9000 * starts) <= 5 * np.sqrt(9000 * starts * (1 - starts)))
    if "CliffWalking" in name:
        assert theirs.spec.max_episode_steps is None
    else:
        assert (env.max_steps, env.solved_return) == (theirs.spec.max_episode_steps, theirs.spec.reward_threshold)
    if "Taxi" in name:
        masks = jax.vmap(env.action_mask)(jnp.arange(500))
        np.testing.assert_array_equal(masks, [theirs.unwrapped.action_mask(state) for state in range(500)])
        np.testing.assert_array_equal(masks, jax.vmap(env.observed_mask)(jnp.arange(500)))


@worlds
def test_steps_are_drawn_as_the_table_says(name):
    env, _ = pair(name)
    model = env.model
    states, actions, outcomes = model.successor.shape
    repeats = 1 if outcomes == 1 else 300

    @jax.jit
    def all_steps(key):
        keys = jax.random.split(key, (states, actions, repeats))
        step = jax.vmap(env.step, in_axes=(None, None, 0))
        step = jax.vmap(jax.vmap(step, in_axes=(None, 0, 0)), in_axes=(0, None, 0))
        after, given = step(jnp.arange(states), jnp.arange(actions), keys)
        return after, given.obs, given.reward, given.terminated

    after, obs, reward, terminated = map(np.asarray, all_steps(jax.random.key(1)))
    np.testing.assert_array_equal(after, obs)
    assert (obs.dtype, reward.dtype) == (np.int32, np.float32)
    hits = np.zeros(model.successor.shape, int)
    for k in range(outcomes):
        same = after == model.successor[:, :, k : k + 1]
        same &= np.isclose(reward, model.reward[:, :, k : k + 1]) & (terminated == model.terminated[:, :, k : k + 1])
        hits[:, :, k] = same.sum(-1)
    assert np.all(hits.max(-1) > 0)
    distinct = np.ptp(model.successor, axis=-1) > 0
    for k in range(outcomes):
        equal = (model.successor == model.successor[:, :, k : k + 1]) & (model.reward == model.reward[:, :, k : k + 1])
        chance = np.where(equal, model.probability, 0).sum(-1)
        spread = 6 * np.sqrt(repeats * chance * (1 - chance)) + 1e-6
        assert np.all(abs(hits[:, :, k] - repeats * chance)[distinct] <= spread[distinct])
    # Nothing else ever happens.
    possible = (after[..., None] == model.successor[:, :, None]).any(-1)
    assert possible.all()


@pytest.mark.parametrize("name", [name for name in WORLDS if " firm" in name or name in ("CliffWalking-v1", "Taxi-v4")])
def test_whole_episodes_equal_gymnasiums(name):
    env, theirs = pair(name)
    step, random = jax.jit(env.step), np.random.default_rng(0)
    for episode in range(3):
        state = jnp.int32(theirs.reset(seed=episode)[0])
        for _ in range(100):
            action = int(random.integers(theirs.action_space.n))
            state, ours = step(state, jnp.int32(action), jax.random.key(0))
            obs, reward, terminated, _, _ = theirs.step(action)
            assert (int(ours.obs), float(ours.reward), bool(ours.terminated)) == (obs, reward, terminated)
            if terminated:
                break


@pytest.mark.parametrize("layout", ["4x5", "SFF/FG", "FFF/FFG", "SFF/FXG", "SFF", ""])
def test_a_map_that_is_none_is_refused(layout):
    with pytest.raises(ValueError, match=rf"FrozenLake.layout = '{layout}' must be one of 4x4, 8x8, or rows of"):
        jaxrl.make("FrozenLake-v1", layout=layout)


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4 rainy"])
def test_they_pass_the_checker(name):
    env = pair(name)[0]
    # Those with one start ignore the key of a reset, as the checker's warning says.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codes = [finding.code for finding in jaxrl.check_env(env, steps=200).findings]
    assert codes == (["key-ignored"] if len(env.starts) == 1 else [])


@pytest.mark.parametrize("name", ["FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "Taxi-v4"])
def test_the_picture_shows_the_agent_in_its_cell(name):
    env = jaxrl.make(name)
    color = (235, 180, 52) if name == "Taxi-v4" else (226, 138, 67)
    columns = {"FrozenLake-v1": 4, "FrozenLake8x8-v1": 8, "CliffWalking-v1": 12, "Taxi-v4": 5}[name]
    for cell in (0, columns + 2):
        picture = env.render(np.int32(cell * 20 if name == "Taxi-v4" else cell))
        assert (picture.dtype, picture.shape[1:]) == (np.uint8, (64 * columns + 24, 3))
        rows, places = np.nonzero((picture == color).all(-1))
        row, column = divmod(cell, columns)
        assert rows.mean() == pytest.approx(12 + 64 * (row + 0.5), abs=8)
        assert places.mean() == pytest.approx(12 + 64 * (column + 0.5), abs=2)
