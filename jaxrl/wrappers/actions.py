"""Wrappers that change what actions mean."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import masks, random_bits
from jaxrl.arguments import shown
from jaxrl.environment import TimeStep
from jaxrl.pytree import leaf, pytree, static
from jaxrl.spaces import Box, Discrete
from jaxrl.wrappers.base import (
    StatefulWrapper,
    Wrapper,
    WrapperState,
    box_actions,
    has_masks,
    refuse_shaped,
    require_range,
)

MOST_ACTIONS = 2**20
"""As many discrete actions as `DiscretizeAction` makes: networks have an output for each."""


@pytree
class RescaleAction(Wrapper):
    """Continuous actions between `low` and `high` in place of their own bounds, which must be finite."""

    low: float = leaf(default=-1.0)
    """What stands for the lower bound of each element."""
    high: float = leaf(default=1.0)
    """What stands for the upper bound of each element."""

    def check(self) -> None:
        """Raises a TypeError or ValueError where actions have no finite bounds, or the new ones make no range."""
        box_actions(self)
        require_range(self, self.low, self.high)

    @property
    def action_space(self) -> Box:
        """The shape and dtype of the actions inside, between `low` and `high`."""
        space: Any = self.env.action_space
        return Box(jnp.float32(self.low), jnp.float32(self.high), space.shape, space.dtype)

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step by the action on its own scale."""
        space: Any = self.env.action_space
        share = (action - self.low) / (self.high - self.low)
        return self.env.step(state, (space.low + share * (space.high - space.low)).astype(space.dtype), key)


@pytree
class DiscretizeAction(Wrapper):
    """Discrete actions that stand for the middles of equal parts of continuous ones, as in Gymnasium.

    Each dimension has `bins` parts; the last dimension changes fastest.
    """

    bins: int | tuple[int, ...] = static(minimum=1)
    """Parts of each dimension: one number, or one for each dimension."""

    def check(self) -> None:
        """Raises a TypeError or ValueError where actions have no finite bounds, or the parts do not fit them."""
        size = math.prod(box_actions(self).shape)
        if isinstance(self.bins, tuple) and len(self.bins) != size:
            raise ValueError(
                f"DiscretizeAction.bins = {shown(self.bins)} must be one number, or one for each of the {size} "
                f"dimensions of an action of {type(self.env).__name__}"
            )
        if math.prod(self._parts) > MOST_ACTIONS:
            raise ValueError(
                f"DiscretizeAction.bins = {shown(self.bins)} makes {math.prod(self._parts):,} actions, and may make "
                f"{MOST_ACTIONS:,}: give fewer bins"
            )

    @property
    def _parts(self) -> tuple[int, ...]:
        space: Any = self.env.action_space
        size = math.prod(space.shape)
        return self.bins if isinstance(self.bins, tuple) else (self.bins,) * size

    @property
    def action_space(self) -> Discrete:
        """Every combination of parts."""
        return Discrete(math.prod(self._parts))

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step by the middle of the part."""
        space: Any = self.env.action_space
        places = jnp.stack(jnp.unravel_index(action, self._parts)) if self._parts else jnp.zeros((0,))
        share = (places.astype(jnp.float32) + 0.5) / jnp.asarray(self._parts, jnp.float32)
        whole = space.low + share.reshape(space.shape) * (space.high - space.low)
        return self.env.step(state, whole.astype(space.dtype), key)


@pytree
class StickyAction(StatefulWrapper):
    """With probability `p` the last action is taken again in place of the chosen one (Machado et al., 2018).

    Never in the first step of an episode, and never one that is forbidden by now. State of the wrapper: the last action
    taken, and whether there is one, bool[]. Its random bits are a hash of the step's key (`random_bits.key_bits`): it
    takes no pass of Threefry besides those of the environment inside.
    """

    p: float = leaf(default=0.25, minimum=0, below=1)
    """Probability of taking the last action again."""

    def reset(self, key: jax.Array) -> tuple[WrapperState, Any]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        space: Any = self.env.action_space
        return WrapperState(state, (jnp.zeros(space.shape, space.dtype), jnp.zeros((), bool))), obs

    def step(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        """Takes one step by the action or the last one."""
        last, repeats = state.extra
        space: Any = self.env.action_space
        repeats &= random_bits.uniform(random_bits.key_bits(key, self.layer)) < self.p
        mask = self.env.action_mask(state.inner)
        if mask is not None:
            repeats &= masks.allows(space, mask, last)
        taken = jnp.where(repeats, last, jnp.asarray(action, last.dtype))
        inner, step = self.env.step(state.inner, taken, key)
        return WrapperState(inner, (taken, jnp.ones((), bool))), step


@pytree
class ActionRepeat(StatefulWrapper):
    """Each action is taken `k` times, or until the episode ends; the reward is the sum.

    An episode has at most as many steps of the environment inside as without it. State of the wrapper: i32[], those
    steps, or () where `k` divides their limit, so that no count is needed.
    """

    k: int = static(default=4, minimum=1)
    """How often each action is taken."""

    def check(self) -> None:
        """Raises a TypeError where a repeated action may be forbidden, or shaped rewards would be summed."""
        if has_masks(self.env):
            self.refuse("it masks actions, and an action may be forbidden when it is repeated: leave this wrapper out")
        refuse_shaped(self)

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        """Most steps of one episode, of `k` steps inside each; the last may have fewer."""
        return -(-self.env.max_steps // self.k)

    @property
    def _counts(self) -> bool:
        return self.env.max_steps % self.k != 0

    def reset(self, key: jax.Array) -> tuple[WrapperState, Any]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        return WrapperState(state, jnp.zeros((), jnp.int32) if self._counts else ()), obs

    def step(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        """Takes up to `k` steps of the environment inside."""

        def again(so_far: tuple[WrapperState, TimeStep], key: jax.Array) -> tuple[tuple[WrapperState, TimeStep], None]:
            before, step = so_far
            after, new = self._once(before, action, key)
            new = dataclasses.replace(new, reward=step.reward + new.reward)
            over = step.terminated | step.truncated
            return jax.tree.map(lambda old, new: jnp.where(over, old, new), so_far, (after, new)), None

        keys = random_bits.split(key, self.k)
        first = self._once(state, action, keys[0])
        return jax.lax.scan(again, first, keys[1:], unroll=True)[0]

    def _once(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        inner, step = self.env.step(state.inner, action, key)
        steps = jax.tree.map(lambda steps: steps + 1, state.extra)
        truncated = jnp.asarray(step.truncated)
        if self._counts:
            truncated |= steps >= self.env.max_steps
        step = jax.tree.map(jnp.asarray, dataclasses.replace(step, truncated=truncated))
        return WrapperState(inner, steps), step
