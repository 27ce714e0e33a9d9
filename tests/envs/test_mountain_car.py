"""Both mountain cars against Gymnasium's own, transition by transition and in whole episodes."""

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
from jaxrl.envs.mountain_car import MountainCar, MountainCarContinuous, MountainCarState

NAMES = {MountainCar: "MountainCar-v0", MountainCarContinuous: "MountainCarContinuous-v0"}
OTHER_PHYSICS = [
    (MountainCar, {"gravity": 0.003, "force": 0.0015}, {}),
    (MountainCar, {"max_speed": 0.02}, {}),
    (MountainCar, {"min_position": -0.8, "max_position": 0.4, "goal_position": 0.3, "goal_velocity": 0.02}, {}),
    (
        MountainCarContinuous,
        {"power": 0.002, "max_action": 0.7},
        {"power": 0.002, "min_action": -0.7, "max_action": 0.7},
    ),
    (MountainCarContinuous, {"goal_position": 0.3, "goal_velocity": 0.01, "max_speed": 0.04}, {}),
]

ROUNDINGS = 12
"""At least the roundings on the longest path from the state to an acceleration: constants 2, cosine 3, operations 4."""


def play_randomly(state, random):
    return int(random.integers(3))


def swing_up(state, random):
    """Pushes the way the car rolls, but now and then not."""
    return 1 + int(np.sign(state[1])) if random.random() < 0.9 else 1


def hit_the_wall(state, random):
    """Swings up to the left only."""
    return 0 if state[1] <= 0 else int(random.integers(1, 3)) if state[0] < -0.5 else 0


def continuous(policy):
    """The same with a force of random size, beyond the bounds too, which Gymnasium clips."""
    return lambda state, random: np.array([(policy(state, random) - 1) * random.uniform(0.5, 1.5)], np.float32)


POLICIES = {"random": (play_randomly, 4), "swing_up": (swing_up, 6), "wall": (hit_the_wall, 4)}


@functools.cache
def recorded(kind, env_class):
    policy, episodes = POLICIES[kind]
    if env_class is MountainCarContinuous:
        policy, episodes = continuous(policy), max(2, episodes // 2)
    return gymnasium_games.record(NAMES[env_class], policy, episodes)


def check_transitions(env, games):
    """Compares a step of `env` from every state of Gymnasium's with Gymnasium's own, to bounds on the roundings.

    A rounding changes an acceleration by at most UNIT times the sum of its terms; the rounded position is multiplied
    by `slope_frequency` on its way. Gymnasium's continuous car is in float32 itself, which doubles everything.
    """
    after, transition = gymnasium_games.take_all(env, MountainCarState, games)
    (position, velocity), (new_position, new_velocity) = abs(games["before"].T), abs(games["after"].T)
    push = env.force if isinstance(env, MountainCar) else env.power * env.max_action
    acceleration = ROUNDINGS * (push + env.gravity) + env.gravity * env.slope_frequency * position
    velocity_error = 2 * UNIT * (velocity + new_velocity + acceleration)
    position_error = 2 * UNIT * (position + new_position) + velocity_error
    error = abs(after - games["after"])
    assert np.all(error <= np.stack([position_error, velocity_error], -1))
    np.testing.assert_array_equal(transition.next_obs, after)
    np.testing.assert_allclose(transition.reward, games["reward"], rtol=4 * UNIT, atol=0)
    gymnasium_games.check_ends_and_dtypes(transition, after, games)


@pytest.mark.parametrize("env_class", NAMES)
@pytest.mark.parametrize("kind", POLICIES)
def test_every_transition_equals_gymnasiums(kind, env_class):
    games = recorded(kind, env_class)
    env = jaxrl.make(NAMES[env_class])
    check_transitions(env, games)
    # The data holds what the test is about: the goal, the time limit, the wall that stops a car.
    at_wall = (games["after"][:, 0] == np.float32(-1.2)) | (games["after"][:, 0] == -1.2)
    assert games["terminated"].any() == (kind == "swing_up")
    assert games["truncated"].any() == (kind != "swing_up")
    assert games["step"].max() < env.max_steps
    assert (at_wall.sum() > 5) == (kind == "wall")
    assert np.all(games["after"][at_wall, 1] == 0)
    if env_class is MountainCarContinuous:
        assert (abs(games["action"]) > 1).any()


@pytest.mark.parametrize(("env_class", "ours", "theirs"), OTHER_PHYSICS)
def test_other_physics_equal_gymnasiums(env_class, ours, theirs):
    policy = swing_up if env_class is MountainCar else continuous(swing_up)
    check_transitions(env_class(**ours), gymnasium_games.record(NAMES[env_class], policy, 3, **(theirs or ours)))


@pytest.mark.parametrize("kind", POLICIES)
def test_whole_episodes_equal_gymnasiums(kind):
    """Gymnasium's car is in float64, and so is ours here; the continuous one is in float32 in both."""
    games = recorded(kind, MountainCar)
    obs, _, terminated = gymnasium_games.play_alone(MountainCar(), MountainCarState, games, 200)
    np.testing.assert_allclose(obs, games["after"], rtol=0, atol=1e-10)
    np.testing.assert_array_equal(terminated, games["terminated"])
    games = recorded(kind, MountainCarContinuous)
    env = MountainCarContinuous()
    obs, reward, terminated = gymnasium_games.play_alone(env, MountainCarState, games, 999, np.float32)
    np.testing.assert_allclose(obs, games["after"], rtol=0, atol=2e-4)
    # At the goal the hundred may come a step earlier or later for a difference in the last bit: not in these games.
    np.testing.assert_allclose(reward, games["reward"], rtol=1e-6)
    np.testing.assert_array_equal(terminated, games["terminated"])


def test_the_slope_and_the_rewards_are_leaves():
    state = MountainCarState(np.float32(0.44), np.float32(0.03))
    action = np.array([1.5], np.float32)
    env = MountainCarContinuous(slope_frequency=2.0, goal_reward=7.0, action_cost=0.2)
    after, step = env.step(state, action, jax.random.key(0))
    assert float(after.velocity) == pytest.approx(0.03 + 0.0015 - 0.0025 * math.cos(0.88), rel=1e-6)
    assert bool(step.terminated)
    assert float(step.reward) == pytest.approx(7 - 0.2 * 1.5**2, rel=1e-6)


@pytest.mark.parametrize("env_class", NAMES)
def test_start_draws_the_position_uniformly(env_class):
    env = env_class(start_low=-0.9, start_high=-0.5) if env_class is MountainCar else env_class()
    low, high = (-0.9, -0.5) if env_class is MountainCar else (-0.6, -0.4)
    episodes = jax.vmap(lambda key: start_episode(env, key))(jax.random.split(jax.random.key(0), 4000))
    values = (np.asarray(episodes.state.position, np.float64) - low) / (high - low)
    assert -1e-6 < values.min() < 0.01
    assert 0.99 < values.max() < 1 + 1e-6
    assert values.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 4000))
    assert values.std() == pytest.approx(1 / math.sqrt(12), rel=0.05)
    assert not np.any(episodes.state.velocity)


