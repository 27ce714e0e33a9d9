"""TMaze against the rules of Bakker's paper, walked through by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environment import start_episode
from jaxrl.envs.t_maze import TMaze, TMazeState

NORTH, EAST, SOUTH, WEST = range(4)
SIGN_NORTH, SIGN_SOUTH, CORRIDOR, JUNCTION, ARM = [0, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]


def begin(north):
    return TMazeState(jnp.bool_(north), jnp.int32(0), jnp.int32(0))


def walk(env, north, actions):
    """Observations, rewards and ends of a walk from the start."""
    state, seen = begin(north), []
    for action in actions:
        state, step = env.step(state, jnp.int32(action), jax.random.key(0))
        seen.append((np.asarray(step.obs).tolist(), pytest.approx(float(step.reward)), bool(step.terminated)))
        assert not step.truncated
    return seen


@pytest.mark.parametrize(("north", "turn", "reward"), [(True, NORTH, 4), (True, SOUTH, -0.1), (False, SOUTH, 4)])
def test_the_turn_that_the_sign_tells_earns_the_goal(north, turn, reward):
    along = [(CORRIDOR, 0, False), (CORRIDOR, 0, False), (JUNCTION, 0, False)]
    assert walk(TMaze(length=3), north, [EAST, EAST, EAST, turn]) == [*along, (ARM, reward, True)]


@pytest.mark.parametrize("north", [True, False])
def test_walls_cost_and_the_sign_is_seen_at_the_start_alone(north):
    sign = SIGN_NORTH if north else SIGN_SOUTH
    actions = [WEST, NORTH, SOUTH, EAST, NORTH, SOUTH, WEST, EAST, EAST, EAST, WEST, EAST]
    expected = [(sign, -0.1)] * 3 + [(CORRIDOR, 0), (CORRIDOR, -0.1), (CORRIDOR, -0.1), (sign, 0)]
    expected += [(CORRIDOR, 0), (JUNCTION, 0), (JUNCTION, -0.1), (CORRIDOR, 0), (JUNCTION, 0)]
    assert walk(TMaze(length=2), north, actions) == [(obs, reward, False) for obs, reward in expected]


def test_rewards_are_leaves():
    env = TMaze(length=1, goal_reward=2.0, wrong_reward=-3.0, wall_reward=-0.5)
    assert walk(env, True, [WEST, EAST, NORTH])[0][1] == -0.5
    assert walk(env, True, [EAST, NORTH])[1] == (ARM, 2, True)
    assert walk(env, True, [EAST, SOUTH])[1] == (ARM, -3, True)


def test_start_shows_the_sign_of_a_side_drawn_evenly():
    env = jaxrl.make("TMaze-v0", length=6)
    episodes = jax.vmap(lambda key: start_episode(env, key))(jax.random.split(jax.random.key(0), 4000))
    north = np.asarray(episodes.state.north)
    assert north.mean() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_array_equal(episodes.obs, np.where(north[:, None], SIGN_NORTH, SIGN_SOUTH))


def test_a_corridor_longer_than_an_episode_is_refused():
    with pytest.raises(ValueError, match=r"TMaze.max_steps = 20 must be more than length = 20"):
        TMaze(length=20, max_steps=20)
    with pytest.raises(ValueError, match=r"TMaze.length = 0 must be >= 1"):
        TMaze(length=0)


def test_it_passes_the_checker():
    assert not jaxrl.check_env(TMaze()).findings


@pytest.mark.parametrize("length", [2, 40])
def test_the_picture_shows_maze_sign_goal_and_agent(length):
    env = TMaze(length=length)

    def middle(state, color):
        """The middle of the pixels of a color: (column, row)."""
        picture = env.render(state)
        assert (picture.shape, picture.dtype) == ((240, 600, 3), np.uint8)
        rows, columns = np.nonzero((picture == color).all(-1))
        return columns.mean(), rows.mean()

    agent, goal = (226, 138, 67), (163, 204, 170)
    cell = min(60, 540 / (length + 1))
    for north, upwards in ((True, 1), (False, -1)):
        begun = begin(north)
        turned = TMazeState(jnp.bool_(north), jnp.int32(length), jnp.int32(-upwards))
        assert 119.5 - middle(begun, goal)[1] == pytest.approx(upwards * cell, abs=1)
        assert middle(turned, agent)[0] - middle(begun, goal)[0] == pytest.approx(0, abs=1)
        assert middle(turned, agent)[1] - middle(begun, goal)[1] == pytest.approx(2 * cell * upwards, abs=2)
