"""A policy as one batched function of raw observations: what is written into a file."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Agent, masked, require_discrete
from jaxrl.pytree import concrete
from jaxrl.spaces import Discrete

LEAST_LOG_PROBABILITY = -15.0
"""No allowed action comes out less likely than e^-15 of the likeliest one, so none as exactly 0.

A softmax underflows to 0, where the published Android app would see no move; float16 keeps e^-15.
"""


def output_kinds(agent: Agent) -> tuple[str, ...]:
    """The names of what a policy can give, the usual one first."""
    return (*agent.output_kinds, "action")


def model_function(agent: Agent, params: Any, output: str, takes_mask: bool) -> Callable[..., jax.Array]:
    """The function of a file: (observations `[batch, ...]`, masks bool[batch, n] if taken) -> `[batch, ...]`.

    Args:
      agent: the agent; whatever turns an observation into features is part of its network.
      params: one member's parameters.
      output: one of `output_kinds`.
      takes_mask: whether the allowed actions are an input; else they are read off the observation, where the
        environment can (`Environment.observed_mask`).
    """
    agent = concrete(agent)

    def one(obs: jax.Array, mask: Any = None) -> jax.Array:
        values = agent.outputs(params, obs)
        mask = mask if takes_mask else agent.env.observed_mask(obs)
        if output == "action":
            return _first_greatest(masked(values, mask))
        if output == "probabilities":
            return probabilities(values, mask)
        return _below_all(values, mask) if takes_mask else values

    return jax.vmap(one)


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
    """What goes in and what comes out, in words and numbers."""
    space = agent.env.observation_space
    about = (type(agent.env).__doc__ or "").strip()
    return {
        "environment": type(agent.env).__name__,
        "about": " ".join(about.split()),
        "observation": {
            "shape": list(space.shape),
            "dtype": np.dtype(space.dtype).name,
            "low": _plain(space, "low"),
            "high": _plain(space, "high"),
        },
        "actions": require_discrete(agent),
        "output": output,
        "mask": "an input of its own" if takes_mask else _mask_origin(agent),
    }


def _mask_origin(agent: Agent) -> str:
    space = agent.env.observation_space
    seen = jax.eval_shape(agent.env.observed_mask, jax.ShapeDtypeStruct(tuple(space.shape), space.dtype))
    return "none" if seen is None else "read off the observation"


def _plain(space: Any, side: str) -> Any:
    if isinstance(space, Discrete):
        return 0 if side == "low" else space.n - 1
    bound = np.unique(np.broadcast_to(np.asarray(getattr(space, side), np.float64), space.shape))
    return [float(x) if np.isfinite(x) else str(x) for x in bound][0 if side == "low" else -1]
