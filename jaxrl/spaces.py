"""What an environment's observations and actions look like."""

from collections.abc import Callable
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.arguments import shown
from jaxrl.pytree import pytree, static
from jaxrl.random_bits import integers
from jaxrl.validation import check_static


@pytree
class Discrete:
    """The whole numbers 0 to n - 1, as i32[].

    >>> bool(Discrete(3).contains(jnp.int32(3)))
    False
    """

    n: int = static(minimum=1)

    shape = ()
    dtype = jnp.int32

    def __post_init__(self) -> None:
        check_static(self)

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws elements uniformly: i32[shape]."""
        return integers(key, self.n, shape)

    def contains(self, value: Any) -> jax.Array:
        """Whether `value` is an element: bool[]."""
        return jnp.all((value >= 0) & (value < self.n))


@pytree
class Box:
    """Arrays of one shape and dtype, every element between `low` and `high` (both included)."""

    low: Any = -jnp.inf
    high: Any = jnp.inf
    shape: tuple[int, ...] = static(default=(), minimum=0)
    dtype: Any = static(default=jnp.float32)

    def __post_init__(self) -> None:
        check_static(self)
        try:
            jnp.dtype(self.dtype)
        except TypeError:
            raise TypeError(f"Box.dtype = {shown(self.dtype)} must be a dtype, such as jnp.float32") from None

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws arrays `[*shape, *self.shape]`: uniform between finite bounds, normal around 0 (clipped) elsewhere."""
        low = jnp.broadcast_to(jnp.asarray(self.low, jnp.float32), self.shape)
        high = jnp.broadcast_to(jnp.asarray(self.high, jnp.float32), self.shape)
        uniform_key, normal_key = jax.random.split(key)
        finite = jnp.isfinite(low) & jnp.isfinite(high)
        inside = jax.random.uniform(uniform_key, (*shape, *self.shape))
        bounded = jnp.where(finite, low, 0) + inside * jnp.where(finite, high - low, 0)
        unbounded = jnp.clip(jax.random.normal(normal_key, inside.shape), low, high)
        return jnp.where(finite, bounded, unbounded).astype(self.dtype)

    def contains(self, value: Any) -> jax.Array:
        """Whether every element of `value` is finite or bounded and inside: bool[]."""
        return jnp.all((value >= self.low) & (value <= self.high))


