"""Contender: what this machine could do at most, measured beside the others.

"products": the matrix products of one update of the DQN that all contenders train (three passes forward, the
gradients to weights and activations). "off_policy": those of one update of SAC or TD3. "on_policy": those of the
rollouts and updates of PPO or A2C with two networks. "recurrent": those of PPO with a GRU, where the products with
inputs and all gradients of weights are taken over whole sequences. All are batched over the members of one block on
every device, and change what they read, so that none can be moved out of its loop. "copy": reading and writing so many
bytes for every step, in arrays as large as the contender's own.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import jaxrl
from benchmarks.contender import Run, serve
from benchmarks.info import jax_info
from benchmarks.ours.off_policy_bound import off_policy
from benchmarks.ours.on_policy_bound import on_policy, recurrent
from benchmarks.ours.products import Weights, descend, draw_weights, forward, on_devices, over_blocks
from jaxrl.devices import member_mesh


def products(members: int, steps: int, devices: int, updates: int, hidden: int = 64, batch: int = 32) -> Run:
    """The products of all updates of all members, block by block: of `updates` in the `steps` of a member."""
    sizes = (4, hidden, hidden, 2)

    def update(carry: tuple[Weights, jax.Array]) -> tuple[Weights, jax.Array]:
        weights, obs = carry
        # Choosing and valuing the next action.
        bootstrap = forward(weights, obs + 1)[-1] + forward(weights, obs + 2)[-1]
        layers = forward(weights, obs)
        return descend(weights, layers, layers[-1] - bootstrap), obs

    def start(key: jax.Array) -> tuple[Weights, jax.Array]:
        return draw_weights(key, sizes), jax.random.normal(key, (batch, sizes[0]))

    return over_blocks(start, update, members, steps, updates, devices)


def copy(items: int, bytes_per_item: int, steps: int, devices: int) -> Run:
    """Reads and writes `bytes_per_item` bytes of every item `steps` times."""
    mesh = member_mesh(items, devices)
    share = max(1, items * bytes_per_item // 4 // mesh.size)

    def loop(key: jax.Array) -> jax.Array:
        values = jax.random.normal(key[0], (share,))
        return jnp.sum(jax.lax.fori_loop(0, steps, lambda _, x: x + 1.0, values))[None]

    program = on_devices(loop, mesh)

    def run() -> dict[str, Any]:
        jax.block_until_ready(program(jax.random.split(jax.random.key(0), mesh.size)))
        return {"steps": items * steps}

    return run


KINDS: dict[str, Callable[..., Run]] = {
    "products": products,
    "off_policy": off_policy,
    "on_policy": on_policy,
    "recurrent": recurrent,
    "copy": copy,
}


def prepare(kind: str, devices: int, **options: Any) -> tuple[Run, dict[str, Any]]:
    """Compiles one of the kinds."""
    jaxrl.use_cpu_cores(devices)
    begin = time.perf_counter()
    run = KINDS[kind](devices=devices, **options)
    return run, {"compile_seconds": time.perf_counter() - begin, **jax_info()}


if __name__ == "__main__":
    serve(prepare)
