"""What an environment's observations and actions look like."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.arguments import shown
from jaxrl.checks import check_static
from jaxrl.pytree import pytree, static
from jaxrl.random_bits import integers


@pytree
class Discrete:
    """The whole numbers 0 to n - 1, as i32[]."""

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


Space = Discrete | Box
