"""Matrix products alone, batched as jaxrl batches them: what the bounds are made of."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from benchmarks.contender import Run, sharing
from jaxrl.devices import AXIS, member_mesh

Weights = tuple[jax.Array, ...]
TINY = 1e-9
"""What products are weighted with where they are added to something, so that no number grows."""


def draw_weights(key: jax.Array, sizes: Sequence[int]) -> Weights:
    """The weights of a network with so many units in its layers."""
    shapes = list(itertools.pairwise(sizes))
    keys = jax.random.split(key, len(shapes))
    return tuple(jax.random.normal(k, shape) / shape[0] for k, shape in zip(keys, shapes, strict=True))


def forward(weights: Weights, obs: jax.Array) -> list[jax.Array]:
    """The inputs and the layers' products with the weights: f32[batch, ...] each."""
    layers = [obs]
    for weight in weights:
        layers.append(layers[-1] @ weight)
    return layers


def descend(weights: Weights, layers: list[jax.Array], error: jax.Array) -> Weights:
    """The weights after their gradients are added, by the products that give those."""
    following = []
    for number in reversed(range(len(weights))):
        following.append(weights[number] + TINY * (layers[number].T @ error))
        if number:
            error = error @ weights[number].T
    return tuple(reversed(following))


def over_blocks(
    start: Callable[[jax.Array], Any],
    update: Callable[[Any], Any],
    members: int,
    steps: int,
    updates: int,
    devices: int,
    block_size: int = 16,
) -> Run:
    """Updates every member so many times, block by block.

    Args:
      start: what a member's updates begin with, by a key.
      update: one update of a member.
      members: how many members.
      steps: what a member's updates count for.
      updates: of each member.
      devices: how many there are.
      block_size: members that a CPU device updates at once.
    """
    count = sharing(members, devices)
    on_cpu = jax.local_devices()[0].platform == "cpu"
    width = min(members, block_size * count) if on_cpu else members
    mesh = member_mesh(width, count)

    def loop(key: jax.Array) -> jax.Array:
        carry = jax.vmap(start)(jax.random.split(key[0], width // mesh.size))
        carry = jax.lax.fori_loop(0, updates, lambda _, carry: jax.vmap(update)(carry), carry)
        return jnp.stack([jnp.sum(leaf) for leaf in jax.tree.leaves(carry)])[None]

    program = on_devices(loop, mesh)

    def run() -> dict[str, Any]:
        for _ in range(-(-members // width)):
            jax.block_until_ready(program(jax.random.split(jax.random.key(0), mesh.size)))
        return {"steps": members * steps}

    return run


def on_devices(loop: Any, mesh: Mesh) -> Any:
    """Compiles a function of one key a device."""
    each = PartitionSpec(AXIS)
    program = jax.jit(jax.shard_map(loop, mesh=mesh, in_specs=each, out_specs=each, check_vma=False))
    return program.lower(jax.random.split(jax.random.key(0), mesh.size)).compile()
