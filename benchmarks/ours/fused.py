"""CartPole with what a stack of five wrappers does, written out as one environment: what the stack is measured beside.

Sticky actions, scaled rewards, no velocities, the last four observations, and the time: as
`TimeAware(FrameStack(ObservationMask(ScaleReward(StickyAction(CartPole())), keep=(0, 2)), k=4))`, number for number.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import random_bits
from jaxrl.environment import TimeStep
from jaxrl.envs.cartpole import CartPole, CartPoleState
from jaxrl.pytree import leaf, pytree
from jaxrl.spaces import Box


@pytree
class FusedState:
    """CartPole's state; i32[] last action; bool[], whether there is one; f32[3, 2] former observations; i32[] steps."""

    physics: CartPoleState
    last: jax.Array
    started: jax.Array
    former: jax.Array
    steps: jax.Array


@pytree
class Fused(CartPole):
    """CartPole and the stack in one."""

    p: float = leaf(default=0.25)
    scale: float = leaf(default=0.1)

    @property
    def observation_space(self) -> Box:
        """f32[9], four times position and angle, then the time."""
        x, theta = 2 * jnp.float32(self.x_limit), 2 * jnp.float32(self.theta_limit)
        high = jnp.stack([x, theta] * 4)
        return Box(jnp.append(-high, 0.0), jnp.append(high, 1.0), (9,), jnp.float32)

    def reset(self, key: jax.Array) -> tuple[FusedState, jax.Array]:  # type: ignore[override]
        """Starts an episode."""
        physics, obs = super().reset(key)
        seen = jnp.stack([obs[0], obs[2]])
        state = FusedState(
            physics, jnp.zeros((), jnp.int32), jnp.zeros((), bool), jnp.stack([seen] * 3), jnp.zeros((), jnp.int32)
        )
        return state, jnp.concatenate([seen, seen, seen, seen, jnp.zeros(1)])

    def step(self, state: FusedState, action: Any, key: jax.Array) -> tuple[FusedState, TimeStep]:  # type: ignore[override]
        """Takes one step."""
        repeats = state.started & (random_bits.uniform(random_bits.key_bits(key, 0)) < self.p)
        taken = jnp.where(repeats, state.last, action)
        physics, step = super().step(state.physics, taken, key)
        seen = jnp.stack([step.obs[0], step.obs[2]])
        frames = jnp.concatenate([state.former, seen[None]])
        steps = state.steps + 1
        share = steps.astype(jnp.float32) / jnp.float32(self.max_steps)
        obs = jnp.append(frames.reshape(-1), share)
        after = FusedState(physics, taken, jnp.ones((), bool), frames[1:], steps)
        return after, TimeStep(obs, step.reward * self.scale, step.terminated, step.truncated)
