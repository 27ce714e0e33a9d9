"""Environments whose observations and actions are made of several arrays."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import Box, Dict, Discrete, Environment, MultiDiscrete, TimeStep, Tuple, leaf, make, pytree, static
from jaxrl.spaces import Space


@pytree
class Parts(Environment):
    """Another environment, whose observation is cut into a dictionary: its first element, and the others."""

    env: Environment
    max_steps: int = static(default=20, minimum=1)

    @property
    def observation_space(self) -> Dict:
        space = self.env.observation_space
        low, high = (jnp.broadcast_to(jnp.asarray(x), space.shape) for x in (space.low, space.high))
        return Dict({"first": Box(low[0], high[0]), "rest": Tuple((Box(low[1:], high[1:], (space.shape[0] - 1,)),))})

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        state, obs = self.env.reset(key)
        return state, self._cut(obs)

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        state, step = self.env.step(state, action, key)
        return state, TimeStep(self._cut(step.obs), step.reward, step.terminated, step.truncated)

    def _cut(self, obs: jax.Array) -> dict[str, Any]:
        return {"first": obs[0], "rest": (obs[1:],)}


def parts(name: str) -> Parts:
    """A registered environment in parts, with episodes of 20 steps."""
    return Parts(make(name, max_steps=20))


@pytree
class Panel(Environment):
    """Lamps and a dial, drawn anew in every step; a point for each of two switches that is set as they say.

    The first switch follows the lit lamp of three, the second whether the dial is above 0; one lamp is a distraction.
    """

    pay: float = leaf(default=1.0)
    max_steps: int = static(default=5, minimum=1)

    @property
    def observation_space(self) -> Dict:
        return Dict({"dial": Box(-1.0, 1.0), "lamps": Tuple((Discrete(3), MultiDiscrete((2, 4))))})

    @property
    def action_space(self) -> MultiDiscrete:
        return MultiDiscrete((3, 2))

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        obs = self.observation_space.sample(key)
        return obs, obs

    def step(self, state: Any, action: jax.Array, key: jax.Array) -> tuple[Any, TimeStep]:
        wanted = jnp.stack([state["lamps"][0], (state["dial"] > 0).astype(jnp.int32)])
        reward = self.pay * jnp.sum(action == wanted, dtype=jnp.float32)
        _, obs = self.reset(key)
        return obs, TimeStep(obs, reward, jnp.zeros((), bool), jnp.zeros((), bool))


@pytree
class LockedPanel(Panel):
    """The same, where the second lamp says which of the positions 0 and 1 of the first switch is locked, and the other
    switch can't be set to 1 while the dial is below -0.5. A forbidden action costs 100.
    """

    def action_mask(self, state: Any) -> jax.Array:
        first = jnp.arange(3) != state["lamps"][1][0]
        return jnp.concatenate([first, jnp.stack([jnp.bool_(True), state["dial"] > -0.5])])

    def step(self, state: Any, action: jax.Array, key: jax.Array) -> tuple[Any, TimeStep]:
        mask = self.action_mask(state)
        obs, step = super().step(state, action, key)
        allowed = mask[action[0]] & mask[3 + action[1]]
        return obs, TimeStep(step.obs, jnp.where(allowed, step.reward, -100.0), step.terminated, step.truncated)
