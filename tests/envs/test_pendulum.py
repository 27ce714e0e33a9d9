"""Pendulum against Gymnasium's own, transition by transition and in whole episodes."""

import functools
import math

import gymnasium
import gymnasium_games
import jax
import numpy as np
import pytest
from gymnasium_games import UNIT

import jaxrl
from jaxrl.environment import start_episode
from jaxrl.envs.pendulum import Pendulum, PendulumState

OTHER_PHYSICS = [
    {"gravity": 3.7, "mass": 0.6},
    {"length": 1.4, "tau": 0.03},
    {"max_torque": 4.5, "max_speed": 5.0},
]
NAMES = {"gravity": "g", "mass": "m", "length": "l", "tau": "dt"}

ROUNDINGS = 16
"""At least the roundings on the longest path from the state to an acceleration, a reward or an observation: the
constants 5, sine or cosine 3, operations 7."""


def play_randomly(state, random):
    """Torques beyond the bounds too, which Gymnasium clips."""
    return random.uniform(-3, 3, 1).astype(np.float32)


def swing_up(state, random):
    """Pumps energy until the rod is nearly upright, and holds it there."""
    theta, speed = math.remainder(state[0], 2 * math.pi), state[1]
    if math.cos(theta) > 0.9:
        return np.array([-15 * theta - 3 * speed], np.float32)
    return np.array([math.copysign(2, speed * (math.cos(theta) + speed**2 / 30 < 1))], np.float32)


@functools.cache
def recorded(kind):
    policy, episodes = {"random": (play_randomly, 10), "swing_up": (swing_up, 6)}[kind]
    return gymnasium_games.record("Pendulum-v1", policy, episodes)


def check_transitions(env, games):
    """Compares a step of `env` from every state of Gymnasium's with Gymnasium's own, to bounds on the roundings.

    A rounding changes an acceleration by at most UNIT times the sum of its terms, the rounded angle by UNIT times
    the angle itself besides; the angle's own error is carried on to all that is made of it.
    """
    after, transition = gymnasium_games.take_all(env, PendulumState, games)
    (theta, speed), (new_theta, new_speed) = abs(games["before"].T), abs(games["after"].T)
    pull = 1.5 * env.gravity / env.length
    drive = 3 * env.max_torque / (env.mass * env.length**2)
    speed_error = UNIT * (speed + new_speed + env.tau * (ROUNDINGS * (pull + drive) + pull * theta))
    theta_error = UNIT * (theta + new_theta + 3 * env.tau * new_speed) + env.tau * speed_error
    error = abs(after - games["after"])
    assert np.all(error <= np.stack([theta_error, speed_error], -1))
    # Angles are wrapped by a multiple of 2 pi, itself rounded to float32.
    cost_error = UNIT * (ROUNDINGS * abs(games["reward"]) + 2 * math.pi * 4 * theta)
    assert np.all(abs(transition.reward - games["reward"]) <= cost_error)
    bound = np.stack([theta_error + ROUNDINGS * UNIT] * 2 + [speed_error + UNIT * new_speed], -1)
    assert np.all(abs(transition.next_obs - games["obs"]) <= bound)
    gymnasium_games.check_ends_and_dtypes(transition, after, games)


@pytest.mark.parametrize("kind", ["random", "swing_up"])
def test_every_transition_equals_gymnasiums(kind):
    games = recorded(kind)
    check_transitions(jaxrl.make("Pendulum-v1"), games)
    # The data holds what the test is about: both clips, turns beyond pi, whole episodes.
    assert games["step"].max() == 199
    assert games["truncated"].sum() == games["episode"].max() + 1
    assert (abs(games["action"]) > 2).any()
    if kind == "random":
        assert (abs(games["before"][:, 0]) > 3 * math.pi).any()
    else:
        assert (games["reward"] > -0.01).any()


def test_the_speed_is_clipped_as_gymnasiums():
    games = gymnasium_games.record("Pendulum-v1", swing_up, 3, max_speed=4)
    check_transitions(Pendulum(max_speed=4.0), games)
    assert (abs(games["after"][:, 1]) == 4).sum() > 20


