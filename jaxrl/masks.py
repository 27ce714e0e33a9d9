"""Masks: which discrete actions are allowed.

The mask of a `Discrete` space is bool[n], a flag for each action. That of a `MultiDiscrete` space is
bool[sum(counts)]: the flags of each choice, one choice behind the other. Choices are masked independently; what is
allowed only in combination takes a `Discrete` space of the combinations.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.spaces import Discrete, MultiDiscrete, Space

Choices = Discrete | MultiDiscrete
"""Spaces whose actions can be masked."""


def is_maskable(space: Space) -> bool:
    """Whether a mask may say which actions of a space are allowed."""
    return isinstance(space, Choices)


def counts_of(space: Choices) -> tuple[int, ...]:
    """How many flags each choice has: n alone of a `Discrete` space."""
    return (space.n,) if isinstance(space, Discrete) else space.counts


def split_choices(values: jax.Array, space: Choices) -> list[jax.Array]:
    """Flags or logits `[..., sum(counts)]` of several choices apart: `[..., count]` each."""
    return jnp.split(values, np.cumsum(counts_of(space))[:-1], axis=-1)


def allows_any(space: Choices, mask: jax.Array) -> jax.Array:
    """Whether a mask bool[sum(counts)] leaves something to each choice: bool[]."""
    return jnp.all(jnp.stack([jnp.any(part) for part in split_choices(mask, space)]))


def allows(space: Choices, mask: jax.Array, action: jax.Array) -> jax.Array:
    """Whether a mask bool[sum(counts)] allows an action of the space: bool[]."""
    places = zip(split_choices(mask, space), jnp.atleast_1d(action), strict=True)
    return jnp.all(jnp.stack([part[place] for part, place in places]))


def draw_allowed(space: Choices, mask: jax.Array, uniform: jax.Array) -> jax.Array:
    """An allowed action of the space, by numbers f32 uniform in [0, 1) of an action's shape: one for each choice."""
    numbers = zip(split_choices(mask, space), jnp.atleast_1d(uniform), strict=True)
    return jnp.stack([_draw(part, number) for part, number in numbers]).reshape(space.shape)


def _draw(mask: jax.Array, uniform: jax.Array) -> jax.Array:
    counts = jnp.cumsum(mask, dtype=jnp.int32)
    return jnp.argmax(counts > (uniform * counts[-1]).astype(jnp.int32)).astype(jnp.int32)
