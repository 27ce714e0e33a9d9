"""What agents must keep, looked at in shapes alone, before anything is compiled; of environments see `env_checker`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.agents.base import FAULT_METRICS, REQUIRED_METRICS, Agent, Clock
from jaxrl.pytree import cache_by_structure, is_pytree
from jaxrl.spaces import map_arrays


def check_agent(agent: Any) -> None:
    """Raises a TypeError where an agent's class can't be traced and batched."""
    name = type(agent).__name__
    if not dataclasses.is_dataclass(agent) or not is_pytree(agent):
        raise TypeError(
            f"{name} is not registered as a pytree: decorate the class with @jaxrl.pytree, as every subclass"
        )


@cache_by_structure
def check_iteration(agent: Agent) -> None:
    """Raises a ValueError where an iteration does not measure what the agent says, or changes the form of the state.

    Or where the policy's carry changes its form from one call to the next.
    """
    _check_carry(agent)

    def iterate(agent: Agent) -> Any:
        state = agent.init(jax.random.key(0))
        return state, agent.iterate(state, Clock(jnp.int32(0), jnp.int32(1)))

    name = type(agent).__name__
    before, (after, metrics) = jax.eval_shape(iterate, agent)
    optional = set(FAULT_METRICS.values())
    declared, measured = set(agent.metrics) - optional, set(metrics) - optional
    if not set(REQUIRED_METRICS) <= declared == measured:
        raise ValueError(
            f"{name}.metrics = {agent.metrics!r} must name what {name}.iterate measures, which is {tuple(metrics)!r}, "
            f"and that must have {REQUIRED_METRICS!r}"
        )
    if _shapes(before) != _shapes(after):
        raise ValueError(
            f"{name}.iterate gives the state {_shapes(after)}, and must keep structure, shapes and dtypes of what "
            f"{name}.init gives: {_shapes(before)}"
        )


def _check_carry(agent: Agent) -> None:
    batch = 2

    def act(agent: Agent, bits: jax.Array | None) -> Any:
        key, space = jax.random.key(0), agent.env.observation_space
        obs = map_arrays(lambda space: jnp.zeros((batch, *space.shape), space.dtype), space)
        carry = agent.initial_carry(batch)
        state, _ = agent.env.reset(key)
        mask = jax.tree.map(lambda x: jnp.stack([x] * batch), agent.env.action_mask(state))
        params = agent.params(agent.init(key))
        after = {"act": agent.act(params, carry, obs, mask, bits)[1]}
        if type(agent).outputs is not Agent.outputs:  # Only exports need it.
            after["outputs"] = agent.outputs(params, carry, obs)[1]
        return carry, after

    exploring = jax.ShapeDtypeStruct((batch, agent.action_bits), jnp.uint32)
    for bits in (exploring, None):
        before, by_method = jax.eval_shape(act, agent, bits)
        for method, after in by_method.items():
            if _shapes(before) != _shapes(after):
                raise ValueError(
                    f"{type(agent).__name__}.{method} gives the carry {_shapes(after)}, and must keep structure, "
                    f"shapes and dtypes of what {type(agent).__name__}.initial_carry gives: {_shapes(before)}"
                )


def _shapes(tree: Any) -> str:
    return str(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree))
