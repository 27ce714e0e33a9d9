"""Tiny environments that keep the contract: what `check_env` must not complain about."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import Box, Discrete, Environment, TimeStep, leaf, pytree, static


@pytree
class WalkState:
    position: jax.Array
    key: jax.Array


@pytree
class Walk(Environment):
    """Good: a walk to the left or right, started at random, that ends beyond `limit`."""

    limit: float = leaf(default=3.0, above=0)
    max_steps: int = static(default=20, minimum=1)

    @property
    def observation_space(self) -> Any:
        return Box(-10.0, 10.0, (2,))

    @property
    def action_space(self) -> Any:
        return Discrete(2)

    def reset(self, key: jax.Array) -> Any:
        draw_key, state_key = jax.random.split(key)
        return self.start(jax.random.uniform(draw_key, (), jnp.float32, -1.0, 1.0), state_key)

    def start(self, position: Any, key: jax.Array) -> Any:
        state = WalkState(position, key)
        return state, self.observe(state)

    def observe(self, state: Any) -> Any:
        return jnp.stack([state.position, jnp.abs(state.position)])

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        move = jnp.where(action == 1, 1.0, -1.0) * jax.random.uniform(key)
        state = WalkState(state.position + move, state.key)
        obs, reward = self.observe(state), self.reward(state)
        return state, TimeStep(obs, reward, self.over(state), jnp.zeros((), bool), self.info(state))

    def reward(self, state: Any) -> Any:
        return jnp.float32(1.0)

    def over(self, state: Any) -> Any:
        return jnp.abs(state.position) > self.limit

    def info(self, state: Any) -> Any:
        return {"distance": jnp.abs(state.position)}

    def action_mask(self, state: Any) -> Any:
        return jnp.stack([state.position > -self.limit, state.position < self.limit])


@pytree
class Push(Walk):
    """Good: continuous actions, no mask, an image-like observation and a step that ignores its key."""

    @property
    def observation_space(self) -> Any:
        return Box(0, 255, (2, 2), jnp.uint8)

    @property
    def action_space(self) -> Any:
        return Box(-1.0, 1.0, (1,))

    def observe(self, state: Any) -> Any:
        return jnp.full((2, 2), jnp.clip(state.position * 10 + 100, 0, 255)).astype(jnp.uint8)

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        state = WalkState(state.position + action[0], state.key)
        return state, TimeStep(self.observe(state), jnp.float32(0), self.over(state))

    def action_mask(self, state: Any) -> Any:
        return None


@pytree
class Bonus(Walk):
    """Good: the reward has its type from the fields, which are arrays in training and here."""

    bonus: float = 2

    def reward(self, state: Any) -> Any:
        return jnp.where(state.position > 0, self.bonus, 0.0)


@pytree
class Luggage(Walk):
    """Good: the state has more in it than the walk, which starts as `packed` and is `carried` on."""

    def packed(self) -> Any:
        return jnp.float32(0)

    def carried(self, luggage: Any, walk: Any) -> Any:
        return luggage

    def reset(self, key: jax.Array) -> Any:
        walk, obs = super().reset(key)
        return {"walk": walk, "luggage": self.packed()}, obs

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        walk, step = super().step(state["walk"], action, key)
        return {"walk": walk, "luggage": self.carried(state["luggage"], walk)}, step

    def action_mask(self, state: Any) -> Any:
        return super().action_mask(state["walk"])
