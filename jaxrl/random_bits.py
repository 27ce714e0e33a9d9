"""Random numbers from few passes of the generator: one draw of 32-bit random bits serves many uses.

On a CPU a pass of the random generator costs about the same for one number as for many, and is most of the
cost of a cheap environment.
"""

import math

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p

_THREEFRY = "threefry2x32"


def bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random bits, u32[shape]."""
    return _blocks(_used(key), 0, math.prod(shape), 0)[0].reshape(shape)


def split(key: jax.Array, count: int) -> jax.Array:
    """Keys[count], by a program that JAX makes in a third of the time that one of `jax.random.split` takes."""
    return _blocks(_used(key), 0, 0, count)[1]


def bits_and_keys(key: jax.Array, index: jax.Array | int, *, bits: int, keys: int) -> tuple[jax.Array, jax.Array]:
    """Independent random bits u32[bits] and keys[keys] for every index i32[], in one pass.

    `key` may have no other use, and the counts must be the same for all indices.
    """
    return _blocks(key, index, bits, keys)


def keys_at(key: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
    """Keys[n] that are a function of two counts i32[n] each, in one pass; `key` may have no other use."""
    if jax.random.key_impl(key) != _THREEFRY:
        return jax.vmap(lambda i, j: jax.random.fold_in(jax.random.fold_in(key, i), j))(first, second)
    counters = [jnp.asarray(count).astype(jnp.uint32) for count in (first, second)]
    key_data = (jnp.broadcast_to(half + 0 * counters[0], counters[0].shape) for half in jax.random.key_data(key))
    drawn = threefry2x32_p.bind(*key_data, *counters)
    return jax.random.wrap_key_data(jnp.stack(drawn, axis=-1), impl=_THREEFRY)


def key_bits(key: jax.Array, stream: int) -> jax.Array:
    """Random bits u32[] out of a key itself, by a tenth of the arithmetic of a pass of Threefry.

    They are a hash of the key's own bits, by the finalizer of MurmurHash3 (Appleby), which is one to one in each word:
    as uniform as the key is. They are independent of what Threefry draws from the key, which may have that use too.

    Args:
      key: a key.
      stream: which of the draws out of the same key this is; others give other bits.
    """
    halves = jax.random.key_data(key)
    mixed = jnp.uint32((0x9E3779B9 * (stream + 1)) % 2**32)
    for place in range(halves.shape[-1]):
        mixed = mixed ^ halves[place]
        mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(0x85EBCA6B)
        mixed = (mixed ^ (mixed >> 13)) * jnp.uint32(0xC2B2AE35)
        mixed = mixed ^ (mixed >> 16)
    return mixed


def _blocks(key: jax.Array, index: jax.Array | int, count: int, keys: int) -> tuple[jax.Array, jax.Array]:
    """Random bits and keys by Threefry (Salmon et al., 2011), if the key is a Threefry key, as JAX's are by default.

    The counter is the index and, from 0, the block. A block is a key, or two numbers that lie half a draw apart, of
    which `jax.random.bits` uses only the exclusive or.
    """
    if jax.random.key_impl(key) != _THREEFRY:
        made = jax.random.split(jax.random.fold_in(key, index), 1 + keys)
        return jax.random.bits(made[0], (count,), jnp.uint32), made[1:]
    pairs = -(-count // 2)
    # All four of one shape, batched alike: under `vmap` of an index alone the primitive would get unequal ones.
    index = jnp.asarray(index).astype(jnp.uint32)
    blocks = jnp.arange(pairs + keys, dtype=jnp.uint32) + 0 * index
    key_data = (jnp.broadcast_to(half + 0 * index, blocks.shape) for half in jax.random.key_data(key))
    first, second = threefry2x32_p.bind(*key_data, jnp.full_like(blocks, index), blocks)
    drawn = jnp.concatenate([first[:pairs], second[:pairs]])[:count]
    return drawn, jax.random.wrap_key_data(jnp.stack([first[pairs:], second[pairs:]], axis=-1), impl=_THREEFRY)


def _used(key: jax.Array) -> jax.Array:
    """The key, used once where JAX looks for keys that are used twice: reading a key's data counts as no use there."""
    if jax.config.jax_debug_key_reuse:  # type: ignore[attr-defined]
        jax.random.bits(key)
    return key


def uniform(bits: jax.Array) -> jax.Array:
    """Turns random bits u32[...] into numbers f32[...], uniform in [0, 1), of 24 bits each.

    >>> uniform(jnp.array([0, 2**31, 2**32 - 1], jnp.uint32)).tolist()
    [0.0, 0.5, 0.9999999403953552]
    """
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24)


def normal(bits: jax.Array) -> jax.Array:
    """Turns random bits u32[...] into standard normal numbers f32[...], by the inverse of the distribution function.

    24 bits give numbers between -5.4 and 5.4, all of them finite.
    """
    # The middles of 2^24 equal parts of (-1, 1): symmetric, and never the ends.
    centred = (((bits >> 8).astype(jnp.int32) - 2**23).astype(jnp.float32) + 0.5) * jnp.float32(2**-23)
    return jnp.float32(math.sqrt(2)) * jax.lax.erf_inv(centred)


def randint(limit: jax.Array | int, bits: jax.Array) -> jax.Array:
    """Scales random bits u32[...] to integers below `limit`, at most 2^31: i32[...], the upper half of limit * bits.

    No integer is likelier than another by more than limit / 2^32. `jax.random.randint` draws twice as
    many bits for less.
    """
    limit = jnp.asarray(limit, jnp.uint32)
    high, low = bits >> 16, bits & 0xFFFF
    limit_high, limit_low = limit >> 16, limit & 0xFFFF
    middle = high * limit_low + (low * limit_low >> 16)
    carried = low * limit_high + (middle & 0xFFFF)
    return (high * limit_high + (middle >> 16) + (carried >> 16)).astype(jnp.int32)


def integers(key: jax.Array, limit: int, shape: tuple[int, ...]) -> jax.Array:
    """Draws integers below `limit`, i32[shape], uniformly.

    Where `limit` is a power of two, 32 random bits serve as many integers along the first axis as fit in them:
    32 below 2. Elsewhere they serve one, as by `randint`.
    """
    width = (limit - 1).bit_length()
    if limit != 1 << width or not shape:
        return randint(limit, bits(key, shape))
    if limit == 1:
        return jnp.zeros(shape, jnp.int32)
    each = 32 // width
    drawn = bits(key, (-(-shape[0] // each), 1, *shape[1:]))
    shifts = jnp.arange(each, dtype=jnp.uint32).reshape(1, each, *[1] * (len(shape) - 1)) * width
    numbers = (drawn >> shifts) & (limit - 1)
    return numbers.reshape(len(drawn) * each, *shape[1:])[: shape[0]].astype(jnp.int32)


def masked_choice(mask: jax.Array, bits: jax.Array) -> jax.Array:
    """An action i32[...] for random bits u32[...], uniform over those that `mask` bool[..., n] allows."""
    counts = jnp.cumsum(mask, axis=-1, dtype=jnp.int32)
    return jnp.argmax(counts > randint(counts[..., -1], bits)[..., None], axis=-1).astype(jnp.int32)
