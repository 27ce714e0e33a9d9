"""Random bits, and the numbers made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl import random_bits
from jaxrl.spaces import Box, Discrete

KEY = jax.random.key(0)


def test_a_draw_is_threefry_over_a_counter():
    # Random123's known answer for the key and the counter 0, and for the digits of pi.
    zero = jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32))
    np.testing.assert_array_equal(random_bits.bits(zero, (2,)), [0x6B200159, 0x99BA4EFE])
    np.testing.assert_array_equal(random_bits.bits(zero, (1,)), [0x6B200159])
    pi = jax.random.wrap_key_data(jnp.uint32([0x13198A2E, 0x03707344]))
    assert threefry(0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3) == (0xC4923A9C, 0x483DF7A0)
    blocks = np.uint32([threefry(0x13198A2E, 0x03707344, 0, block) for block in range(3)])
    np.testing.assert_array_equal(random_bits.bits(pi, (5,)), blocks.T.ravel()[:5])


def threefry(key_0, key_1, x_0, x_1):
    """Threefry-2x32 of 20 rounds in Python's integers (Salmon et al., 2011)."""
    keys, word = (key_0, key_1, 0x1BD11BDA ^ key_0 ^ key_1), 0xFFFFFFFF
    x_0, x_1 = (x_0 + key_0) & word, (x_1 + key_1) & word
    for number in range(20):
        turn = (13, 15, 26, 6, 17, 29, 16, 24)[number % 8]
        x_0 = (x_0 + x_1) & word
        x_1 = ((x_1 << turn | x_1 >> 32 - turn) & word) ^ x_0
        if number % 4 == 3:
            step = number // 4 + 1
            x_0, x_1 = (x_0 + keys[step % 3]) & word, (x_1 + keys[(step + 1) % 3] + step) & word
    return x_0, x_1


def test_bits_and_keys_are_blocks_of_their_own():
    key = jax.random.key(11)
    data = [int(x) for x in jax.random.key_data(key)]
    drawn, keys = jax.jit(lambda n: random_bits.bits_and_keys(key, n, bits=3, keys=2))(jnp.int32(77))
    blocks = np.uint32([threefry(*data, 77, block) for block in range(4)])
    np.testing.assert_array_equal(drawn, blocks[:2].T.ravel()[:3])
    np.testing.assert_array_equal(jax.random.key_data(keys), blocks[2:])
    same = random_bits.split(key, 5)
    np.testing.assert_array_equal(jax.random.key_data(same), jax.random.key_data(jax.random.split(key, 5)))


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
@pytest.mark.parametrize(("bits_count", "keys_count"), [(0, 3), (5, 0), (4, 2)])
def test_bits_and_keys_differ(kind, bits_count, keys_count):
    key = jax.random.key(1, impl=kind)
    seen = []
    for number in range(3):
        drawn, keys = random_bits.bits_and_keys(key, number, bits=bits_count, keys=keys_count)
        assert (drawn.shape, keys.shape) == ((bits_count,), (keys_count,))
        assert jax.random.key_impl(keys) == kind
        seen += [*np.asarray(drawn).tolist(), *map(tuple, np.asarray(jax.random.key_data(keys)).tolist())]
    assert len(set(seen)) == 3 * (bits_count + keys_count)


@pytest.mark.parametrize("use", [lambda key: random_bits.bits(key, (2,)), lambda key: random_bits.split(key, 2)])
def test_jax_finds_a_key_that_is_used_twice(use):
    with jax.debug_key_reuse(True):
        jax.jit(use)(jax.random.key(0))
        with pytest.raises(jax.errors.KeyReuseError):
            jax.jit(lambda key: (use(key), use(key)))(jax.random.key(0))


def test_a_key_that_is_not_of_the_default_kind_gives_bits():
    drawn = random_bits.bits(KEY, (3,))
    with jax.default_prng_impl("rbg"):
        np.testing.assert_array_equal(random_bits.bits(KEY, (3,)), drawn)
        assert jax.random.key_impl(random_bits.split(KEY, 2)) == "threefry2x32"


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5)])
@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_draws_have_their_shape_and_differ(shape, kind):
    drawn = random_bits.bits(jax.random.key(3, impl=kind), shape)
    assert (drawn.shape, drawn.dtype) == (shape, jnp.uint32)
    assert len(np.unique(drawn)) == max(1, drawn.size)


