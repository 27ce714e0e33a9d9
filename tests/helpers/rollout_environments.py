"""Environments whose every episode is known from its start, to see what `jaxrl.rollout` plays."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import random_bits


@jaxrl.pytree
class State:
    start: jax.Array
    age: jax.Array


@jaxrl.pytree
class Short(jaxrl.Environment):
    """Ends after 1 to `longest` steps, as its start has it; the observation is the start."""

    longest: int = jaxrl.static(default=3)
    max_steps: int = jaxrl.static(default=50)
    costly_reset: bool = jaxrl.static(default=False)
    distinct_starts: int | None = jaxrl.static(default=None)

    @property
    def observation_space(self) -> jaxrl.Box:
        return jaxrl.Box(0.0, 2.0**32, (2,))

    @property
    def action_space(self) -> jaxrl.Discrete:
        return jaxrl.Discrete(2)

    def reset(self, key: jax.Array) -> tuple[State, jax.Array]:
        return self.begin(random_bits.bits(key, ()))

    def begin(self, start: jax.Array) -> tuple[State, jax.Array]:
        state = State(start, jnp.int32(0))
        return state, self.observe(state)

    def observe(self, state: State) -> jax.Array:
        return jnp.stack([state.start >> 16, state.start & 0xFFFF]).astype(jnp.float32)

    def step(self, state: State, action: Any, key: jax.Array) -> tuple[State, jaxrl.TimeStep]:
        state = State(state.start, state.age + 1)
        ended = state.age > (state.start % self.longest).astype(jnp.int32)
        return state, jaxrl.TimeStep(self.observe(state), jnp.float32(1), ended, jnp.zeros((), bool))


class Host:
    """What the host was called for."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.resets: list[int] = []

    def step(self, start: Any, age: Any) -> None:
        self.steps.append((int(start), int(age)))

    def reset(self, start: Any) -> None:
        self.resets.append(int(start))


HOST = Host()
"""Of the test that runs: see `Called`."""


@jaxrl.pytree
class Called(Short):
    """Calls the host once for each step and each reset that is computed."""

    def begin(self, start: jax.Array) -> tuple[State, jax.Array]:
        jax.debug.callback(lambda s: HOST.reset(s), start)
        return super().begin(start)

    def step(self, state: State, action: Any, key: jax.Array) -> tuple[State, jaxrl.TimeStep]:
        jax.debug.callback(lambda s, a: HOST.step(s, a), state.start, state.age)
        return super().step(state, action, key)


def start_numbers(obs: Any) -> np.ndarray:
    """The starts u32[...] that observations f32[..., 2] of `Short` show."""
    high, low = np.moveaxis(np.asarray(obs), -1, 0).astype(np.uint32)
    return high << 16 | low


def steps_of_start(env: Short, starts: np.ndarray) -> np.ndarray:
    """How long the episodes of these starts u32[...] last."""
    return starts.astype(np.int64) % env.longest + 1
