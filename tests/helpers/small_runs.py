"""Runs of a moment, for tests of what surrounds the learning."""

from typing import Any

import jax
import jax.numpy as jnp

import jaxrl
from jaxrl.agents.base import Clock

STEPS, LOG_POINTS = 120, 12
SEEDS = [7, 3, 11]


def cart_pole(**parameters: Any) -> jaxrl.Environment:
    return jaxrl.make("CartPole-v1", **{"max_steps": 20, **parameters})


def dqn(**fields: Any) -> jaxrl.DQN:
    small = {"hidden": (8,), "batch_size": 4, "buffer_size": 64, "learning_starts": 8, "epsilon_decay_steps": 60.0}
    return jaxrl.DQN(**{"env": cart_pole(), **small, **fields})


def reinforce(**fields: Any) -> jaxrl.Reinforce:
    return jaxrl.Reinforce(**{"env": cart_pole(), "hidden": (8,), "num_envs": 2, "episodes_per_update": 3, **fields})


def ppo(**fields: Any) -> jaxrl.PPO:
    small = {"hidden": (8,), "num_envs": 2, "rollout_steps": 4, "epochs": 2, "minibatches": 2}
    return jaxrl.PPO(**{"env": cart_pole(), **small, **fields})


def a2c(**fields: Any) -> jaxrl.A2C:
    return jaxrl.A2C(**{"env": cart_pole(), "hidden": (8,), "num_envs": 2, "rollout_steps": 4, **fields})


def train(agent: Any = None, steps: int | None = STEPS, **arguments: Any) -> jaxrl.Result:
    return jaxrl.train(
        agent or dqn(), steps, **{"log_points": LOG_POINTS, "progress": False, "devices": 1, **arguments}
    )


def run_iterations(agent: jaxrl.Agent, count: int) -> Any:
    """The whole state of one member after so many iterations."""
    state = agent.init(jax.random.key(3))
    iterate = jax.jit(agent.iterate)
    for i in range(count):
        state, _ = iterate(state, Clock(jnp.int32(i), jnp.int32(count)))
    return state
