"""Environments that give what is not finite, or masks that allow no action."""

from typing import Any

import jax.numpy as jnp

import jaxrl


@jaxrl.pytree
class Faulty(jaxrl.Environment):
    """Episodes of 5 steps, in whose third one something goes wrong."""

    kind: int = 0
    """0: nothing; 1: the reward is NaN; 2: it is infinite; 3: the observation is NaN; 4: that of the reset is; 5: the
    mask allows nothing; 6: all of that."""
    max_steps: int = jaxrl.static(default=5)
    observation_space, action_space = jaxrl.Box(shape=(2,)), jaxrl.Discrete(2)

    def wrong(self, state: Any, *kinds: int) -> Any:
        return (state == 3) & jnp.isin(self.kind, jnp.asarray((*kinds, 6)))

    def reset(self, key: Any) -> Any:
        return jnp.int32(0), jnp.where(self.kind == 4, jnp.nan, jnp.zeros(2))

    def step(self, state: Any, action: Any, key: Any) -> Any:
        state = state + 1
        obs = jnp.where(self.wrong(state, 3), jnp.nan, jnp.full(2, state / 5))
        reward = jnp.where(self.wrong(state, 1), jnp.nan, jnp.where(self.wrong(state, 2), -jnp.inf, 1))
        return state, jaxrl.TimeStep(obs, reward.astype(jnp.float32), jnp.bool_(False))

    def action_mask(self, state: Any) -> Any:
        return jnp.repeat(~self.wrong(state, 5), 2)
