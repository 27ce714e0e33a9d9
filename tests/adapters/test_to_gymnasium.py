"""jaxrl's environments in Gymnasium's interfaces, judged by Gymnasium: its checker, and its `SyncVectorEnv`."""

import dataclasses
import re
import warnings

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from sample_environments import Corridor, MaskedRandomWalk
from structured_environments import LockedPanel, Panel

import jaxrl
from jaxrl.adapters import gymnasium_env, gymnasium_vector_env

STEPS, ENVS = 40, 5
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]


@jaxrl.pytree
class Explained(Corridor):
    """A corridor whose steps have an info: the cell that was left, from 10 on."""

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        return after, dataclasses.replace(step, info={"left": state + 10})


@jaxrl.pytree
class Switches(Corridor):
    """A corridor that is walked along by setting two switches to 2 and 1."""

    @property
    def action_space(self):
        return jaxrl.MultiDiscrete((3, 2))

    def step(self, state, action, key):
        return super().step(state, jnp.all(action == jnp.array([2, 1])), key)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_gymnasium_accepts_an_environment(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(not having a spec|infinity|normalized).*")
        check_env(gymnasium_env(name, render_mode="rgb_array"))


def test_gymnasium_accepts_an_environment_with_a_mask():
    env = gymnasium_env(MaskedRandomWalk())
    check_env(env)
    _, info = env.reset(seed=0)
    assert info["action_mask"].dtype == np.int8
    for _ in range(20):
        assert info["action_mask"][env.action_space.sample(info["action_mask"])]
        info = env.step(env.action_space.sample(info["action_mask"]))[-1]


def test_an_episode_ends_by_either_reason():
    env = gymnasium_env(Explained(cells=2, max_steps=3))
    assert env.reset(seed=0)[1] == {}
    assert env.step(1) == (1, 0.0, False, False, {"left": 10})
    assert env.step(1) == (2, 1.0, True, False, {"left": 11})
    env.reset()
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize("mode", MODES)
def test_many_do_what_gymnasium_does_with_one_each(mode):
    env = Explained(cells=3, max_steps=5)
    ours = gymnasium_vector_env(env, ENVS, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: gymnasium_env(env)] * ENVS, autoreset_mode=mode)
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == mode
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(STEPS):
        # The first never walks and is cut off, the last always does and ends as soon as can be.
        actions = (random.random(ENVS) < np.linspace(0, 1, ENVS)).astype(np.int64)
        (*arrays, infos), (*expected, their_infos) = ours.step(actions), theirs.step(actions)
        for array, wanted in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, wanted)
        assert ours.observation_space.contains(arrays[0])
        same_infos(infos, their_infos)
        seen |= set(their_infos) | {f"terminated {expected[2].any()}", f"truncated {expected[3].any()}"}
    wanted = {"left", "terminated True", "truncated True"}
    assert wanted | ({"final_obs", "final_info"} if mode == AutoresetMode.SAME_STEP else set()) <= seen


def same_infos(ours, theirs):
    assert theirs.keys() <= ours.keys()
    for name, value in ours.items():
        if name.startswith("_"):
            np.testing.assert_array_equal(value, theirs.get(name, np.zeros(ENVS, bool)))
        elif isinstance(value, dict):
            same_infos(value, theirs[name])
        elif name in theirs:
            assert [*value] == [*theirs[name]]


@pytest.mark.parametrize("mode", MODES)
def test_the_last_observation_is_the_true_one(mode):
    """Beside Gymnasium's CartPole: its pole has fallen in it."""
    env = gymnasium_vector_env("CartPole-v1", 64, autoreset_mode=mode)
    env.reset(seed=1)
    falls = 0
    for _ in range(60):
        obs, _, terminated, _, infos = env.step(np.ones(64, np.int64))
        for index in np.flatnonzero(terminated):
            last = infos["final_obs"][index] if mode == AutoresetMode.SAME_STEP else obs[index]
            assert abs(last[2]) > 12 * 2 * np.pi / 360 or abs(last[0]) > 2.4
            falls += 1
            if mode == AutoresetMode.SAME_STEP:
                assert np.all(np.abs(obs[index]) <= 0.05)
    assert falls > 64


def test_gymnasiums_wrapper_counts_the_episodes():
    env = RecordEpisodeStatistics(gymnasium_vector_env(Explained(cells=3, max_steps=5), 2))
    env.reset(seed=0)
    infos = [env.step(np.array([1, 0]))[-1] for _ in range(5)]
    assert (infos[2]["episode"]["r"][0], infos[2]["episode"]["l"][0]) == (3, 3)
    assert infos[4]["episode"]["l"][1] == 5