@pytest.mark.parametrize("physics", OTHER_PHYSICS, ids=lambda physics: "-".join(physics))
def test_other_physics_equal_gymnasiums(physics):
    theirs = {NAMES.get(name, name): value for name, value in physics.items()}
    check_transitions(Pendulum(**physics), gymnasium_games.record("Pendulum-v1", play_randomly, 3, **theirs))


@pytest.mark.parametrize("kind", ["random", "swing_up"])
def test_whole_episodes_equal_gymnasiums_in_float64(kind):
    """The upright rod is unstable: a difference of 1e-16 grows by exp(sqrt(15) 0.05) = 1.21 a step while it stays
    there, so whole episodes are compared where it does not, and pieces of 40 steps where it does."""
    games = recorded(kind)
    piece = {"random": 200, "swing_up": 40}[kind]
    obs, reward, terminated = gymnasium_games.play_alone(Pendulum(), PendulumState, games, piece)
    # Gymnasium rounds its observations to float32, and takes the torque's part in reward and motion in float32.
    np.testing.assert_allclose(obs, games["obs"], rtol=0, atol=2e-4)
    np.testing.assert_allclose(reward, games["reward"], rtol=0, atol=1e-3)
    assert not terminated.any()


def test_costs_are_leaves_of_their_own():
    state = PendulumState(np.float32(0.5), np.float32(2.0))
    env = Pendulum(speed_cost=0.3, torque_cost=0.02)
    _, step = env.step(state, np.array([1.5], np.float32), jax.random.key(0))
    assert float(step.reward) == pytest.approx(-(0.25 + 0.3 * 4 + 0.02 * 2.25), rel=1e-6)


def test_start_draws_both_numbers_uniformly():
    episodes = jax.vmap(lambda key: start_episode(Pendulum(), key))(jax.random.split(jax.random.key(0), 4000))
    values = np.stack([episodes.state.theta, episodes.state.theta_dot], -1) / np.array([math.pi, 1])
    assert -1 <= values.min() < -0.99
    assert 0.99 < values.max() < 1
    np.testing.assert_allclose(values.mean(0), 0, atol=4 / math.sqrt(3 * 4000))
    np.testing.assert_allclose(values.std(0), 1 / math.sqrt(3), rtol=0.05)
    assert abs(np.corrcoef(values.T)[0, 1]) < 4 / math.sqrt(4000)
    np.testing.assert_allclose(episodes.obs[:, 0], np.cos(values[:, 0] * math.pi), atol=1e-6)


def test_spaces_are_gymnasiums():
    theirs, ours = gymnasium.make("Pendulum-v1"), jaxrl.make("Pendulum-v1")
    for own, other in (
        (ours.observation_space, theirs.observation_space),
        (ours.action_space, theirs.action_space),
    ):
        np.testing.assert_array_equal(np.broadcast_to(own.low, own.shape), other.low)
        np.testing.assert_array_equal(np.broadcast_to(own.high, own.shape), other.high)
        assert (own.shape, np.dtype(own.dtype)) == (other.shape, other.dtype)
    assert ours.max_steps == theirs.spec.max_episode_steps


def test_it_passes_the_checker():
    assert not jaxrl.check_env(Pendulum()).findings


def test_the_picture_turns_with_the_rod():
    def tip(theta):
        """The middle of the rod's pixels, from the middle of the picture: (right, up)."""
        red, green, blue = np.moveaxis(Pendulum().render(PendulumState(theta, 0.0)).astype(int), -1, 0)
        rows, columns = np.nonzero((red > 200) & (abs(green - 138) < 25) & (blue < 110))
        return columns.mean() - 199.5, 199.5 - rows.mean()

    np.testing.assert_allclose(tip(0.0), (0, 74), atol=3)
    # Like Gymnasium's, the rod turns to the left as the angle grows.
    np.testing.assert_allclose(tip(math.pi / 2), (-74, 0), atol=3)
