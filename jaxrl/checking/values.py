"""Values that an environment's methods return: compared and put into words."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

NUMBERS = bool | int | float | np.bool_ | np.number | np.ndarray | jax.Array


def arrays(tree: Any) -> list[np.ndarray]:
    """The leaves of a tree as numpy arrays, random keys as their bits."""
    leaves = map(jnp.asarray, jax.tree.leaves(tree))
    keyed = (jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf for leaf in leaves)
    return [np.asarray(leaf) for leaf in keyed]


def same(first: Any, second: Any, tolerance: float = 0.0) -> bool:
    """Whether two results hold the same numbers; only floating-point ones get the tolerance."""
    firsts, seconds = arrays(first), arrays(second)
    if [leaf.shape for leaf in firsts] != [leaf.shape for leaf in seconds]:
        return False
    for one, other in zip(firsts, seconds, strict=True):
        slack = tolerance if jnp.issubdtype(one.dtype, jnp.floating) else 0.0
        if not np.allclose(one.astype(np.float64), other.astype(np.float64), slack, slack, equal_nan=True):
            return False
    return True


def describe(value: Any) -> str:
    """A value in a few words: an array's dtype and shape, a number itself, a container's structure."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, int | float | str | None):
        return repr(value)
    return f"a {type(value).__name__} of {len(jax.tree.leaves(value))} leaves ({jax.tree.structure(value)})"


def first_line(error: Exception) -> str:
    """An exception's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else ''}"
