"""Sets of cells as the bits of a few 32-bit words, so that a step moves words and no boards.

A set of up to n cells is a tuple of ceil(n / 32) words u32[]; cell c is bit c % 32 of word c // 32. The
words are separate arrays, not one array: with many games side by side each is a plain vector.

Where a result serves many others (`meet`, `nth`) it is written as a reduction over the words: XLA on a CPU
computes a reduction once, but repeats a chain of cheap operations for every array that is made of it.
"""

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Words = tuple[jax.Array | np.ndarray, ...]
_ODD, _PAIRS, _NIBBLES = np.uint32(0x55555555), np.uint32(0x33333333), np.uint32(0x0F0F0F0F)


def pack(cells: np.ndarray) -> Words:
    """Makes words u32[...] of boards bool[..., n]."""
    padded = np.zeros((*cells.shape[:-1], -(-cells.shape[-1] // 32) * 32), bool)
    padded[..., : cells.shape[-1]] = cells
    packed = np.packbits(padded, axis=-1, bitorder="little").view("<u4").astype(np.uint32)
    return tuple(np.array(packed[..., word]) for word in range(packed.shape[-1]))


def unpack(words: Words, n: int) -> jax.Array:
    """Makes a board bool[n] of words u32[]."""
    cells = jnp.arange(n, dtype=jnp.int32)
    holding = reduce(lambda before, w: jnp.where(cells >> 5 == w, words[w], before), range(1, len(words)), words[0])
    return (holding >> (cells & 31).astype(jnp.uint32)) & 1 == 1


def single(cell: jax.Array, length: int) -> Words:
    """The set of one cell i32[], as `length` words."""
    bit = jnp.uint32(1) << (cell & 31).astype(jnp.uint32)
    return tuple(jnp.where(cell >> 5 == word, bit, jnp.uint32(0)) for word in range(length))


def union(a: Words, b: Words) -> Words:
    """The cells that are in either."""
    return tuple(x | y for x, y in zip(a, b, strict=True))


def minus(a: Words, b: Words) -> Words:
    """The cells of `a` that are not in `b`."""
    return tuple(x & ~y for x, y in zip(a, b, strict=True))


def meet(a: Words, b: Words) -> jax.Array:
    """Whether the sets have a cell in common: bool[]."""
    return jnp.any(jnp.stack([x & y for x, y in zip(a, b, strict=True)]) != 0, axis=0)


def count(words: Words) -> jax.Array:
    """How many cells there are: i32[]."""
    return reduce(jnp.add, [jax.lax.population_count(word).astype(jnp.int32) for word in words], jnp.int32(0))


def nth(words: Words, index: jax.Array) -> jax.Array:
    """The cell i32[] before which there are `index` (i32[]) others; it must be below the count."""
    sizes = [count((word,)) for word in words]
    before = jnp.stack([count(words[:place]) for place in range(len(words))])
    inside = (before <= index) & (index < before + jnp.stack(sizes))
    cells = 32 * jnp.arange(len(words), dtype=jnp.int32)
    cells += _nth_bit(jnp.stack(words), (index - before).astype(jnp.uint32))
    return jnp.max(jnp.where(inside, cells, 0), axis=0)


def _nth_bit(word: Any, index: jax.Array) -> jax.Array:
    """The places i32[...] of the bits of u32[...] before which `index` (u32[...]) others are set.

    By halves: partial counts of pairs, nibbles, bytes and halves of the word tell in which half to go on.
    """
    pairs = word - ((word >> 1) & _ODD)
    nibbles = (pairs & _PAIRS) + ((pairs >> 2) & _PAIRS)
    octets = (nibbles + (nibbles >> 4)) & _NIBBLES
    halves = octets + (octets >> 8)
    place = jnp.uint32(0)
    for counts, width in ((halves, 16), (octets, 8), (nibbles, 4), (pairs, 2), (word, 1)):
        below = (counts >> place) & np.uint32(2 * width - 1)
        upper = index >= below
        index = jnp.where(upper, index - below, index)
        place = jnp.where(upper, place + np.uint32(width), place)
    return place.astype(jnp.int32)
