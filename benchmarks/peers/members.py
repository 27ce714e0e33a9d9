"""Members of another library's training function: by `vmap`, split over the devices, in one compiled program."""

import itertools
import os
from collections.abc import Callable
from typing import Any


def use_devices(devices: int) -> None:
    """Prepares JAX, before it starts, for as many devices: CPU devices unless `JAX_PLATFORMS` says otherwise."""
    platform = os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    if platform == "cpu":
        jax.config.update("jax_num_cpu_devices", devices)


def compile_members(
    train: Callable[[Any], Any], members: int, devices: int, first_seed: int = 0, stride: int | None = None
) -> Callable[[], Any]:
    """Compiles the training of `members` members at once.

    Args:
      train: trains one member by a key; returns arrays.
      members: a multiple of `devices`.
      devices: how many share the members.
      first_seed: the first member's seed in the first run.
      stride: how far its seed moves on from run to run; by default by the number of members.

    Returns:
      A function that trains members of new seeds at every call; arrays `[members, ...]`, ready.

    Raises:
      ValueError: the members can't be divided evenly.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    if members % devices:
        raise ValueError(f"{members=} must be a multiple of {devices=}.")
    program = jax.vmap(lambda number: train(jax.random.fold_in(jax.random.PRNGKey(0), number)))
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("members",))
    axis = jax.sharding.PartitionSpec("members")
    if devices > 1:
        program = jax.shard_map(program, mesh=mesh, in_specs=axis, out_specs=axis, check_vma=False)
    sharding = jax.sharding.NamedSharding(mesh, axis)
    compiled = jax.jit(program).lower(jax.ShapeDtypeStruct((members,), jnp.uint32, sharding=sharding)).compile()
    first = itertools.count(first_seed, stride or members)

    def run() -> Any:
        numbers = next(first) + np.arange(members, dtype=np.uint32)
        return jax.block_until_ready(compiled(jax.device_put(numbers, sharding)))

    return run
