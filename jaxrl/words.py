"""What random words are turned into: one draw of 32-bit words serves many uses.

On a CPU a pass of the random generator costs about the same for one word as for many, and is most of the
cost of a cheap environment.
"""

import math

import jax
import jax.numpy as jnp
from jax.extend.random import threefry_2x32


def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random words, u32[shape].

    By Threefry where the key is one of its own (Salmon et al., 2011; JAX's default), counting from 0: each of
    its blocks gives two words, of which `jax.random.bits` uses the exclusive or alone.
    """
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.bits(key, shape, jnp.uint32)
    counts = jnp.arange(math.prod(shape), dtype=jnp.uint32)
    return threefry_2x32(jax.random.key_data(key), counts).reshape(shape)


def unit(words: jax.Array) -> jax.Array:
    """Turns words u32[...] into numbers f32[...] in [0, 1), of 24 bits each."""
    return (words >> 8).astype(jnp.float32) * jnp.float32(2**-24)


def below(limit: jax.Array | int, words: jax.Array) -> jax.Array:
    """Scales words u32[...] to whole numbers below `limit`, at most 2^31: i32[...], the upper half of limit * word.

    No number is likelier than another by more than limit / 2^32. `jax.random.randint` draws twice as
    many words for less.
    """
    limit = jnp.asarray(limit, jnp.uint32)
    high, low = words >> 16, words & 0xFFFF
    limit_high, limit_low = limit >> 16, limit & 0xFFFF
    middle = high * limit_low + (low * limit_low >> 16)
    carried = low * limit_high + (middle & 0xFFFF)
    return (high * limit_high + (middle >> 16) + (carried >> 16)).astype(jnp.int32)


def digits(key: jax.Array, base: int, shape: tuple[int, ...]) -> jax.Array:
    """Draws whole numbers below `base`, i32[shape], uniformly.

    Where `base` is a power of two, a word serves as many numbers along the first axis as it has digits:
    32 of base 2. Elsewhere a word serves one, as by `below`.
    """
    bits = (base - 1).bit_length()
    if base != 1 << bits or not shape:
        return below(base, draw(key, shape))
    if base == 1:
        return jnp.zeros(shape, jnp.int32)
    each = 32 // bits
    words = draw(key, (-(-shape[0] // each), 1, *shape[1:]))
    shifts = jnp.arange(each, dtype=jnp.uint32).reshape(1, each, *[1] * (len(shape) - 1)) * bits
    numbers = (words >> shifts) & (base - 1)
    return numbers.reshape(len(words) * each, *shape[1:])[: shape[0]].astype(jnp.int32)


def allowed(mask: jax.Array, words: jax.Array) -> jax.Array:
    """An action i32[...] for every word u32[...], uniform over those that `mask` bool[..., n] allows."""
    counts = jnp.cumsum(mask, axis=-1, dtype=jnp.int32)
    return jnp.argmax(counts > below(counts[..., -1], words)[..., None], axis=-1).astype(jnp.int32)
