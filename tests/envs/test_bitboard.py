"""Sets of cells as bits, against boards of booleans."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.envs import bitboard

SIZES = [5, 32, 33, 64, 100]


def boards(n, rows=50):
    rng = np.random.default_rng(n)
    return rng.random((rows, n)) < rng.random((rows, 1))


@pytest.mark.parametrize("n", SIZES)
def test_unpack_undoes_pack(n):
    cells = boards(n)
    words = bitboard.pack(cells)
    assert [word.dtype for word in words] == [np.uint32] * -(-n // 32)
    np.testing.assert_array_equal(jax.vmap(lambda w: bitboard.unpack(w, n))(words), cells)
    one = bitboard.pack(cells[0])
    assert [word.shape for word in one] == [()] * len(words)


@pytest.mark.parametrize("n", SIZES)
def test_sets_behave_as_boards_do(n):
    a, b = boards(n), boards(n)[::-1]
    words = bitboard.pack(a), bitboard.pack(b)
    both = jax.vmap(lambda x, y: bitboard.unpack(bitboard.union(x, y), n))(*words)
    less = jax.vmap(lambda x, y: bitboard.unpack(bitboard.minus(x, y), n))(*words)
    np.testing.assert_array_equal(both, a | b)
    np.testing.assert_array_equal(less, a & ~b)
    np.testing.assert_array_equal(jax.vmap(bitboard.meet)(*words), (a & b).any(1))
    np.testing.assert_array_equal(jax.vmap(bitboard.count)(words[0]), a.sum(1))


@pytest.mark.parametrize("n", SIZES)
def test_single_holds_one_cell(n):
    words = jax.vmap(lambda cell: bitboard.single(cell, -(-n // 32)))(jnp.arange(n))
    np.testing.assert_array_equal(jax.vmap(lambda w: bitboard.unpack(w, n))(words), np.eye(n, dtype=bool))


@pytest.mark.parametrize("n", SIZES)
def test_nth_finds_every_cell_of_a_set(n):
    cells = np.concatenate([boards(n, 20), np.ones((1, n), bool)])
    find = jax.jit(jax.vmap(lambda w: jax.vmap(lambda k: bitboard.nth(w, k))(jnp.arange(n))))
    for places, result in zip(map(np.flatnonzero, cells), find(bitboard.pack(cells)), strict=True):
        np.testing.assert_array_equal(result[: len(places)], places)
