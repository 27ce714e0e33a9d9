"""Spaces of other libraries as jaxrl's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.arguments import shown
from jaxrl.spaces import Box, Discrete, MultiDiscrete, Space

_REMEDIES = {
    "MultiDiscrete": "number its combinations in one Discrete space, in a wrapper of that library",
    "MultiDiscreteArray": "number its combinations in one Discrete space, in a wrapper of that library",
    "BoundedArray": "number its combinations in one Discrete space, in a wrapper of that library",
    "MultiBinary": "number its combinations in one Discrete space, in a wrapper of that library",
    "Dict": "join its parts into one array, in a wrapper of that library",
    "Tuple": "join its parts into one array, in a wrapper of that library",
}


def flat(obs: Any) -> jax.Array:
    """An observation as one array: itself where it is one, else the parts of a structure end to end, f32[n]."""
    parts = [jnp.asarray(part) for part in jax.tree.leaves(obs)]
    if len(parts) == 1:
        return parts[0]
    return jnp.concatenate([part.astype(jnp.float32).reshape(-1) for part in parts])


def bounded(space: Any, shape: tuple[int, ...], dtype: Any) -> Space:
    """The space of arrays of a shape and dtype, with the bounds of another library's space where those fit.

    Args:
      space: with `n`, or `low` and `high`; anything else has no bounds.
      shape: of the arrays.
      dtype: of the arrays.
    """
    if hasattr(space, "n") and shape == () and jnp.issubdtype(dtype, jnp.integer):
        return Discrete(int(space.n))
    if jnp.issubdtype(dtype, jnp.bool_):
        return Box(False, True, shape, dtype)
    kind: Any = jnp.iinfo if jnp.issubdtype(dtype, jnp.integer) else None
    limits = (kind(dtype).min, kind(dtype).max) if kind else (-jnp.inf, jnp.inf)
    low, high = (_bound(space, side, limit, shape) for side, limit in zip(("low", "high"), limits, strict=True))
    return Box(low, high, shape, dtype)


def _bound(space: Any, side: str, limit: Any, shape: tuple[int, ...]) -> Any:
    bound = getattr(space, side, None)
    if bound is None or np.shape(bound) not in ((), shape):
        return limit
    return bound


def action_space_of(space: Any, owner: str) -> Space:
    """The space of actions.

    Args:
      space: another library's.
      owner: the environment, for the message.

    Raises:
      ValueError: jaxrl has no such space; the message names it and says what would help.
    """
    kind = type(space).__name__
    one = hasattr(space, "n") and np.shape(space.n) == () and getattr(space, "shape", None) in ((), None)
    if one or np.ndim(getattr(space, "nvec", 0)) == 1:
        if np.any(getattr(space, "start", 0)):
            raise ValueError(
                f"{owner} has the action space {shown(space)}, which does not begin at 0: subtract its start, in a "
                "wrapper of that library"
            )
        return Discrete(int(space.n)) if one else MultiDiscrete(tuple(np.asarray(space.nvec).tolist()))
    if all(hasattr(space, name) for name in ("low", "high", "shape", "dtype")) and kind not in _REMEDIES:
        return Box(space.low, space.high, tuple(space.shape), jax.dtypes.canonicalize_dtype(space.dtype))
    remedy = _REMEDIES.get(kind, "give actions in one array, in a wrapper of that library")
    raise ValueError(
        f"{owner} has the action space {shown(space)}, and jaxrl plays Discrete, MultiDiscrete and Box: {remedy}"
    )
