"""Plane Strike against 400 recorded games of the published environment, and its placements."""

import fractions
import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl import random_bits
from jaxrl.environment import Environment, start_episode, step_episode
from jaxrl.envs import bitboard
from jaxrl.envs.plane_strike import PlaneStrike, _tickets
from jaxrl.registry import make

GAMES = pathlib.Path(__file__).parents[1] / "data" / "plane_strike_games.npz"
KEY = jax.random.key(0)
HEADINGS = {"right": (0, 1), "up": (-1, 0), "left": (0, -1), "down": (1, 0)}


@pytest.fixture(scope="module")
def games():
    """Recorded on the published environment, 400 games."""
    with np.load(GAMES) as data:
        return dict(data)


def plane_cells(row, column, heading):
    """The eight cells around the plane's core: a cross, and a tail of three two cells behind."""
    down, right = HEADINGS[heading]
    cross = {(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)}
    tail = {(-2 * down + side * right, -2 * right + side * down) for side in (-1, 0, 1)}
    return frozenset((row + r, column + c) for r, c in cross | tail)


def expected_places(size, placement):
    """The places of every heading, sets of cells, from the position of the core alone."""
    places = {heading: [] for heading in HEADINGS}
    for heading, row, column in itertools.product(HEADINGS, range(size), range(size)):
        cells = plane_cells(row, column, heading)
        skipped = placement == "published" and heading == "up" and column == size - 2
        if not skipped and all(0 <= r < size and 0 <= c < size for r, c in cells):
            places[heading].append(cells)
    return places


def as_cells(board):
    return frozenset(zip(*map(np.ndarray.tolist, np.nonzero(board)), strict=True))


def place_of(env, state):
    """The row of `env.placements` where the plane is."""
    cells = env.placements.reshape(len(env.placements), -1)
    return jnp.argmax(jnp.all(cells == bitboard.unpack(state.plane, cells.shape[1]), axis=1))


def replay(env, planes, actions):
    """Plays recorded actions: (observations, rewards, dones, masks), each [games, steps, ...]."""

    def one(plane, actions):
        def strike(state, action):
            state, step = env.step(state, action, KEY)
            return state, (step.obs, step.reward, step.terminated, env.action_mask(state), step.truncated)

        return jax.lax.scan(strike, env.begin(plane)[0], actions)[1]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(planes, actions))


@pytest.mark.parametrize("placement", ["app", "published"])
def test_equals_every_recorded_game(games, placement):
    env = make("PlaneStrike-v0", placement=placement)
    rows = {board.tobytes(): row for row, board in enumerate(env.placements)}
    planes = np.array([rows[board.astype(bool).tobytes()] for board in games["hidden"]], np.int32)
    obs, reward, done, mask, truncated = replay(env, planes, games["action"].astype(np.int32))
    played = np.arange(80) < games["length"][:, None]
    assert played.sum() == 18207
    np.testing.assert_array_equal(obs[played], games["observation"][:, 1:][played])
    np.testing.assert_array_equal(reward[played], games["reward"][played])
    np.testing.assert_array_equal(done[played], games["done"][played])
    np.testing.assert_array_equal(mask[played], games["observation"][:, 1:].reshape(400, 80, 64)[played] == 0)
    assert not truncated.any()
    assert (obs.dtype, reward.dtype, done.dtype, mask.dtype) == (np.float32, np.float32, bool, bool)


def test_every_reward_has_its_own_meaning():
    env = PlaneStrike(hit_reward=2.0, miss_reward=-0.25, repeat_reward=-3.0, finish_reward=10.0)
    cells = np.flatnonzero(env.placements[0])
    water = np.flatnonzero(~env.placements[0].reshape(-1))[0]
    actions = [cells[0], water, water, cells[0], *cells[1:]]
    expected = [2, -0.25, -0.25, -3, 2, 2, 2, 2, 2, 2, 12]
    _, reward, done, _, _ = replay(env, np.array([0]), np.array([actions], np.int32))
    np.testing.assert_array_equal(reward[0], expected)
    assert done[0].tolist() == [False] * 10 + [True]


