"""Numbers made of random words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl import words
from jaxrl.spaces import Box, Discrete

KEY = jax.random.key(0)


def test_a_draw_is_threefry_over_a_counter():
    drawn = words.draw(jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32)), (2,))
    counted = jax.extend.random.threefry_2x32(jnp.zeros(2, jnp.uint32), jnp.asarray([0, 1], jnp.uint32))
    np.testing.assert_array_equal(drawn, counted)
    # A single word is the first of the block of counter (0, 0): Random123's known answer is 6b200159 99ba4efe.
    np.testing.assert_array_equal(words.draw(jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32)), (1,)), [0x6B200159])


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5)])
@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_draws_have_their_shape_and_differ(shape, kind):
    drawn = words.draw(jax.random.key(3, impl=kind), shape)
    assert (drawn.shape, drawn.dtype) == (shape, jnp.uint32)
    assert len(np.unique(drawn)) == max(1, drawn.size)


def test_words_of_a_draw_are_uniform_and_independent():
    drawn = np.asarray(words.draw(KEY, (1 << 18,)))
    assert stats.kstest(drawn / 2**32, "uniform").pvalue > 1e-3
    assert stats.chisquare(np.bincount(drawn >> 24, minlength=256)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(drawn & 255, minlength=256)).pvalue > 1e-3
    # The two words of a block lie half a draw apart.
    half = len(drawn) // 2
    for a, b in ((drawn[:-1], drawn[1:]), (drawn[:half], drawn[half:])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))


@pytest.mark.parametrize("limit", [1, 2, 3, 64, 1000, 65_537, 10**6, 2**31 - 1, 2**31])
def test_below_is_the_upper_half_of_the_product(limit):
    drawn = np.concatenate([np.asarray(words.draw(KEY, (1000,))), np.uint32([0, 1, 2**32 - 1])])
    expected = [int(word) * limit >> 32 for word in drawn]
    np.testing.assert_array_equal(words.below(limit, jnp.asarray(drawn)), expected)


def test_unit_numbers_stay_below_one():
    np.testing.assert_array_equal(words.unit(jnp.uint32([0, 2**31, 2**32 - 1])), np.float32([0, 0.5, 1 - 2**-24]))


@pytest.mark.parametrize(("base", "each"), [(1, 0), (2, 32), (3, 1), (4, 16), (8, 10), (64, 5), (6, 1)])
def test_digits_are_uniform_independent_and_spare_words(base, each, monkeypatch):
    drawn_words = []
    draw = words.draw
    monkeypatch.setattr(words, "draw", lambda key, shape: drawn_words.append(shape) or draw(key, shape))
    numbers = np.asarray(words.digits(KEY, base, (100, 300)))
    assert sum(int(np.prod(shape)) for shape in drawn_words) == (0 if each == 0 else -(-100 // each) * 300)
    assert (numbers.shape, numbers.dtype) == ((100, 300), np.int32)
    if base == 1:
        assert not numbers.any()
        return
    assert stats.chisquare(np.bincount(numbers.ravel(), minlength=base)).pvalue > 1e-3
    # A number tells nothing of the next step's in the same place, nor of its neighbour's.
    for a, b in ((numbers[:-1], numbers[1:]), (numbers[:, :-1], numbers[:, 1:])):
        pairs = np.bincount((a * base + b).ravel(), minlength=base * base).reshape(base, base)
        assert stats.chi2_contingency(pairs).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_no_digits_are_none(shape):
    assert words.digits(KEY, 2, shape).shape == shape


def test_allowed_is_uniform_over_the_mask():
    mask = jnp.asarray([False, True, False, True, True])
    counts = np.bincount(words.allowed(jnp.tile(mask, (30_000, 1)), words.draw(KEY, (30_000,))), minlength=5)
    assert counts[[0, 2]].sum() == 0
    assert stats.chisquare(counts[[1, 3, 4]]).pvalue > 1e-3


def test_spaces_give_many_samples_at_once():
    assert Discrete(5).sample(KEY, (3, 4)).shape == (3, 4)
    box = Box(-1.0, 1.0, (2,))
    samples = np.asarray(box.sample(KEY, (1000,)))
    assert samples.shape == (1000, 2)
    assert len(np.unique(samples)) > 1990
    np.testing.assert_array_equal(box.sample(KEY, ()), box.sample(KEY))
