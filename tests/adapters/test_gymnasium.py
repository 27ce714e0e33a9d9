"""Python environments of Gymnasium under jaxrl's agents."""

import re
import warnings

import gymnasium
import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.actors import start_actors
from jaxrl.config import from_config, to_config
from jaxrl.rollout import random_rollout

pytestmark = pytest.mark.filterwarnings("ignore:.*steps in Python, one call for all members")


class Fails(gymnasium.Env):
    """Raises in its third step."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 3:
            raise RuntimeError("the robot fell off the table")
        return np.zeros(2, np.float32), 0.0, False, False, {}


class Rooms(gymnasium.Env):
    """Counts its steps in every part of an observation; the number of the room begins at 1."""

    observation_space = gymnasium.spaces.Dict(
        {
            "camera/left": gymnasium.spaces.Box(0, 255, (2, 2), np.uint8),
            "places": gymnasium.spaces.Tuple(
                (
                    gymnasium.spaces.Discrete(9),
                    gymnasium.spaces.MultiDiscrete([9, 9]),
                    gymnasium.spaces.Discrete(9, start=1),
                )
            ),
        }
    )
    action_space = gymnasium.spaces.MultiDiscrete([2, 3])

    def _obs(self):
        places = (np.int64(self.steps), np.full(2, self.steps), np.int64(self.steps + 1))
        return {"camera/left": np.full((2, 2), self.steps, np.uint8), "places": places}

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self._obs(), {}

    def step(self, action):
        self.steps += 1
        return self._obs(), float(action[1]), self.steps == 6, False, {}


def test_observations_in_parts():
    env = jaxrl.adapters.from_gymnasium(Rooms)
    camera, places = (env.observation_space.spaces[name] for name in ("camera_left", "places"))
    assert (camera.shape, camera.dtype, int(np.max(camera.high))) == ((2, 2), np.uint8, 255)
    assert places.spaces[:2] == (jaxrl.Discrete(9), jaxrl.MultiDiscrete((9, 9)))
    assert (places.spaces[2].shape, places.spaces[2].dtype) == ((), np.int32)  # No Discrete, which would begin at 0.

    def seen(step):
        return step.transition.next_obs, step.transition.length, step.transition.reward, step.transition.action

    obs, length, reward, action = jax.jit(lambda key: random_rollout(env, start_actors(env, key, 3), 14, key, seen)[1])(
        jax.random.key(0)
    )
    np.testing.assert_array_equal(length[:, 0], [*range(1, 7), *range(1, 7), 1, 2])
    np.testing.assert_array_equal(reward, action[..., 1])
    np.testing.assert_array_equal(obs["camera_left"][..., 1, 0], length)
    np.testing.assert_array_equal(obs["places"][1][..., 1], length)
    np.testing.assert_array_equal(obs["places"][2], length + 1)
    result = jaxrl.train(
        jaxrl.PPO(env, hidden=(4,), num_envs=2, rollout_steps=8, minibatches=1), steps=32, progress=False
    )
    assert np.nanmax(result.log["episode_length"]) == 6


def test_an_observation_space_without_arrays_of_one_shape_is_named():
    class Speaks(Fails):
        observation_space = gymnasium.spaces.Dict({"word": gymnasium.spaces.Text(5)})

    with pytest.raises(
        ValueError, match=r"observation space Text\(.*are no arrays of one shape: make an array of them"
    ):
        _ = jaxrl.adapters.from_gymnasium(Speaks).observation_space


def test_what_it_can_not_do_is_said_before_it_starts():
    with pytest.warns(UserWarning, match=r"gymnasium:CartPole-v1 steps in Python.*resumed goes on with new episodes"):
        jaxrl.make("gymnasium:CartPole-v1")


def test_steps_are_those_of_gymnasium():
    """Two members of three environments each: every episode replayed by one environment object, from its seed."""
    env = jaxrl.make("gymnasium:CartPole-v1", max_episode_steps=30)
    steps, envs = 80, 3

    def play(key):
        def seen(step):
            moved = step.transition
            state = step.before.state
            return state.seed, state.count, moved.action, moved.next_obs, moved.terminated, moved.truncated

        return random_rollout(env, start_actors(env, key, envs), steps, key, seen)[1]

    keys = jax.random.split(jax.random.key(0), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        played = jax.device_get(jax.jit(jax.vmap(play))(keys))
    theirs, ends, cut = gymnasium.make("CartPole-v1", max_episode_steps=30), 0, 0
    for member in range(2):
        for place in range(envs):
            for time in range(steps):
                seed, count, action, obs, terminated, truncated = (x[member, time, place] for x in played)
                if count == 0:
                    theirs.reset(seed=int(seed))
                expected = theirs.step(int(action))
                np.testing.assert_array_equal(obs, expected[0])
                assert (terminated, truncated) == expected[2:4]
                ends, cut = ends + terminated, cut + truncated
                if terminated or truncated:
                    assert time + 1 == steps or played[1][member, time + 1, place] == 0
    assert ends > 10
    assert cut > 0


@pytest.mark.slow
def test_ppo_learns_gymnasiums_own_cartpole():
    agent = jaxrl.PPO(jaxrl.make("gymnasium:CartPole-v1"), num_envs=8, rollout_steps=64)
    result = jaxrl.train(agent, steps=30_000, seeds=2, progress=False)
    assert result.returns.mean() >= 475


def test_it_trains_and_comes_back_by_its_name(tmp_path):
    agent = jaxrl.PPO(jaxrl.make("gymnasium:CartPole-v1"), num_envs=2, rollout_steps=8, epochs=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*under way are unknown")
        jaxrl.train(agent, steps=64, seeds=2, out=tmp_path / "run", progress=False)
    assert to_config(jaxrl.load(tmp_path / "run").agent) == to_config(agent)
    assert from_config(to_config(agent.env)) == agent.env


def test_an_exception_in_a_step_ends_the_run_with_its_traceback():
    agent = jaxrl.PPO(jaxrl.adapters.from_gymnasium(Fails), num_envs=2, rollout_steps=8, epochs=1)
    with pytest.raises(Exception, match="the robot fell off the table") as caught:
        jaxrl.train(agent, steps=64, progress=False)
    assert re.search(r"test_gymnasium.py\", line \d+, in step", str(caught.value))


class FailsOnce(Fails):
    """Raises in the sixtieth step that any of its objects takes; episodes have 10."""

    taken = 0

    def step(self, action):
        FailsOnce.taken += 1
        if FailsOnce.taken == 60:
            raise RuntimeError("the robot fell off the table")
        return np.zeros(2, np.float32), 1.0, False, False, {}


def test_an_exception_leaves_what_is_done_to_go_on_from(tmp_path, monkeypatch):
    spec = gymnasium.envs.registration.EnvSpec("FailsOnce-v0", FailsOnce, max_episode_steps=10)
    monkeypatch.setitem(gymnasium.registry, "FailsOnce-v0", spec)
    agent = jaxrl.PPO(jaxrl.make("gymnasium:FailsOnce-v0"), num_envs=2, rollout_steps=8, epochs=1)
    run = {"steps": 96, "log_points": 6, "out": tmp_path / "run", "checkpoint_seconds": 0, "progress": False}
    with pytest.raises(Exception, match="the robot fell off the table"):
        jaxrl.train(agent, **run)
    # Of six rows of 16 steps three are done.
    with pytest.warns(UserWarning, match="under way are unknown"):
        result = jaxrl.train(agent, **run, resume=True)
    assert np.ravel(result.log["step"]).tolist() == [16, 32, 48, 64, 80, 96]


def test_bad_input():
    with pytest.raises(ValueError, match=r"has no environment 'CartPol-v1' \(did you mean 'CartPole-v"):
        jaxrl.make("gymnasium:CartPol-v1")
    with pytest.raises(TypeError, match="must be a function that makes an environment"):
        jaxrl.adapters.from_gymnasium(3)