def test_rewards_may_differ_from_member_to_member():
    envs = PlaneStrike(miss_reward=jnp.array([0.0, -0.5, -1.0]))
    water = np.flatnonzero(~PlaneStrike().placements[0].reshape(-1))[0]
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, envs)
    rewards = jax.vmap(lambda env: env.step(env.begin(0)[0], water, KEY)[1].reward, in_axes=(axes,))(envs)
    np.testing.assert_array_equal(rewards, [0.0, -0.5, -1.0])


@pytest.mark.parametrize("size", [5, 6, 8, 10])
@pytest.mark.parametrize("placement", ["app", "published"])
def test_placements_and_their_probabilities_are_exact(size, placement):
    env = PlaneStrike(size=size, placement=placement)
    expected = expected_places(size, placement)
    places = [as_cells(board) for board in env.placements]
    assert len(set(places)) == len(places)
    assert set(places) == {cells for group in expected.values() for cells in group}
    exact = {cells: fractions.Fraction(1, len(HEADINGS) * len(group)) for group in expected.values() for cells in group}
    tickets = _tickets(size, placement)
    counts = np.bincount(tickets, minlength=len(places))
    assert {cells: fractions.Fraction(int(n), len(tickets)) for cells, n in zip(places, counts, strict=True)} == exact
    np.testing.assert_allclose(env.placement_probabilities, [float(exact[cells]) for cells in places], rtol=1e-15)


def test_the_board_of_eight_has_the_known_numbers_of_places(games):
    counts = {
        placement: [len(group) for group in expected_places(8, placement).values()]
        for placement in ("app", "published")
    }
    assert counts == {"app": [30, 30, 30, 30], "published": [30, 25, 30, 30]}
    assert len(PlaneStrike().placements) == 120
    assert len(PlaneStrike(placement="published").placements) == 115
    recorded = {as_cells(board) for board in games["hidden"]}
    assert recorded <= {as_cells(board) for board in PlaneStrike(placement="published").placements}


@pytest.mark.parametrize("placement", ["app", "published"])
def test_reset_draws_the_placements_by_their_probabilities(placement):
    env = PlaneStrike(placement=placement)
    keys = jax.random.split(jax.random.key(7), 120_000)
    planes = np.asarray(jax.jit(jax.vmap(lambda key: place_of(env, env.reset(key)[0])))(keys))
    tickets = _tickets(8, placement)
    drawn = np.asarray(jax.vmap(lambda key: random_bits.bits(key, ()))(keys[:1000])).astype(np.uint64)
    np.testing.assert_array_equal(planes[:1000], tickets[drawn * len(tickets) >> 32])
    counts = np.bincount(planes, minlength=len(env.placements))
    expected = env.placement_probabilities * len(keys)
    limit = stats.chi2.isf(1e-6, len(counts) - 1)
    assert np.sum((counts - expected) ** 2 / expected) < limit
    # The bound is sharp enough to tell the two-stage distribution from a uniform one.
    uniform = len(keys) / len(counts)
    assert (np.sum((counts - uniform) ** 2 / uniform) < limit) == (placement == "app")


def test_reset_gives_an_empty_board_and_hides_the_plane():
    state, obs = PlaneStrike().reset(KEY)
    np.testing.assert_array_equal(obs, np.zeros((8, 8), np.float32))
    assert (obs.dtype, state.hits.dtype) == ("float32", "int32")
    assert int(state.hits) == 0
    assert bitboard.unpack(state.plane, 64).sum() == 8


