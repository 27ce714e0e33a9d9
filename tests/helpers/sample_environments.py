"""Small environments whose every number is known beforehand."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import Box, Discrete, Environment, TimeStep, leaf, pytree, static


@pytree
class Corridor(Environment):
    """Walk right from cell 0; the reward is the number of the cell that is left, times `pay`.

    Action 1 walks, action 0 stays. Leaving the last cell terminates. The observation is the cell,
    one-hot through `Discrete`; after the last cell it is `cells`.
    """

    pay: float = leaf(default=1.0)
    cells: int = static(default=3, minimum=1)
    max_steps: int = static(default=10, minimum=1)

    @property
    def observation_space(self) -> Discrete:
        return Discrete(self.cells + 1)

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        cell = jnp.zeros((), jnp.int32)
        return cell, cell

    def step(self, state: jax.Array, action: Any, key: jax.Array) -> tuple[jax.Array, TimeStep]:
        after = state + (action == 1).astype(jnp.int32)
        reward = state.astype(jnp.float32) * self.pay
        return after, TimeStep(after, reward, after >= self.cells, jnp.zeros((), bool))


@pytree
class MaskedRandomWalk(Environment):
    """A position drawn anew at each step; of four actions only two are allowed, by the position's sign.

    A forbidden action would earn 100: an agent that takes one, or believes in one, shows it.
    """

    spread: float = leaf(default=1.0, above=0)
    max_steps: int = static(default=5, minimum=1)

    @property
    def observation_space(self) -> Box:
        return Box(-jnp.inf, jnp.inf, (2,), jnp.float32)

    @property
    def action_space(self) -> Discrete:
        return Discrete(4)

    def action_mask(self, state: jax.Array) -> jax.Array:
        positive = state[0] > 0
        return jnp.stack([positive, ~positive, positive, ~positive])

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        position = jax.random.normal(key, (2,)) * self.spread
        return position, position

    def step(self, state: jax.Array, action: Any, key: jax.Array) -> tuple[jax.Array, TimeStep]:
        allowed = self.action_mask(state)[action]
        after, obs = self.reset(key)
        reward = jnp.where(allowed, (action < 2).astype(jnp.float32), 100.0)
        return after, TimeStep(obs, reward, jnp.zeros((), bool), jnp.zeros((), bool))


@pytree
class MaskedRandomSign(MaskedRandomWalk):
    """The same, of which the sign alone is observed: 1 where it is positive."""

    @property
    def observation_space(self) -> Discrete:
        return Discrete(2)

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        position, _ = super().reset(key)
        return position, (position[0] > 0).astype(jnp.int32)


@pytree
class Steering(Environment):
    """A continuous action space, for agents that have no use for one."""

    max_steps: int = static(default=5, minimum=1)

    @property
    def observation_space(self) -> Box:
        return Box(-1.0, 1.0, (1,), jnp.float32)

    @property
    def action_space(self) -> Box:
        return Box(-1.0, 1.0, (1,), jnp.float32)

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        angle = jax.random.uniform(key, (1,), minval=-1.0)
        return angle, angle

    def step(self, state: jax.Array, action: Any, key: jax.Array) -> tuple[jax.Array, TimeStep]:
        after = jnp.clip(state + action, -1, 1)
        return after, TimeStep(after, -jnp.abs(after[0]), jnp.zeros((), bool), jnp.zeros((), bool))
