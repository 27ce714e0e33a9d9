"""A policy as one batched function of raw observations: what is written into a file."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import networks
from jaxrl.agents.base import Agent
from jaxrl.distributions import masked
from jaxrl.environment import name_of
from jaxrl.export.tflite_file import OBSERVATION, carry_names
from jaxrl.masks import split_choices
from jaxrl.pytree import with_array_leaves
from jaxrl.spaces import Box, Discrete, MultiDiscrete, Space, array_names, array_spaces, arrays_of, is_array_space
from jaxrl.wrappers import Wrapper

LEAST_LOG_PROBABILITY = -15.0
"""No allowed action comes out less likely than e^-15 of the likeliest one, so none as exactly 0.

A softmax underflows to 0, where the published Android app would see no move; float16 keeps e^-15.
"""


def output_kinds(agent: Agent) -> tuple[str, ...]:
    """The names of what a policy can give, the usual one first."""
    if not isinstance(agent.env.action_space, Discrete):
        return ("action",)
    return (*agent.output_kinds, "action")


def output_name(kind: str) -> str:
    """The name of the policy's output in a signature: of an output kind, with "_" for "-"."""
    return kind.replace("-", "_")


def carry_shapes(agent: Agent) -> list[jax.ShapeDtypeStruct]:
    """The shape and dtype of one item of each leaf of the policy's carry; empty without memory."""
    leaves = jax.tree.leaves(jax.eval_shape(lambda: agent.initial_carry(1)))
    return [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in leaves]


def model_function(agent: Agent, params: Any, output: str, takes_mask: bool) -> Callable[..., dict[str, jax.Array]]:
    """The function of a file.

    Args:
      agent: the agent; whatever turns an observation into features is part of its network.
      params: one member's parameters.
      output: one of `output_kinds`.
      takes_mask: whether the allowed actions are an input; else they are read off the observation, where the
        environment can (`Environment.observed_mask`).

    Returns:
      A function of each array `[batch, ...]` of the observations, the masks bool[batch, n] if taken, and each leaf
      `[batch, ...]` of the carry, that gives by name the policy's output `[batch, ...]` and each one of the next carry.
    """
    agent = with_array_leaves(agent)
    structure = jax.tree.structure(jax.eval_shape(lambda: agent.initial_carry(1)))
    space, observed = agent.env.action_space, agent.env.observation_space
    structure_of_obs: Any = jax.tree.structure(networks.example(observed))
    arrays = len(array_spaces(observed))

    def function(*columns: jax.Array) -> dict[str, jax.Array]:
        obs = jax.tree.unflatten(structure_of_obs, columns[:arrays])
        others = columns[arrays:]
        mask, *leaves = others if takes_mask else (None, *others)
        values, carry = agent.outputs(params, jax.tree.unflatten(structure, leaves), obs)
        if isinstance(space, Box):
            given = _inside(values, space)
        elif isinstance(space, MultiDiscrete):
            mask = mask if takes_mask else jax.vmap(agent.env.observed_mask)(obs)
            parts = split_choices(values if mask is None else _masked_choices(values, mask, space), space)
            given = jnp.stack([jax.vmap(_first_greatest)(part) for part in parts], axis=-1)
        else:
            mask = mask if takes_mask else jax.vmap(agent.env.observed_mask)(obs)
            given = jax.vmap(lambda v, m: _decision(v, m, output, takes_mask))(values, mask)
        following = zip(carry_names(len(leaves)), jax.tree.leaves(carry), strict=True)
        return {output_name(output): given, **{f"next_{name}": leaf for name, leaf in following}}

    return function


def _decision(values: jax.Array, mask: Any, output: str, takes_mask: bool) -> jax.Array:
    """One output of a discrete policy, from the f32[n] that it decides by."""
    if output == "action":
        return _first_greatest(masked(values, mask))
    if output == "probabilities":
        return probabilities(values, mask)
    return _below_all(values, mask) if takes_mask else values


def _masked_choices(values: jax.Array, mask: jax.Array, space: MultiDiscrete) -> jax.Array:
    """`masked` of each choice: f32[batch, sum(counts)]."""
    return jnp.concatenate(list(map(masked, split_choices(values, space), split_choices(mask, space))), axis=-1)