@pytest.mark.parametrize("size", [5, 6, 10])
def test_other_sizes_play(size):
    env = PlaneStrike(size=size, max_steps=size * size)
    assert (env.observation_space.shape, env.action_space.n) == ((size, size), size * size)
    planes = np.arange(len(env.placements), dtype=np.int32)
    actions = np.tile(np.arange(size * size, dtype=np.int32), (len(planes), 1))
    obs, reward, done, mask, _ = replay(env, planes, actions)
    hidden = env.placements.reshape(len(planes), -1)
    np.testing.assert_array_equal(reward, hidden)
    np.testing.assert_array_equal(done, np.cumsum(hidden, 1) == 8)
    np.testing.assert_array_equal(obs[:, -1].reshape(hidden.shape), np.where(hidden, 1, -1))
    np.testing.assert_array_equal(mask[0].sum(1), np.arange(size * size)[::-1])


@pytest.mark.parametrize("size", [5, 8, 10])
def test_random_actions_are_uniform_over_the_untried_cells(size):
    env = PlaneStrike(size=size)
    state, _ = env.begin(3)
    tried = np.random.default_rng(0).permutation(size * size)[: size * size // 2]
    for cell in tried:
        state, _ = env.step(state, jnp.int32(cell), KEY)
    uniform = random_bits.uniform(random_bits.bits(KEY, (40_000,)))
    drawn = jax.vmap(lambda u: env.random_action(state, u))(uniform)
    counts = np.bincount(drawn, minlength=size * size)
    untried = np.asarray(env.action_mask(state))
    assert counts[~untried].sum() == 0
    assert stats.chisquare(counts[untried]).pvalue > 1e-3
    # The same numbers choose the same cells by the mask, which is what every other environment does.
    by_mask = jax.vmap(lambda u: Environment.random_action(env, state, u))(uniform)
    np.testing.assert_array_equal(drawn, by_mask)


def test_action_mask_gives_the_untried_cells():
    env = PlaneStrike()
    state, _ = env.begin(17)
    tried = [3, 9, 9, 40, 63]
    assert env.action_mask(state).all()
    for cell in tried:
        state, _ = env.step(state, jnp.int32(cell), KEY)
    mask = env.action_mask(state)
    assert (mask.shape, mask.dtype) == ((64,), bool)
    assert set(np.flatnonzero(~np.asarray(mask)).tolist()) == set(tried)


@pytest.mark.parametrize("limit", [1, 20, 64])
def test_a_game_is_cut_off_after_max_steps(limit):
    env = PlaneStrike(max_steps=limit)
    episode = start_episode(env, KEY)
    water = np.flatnonzero(~env.placements[place_of(env, episode.state)].reshape(-1))[0]
    step = jax.jit(step_episode)
    for length in range(1, limit + 1):
        episode, transition = step(env, episode, water, KEY)
        assert not bool(transition.terminated)
        assert bool(transition.truncated) == (length == limit)


def test_the_last_strike_allowed_may_win():
    env = PlaneStrike(max_steps=8)
    episode = start_episode(env, KEY)
    for cell in np.flatnonzero(env.placements[place_of(env, episode.state)]):
        episode, transition = step_episode(env, episode, cell, KEY)
    assert bool(transition.terminated)
    assert float(transition.episode_return) == 8.0


def test_max_steps_is_64_by_default_and_placement_app():
    env = make("PlaneStrike-v0")
    assert (env.max_steps, env.placement, env.size) == (64, "app", 8)


@pytest.mark.parametrize(
    ("field", "value"), [("size", 4), ("size", 8.5), ("placement", "everywhere"), ("max_steps", 0)]
)
def test_refuses_bad_static_fields(field, value):
    with pytest.raises((ValueError, TypeError), match=rf"PlaneStrike\.{field} = {value!r}"):
        make("PlaneStrike-v0", **{field: value})


def test_tables_are_shared_and_read_only():
    env = PlaneStrike()
    assert env.placements.base is PlaneStrike().placements.base
    with pytest.raises(ValueError, match="read-only"):
        env.placements[0] = True
