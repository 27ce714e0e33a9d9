"""The exact scorer against strikes counted by hand in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs.plane_strike import PlaneStrike
from jaxrl.envs.plane_strike_score import score, strikes
from jaxrl.rollout import Policy

ENVS = [PlaneStrike(), PlaneStrike(placement="published"), PlaneStrike(size=5), PlaneStrike(size=10)]


def one_by_one(choose):
    """The policy that chooses a cell i32[] for each game by its board and its mask."""
    return Policy(lambda carry, games, noise: (jax.vmap(choose)(games.obs, games.mask), carry, ()))


def in_order(order):
    """A policy that strikes the untried cell that comes first in `order`, i32[size * size]."""
    rank = jnp.argsort(jnp.asarray(order))
    return one_by_one(lambda obs, mask: jnp.argmin(jnp.where(mask, rank, rank.size)).astype(jnp.int32))


def counted(env, order):
    """Strikes until the last cell of the plane, when the cells are struck in `order`."""
    rank = np.argsort(order)
    return np.array([rank[board.reshape(-1)].max() + 1 for board in env.placements])


def likeliest(env):
    """A policy that strikes the cell on most of the placements that fit what is known."""
    planes = jnp.asarray(env.placements.reshape(len(env.placements), -1), jnp.float32)

    def act(obs, mask):
        known = obs.reshape(-1)
        fits = (planes @ (known == 1) == jnp.sum(known == 1)) & (planes @ (known == -1) == 0)
        return jnp.argmax(jnp.where(mask, fits @ planes, -1.0)).astype(jnp.int32)

    return one_by_one(act)


def numpy_planner_strikes(env):
    """The same planner played by hand, game by game, with sets of placements."""
    planes = env.placements.reshape(len(env.placements), -1)
    totals = []
    for hidden in planes:
        untried, fits, hits = np.ones(hidden.size, bool), np.ones(len(planes), bool), 0
        while hits < 8:
            cell = np.where(untried, planes[fits].sum(0), -1).argmax()
            untried[cell] = False
            fits &= planes[:, cell] == hidden[cell]
            hits += hidden[cell]
        totals.append(np.sum(~untried))
    return np.array(totals)


@pytest.mark.parametrize("env", ENVS, ids=["app", "published", "size5", "size10"])
def test_fixed_orders_are_counted_exactly(env):
    cells = env.size**2
    random = np.random.default_rng(0)
    orders = np.stack([np.arange(cells), np.arange(cells)[::-1], *(random.permutation(cells) for _ in range(10))])
    own, scores = jax.jit(jax.vmap(lambda order: (strikes(env, in_order(order)), score(env, in_order(order)))))(orders)
    assert (own.shape, own.dtype) == ((12, len(env.placements)), "int32")
    expected = np.stack([counted(env, order) for order in orders])
    np.testing.assert_array_equal(own, expected)
    np.testing.assert_allclose(scores, expected @ env.placement_probabilities, rtol=1e-6)


def test_the_published_score_weighs_the_placements():
    env = PlaneStrike(placement="published")
    counts = counted(env, np.arange(64))
    expected = np.mean([counts[:30].mean(), counts[30:55].mean(), counts[55:85].mean(), counts[85:].mean()])
    assert float(jax.jit(lambda: score(env, in_order(np.arange(64))))()) == pytest.approx(expected, rel=1e-6)
    assert abs(counts.mean() - expected) > 0.05


def test_random_legal_play_needs_eight_ninths_of_all_cells():
    """The last of 8 cells among 64 in random order comes at 8 * 65 / 9 = 57.78 on average.

    Its standard deviation is sqrt(8 * 56 * 65 / (81 * 10)) = 6.0, so that of the mean over 400 orders
    is at most 6.0 / sqrt(400) = 0.3, however much the games of one order are alike.
    """
    random = np.random.default_rng(1)
    orders = np.stack([random.permutation(64) for _ in range(400)])
    scores = jax.jit(jax.vmap(lambda order: score(PlaneStrike(), in_order(order))))(orders)
    assert float(jnp.mean(scores)) == pytest.approx(8 * 65 / 9, abs=0.6)


def test_a_bayesian_planner_scores_as_known():
    env = PlaneStrike()
    own, mean = jax.jit(lambda: (strikes(env, likeliest(env)), score(env, likeliest(env))))()
    np.testing.assert_array_equal(own, numpy_planner_strikes(env))
    assert float(mean) == pytest.approx(np.asarray(own).mean(), rel=1e-6)
    # The known score, 12.08, is 1449 strikes in 120 games.
    assert np.asarray(own).sum() == 1449


def test_a_numpy_policy_plays_through_a_callback():
    env = PlaneStrike(size=5)

    def choose(obs, mask):
        return np.int32(np.flatnonzero(mask)[-1])

    def act(obs, mask):
        shape = jax.ShapeDtypeStruct((), jnp.int32)
        return jax.pure_callback(choose, shape, obs, mask, vmap_method="sequential")

    np.testing.assert_array_equal(strikes(env, one_by_one(act)), counted(env, np.arange(25)[::-1]))


def test_a_policy_that_repeats_itself_counts_as_all_cells():
    own = strikes(PlaneStrike(), one_by_one(lambda obs, mask: jnp.int32(27)))
    np.testing.assert_array_equal(own, np.full(120, 64))


def test_a_perfect_policy_needs_eight():
    env = PlaneStrike()
    cells = jnp.asarray(np.stack([np.flatnonzero(board) for board in env.placements]))
    cheat = in_order(np.concatenate([cells[5], np.setdiff1d(np.arange(64), cells[5])]))
    assert int(strikes(env, cheat)[5]) == 8


def test_rewards_and_the_time_limit_play_no_part():
    order = np.arange(64)
    changed = PlaneStrike(hit_reward=-4.0, finish_reward=9.0, max_steps=3)
    np.testing.assert_array_equal(strikes(changed, in_order(order)), counted(PlaneStrike(), order))


def test_a_policy_may_remember():
    """Cell by cell in order, by the carry alone: boards and masks are not looked at."""
    env = PlaneStrike(size=5)
    policy = Policy(lambda cell, games, noise: (cell, cell + 1, ()), jnp.zeros(len(env.placements), jnp.int32))
    np.testing.assert_array_equal(strikes(env, policy), counted(env, np.arange(25)))