def test_bits_of_a_draw_are_uniform_and_independent():
    drawn = np.asarray(random_bits.bits(KEY, (1 << 18,)))
    assert stats.kstest(drawn / 2**32, "uniform").pvalue > 1e-3
    assert stats.chisquare(np.bincount(drawn >> 24, minlength=256)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(drawn & 255, minlength=256)).pvalue > 1e-3
    # The two numbers of a block lie half a draw apart.
    half = len(drawn) // 2
    for a, b in ((drawn[:-1], drawn[1:]), (drawn[:half], drawn[half:])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))


@pytest.mark.parametrize("limit", [1, 2, 3, 64, 1000, 65_537, 10**6, 2**31 - 1, 2**31])
def test_randint_is_the_upper_half_of_the_product(limit):
    drawn = np.concatenate([np.asarray(random_bits.bits(KEY, (1000,))), np.uint32([0, 1, 2**32 - 1])])
    expected = [int(word) * limit >> 32 for word in drawn]
    np.testing.assert_array_equal(random_bits.randint(limit, jnp.asarray(drawn)), expected)


def test_uniform_numbers_stay_below_one():
    np.testing.assert_array_equal(
        random_bits.uniform(jnp.uint32([0, 2**31, 2**32 - 1])), np.float32([0, 0.5, 1 - 2**-24])
    )


def test_normal_numbers_are_normal():
    drawn = np.asarray(random_bits.normal(random_bits.bits(KEY, (1 << 16,))))
    assert stats.kstest(drawn, "norm").pvalue > 1e-3


def test_normal_numbers_are_symmetric_and_finite_to_the_ends():
    lower = np.concatenate([np.arange(1000), np.geomspace(1000, 2**23 - 1, 2000).astype(np.int64), [2**23 - 1]])
    result = np.asarray(random_bits.normal(jnp.asarray(lower << 8, jnp.uint32)))
    # XLA's erf_inv in float32, by polynomials, is exact to 6e-6 of the number.
    np.testing.assert_allclose(result, stats.norm.ppf((lower + 0.5) / 2**24), rtol=1e-5)
    mirrored = jnp.asarray((2**24 - 1 - lower) << 8 | 255, jnp.uint32)
    np.testing.assert_array_equal(random_bits.normal(mirrored), -result)


@pytest.mark.parametrize(("base", "each"), [(1, 0), (2, 32), (3, 1), (4, 16), (8, 10), (64, 5), (6, 1)])
def test_integers_are_uniform_independent_and_spare_bits(base, each, monkeypatch):
    drawn_shapes = []
    original = random_bits.bits
    monkeypatch.setattr(random_bits, "bits", lambda key, shape: drawn_shapes.append(shape) or original(key, shape))
    numbers = np.asarray(random_bits.integers(KEY, base, (100, 300)))
    assert sum(int(np.prod(shape)) for shape in drawn_shapes) == (0 if each == 0 else -(-100 // each) * 300)
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
def test_no_integers_are_none(shape):
    assert random_bits.integers(KEY, 2, shape).shape == shape


def test_masked_choice_is_uniform_over_the_mask():
    mask = jnp.asarray([False, True, False, True, True])
    counts = np.bincount(
        random_bits.masked_choice(jnp.tile(mask, (30_000, 1)), random_bits.bits(KEY, (30_000,))), minlength=5
    )
    assert counts[[0, 2]].sum() == 0
    assert stats.chisquare(counts[[1, 3, 4]]).pvalue > 1e-3


def test_spaces_give_many_samples_at_once():
    assert Discrete(5).sample(KEY, (3, 4)).shape == (3, 4)
    box = Box(-1.0, 1.0, (2,))
    samples = np.asarray(box.sample(KEY, (1000,)))
    assert samples.shape == (1000, 2)
    assert len(np.unique(samples)) > 1990
    np.testing.assert_array_equal(box.sample(KEY, ()), box.sample(KEY))