@pytest.mark.parametrize("env_class", NAMES)
def test_spaces_and_names_are_gymnasiums(env_class):
    theirs, ours = gymnasium.make(NAMES[env_class]), jaxrl.make(NAMES[env_class])
    assert type(ours) is env_class
    boxes = [(ours.observation_space, theirs.observation_space), (ours.action_space, theirs.action_space)]
    if env_class is MountainCar:
        assert ours.action_space.n == boxes.pop()[1].n
    for own, other in boxes:
        np.testing.assert_array_equal(np.broadcast_to(own.low, own.shape), other.low)
        np.testing.assert_array_equal(np.broadcast_to(own.high, own.shape), other.high)
        assert (own.shape, np.dtype(own.dtype)) == (other.shape, other.dtype)
    assert ours.max_steps == theirs.spec.max_episode_steps
    assert ours.solved_return == theirs.spec.reward_threshold


@pytest.mark.parametrize("env_class", NAMES)
def test_they_pass_the_checker(env_class):
    assert not jaxrl.check_env(env_class()).findings


@pytest.mark.parametrize("env_class", NAMES)
def test_the_car_drives_along_the_road(env_class):
    def car(position):
        """The middle of the car's pixels: (column, row)."""
        picture = env_class().render(MountainCarState(position, 0.0))
        assert (picture.shape, picture.dtype) == ((360, 600, 3), np.uint8)
        rows, columns = np.nonzero((picture == (71, 101, 150)).all(-1))
        return columns.mean(), rows.mean()

    valley, right, left = car(-math.pi / 6), car(0.2), car(-1.0)
    assert valley[0] == pytest.approx((1.2 - math.pi / 6) / 1.8 * 600, abs=3)
    # A leaning car's middle is uphill of, and above, the point of the road that it stands on.
    assert right[0] == pytest.approx(1.4 / 1.8 * 600, abs=14)
    assert left[0] == pytest.approx(0.2 / 1.8 * 600, abs=14)
    assert right[1] < left[1] < valley[1]
