"""Wrappers that change observations one by one."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.arguments import shown
from jaxrl.pytree import leaf, pytree, static
from jaxrl.spaces import ArraySpace, Box, Discrete, array_spaces, flat_bounds, map_arrays, one_hot
from jaxrl.wrappers.base import (
    ObservationWrapper,
    box_observations,
    finite_bounds,
    given_shape,
    require_range,
)


@pytree
class FlattenObservation(ObservationWrapper):
    """Observations as vectors, as Gymnasium's wrapper of that name: arrays row by row, `Discrete` numbers one-hot.

    The parts of several arrays follow one another, those of a `Dict` in the order of their names.
    """

    @property
    def observation_space(self) -> Box:
        """The elements of one `Box` with their dtype; f32[n] for anything else."""
        space = self.env.observation_space
        if isinstance(space, Box):
            low, high = (
                bound if jnp.ndim(bound) == 0 else jnp.broadcast_to(jnp.asarray(bound), space.shape).reshape(-1)
                for bound in (space.low, space.high)
            )
            return Box(low, high, (math.prod(space.shape),), space.dtype)
        bounds = [_vector_bounds(part) for part in array_spaces(space)]
        low, high = (jnp.concatenate(side) for side in zip(*bounds, strict=True))
        return Box(low, high, (low.size,), jnp.float32)

    def observe(self, obs: Any) -> jax.Array:
        """The observation as a vector."""
        space = self.env.observation_space
        if isinstance(space, Box):
            return obs.reshape(-1)
        return jnp.concatenate(jax.tree.leaves(map_arrays(_vector, space, obs)))

    def observed_mask(self, obs: jax.Array) -> jax.Array | None:
        """The allowed actions, bool[n], where one array inside shows them; else None."""
        space = self.env.observation_space
        if isinstance(space, Discrete):
            return self.env.observed_mask(jnp.argmax(obs).astype(jnp.int32))
        return self.env.observed_mask(obs.reshape(space.shape)) if isinstance(space, Box) else None


def _vector_bounds(space: ArraySpace) -> tuple[jax.Array, jax.Array]:
    """The bounds of `_vector`: f32[n] each."""
    if isinstance(space, Box):
        return flat_bounds(space)
    size = space.n if isinstance(space, Discrete) else sum(space.counts)
    return jnp.zeros(size), jnp.ones(size)


def _vector(space: ArraySpace, values: jax.Array) -> jax.Array:
    """An element of an array space as f32[n]."""
    return values.reshape(-1).astype(jnp.float32) if isinstance(space, Box) else one_hot(space, values[None])[0]


@pytree
class RescaleObservation(ObservationWrapper):
    """Observations between `low` and `high` in place of their own bounds, which must be finite.

    An element that has one value alone, by its bounds, becomes `low`.
    """

    low: float = leaf(default=-1.0)
    """What the lower bound of each element becomes."""
    high: float = leaf(default=1.0)
    """What the upper bound of each element becomes."""

    def check(self) -> None:
        """Raises a TypeError or ValueError where observations have no finite bounds, or the new ones make no range."""
        finite = finite_bounds(box_observations(self))
        if not finite.all():
            self.refuse(
                f"the elements {np.flatnonzero(~finite).tolist()} of its observations have no finite bounds: drop them "
                "with ObservationMask first, or let the agent normalize observations"
            )
        require_range(self, self.low, self.high)

    @property
    def observation_space(self) -> Box:
        """f32[*shape], between `low` and `high`."""
        space: Any = self.env.observation_space
        return Box(jnp.float32(self.low), jnp.float32(self.high), space.shape, jnp.float32)

    def observe(self, obs: jax.Array) -> jax.Array:
        """The observation on the new scale."""
        space: Any = self.env.observation_space
        low = jnp.asarray(space.low, jnp.float32)
        width = jnp.asarray(space.high, jnp.float32) - low
        share = (obs.astype(jnp.float32) - low) / jnp.where(width > 0, width, 1)
        # Rounding may lead a little out of the bounds.
        return jnp.clip(share * (self.high - self.low) + self.low, self.low, self.high)


@pytree
class ObservationMask(ObservationWrapper):
    """Some elements of observation vectors alone: without velocities, say, a policy needs memory."""

    keep: tuple[int, ...] = static(minimum=0)
    """The indices of the elements that are observed."""

    def check(self) -> None:
        """Raises a TypeError or ValueError where observations are no vectors, or have no such elements."""
        space = box_observations(self)
        if len(space.shape) != 1:
            self.refuse(f"its observations have the shape {space.shape}: wrap it in FlattenObservation first")
        if not self.keep or max(self.keep) >= space.shape[0] or len(set(self.keep)) < len(self.keep):
            raise ValueError(
                f"ObservationMask.keep = {shown(self.keep)} must be distinct indices between 0 and "
                f"{space.shape[0] - 1}, at least one"
            )

    @property
    def observation_space(self) -> Box:
        """The elements that are left, with their bounds and dtype."""
        space: Any = self.env.observation_space
        low, high = (self.observe(jnp.broadcast_to(jnp.asarray(x), space.shape)) for x in (space.low, space.high))
        return Box(low, high, (len(self.keep),), space.dtype)

    def observe(self, obs: jax.Array) -> jax.Array:
        """The elements that are left."""
        # On a CPU XLA stacks elements faster than it gathers them.
        return jnp.stack([obs[index] for index in self.keep])


@pytree
class TransformObservation(ObservationWrapper):
    """Observations as a function makes them: `function(obs) -> array`, traceable, unbatched.

    A run that is kept on disk needs one that a module has under its name; `jaxrl.load` imports it under the same rules
    as classes.
    """

    function: Callable[[Any], jax.Array] = static()
    """Makes an array out of an observation."""
    low: float | None = leaf(default=None)
    """The lower bound of every element; none: there is none."""
    high: float | None = leaf(default=None)
    """The upper bound of every element; none: there is none."""

    def check(self) -> None:
        """Raises a TypeError or ValueError where the function gives no array, or the bounds make no range."""
        given = self._given()
        if not hasattr(given, "shape"):
            raise TypeError(f"TransformObservation.function gives {shown(given)}, and must give one array")
        if self.low is not None and self.high is not None:
            require_range(self, self.low, self.high)

    def _given(self) -> Any:
        space = self.env.observation_space
        obs = map_arrays(lambda part: jax.ShapeDtypeStruct(tuple(part.shape), part.dtype), space)
        return given_shape(self, "function", self.function, obs)

    @property
    def observation_space(self) -> Box:
        """Arrays of the shape and dtype that the function gives."""
        given = self._given()
        low = -jnp.inf if self.low is None else jnp.float32(self.low)
        high = jnp.inf if self.high is None else jnp.float32(self.high)
        return Box(low, high, given.shape, given.dtype)

    def observe(self, obs: Any) -> jax.Array:
        """What the function makes of the observation."""
        return self.function(obs)
