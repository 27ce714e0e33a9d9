"""What random words are turned into: one draw of 32-bit words serves many uses.

On a CPU a pass of the random generator costs about the same for one word as for many, and is most of the
cost of a cheap environment.
"""

import math

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p

_THREEFRY = "threefry2x32"


def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random words, u32[shape]."""
    return _blocks(_used(key), 0, math.prod(shape), 0)[0].reshape(shape)


def split(key: jax.Array, count: int) -> jax.Array:
    """Keys[count], by a program that JAX makes in a third of the time that one of `jax.random.split` takes."""
    return _blocks(_used(key), 0, 0, count)[1]


def numbered(key: jax.Array, number: jax.Array | int, *, words: int, keys: int) -> tuple[jax.Array, jax.Array]:
    """Random words u32[words] and keys[keys] of their own for every number i32[], in one pass.

    No other use may be made of `key`, and the counts must be the same for all numbers.
    """
    return _blocks(key, number, words, keys)


def _blocks(key: jax.Array, number: jax.Array | int, words: int, keys: int) -> tuple[jax.Array, jax.Array]:
    """Words and keys by Threefry (Salmon et al., 2011), where the key is one of its own, as JAX's are by default.

    Its counter is the number and, from 0, the block. A block is a key, or two words that lie half a draw apart, of
    which `jax.random.bits` uses the exclusive or alone.
    """
    if jax.random.key_impl(key) != _THREEFRY:
        made = jax.random.split(jax.random.fold_in(key, number), 1 + keys)
        return jax.random.bits(made[0], (words,), jnp.uint32), made[1:]
    pairs = -(-words // 2)
    blocks = jnp.arange(pairs + keys, dtype=jnp.uint32)
    first, second = threefry2x32_p.bind(*jax.random.key_data(key), jnp.full_like(blocks, number), blocks)
    drawn = jnp.concatenate([first[:pairs], second[:pairs]])[:words]
    return drawn, jax.random.wrap_key_data(jnp.stack([first[pairs:], second[pairs:]], axis=-1), impl=_THREEFRY)


def _used(key: jax.Array) -> jax.Array:
    """The key, used once where JAX looks for keys that are used twice: reading a key's data counts as no use there."""
    if jax.config.jax_debug_key_reuse:  # type: ignore[attr-defined]
        jax.random.bits(key)
    return key


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
