"""Contender: what this machine could do at most, measured beside the others.

"products": the matrix products of one update of the DQN that all contenders train (three passes forward, the
gradients to weights and activations), batched over the members of one block on every device, and adding the
gradients to the weights, so that no product can be moved out of the loop. "copy": reading and writing so many
bytes for every step, in arrays as large as the contender's own.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

import jaxrl
from benchmarks.contender import Run, serve, sharing
from benchmarks.ours.facts import jax_facts
from jaxrl.devices import AXIS, member_mesh
from jaxrl.memory import CPU_BLOCK

Weights = tuple[jax.Array, ...]


def products(
    members: int,
    steps: int,
    devices: int,
    updates: int | None = None,
    block: int = 32,
    hidden: int = 64,
    batch: int = 32,
) -> Run:
    """The products of all updates of all members, block by block: of `updates` in the `steps` of a member."""
    updates = steps if updates is None else updates
    count = sharing(members, devices)
    on_cpu = jax.local_devices()[0].platform == "cpu"
    width = min(members, CPU_BLOCK * count) if on_cpu else members
    mesh = member_mesh(width, count)
    sizes = (4, hidden, hidden, 2)

    def update(weights: Weights, obs: jax.Array) -> Weights:
        w1, w2, w3 = weights
        for seen in (obs, obs + 1):  # Choosing and valuing the next action.
            bootstrap = seen @ w1 @ w2 @ w3
        first = obs @ w1
        second = first @ w2
        error = second @ w3 - bootstrap
        back2 = error @ w3.T
        back1 = back2 @ w2.T
        gradients = (obs.T @ back1, first.T @ back2, second.T @ error)
        return tuple(w + 1e-9 * g for w, g in zip(weights, gradients, strict=True))

    def loop(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key[0], 4)
        share = width // mesh.size
        weights = tuple(
            jax.random.normal(k, (share, n, m)) / n for k, n, m in zip(keys, sizes, sizes[1:], strict=False)
        )
        obs = jax.random.normal(keys[3], (share, batch, sizes[0]))
        weights = jax.lax.fori_loop(0, updates, lambda _, w: jax.vmap(update)(w, obs), weights)
        return jnp.stack([jnp.sum(w) for w in weights])[None]

    program = _on_devices(loop, mesh)

    def run() -> dict[str, Any]:
        for _ in range(-(-members // width)):
            jax.block_until_ready(program(jax.random.split(jax.random.key(0), mesh.size)))
        return {"steps": members * steps}

    return run


def copy(items: int, bytes_per_item: int, steps: int, devices: int) -> Run:
    """Reads and writes `bytes_per_item` bytes of every item `steps` times."""
    mesh = member_mesh(items, devices)
    share = max(1, items * bytes_per_item // 4 // mesh.size)

    def loop(key: jax.Array) -> jax.Array:
        values = jax.random.normal(key[0], (share,))
        return jnp.sum(jax.lax.fori_loop(0, steps, lambda _, x: x + 1.0, values))[None]

    program = _on_devices(loop, mesh)

    def run() -> dict[str, Any]:
        jax.block_until_ready(program(jax.random.split(jax.random.key(0), mesh.size)))
        return {"steps": items * steps}

    return run


def _on_devices(loop: Any, mesh: Mesh) -> Any:
    each = PartitionSpec(AXIS)
    program = jax.jit(jax.shard_map(loop, mesh=mesh, in_specs=each, out_specs=each, check_vma=False))
    return program.lower(jax.random.split(jax.random.key(0), mesh.size)).compile()


def prepare(kind: str, devices: int, **options: Any) -> tuple[Run, dict[str, Any]]:
    """Compiles one of the two."""
    jaxrl.use_cpu_cores(devices)
    begin = time.perf_counter()
    make: Any = {"products": products, "copy": copy}[kind]
    run = make(devices=devices, **options)
    return run, {"compile_seconds": time.perf_counter() - begin, **jax_facts()}


if __name__ == "__main__":
    serve(prepare)
