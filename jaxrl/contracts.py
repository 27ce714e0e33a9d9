"""What environments and agents must keep, looked at in shapes alone, before anything is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock
from jaxrl.environment import Environment
from jaxrl.pytree import once_a_structure
from jaxrl.spaces import Discrete, Space


@once_a_structure
def check_environment(env: Environment) -> None:
    """The cheap part of `check_env`: raises a ValueError where the contract does not hold in shape."""
    name = type(env).__name__
    steps = getattr(env, "max_steps", None)
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{name}.max_steps = {steps!r} must be a static whole number of at least 1")
    spaces: list[Space] = []

    def one_step(env: Environment) -> Any:
        """(state, observation, mask) after reset and after one step, and the step."""
        spaces.append(env.observation_space)
        key = jax.random.key(0)
        state, obs = env.reset(key)
        following, step = env.step(state, env.action_space.sample(key), key)
        return (state, obs, env.action_mask(state)), (following, step.obs, env.action_mask(following)), step

    try:
        before, after, step = jax.eval_shape(one_step, env)
    except Exception as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ValueError(
            f"{name} fails its contract: {type(error).__name__}: {line}; jaxrl.check_env(env) tells more"
        ) from error
    (space,), flag = spaces, ((), np.bool_)
    wanted = {
        "reset's observation": (before[1], space.shape, space.dtype),
        "step's observation": (step.obs, space.shape, space.dtype),
        "reward": (step.reward, (), np.float32),
        "terminated": (step.terminated, *flag),
        "truncated": (np.bool_(step.truncated) if isinstance(step.truncated, bool) else step.truncated, *flag),
    }
    for what, mask in {"reset's action mask": before[2], "step's action mask": after[2]}.items():
        if mask is not None and isinstance(env.action_space, Discrete):
            wanted[what] = (mask, (env.action_space.n,), np.bool_)
    for what, (found, shape, dtype) in wanted.items():
        if getattr(found, "shape", None) != tuple(shape) or getattr(found, "dtype", None) != dtype:
            raise ValueError(
                f"{name} fails its contract: {what} is {found}, and must be {np.dtype(dtype).name}{list(shape)}; "
                "jaxrl.check_env(env) tells more"
            )
    if _form(before) != _form(after):
        raise ValueError(
            f"{name} fails its contract: the state (or its action mask) is {_form(before)} after reset and "
            f"{_form(after)} after step, and must keep structure, shapes and dtypes; jaxrl.check_env(env) tells more"
        )


@once_a_structure
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
    if not set(EPISODE_METRICS) <= set(agent.metrics) == set(metrics):
        raise ValueError(
            f"{name}.metrics = {agent.metrics!r} must name what {name}.iterate measures, which is {tuple(metrics)!r}, "
            f"and that must have {EPISODE_METRICS!r}"
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
        obs = jnp.zeros((batch, *space.shape), space.dtype)
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


def _form(tree: Any) -> str:
    return _shapes((tree[0], tree[2]))
