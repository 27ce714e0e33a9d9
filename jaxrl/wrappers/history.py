"""Wrappers whose observations include the past: former observations, or the time."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.environment import TimeStep
from jaxrl.pytree import pytree, static
from jaxrl.spaces import Box, flat_bounds
from jaxrl.wrappers.base import StatefulWrapper, WrapperState, box_observations


@pytree
class FrameStack(StatefulWrapper):
    """The last `k` observations, the oldest first; at a reset all of them are the first one.

    As Gymnasium's `FrameStackObservation` with its default padding. State of the wrapper: the last `k` - 1 observations
    `[k - 1, *shape]`.
    """

    k: int = static(default=4, minimum=2)
    """How many observations are stacked."""

    def check(self) -> None:
        """Raises a TypeError where observations are no arrays."""
        box_observations(self)

    @property
    def observation_space(self) -> Box:
        """`[k, *shape]`, with the bounds and the dtype of one observation."""
        space: Any = self.env.observation_space
        return Box(space.low, space.high, (self.k, *space.shape), space.dtype)

    def reset(self, key: jax.Array) -> tuple[WrapperState, jax.Array]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        frames = jnp.broadcast_to(obs, (self.k, *obs.shape))
        return WrapperState(state, frames[1:]), frames

    def step(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        """Takes one step."""
        inner, step = self.env.step(state.inner, action, key)
        frames = jnp.concatenate([state.extra, step.obs[None]])
        return WrapperState(inner, frames[1:]), dataclasses.replace(step, obs=frames)

    def observed_mask(self, obs: jax.Array) -> jax.Array | None:
        """The allowed actions, bool[n], where the newest observation shows them; else None."""
        return self.env.observed_mask(obs[-1])


@pytree
class TimeAware(StatefulWrapper):
    """Observations as vectors with one more element: the share of the time limit that is over, from 0 to 1.

    As Gymnasium's `TimeAwareObservation(normalize_time=True)` (Pardo et al., 2018). The last observation of an episode
    that is cut off shows 1. State of the wrapper: i32[], the steps taken.
    """

    def check(self) -> None:
        """Raises a TypeError where observations are no arrays."""
        box_observations(self)

    @property
    def observation_space(self) -> Box:
        """f32[size + 1], the elements in one row, then the time."""
        low, high = flat_bounds(self.env.observation_space)  # type: ignore[arg-type]
        return Box(jnp.append(low, 0.0), jnp.append(high, 1.0), (low.size + 1,), jnp.float32)

    def reset(self, key: jax.Array) -> tuple[WrapperState, jax.Array]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        time = jnp.zeros((), jnp.int32)
        return WrapperState(state, time), self._observe(obs, time)

    def step(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        """Takes one step."""
        inner, step = self.env.step(state.inner, action, key)
        time = state.extra + 1
        return WrapperState(inner, time), dataclasses.replace(step, obs=self._observe(step.obs, time))

    def observed_mask(self, obs: jax.Array) -> jax.Array | None:
        """The allowed actions, bool[n], where the observation inside shows them; else None."""
        space: Any = self.env.observation_space
        return self.env.observed_mask(obs[:-1].reshape(space.shape).astype(space.dtype))

    def _observe(self, obs: jax.Array, time: jax.Array) -> jax.Array:
        share = time.astype(jnp.float32) / jnp.float32(self.max_steps)
        return jnp.append(obs.reshape(-1).astype(jnp.float32), share)