@pytree
class MultiDiscrete:
    """Several whole numbers at once, the i-th from 0 to counts[i] - 1, as i32[len(counts)]."""

    counts: tuple[int, ...] = static(minimum=1)

    dtype = jnp.int32

    def __post_init__(self) -> None:
        check_static(self)
        if not self.counts:
            raise ValueError("MultiDiscrete.counts = () must have at least one number")

    @property
    def shape(self) -> tuple[int, ...]:
        """That of an element."""
        return (len(self.counts),)

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws elements uniformly: i32[*shape, len(counts)]."""
        keys = jax.random.split(key, len(self.counts))
        return jnp.stack([integers(k, n, shape) for k, n in zip(keys, self.counts, strict=True)], axis=-1)

    def contains(self, value: Any) -> jax.Array:
        """Whether `value` is an element: bool[]."""
        return jnp.all((value >= 0) & (value < np.asarray(self.counts)))


@pytree
class Dict:
    """Dictionaries of arrays, each with its own space: `Dict({"position": Box(...), "level": Discrete(3)})`."""

    spaces: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.spaces, dict) or not self.spaces:
            raise TypeError(f"Dict.spaces = {shown(self.spaces)} must be a dict of spaces, with at least one")
        for name in self.spaces:
            if not isinstance(name, str) or not name.isidentifier():
                raise ValueError(f"Dict.spaces has the key {shown(name)}, which must be a name such as 'position'")

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> Any:
        """Draws elements, each array `[*shape, ...]` as its own space draws it."""
        return _sample_arrays(self, key, shape)

    def contains(self, value: Any) -> jax.Array:
        """Whether every array of `value` is in its space: bool[]."""
        return _contains_arrays(self, value)


@pytree
class Tuple:
    """Tuples of arrays, each with its own space: `Tuple((Box(...), Discrete(3)))`."""

    spaces: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.spaces, tuple) or not self.spaces:
            raise TypeError(f"Tuple.spaces = {shown(self.spaces)} must be a tuple of spaces, with at least one")

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> Any:
        """Draws elements, each array `[*shape, ...]` as its own space draws it."""
        return _sample_arrays(self, key, shape)

    def contains(self, value: Any) -> jax.Array:
        """Whether every array of `value` is in its space: bool[]."""
        return _contains_arrays(self, value)


ArraySpace = Discrete | Box | MultiDiscrete
"""A space whose elements are arrays."""
Space = ArraySpace | Dict | Tuple
"""Any space; elements of `Dict` and `Tuple` are pytrees of arrays."""


def is_array_space(space: Any) -> TypeGuard[ArraySpace]:
    """Whether elements of a space are single arrays."""
    return isinstance(space, ArraySpace)


def arrays_of(space: Space) -> Any:
    """The spaces of the arrays that an element is made of, in the structure of an element.

    Raises:
      TypeError: something in a `Dict` or `Tuple` is no space.
    """
    if is_array_space(space):
        return space
    if isinstance(space, Dict):
        return {name: arrays_of(part) for name, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(arrays_of(part) for part in space.spaces)
    raise TypeError(
        f"{shown(space)} is no space: it must be a jaxrl.Box, Discrete or MultiDiscrete, or a Dict or Tuple of these"
    )


def map_arrays(function: Callable[..., Any], space: Space, *elements: Any) -> Any:
    """`function(space, *arrays)` for each array of elements of a space, in the structure of an element."""
    return jax.tree.map(function, arrays_of(space), *elements, is_leaf=is_array_space)


def array_spaces(space: Space) -> list[ArraySpace]:
    """The spaces of the arrays that an element is made of, in the order of `jax.tree.leaves`."""
    return jax.tree.leaves(arrays_of(space), is_leaf=is_array_space)


def array_names(element: Any, name: str) -> tuple[str, ...]:
    """A name for each array of an element, or of what `arrays_of` gives: `name` and, of several, the way there."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(element, is_leaf=is_array_space)]
    return tuple("_".join([name, *(jax.tree_util.keystr((key,), simple=True) for key in path)]) for path in paths)


def flat_bounds(space: Box) -> tuple[jax.Array, jax.Array]:
    """The bounds of every element, in one row: f32[size] each."""
    low, high = (
        jnp.broadcast_to(jnp.asarray(x, jnp.float32), space.shape).reshape(-1) for x in (space.low, space.high)
    )
    return low, high


def one_hot(space: Discrete | MultiDiscrete, values: jax.Array) -> jax.Array:
    """Elements `[batch, ...]` as f32[batch, n], the numbers of several choices one behind the other."""
    if isinstance(space, Discrete):
        return jax.nn.one_hot(values, space.n, dtype=jnp.float32)
    # Slices with fixed places, not indexing: a gather in a batch of any size is none of TFLite's operations.
    choices = [jax.lax.index_in_dim(values, i, axis=1, keepdims=False) for i in range(len(space.counts))]
    rows = [jax.nn.one_hot(x, n, dtype=jnp.float32) for x, n in zip(choices, space.counts, strict=True)]
    return jnp.concatenate(rows, axis=-1)


def _sample_arrays(space: Space, key: jax.Array, shape: tuple[int, ...]) -> Any:
    spaces: Any = array_spaces(space)
    structure: Any = jax.tree.structure(arrays_of(space), is_leaf=is_array_space)
    keys = jax.random.split(key, len(spaces))
    return jax.tree.unflatten(structure, [part.sample(k, shape) for part, k in zip(spaces, keys, strict=True)])


def _contains_arrays(space: Space, value: Any) -> jax.Array:
    return jnp.all(jnp.stack(jax.tree.leaves(map_arrays(lambda part, x: part.contains(x), space, value))))
