"""Priorities and their sums against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import random_bits
from jaxrl.priorities import BRANCHES, Priorities, importance_weights


def check_sums(tree, expected):
    """Every node is the sum of its children in float64, up to one rounding of each of a few additions."""
    np.testing.assert_allclose(tree.levels[0][: len(expected)], expected, rtol=1e-6)
    assert not np.any(tree.levels[0][len(expected) :])
    for below, above in zip(tree.levels, tree.levels[1:], strict=False):
        np.testing.assert_allclose(
            above[: len(below) // BRANCHES], np.asarray(below, np.float64).reshape(-1, BRANCHES).sum(1), rtol=1e-6
        )
        assert not np.any(above[len(below) // BRANCHES :])


@pytest.mark.parametrize(
    ("items", "written", "batch"), [(20, 4, 3), (1_000, 50, 16), (2_100, 1, 8), (2_100, 2_100, 99)]
)
def test_sums_never_drift_from_numpy_s(items, written, batch):
    rng = np.random.default_rng(items)
    tree, mirror = Priorities.empty(items), np.zeros(items)
    add, update = jax.jit(Priorities.add, static_argnums=2), jax.jit(Priorities.update)
    greatest = 1.0
    for i in range(300):
        first = i % (items // written) * written
        tree = add(tree, jnp.int32(first), written)
        mirror[first : first + written] = greatest
        chosen = rng.choice(np.flatnonzero(mirror), batch)
        # Over twenty orders of magnitude: differences would drown the small ones.
        values = np.float32(10 ** rng.uniform(-10, 10, items))[chosen]
        tree = update(tree, jnp.asarray(chosen, jnp.int32), jnp.asarray(values))
        mirror[chosen] = values
        greatest = max(greatest, values.max())
    check_sums(tree, mirror)
    assert tree.greatest == np.float32(greatest)


def test_updates_past_the_end_are_left_out():
    tree = Priorities.empty(100).add(jnp.int32(0), 100)
    after = tree.update(jnp.asarray([tree.levels[0].shape[0], 7]), jnp.asarray([5.0, 2.0]))
    expected = np.ones(100)
    expected[7] = 2
    check_sums(after, expected)
    assert after.greatest == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e38])
def test_no_priority_breaks_the_sums(value):
    tree = Priorities.empty(100).add(jnp.int32(0), 100).update(jnp.asarray([3]), jnp.asarray([value], jnp.float32))
    assert all(np.isfinite(level).all() for level in tree.levels)
    assert tree.levels[0][3] > 0


@pytest.mark.parametrize("items", [7, 1_000, 40_000])
def test_draws_are_in_proportion_and_never_of_priority_zero(items):
    rng = np.random.default_rng(0)
    values = np.where(rng.random(items) < 0.5, 0, rng.exponential(size=items)).astype(np.float32)
    values[-1] = 0
    levels = Priorities.empty(items)
    tree = levels.update(jnp.arange(items), jnp.asarray(values))
    # The clip of `update` would give them a little: set the leaves themselves.
    leaves = [jnp.zeros_like(levels.levels[0]).at[:items].set(values)]
    for above in tree.levels[1:]:
        sums = leaves[-1].reshape(-1, BRANCHES).sum(1)
        leaves.append(jnp.zeros_like(above).at[: len(sums)].set(sums))
    tree = Priorities(tuple(leaves), tree.greatest)
    draws = 200_000
    bits = random_bits.bits(jax.random.key(1), (draws, tree.draw_bits))
    indices, shares = jax.jit(Priorities.draw, static_argnums=2)(tree, bits, items)
    assert (values[np.asarray(indices)] > 0).all()
    probabilities = values.astype(np.float64) / values.sum(dtype=np.float64)
    np.testing.assert_allclose(shares, probabilities[np.asarray(indices)], rtol=1e-5)
    # In a hundred groups of items, which have enough draws each for a normal deviation.
    groups = np.arange(items) * min(items, 100) // items
    result = np.bincount(groups[np.asarray(indices)], minlength=groups[-1] + 1)
    expected = draws * np.bincount(groups, probabilities)
    assert np.all(np.abs(result - expected) <= 5 * np.sqrt(expected) + 1e-6)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_the_extremes_of_random_bits_draw_items_of_a_priority(fraction):
    items = 3_000
    tree = Priorities.empty(items).add(jnp.int32(1_000), 3)
    bits = jnp.full((4, tree.draw_bits), np.uint32(fraction * (2**32 - 1)))
    indices, _ = tree.draw(bits, items)
    assert set(np.asarray(indices).tolist()) <= {1_000, 1_001, 1_002}


def test_importance_weights_are_schaul_s():
    probabilities = np.array([0.5, 0.25, 0.01])
    weights = importance_weights(jnp.asarray(probabilities), jnp.int32(40), jnp.float32(0.4))
    expected = (40 * probabilities) ** -0.4
    np.testing.assert_allclose(weights, expected / expected.max(), rtol=1e-5)
    np.testing.assert_array_equal(importance_weights(jnp.asarray(probabilities), jnp.int32(40), jnp.float32(0)), 1)
