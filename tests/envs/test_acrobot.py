"""Acrobot against Gymnasium's own, transition by transition and in whole episodes."""

import functools
import math

import gymnasium
import gymnasium_games
import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.environment import start_episode
from jaxrl.envs.acrobot import Acrobot, AcrobotState

NAMES = {
    "length": "LINK_LENGTH_1",
    "upper_mass": "LINK_MASS_1",
    "lower_mass": "LINK_MASS_2",
    "upper_centre": "LINK_COM_POS_1",
    "lower_centre": "LINK_COM_POS_2",
    "inertia": "LINK_MOI",
    "upper_max_speed": "MAX_VEL_1",
    "lower_max_speed": "MAX_VEL_2",
    "tau": "dt",
}
OTHER_PHYSICS = [
    {"length": 1.3, "upper_mass": 0.7},
    {"lower_mass": 1.4, "lower_centre": 0.6},
    {"upper_centre": 0.4, "inertia": 0.8},
    {"tau": 0.13},
    {"upper_max_speed": 1.0, "lower_max_speed": 2.0},
]

PRECISION = 3e-6
"""How far a step in float32 may be off, as a part of 1 + the largest number of the state: 50 roundings of 2^-24.

The rod may turn by 9 pi 0.2 in a step, and its accelerations by as much for a change of the angle; 50 allows
for the four slopes of some 40 operations each, whose errors mostly cancel."""


def play_randomly(state, random):
    return int(random.integers(3))


def swing_up(state, random):
    """Turns the joint the way that it is turning, which adds energy, but now and then not."""
    return int(2 * (state[3] > 0)) if random.random() < 0.95 else 1


@functools.cache
def recorded(kind):
    policy, episodes = {"random": (play_randomly, 2), "swing_up": (swing_up, 10)}[kind]
    return gymnasium_games.record("Acrobot-v1", policy, episodes)


def difference(ours, theirs):
    """How far two states are apart; angles that differ by whole turns are equal."""
    error = abs(ours - theirs)
    error[..., :2] = abs((error[..., :2] + math.pi) % (2 * math.pi) - math.pi)
    return error


def check_transitions(env, games):
    """Compares a step of `env` from every state of Gymnasium's with Gymnasium's own."""
    after, transition = gymnasium_games.take_all(env, AcrobotState, games)
    size = 1 + np.maximum(abs(games["before"]), abs(games["after"])).max(-1, keepdims=True)
    assert np.all(difference(after, games["after"]) <= PRECISION * size)
    assert np.all(abs(after[:, :2]) <= np.float32(math.pi) * (1 + 1e-7))
    assert np.all(abs(transition.next_obs - games["obs"]) <= PRECISION * size)
    np.testing.assert_array_equal(transition.reward, games["reward"])
    gymnasium_games.check_ends_and_dtypes(transition, after, games)


@pytest.mark.parametrize("kind", ["random", "swing_up"])
def test_every_transition_equals_gymnasiums(kind):
    games = recorded(kind)
    check_transitions(jaxrl.make("Acrobot-v1"), games)
    # The data holds what the test is about: both endings, and whole turns.
    assert games["terminated"].any() == (kind == "swing_up")
    assert games["truncated"].any() == (kind == "random")
    assert games["step"].max() < 500
    if kind == "swing_up":
        assert (abs(np.diff(games["after"][:, 1])) > math.pi).any()


@pytest.mark.parametrize("physics", OTHER_PHYSICS, ids=lambda physics: "-".join(physics))
def test_other_physics_equal_gymnasiums(physics):
    games = gymnasium_games.record("Acrobot-v1", swing_up, 1, **{NAMES[key]: value for key, value in physics.items()})
    check_transitions(Acrobot(**physics), games)
    if "lower_max_speed" in physics:
        assert (abs(games["after"][:, 2]) == 1).any()
        assert (abs(games["after"][:, 3]) == 2).any()


