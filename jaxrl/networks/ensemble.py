"""Several networks of one kind, side by side."""

from typing import Any

import haiku as hk
import jax

from jaxrl import random_bits
from jaxrl.arguments import positive


def ensemble(network: hk.Transformed, size: int) -> hk.Transformed:
    """`size` networks that start independently and read the same inputs, such as twin critics.

    Args:
      network: of (params, inputs) without random numbers.
      size: how many.

    Returns:
      A network whose parameters and outputs have a leading axis `size`.

    Raises:
      TypeError: `size` is not an integer.
      ValueError: `size` is less than 1.
    """
    positive("size", size)

    def init(key: jax.Array, *inputs: Any) -> hk.MutableParams:
        return jax.vmap(lambda key: network.init(key, *inputs))(random_bits.split(key, size))

    def apply(params: hk.Params, *inputs: Any) -> Any:
        return jax.vmap(lambda params: network.apply(params, *inputs))(params)

    return hk.Transformed(init, apply)
