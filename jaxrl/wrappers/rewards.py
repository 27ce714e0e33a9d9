"""Wrappers that change rewards."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.arguments import shown
from jaxrl.environment import TimeStep
from jaxrl.pytree import leaf, pytree, static
from jaxrl.wrappers.base import (
    RewardWrapper,
    StatefulWrapper,
    WrapperState,
    given_shape,
    refuse_shaped,
    require_range,
)


@pytree
class ClipReward(RewardWrapper):
    """Rewards no lower than `low` and no higher than `high`."""

    low: float | None = leaf(default=-1.0)
    """The least reward; none: there is none."""
    high: float | None = leaf(default=1.0)
    """The greatest reward; none: there is none."""

    def check(self) -> None:
        """Raises a ValueError where the bounds make no range, a TypeError where shaped rewards would be clipped."""
        if self.low is not None and self.high is not None:
            require_range(self, self.low, self.high)
        refuse_shaped(self)

    def reward(self, reward: jax.Array) -> jax.Array:
        """The reward within the bounds."""
        return jnp.clip(reward, self.low, self.high)


@pytree
class ScaleReward(RewardWrapper):
    """Rewards times `scale`."""

    scale: float = leaf(above=0)
    """What rewards are multiplied by."""

    @property
    def solved_return(self) -> float | None:  # type: ignore[override]
        """That of the environment inside times `scale`; None where members differ in it."""
        solved = self.env.solved_return
        return None if solved is None or np.ndim(self.scale) else solved * float(self.scale)

    def reward(self, reward: jax.Array) -> jax.Array:
        """The reward on the new scale."""
        return reward * self.scale


@pytree
class TransformReward(RewardWrapper):
    """Rewards as a function makes them: `function(reward) -> f32[]`, traceable.

    A run that is kept on disk needs one that a module has under its name; `jaxrl.load` imports it under the same rules
    as classes.
    """

    function: Callable[[jax.Array], jax.Array] = static()
    """Makes a reward out of a reward."""

    def check(self) -> None:
        """Raises a TypeError where the function gives no number, or shaped rewards would be changed."""
        given = given_shape(self, "function", self.function, jax.ShapeDtypeStruct((), jnp.float32))
        if getattr(given, "shape", None) != ():
            raise TypeError(f"TransformReward.function gives {shown(given)}, and must give one number")
        refuse_shaped(self)

    def reward(self, reward: jax.Array) -> jax.Array:
        """What the function makes of the reward."""
        return jnp.asarray(self.function(reward), jnp.float32)


@pytree
class DelayedReward(StatefulWrapper):
    """Rewards are paid together, after every `k` steps and at the end of the episode, for whatever reason it ends.

    Returns stay the same. State of the wrapper: i32[], the steps taken, and f32[], what is owed.
    """

    k: int = static(minimum=1)
    """After how many steps rewards are paid."""

    def check(self) -> None:
        """Raises a TypeError where shaped rewards would be delayed."""
        refuse_shaped(self)

    def reset(self, key: jax.Array) -> tuple[WrapperState, Any]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        return WrapperState(state, (jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32))), obs

    def step(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        """Takes one step."""
        inner, step = self.env.step(state.inner, action, key)
        steps, owed = state.extra
        steps, owed = steps + 1, owed + step.reward
        # The engine's time limit is not in the flags of a step.
        ends = step.terminated | step.truncated | (steps >= self.max_steps)
        pays = ends | (steps % self.k == 0)
        paid, owed = jnp.where(pays, owed, 0), jnp.where(pays, 0, owed)
        return WrapperState(inner, (steps, owed)), dataclasses.replace(step, reward=paid)