def test_seeds_repeat_and_differ():
    env = gymnasium_vector_env("CartPole-v1", 3)
    first, again, other = (env.reset(seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)
    each = env.reset(seed=[7, 8, 7])[0]
    np.testing.assert_array_equal(each[0], each[2])
    assert not np.any(each[0] == each[1])


def test_arrays_may_be_written_to_and_views_never_change():
    env = gymnasium_vector_env("CartPole-v1", 4, copy=False)
    views, copies = [], []
    env.reset(seed=0)
    for _ in range(30):
        obs = env.step(np.zeros(4, np.int64))[0]
        views.append(obs)
        copies.append(obs.copy())
    np.testing.assert_array_equal(views, copies)
    assert not obs.flags.writeable
    writable = gymnasium_vector_env("CartPole-v1", 4)
    writable.reset(seed=0)
    obs = writable.step(np.zeros(4, np.int64))[0]
    obs += 1


def test_a_mask_is_in_the_infos():
    env = gymnasium_vector_env(MaskedRandomWalk(), 4, autoreset_mode="SameStep")
    obs, infos = env.reset(seed=0)
    for _ in range(12):
        expected = jax.vmap(MaskedRandomWalk().action_mask)(jnp.asarray(obs))
        np.testing.assert_array_equal(infos["action_mask"], expected)
        obs, *_, infos = env.step(np.argmax(infos["action_mask"], axis=1))


def test_frames_are_drawn():
    env = gymnasium_vector_env("CartPole-v1", 2, render_mode="rgb_array")
    env.reset(seed=0)
    frames = env.render()
    assert [frame.shape for frame in frames] == [(300, 600, 3)] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"autoreset_mode": "Disabled"}, "autoreset_mode = 'Disabled' must be one of NextStep, SameStep"),
        ({"render_mode": "human"}, "render_mode = 'human' must be None or 'rgb_array'"),
        ({"num_envs": 0}, "num_envs = 0 must be at least 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        gymnasium_vector_env(**{"env": "CartPole-v1", "num_envs": 2, **arguments})


def test_several_actions_at_once():
    env = gymnasium_vector_env(Switches(), 3)
    env.reset(seed=0)
    assert env.single_action_space == gymnasium.spaces.MultiDiscrete([3, 2])
    assert env.step(np.array([[2, 1], [2, 0], [0, 1]]))[0].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="actions must lie between"):
        env.step(np.array([[0, 2]] * 3))


def test_gymnasium_accepts_observations_of_several_arrays():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not having a spec.*")
        check_env(gymnasium_env(Panel()))


@pytest.mark.parametrize("mode", MODES)
def test_many_in_parts_do_what_gymnasium_does_with_one_each(mode):
    env = LockedPanel()
    ours = gymnasium_vector_env(env, 3, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: gymnasium_env(env)] * 3, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space
    seeds = [1, 2, 3]
    jax.tree.map(np.testing.assert_array_equal, ours.reset(seed=seeds)[0], ours.reset(seed=seeds)[0])
    theirs.reset(seed=seeds)
    for _ in range(12):
        (obs, *_, infos), (their_obs, *_, their_infos) = (envs.step(np.zeros((3, 2), int)) for envs in (ours, theirs))
        assert obs in ours.observation_space
        assert jax.tree.map(lambda x: (x.shape, x.dtype), obs) == jax.tree.map(lambda x: (x.shape, x.dtype), their_obs)
        assert ("final_obs" in infos) == ("final_obs" in their_infos)
        for ended, last in zip(infos.get("_final_obs", []), infos.get("final_obs", []), strict=True):
            assert ended
            assert last in ours.single_observation_space


def test_masks_of_several_choices_are_as_gymnasium_samples_by_them():
    env = gymnasium_env(LockedPanel())
    _, info = env.reset(seed=0)
    for _ in range(40):
        mask = info["action_mask"]
        assert [part.dtype for part in mask] == [np.int8] * 2
        _, reward, _, truncated, info = env.step(env.action_space.sample(mask=mask))
        assert reward >= 0  # A forbidden action costs 100.
        if truncated:
            _, info = env.reset()


def test_bad_calls():
    with pytest.raises(TypeError, match=r"env = 3 must be a jaxrl.Environment"):
        gymnasium_env(3)
    one, many = gymnasium_env("CartPole-v1"), gymnasium_vector_env("CartPole-v1", 2)
    for env, action in ((one, 0), (many, [0, 0])):
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(action)
        env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action = array\(2.* is not in Discrete\(2\)"):
        one.step(2)
    with pytest.raises(ValueError, match=r"actions have shape \(3,\), and must have \(2,\)"):
        many.step([0, 0, 1])
    with pytest.raises(ValueError, match=r"actions must lie between .*0.* and .*1"):
        many.step([0, -1])
    with pytest.raises(ValueError, match=r"seed has 1 numbers"):
        many.reset(seed=[1])
