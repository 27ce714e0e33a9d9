"""jaxrl's environments in the interface of Stable-Baselines3, judged by its `DummyVecEnv` and its PPO."""

import dataclasses

import numpy as np
import pytest
from sample_environments import Corridor, MaskedRandomWalk
from structured_environments import LockedPanel, Panel

import jaxrl

pytest.importorskip("stable_baselines3")
import torch
from gymnasium.vector.utils import batch_space
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from jaxrl.adapters import gymnasium_env, stable_baselines3_env

ENVS = 5


@jaxrl.pytree
class Explained(Corridor):
    """A corridor whose steps have an info: the cell that was left, from 10 on."""

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        return after, dataclasses.replace(step, info={"left": state + 10})


def test_its_checker_accepts_an_environment():
    check_env(gymnasium_env("CartPole-v1"))


def test_many_do_what_it_does_with_one_each():
    env = Explained(cells=3, max_steps=5)
    ours = stable_baselines3_env(env, ENVS)
    theirs = DummyVecEnv([lambda: gymnasium_env(env)] * ENVS)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    random, cut = np.random.default_rng(0), 0
    for _ in range(40):
        actions = (random.random(ENVS) < np.linspace(0, 1, ENVS)).astype(np.int64)
        (*arrays, infos), (*expected, their_infos) = ours.step(actions), theirs.step(actions)
        for array, wanted in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, wanted)
            assert array.dtype == wanted.dtype
        assert infos == their_infos
        cut += sum(info["TimeLimit.truncated"] for info in infos)
    assert cut > 0


def test_seeds_masks_and_attributes():
    env = stable_baselines3_env(MaskedRandomWalk(), 3)
    env.seed(4)
    first = env.reset()
    env.seed(4)
    np.testing.assert_array_equal(first, env.reset())
    assert not np.any(first[0] == first[1])
    masks = env.env_method("action_masks")
    assert [mask.tolist() for mask in masks] == [np.asarray(MaskedRandomWalk().action_mask(o)).tolist() for o in first]
    assert env.get_attr("spread", indices=[0, 2]) == [1.0, 1.0]
    assert env.env_is_wrapped(object) == [False] * 3
    with pytest.raises(AttributeError, match=r"'spread' can't be set.*make them with other parameters"):
        env.set_attr("spread", 2.0)
    with pytest.raises(AttributeError, match="have no method 'fly'"):
        env.env_method("fly")
    with pytest.raises(ValueError, match=r"actions have shape \(2,\), and must have \(3,\)"):
        env.step(np.zeros(2, int))


def test_observations_of_several_arrays_are_one_dictionary():
    env = stable_baselines3_env(LockedPanel(), 3)
    assert list(env.observation_space.spaces) == ["dial", "lamps_0", "lamps_1"]
    obs = env.reset()
    assert obs in batch_space(env.observation_space, 3)
    masks = np.stack(env.env_method("action_masks"))  # As sb3-contrib takes those of several choices.
    np.testing.assert_array_equal(masks[:, :2], np.arange(2) != obs["lamps_1"][:, :1])
    for _ in range(5):
        obs, _, dones, infos = env.step(np.zeros((3, 2), int))
    assert dones.all()
    assert infos[0]["terminal_observation"] in env.observation_space
    agent = PPO(
        "MultiInputPolicy", VecMonitor(stable_baselines3_env(Panel(), 2)), n_steps=8, batch_size=16, device="cpu"
    )
    agent.learn(32)


def test_its_ppo_learns_cartpole():
    """At the settings of its own zoo for CartPole."""
    torch.set_num_threads(1)
    env = VecMonitor(stable_baselines3_env("CartPole-v1", 8))
    settings = {"n_steps": 32, "batch_size": 256, "n_epochs": 20, "gae_lambda": 0.8, "gamma": 0.98}
    agent = PPO("MlpPolicy", env, learning_rate=1e-3, clip_range=0.2, seed=0, device="cpu", **settings)
    agent.learn(20_000)
    mean, _ = evaluate_policy(agent, env, n_eval_episodes=16)
    assert mean >= 195  # Ten times as long as at random.
