"""Contender: jaxrl's environments under random allowed actions, with the automatic reset.

All of it by `jaxrl.collecting.collect_randomly`, as agents collect: fresh random starts, time limits,
returns; the environments split over the devices. Sums over the finished episodes are all that leaves.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

import jaxrl
from benchmarks.contender import Run, serve
from benchmarks.ours.facts import jax_facts
from jaxrl.collecting import collect_randomly, start_all
from jaxrl.devices import AXIS, member_mesh
from jaxrl.environment import Episode

STEPS_AT_ONCE = 8


def prepare(env: str, num_envs: int, steps: int, devices: int) -> tuple[Run, dict[str, Any]]:
    """Compiles the play of `num_envs` environments for about `steps` steps each."""
    jaxrl.use_cpu_cores(devices)
    game = jaxrl.make(env)
    mesh = member_mesh(num_envs, devices)
    share = num_envs // mesh.size
    rounds = -(-steps // STEPS_AT_ONCE)

    def play(keys: jax.Array) -> jax.Array:
        start_key, play_key = jax.random.split(keys[0])

        def some_steps(number: jax.Array, carry: tuple[Episode, jax.Array]) -> tuple[Episode, jax.Array]:
            episodes, sums = carry
            key = jax.random.fold_in(play_key, number)
            episodes, played = collect_randomly(game, episodes, STEPS_AT_ONCE, key)
            lengths = jnp.where(played.ended, played.length, 0)
            return episodes, sums + jnp.stack([jnp.sum(lengths), jnp.sum(played.ended)]).astype(jnp.float32)

        carry = (start_all(game, start_key, share), jnp.zeros(2))
        return jax.lax.fori_loop(0, rounds, some_steps, carry)[1][None]

    each = PartitionSpec(AXIS)
    program = jax.jit(jax.shard_map(play, mesh=mesh, in_specs=each, out_specs=each, check_vma=False))
    begin = time.perf_counter()
    compiled = program.lower(jax.random.split(jax.random.key(0), mesh.size)).compile()
    seconds = time.perf_counter() - begin
    seeds = iter(range(1, 1 << 30))

    def run() -> dict[str, Any]:
        keys = jax.random.split(jax.random.key(next(seeds)), mesh.size)
        total, episodes = np.asarray(compiled(keys)).sum(0)
        return {"steps": share * mesh.size * rounds * STEPS_AT_ONCE, "episode_length": float(total / episodes)}

    return run, {"compile_seconds": seconds, **jax_facts()}


if __name__ == "__main__":
    serve(prepare)
