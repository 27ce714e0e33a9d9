"""Schedules over the share of a run that is over, which may be traced like their ends.

optax's schedules are built with a length of 1, and count by that share.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax


def linear(start: Any, end: Any, fraction: Any) -> jax.Array:
    """A straight line from `start` at 0 to `end` at 1, and `end` after that: f32[].

    >>> float(linear(1.0, 0.0, 0.75))
    0.25
    """
    return optax.linear_schedule(start, end, 1)(fraction)


def cosine(start: Any, end: Any, fraction: Any) -> jax.Array:
    """Half a cosine from `start` at 0 to `end` at 1, and `end` after that: f32[] (Loshchilov and Hutter, 2017)."""
    return end + optax.cosine_decay_schedule(start - end, 1)(fraction)


SHAPES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "constant": lambda start, end, fraction: start,
    "linear": linear,
    "cosine": cosine,
}
"""Schedules by name, all with the arguments (start, end, fraction)."""
