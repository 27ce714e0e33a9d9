"""Wrappers that change observations one by one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.arguments import shown
from jaxrl.pytree import leaf, pytree, static
from jaxrl.spaces import Box, Discrete
from jaxrl.wrappers.base import ObservationWrapper, box_observations, finite_bounds, given_shape, require_range


@pytree
class FlattenObservation(ObservationWrapper):
    """Observations as vectors: arrays row by row, `Discrete` ones one-hot, as Gymnasium's wrapper of that name."""

    @property
    def observation_space(self) -> Box:
        """f32[n] for n discrete observations; else the elements in one row, of their dtype."""
        space = self.env.observation_space
        if isinstance(space, Discrete):
            return Box(0.0, 1.0, (space.n,), jnp.float32)
        low, high = (
            bound if jnp.ndim(bound) == 0 else jnp.broadcast_to(jnp.asarray(bound), space.shape).reshape(-1)
            for bound in (space.low, space.high)
        )
        return Box(low, high, (int(np.prod(space.shape)),), space.dtype)

    def observe(self, obs: jax.Array) -> jax.Array:
        """The observation as a vector."""
        space = self.env.observation_space
        return jax.nn.one_hot(obs, space.n) if isinstance(space, Discrete) else obs.reshape(-1)

    def observed_mask(self, obs: jax.Array) -> jax.Array | None:
        """The allowed actions, bool[n], where the observation inside shows them; else None."""
        space = self.env.observation_space
        whole = jnp.argmax(obs).astype(jnp.int32) if isinstance(space, Discrete) else obs.reshape(space.shape)
        return self.env.observed_mask(whole)


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
        return Box(jnp.float32(self.low), jnp.float32(self.high), self.env.observation_space.shape, jnp.float32)

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
        obs = jax.ShapeDtypeStruct(tuple(space.shape), space.dtype)
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
