"""Mazes against a search in plain Python."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.envs.maze import MazeState, nearness
from jaxrl.wrappers import PotentialShaping

MOVES = {0: (0, -1), 1: (1, 0), 2: (0, 1), 3: (-1, 0)}
LAYOUT = "S.#./.##./...T/#.#G/S..."
KEYS = jax.random.split(jax.random.key(0), 300)


def searched(open_cells, goals):
    """Steps to the nearest goal by a breadth-first search; -1: no way."""
    result = np.full(open_cells.shape, -1)
    queue = collections.deque(goals)
    for goal in goals:
        result[goal] = 0
    while queue:
        row, column = queue.popleft()
        for down, right in MOVES.values():
            to = row + down, column + right
            inside = 0 <= to[0] < result.shape[0] and 0 <= to[1] < result.shape[1]
            if inside and open_cells[to] and result[to] < 0:
                result[to] = result[row, column] + 1
                queue.append(to)
    return result


@pytest.fixture(scope="module")
def drawn():
    env = jaxrl.make("Maze-v0", size=7)
    return env, jax.jit(jax.vmap(lambda key: env.reset(key)[0]))(KEYS)


def test_drawn_mazes_have_one_way_between_any_two_rooms(drawn):
    env, states = drawn
    walls = np.asarray(states.walls).reshape(-1, 7, 7)
    rooms = 16
    assert not walls[:, ::2, ::2].any()
    assert walls[:, 1::2, 1::2].all()
    passages = (~walls).sum((1, 2)) - rooms
    # As many passages as a tree has edges, and all connected.
    assert np.all(passages == rooms - 1)
    distances = np.asarray(jax.jit(jax.vmap(env.distances))(states))
    for number in range(0, len(KEYS), 10):
        np.testing.assert_array_equal(distances[number], searched(~walls[number], [(6, 6)]))
    assert np.all((distances >= 0) == ~walls)


def test_drawn_walls_differ_and_none_is_preferred_to_its_mirror_image(drawn):
    _, states = drawn
    walls = np.asarray(states.walls).reshape(-1, 7, 7)
    assert len(np.unique(walls, axis=0)) > 0.98 * len(walls)
    share = walls.mean(0)
    # Five standard deviations.
    for mirrored in (share.T, share[::-1], share[:, ::-1]):
        assert np.abs(share - mirrored).max() < 5 * np.sqrt(2 * 0.25 / len(walls))


@pytest.mark.parametrize("layout", ["", LAYOUT])
def test_every_step_is_that_of_plain_python(layout):
    env = jaxrl.make("Maze-v0", size=5, layout=layout, goal_reward=2.0, trap_reward=-3.0)
    first, _ = env.reset(KEYS[0])
    letters = env.cells
    walls = np.asarray(env.walls(first)).reshape(letters.shape)

    @jax.jit
    def all_steps(first):
        def one(cell, action):
            return env.step(MazeState(cell, first.walls), action, KEYS[0])

        actions = jax.vmap(one, in_axes=(None, 0))
        return jax.vmap(actions, in_axes=(0, None))(jnp.arange(letters.size), jnp.arange(4))

    after, given = jax.device_get(all_steps(first))
    for row, column in np.argwhere(~walls):
        for action, (down, right) in MOVES.items():
            to = row + down, column + right
            inside = 0 <= to[0] < letters.shape[0] and 0 <= to[1] < letters.shape[1]
            place = to if inside and not walls[to] else (row, column)
            here = row * letters.shape[1] + column, action
            assert after.cell[here] == place[0] * letters.shape[1] + place[1]
            assert given.reward[here] == {"G": 2, "T": -3}.get(letters[place], 0)
            assert given.terminated[here] == (letters[place] in "GT")
            np.testing.assert_array_equal(given.obs[here][..., 0], walls)
            assert np.argwhere(given.obs[here][..., 1]).tolist() == [list(place)]
            np.testing.assert_array_equal(given.obs[here][..., 2], (letters == "G") * 1.0 - (letters == "T"))


def test_distances_go_around_walls_and_traps():
    env = jaxrl.make("Maze-v0", layout=LAYOUT)
    open_cells = ~np.isin(env.cells, ["#", "T"])
    expected = searched(open_cells, [(3, 3)])
    np.testing.assert_array_equal(jax.jit(env.distances)(env.reset(KEYS[0])[0]), expected)
    # The corner beyond the trap has no way out.
    assert (expected[0, 3], expected[0, 0]) == (-1, 8)


def test_starts_and_cells():
    env = jaxrl.make("Maze-v0", layout=LAYOUT, observation="cell")
    states, obs = jax.vmap(env.reset)(KEYS)
    counts = collections.Counter(np.asarray(obs).tolist())
    assert set(counts) == {0, 16}
    assert abs(counts[0] - 150) < 5 * np.sqrt(300 / 4)
    np.testing.assert_array_equal(states.cell, obs)
    assert env.observation_space == jaxrl.Discrete(20)
    assert (env.costly_reset, jaxrl.make("Maze-v0").costly_reset) == (False, True)


def test_nearness_is_by_steps_without_walls():
    env = jaxrl.make("Maze-v0", layout=LAYOUT)
    values = [float(nearness(env, MazeState(jnp.int32(cell), None))) for cell in (0, 15, 3, 19)]
    np.testing.assert_allclose(values, [1 - 6 / 7, 1, 1 - 3 / 7, 1 - 1 / 7], rtol=1e-6)
    drawn = PotentialShaping(jaxrl.make("Maze-v0", size=5), potential=nearness, discount=0.5)
    state, _ = drawn.reset(KEYS[0])
    assert float(state.extra) == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 8}, r"Maze.size = 8 must be odd"),
        ({"layout": "S.G/.."}, r"Maze.layout = 'S.G/..' must be rows of equal length"),
        ({"layout": "S.g"}, r"Maze.layout = 'S.g' must be rows"),
        ({"layout": "..G"}, r"with an S and a G at least"),
        ({"observation": "walls"}, r"Maze.observation = 'walls' must be one of 'maze', 'cell'"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.make("Maze-v0", **parameters)


def test_pictures_show_walls_traps_goal_and_agent():
    env = jaxrl.make("Maze-v0", layout=LAYOUT)
    states = [MazeState(jnp.int32(cell), None) for cell in (0, 16)]
    first, second = map(env.render, states)
    assert first.dtype == np.uint8
    assert first.shape == (5 * 64 + 24, 4 * 64 + 24, 3)
    changed = np.argwhere((first != second).any(-1))
    assert set((changed[:, 0] - 12) // 64) == {0, 4}
    walls = {tuple(color) for color in (first[12 + 32, 12 + 2 * 64 + 32], first[12 + 3 * 64 + 32, 12 + 32])}
    assert walls == {(124, 134, 150)}
