"""Spaces of other libraries as jaxrl's."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.arguments import shown
from jaxrl.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple

_REMEDIES = {
    "MultiDiscrete": "number its combinations in one Discrete space, in a wrapper of that library",
    "MultiDiscreteArray": "number its combinations in one Discrete space, in a wrapper of that library",
    "BoundedArray": "number its combinations in one Discrete space, in a wrapper of that library",
    "MultiBinary": "number its combinations in one Discrete space, in a wrapper of that library",
    "Dict": "join its parts into one array, in a wrapper of that library",
    "Tuple": "join its parts into one array, in a wrapper of that library",
}


def plain(element: Any, array: Callable[[Any], Any] = jnp.asarray) -> Any:
    """An element in the structure that jaxrl's spaces have: dicts (of named tuples and dataclasses too) and tuples.

    Args:
      element: of the library.
      array: makes an array of what is none of these.

    Raises:
      ValueError: two keys of a dict differ in nothing that a name may have.
    """
    if isinstance(element, tuple | list) and not hasattr(element, "_fields"):
        return tuple(plain(part, array) for part in element)
    parts = _named_parts(element)
    if parts is None:
        return array(element)
    named = {name_of_part(key): plain(part, array) for key, part in parts.items() if part is not None}
    if len(named) < sum(part is not None for part in parts.values()):
        raise ValueError(f"the parts {sorted(parts)} of an observation need names that differ in letters and digits")
    return named


def _named_parts(element: Any) -> dict[str, Any] | None:
    """The parts of a dict, a named tuple or a dataclass; None of anything else."""
    if isinstance(element, Mapping):
        return dict(element)
    if hasattr(element, "_fields"):
        return element._asdict()
    if dataclasses.is_dataclass(element):
        return {field.name: getattr(element, field.name) for field in dataclasses.fields(element)}
    return None


def name_of_part(key: Any) -> str:
    """A key of a dict as an identifier, which keys of `jaxrl.Dict` are: "pixels/view_0" becomes "pixels_view_0"."""
    name = re.sub(r"\W", "_", str(key))
    return name if name.isidentifier() else f"_{name}"


def space_like(space: Any, form: Any) -> Space:
    """The space of elements of a form, with the bounds of another library's space where those fit.

    Args:
      space: the library's, or None where nothing is known of bounds; structured spaces have `spaces`.
      form: `jax.ShapeDtypeStruct`s in dicts and tuples.
    """
    parts = getattr(space, "spaces", None)
    if isinstance(form, dict):
        named = {name_of_part(key): part for key, part in parts.items()} if isinstance(parts, Mapping) else {}
        return Dict({name: space_like(named.get(name), part) for name, part in form.items()})
    if isinstance(form, tuple):
        matching = parts if isinstance(parts, tuple | list) and len(parts) == len(form) else [None] * len(form)
        return Tuple(tuple(map(space_like, matching, form)))
    return bounded(space, form.shape, form.dtype)


def bounded(space: Any, shape: tuple[int, ...], dtype: Any) -> Space:
    """The space of arrays of a shape and dtype, with the bounds of another library's space where those fit.

    Args:
      space: with `n`, or `low` and `high`; anything else has no bounds.
      shape: of the arrays.
      dtype: of the arrays.
    """
    if jnp.issubdtype(dtype, jnp.integer) and not np.any(getattr(space, "start", 0)):
        if hasattr(space, "n") and shape == ():
            return Discrete(int(space.n))
        if len(shape) == 1 and np.shape(getattr(space, "nvec", ())) == shape and dtype == MultiDiscrete.dtype:
            return MultiDiscrete(tuple(np.asarray(space.nvec).tolist()))
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