def _inside(actions: jax.Array, space: Box) -> jax.Array:
    """Continuous actions `[batch, ...]` inside their bounds, which rounding must not leave."""
    low, high = (np.asarray(bound, np.float32) for bound in (space.low, space.high))
    actions = actions.reshape(actions.shape[0], *space.shape)
    if np.isfinite(low).any():
        actions = jnp.maximum(actions, low)
    if np.isfinite(high).any():
        actions = jnp.minimum(actions, high)
    return actions.astype(space.dtype)


def probabilities(logits: jax.Array, mask: Any) -> jax.Array:
    """The policy f32[n], no less than e^-15 of its greatest; forbidden actions have as little.

    Every number on the way stays in the range of the logits, so that 8 bits hold it.
    """
    best = jnp.max(logits if mask is None else jnp.where(mask, logits, jnp.min(logits)))
    least = best + LEAST_LOG_PROBABILITY
    kept = jnp.maximum(logits, least)
    return jax.nn.softmax(kept if mask is None else jnp.where(mask, kept, least))


def _first_greatest(values: jax.Array) -> jax.Array:
    """Argmax i32[], of reductions that TFLite has for any batch."""
    places = jnp.arange(values.shape[-1], dtype=jnp.int32)
    return jnp.min(jnp.where(values == jnp.max(values), places, values.shape[-1]))


def _below_all(values: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.where(mask, values, jnp.min(values) - 1)


def description(agent: Agent, output: str, takes_mask: bool) -> dict[str, Any]:
    """The inputs and outputs, as metadata of the file."""
    space = agent.env.observation_space
    env = agent.env.unwrapped if isinstance(agent.env, Wrapper) else agent.env
    about = (type(env).__doc__ or "").strip()
    description = {
        "environment": name_of(agent.env),
        "about": " ".join(about.split()),
        "observation": _observation(space),
        "actions": _actions(agent.env.action_space),
        "output": output,
        "mask": "a separate input" if takes_mask else _mask_origin(agent),
    }
    return description | ({"carry": _carry(agent)} if agent.has_memory else {})


def _observation(space: Space) -> Any:
    """What one observation is; for several arrays a list, each with the input that takes it."""
    if not is_array_space(space):
        names = array_names(arrays_of(space), OBSERVATION)
        return [{"input": n, **_observation(part)} for n, part in zip(names, array_spaces(space), strict=True)]
    return {
        "shape": list(space.shape),
        "dtype": np.dtype(space.dtype).name,
        "low": _plain(space, "low"),
        "high": _plain(space, "high"),
    }


def _actions(space: Space) -> Any:
    """How many actions there are, or for each choice; of continuous ones, shape, dtype and bounds."""
    if isinstance(space, Discrete):
        return space.n
    if isinstance(space, MultiDiscrete):
        return list(space.counts)
    assert isinstance(space, Box)
    return {
        "shape": list(space.shape),
        "dtype": np.dtype(space.dtype).name,
        "low": _numbers(np.broadcast_to(np.asarray(space.low, np.float64), space.shape)),
        "high": _numbers(np.broadcast_to(np.asarray(space.high, np.float64), space.shape)),
    }


def _carry(agent: Agent) -> list[dict[str, Any]]:
    """For each leaf of the carry: its input, the output to feed back, and its value before an episode's first step."""
    leaves = [np.asarray(leaf)[0] for leaf in jax.tree.leaves(with_array_leaves(agent).initial_carry(1))]
    return [
        {
            "input": name,
            "output": f"next_{name}",
            "shape": list(leaf.shape),
            "dtype": leaf.dtype.name,
            "initial": _numbers(leaf),
        }
        for name, leaf in zip(carry_names(len(leaves)), leaves, strict=True)
    ]


def _numbers(values: np.ndarray) -> Any:
    """An array as plain data: one number where all are equal, else nested lists; infinities by name."""
    if values.size and np.all(values == values.flat[0]):
        value = values.flat[0].item()
        return value if np.isfinite(value) else str(value)
    return [_numbers(value) for value in values]


def _mask_origin(agent: Agent) -> str:
    space = agent.env.observation_space
    seen = jax.eval_shape(agent.env.observed_mask, networks.example(space, ()))
    return "none" if seen is None else "read off the observation"


def _plain(space: Any, side: str) -> Any:
    if isinstance(space, Discrete):
        return 0 if side == "low" else space.n - 1
    if isinstance(space, MultiDiscrete):
        return 0 if side == "low" else [count - 1 for count in space.counts]
    bound = np.unique(np.broadcast_to(np.asarray(getattr(space, side), np.float64), space.shape))
    return [float(x) if np.isfinite(x) else str(x) for x in bound][0 if side == "low" else -1]