def test_gravity_torque_and_line_are_leaves():
    """Time counted in other units: with 4 times the gravity and the torque, everything goes twice as fast."""
    games = recorded("swing_up")
    usual, _ = gymnasium_games.take_all(Acrobot(), AcrobotState, games)
    faster = {**games, "before": games["before"] * [1, 1, 2, 2]}
    env = Acrobot(gravity=4 * 9.8, torque=4.0, tau=0.1, upper_max_speed=1e3, lower_max_speed=1e3, goal_height=-1.0)
    after, transition = gymnasium_games.take_all(env, AcrobotState, faster)
    np.testing.assert_allclose(difference(after, usual * [1, 1, 2, 2]), 0, atol=3e-4)
    height = -np.cos(after[:, 0]) - np.cos(after[:, 0] + after[:, 1])
    np.testing.assert_array_equal(transition.terminated, height > -1)
    assert 0 < transition.terminated.mean() < 1


@pytest.mark.parametrize("kind", ["random", "swing_up"])
def test_whole_episodes_equal_gymnasiums_in_float64(kind):
    """In pieces of 100 steps (20 s) where the links swing high: there two nearby paths part by a factor of 10 every
    few seconds, whatever program follows them."""
    games = recorded(kind)
    piece = {"random": 500, "swing_up": 100}[kind]
    obs, reward, terminated = gymnasium_games.play_alone(Acrobot(), AcrobotState, games, piece)
    # Gymnasium's observations are rounded to float32.
    np.testing.assert_allclose(obs, games["obs"], rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(reward, games["reward"])
    np.testing.assert_array_equal(terminated, games["terminated"])


def test_start_draws_all_four_numbers_uniformly():
    episodes = jax.vmap(lambda key: start_episode(Acrobot(), key))(jax.random.split(jax.random.key(0), 4000))
    values = np.stack(jax.tree.leaves(episodes.state), -1).astype(np.float64) * 10
    assert -1 - 1e-6 <= values.min() < -0.99
    assert 0.99 < values.max() < 1
    np.testing.assert_allclose(values.mean(0), 0, atol=4 / math.sqrt(3 * 4000))
    np.testing.assert_allclose(values.std(0), 1 / math.sqrt(3), rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(values.T), np.eye(4), atol=4 / math.sqrt(4000))
    np.testing.assert_allclose(episodes.obs[:, 3], np.sin(values[:, 1] / 10), atol=1e-6)


def test_spaces_are_gymnasiums():
    theirs, ours = gymnasium.make("Acrobot-v1"), jaxrl.make("Acrobot-v1")
    np.testing.assert_array_equal(ours.observation_space.low, theirs.observation_space.low)
    np.testing.assert_array_equal(ours.observation_space.high, theirs.observation_space.high)
    assert ours.observation_space.shape == theirs.observation_space.shape
    assert ours.action_space.n == theirs.action_space.n
    assert ours.max_steps == theirs.spec.max_episode_steps
    assert ours.solved_return == theirs.spec.reward_threshold


def test_it_passes_the_checker():
    assert not jaxrl.check_env(Acrobot()).findings


def test_the_picture_shows_both_links_and_the_line():
    def picture(theta1, theta2):
        return Acrobot().render(AcrobotState(theta1, theta2, 0.0, 0.0))

    def middle(picture, color):
        """The middle of the pixels of a color, from the fixed end: (right, up), in lengths of a link."""
        rows, columns = np.nonzero((picture == color).all(-1))
        return (columns.mean() - 199.5) / 85, (199.5 - rows.mean()) / 85

    upper, lower, reached = (71, 101, 150), (226, 138, 67), (112, 168, 122)
    hanging, bent, high = picture(0.0, 0.0), picture(math.pi / 2, math.pi / 2), picture(math.pi, 0.3)
    assert (hanging.shape, hanging.dtype) == ((400, 400, 3), np.uint8)
    np.testing.assert_allclose(middle(hanging, upper), (0, -0.45), atol=0.1)
    np.testing.assert_allclose(middle(hanging, lower), (0, -1.5), atol=0.1)
    np.testing.assert_allclose(middle(bent, upper), (0.45, 0), atol=0.1)
    np.testing.assert_allclose(middle(bent, lower), (1, 0.5), atol=0.1)
    assert (high == reached).all(-1).any()
    assert not (bent == reached).all(-1).any()
