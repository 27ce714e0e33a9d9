"""Contender: jaxrl's environments under random allowed actions, with the automatic reset.

All of it by `jaxrl.rollout.random_rollout`, as agents play: fresh random starts, time limits, returns; the
environments split over the devices. Sums over the finished episodes are all that leaves: of lengths, and
of returns where rewards vary, so that computing them is not removed. So that wrappers compute observations, a sum of
those may leave too.
"""

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

import jaxrl
from benchmarks.contender import Run, serve
from benchmarks.info import jax_info
from jaxrl.actors import Actors, start_actors
from jaxrl.devices import AXIS, member_mesh
from jaxrl.rollout import Step, random_rollout
from jaxrl.wrappers import make_wrapper

STEPS_AT_ONCE = 8


def prepare(
    env: str,
    num_envs: int,
    steps: int,
    devices: int,
    returns: bool = False,
    parameters: dict[str, Any] | None = None,
    observations: bool = False,
    wraps: Sequence[tuple[str, dict[str, Any]]] = (),
) -> tuple[Run, dict[str, Any]]:
    """Compiles the play of `num_envs` environments for about `steps` steps each.

    They are made with `parameters`, in wrappers from the inside out.
    """
    jaxrl.use_cpu_cores(devices)
    game = jaxrl.make(env, **(parameters or {}))
    for name, fields in wraps:
        lists = {field: tuple(value) if isinstance(value, list) else value for field, value in fields.items()}
        game = make_wrapper(name, game, **lists)
    mesh = member_mesh(num_envs, devices)
    share = num_envs // mesh.size
    rounds = -(-steps // STEPS_AT_ONCE)

    def finished(step: Step) -> jax.Array:
        """Of the episodes that end in this step: their number, their lengths and returns, summed; of all, the sum of
        their observations.
        """
        ended, total = step.transition.ended, step.transition.episode_return if returns else jnp.zeros(())
        sums = [jnp.sum(jnp.where(ended, each, 0)) for each in (ended, step.transition.length, total)]
        seen = jnp.sum(step.transition.next_obs) if observations else jnp.zeros(())
        return jnp.stack([each.astype(jnp.float32) for each in (*sums, seen)])

    def play(keys: jax.Array) -> jax.Array:
        start_key, play_key = jax.random.split(keys[0])

        def some_steps(index: jax.Array, carry: tuple[Actors, jax.Array]) -> tuple[Actors, jax.Array]:
            actors, sums = carry
            key = jax.random.fold_in(play_key, index)
            actors, each = random_rollout(game, actors, STEPS_AT_ONCE, key, finished)
            return actors, sums + jnp.sum(each, 0)

        carry = (start_actors(game, start_key, share), jnp.zeros(4))
        return jax.lax.fori_loop(0, rounds, some_steps, carry)[1][None]

    each = PartitionSpec(AXIS)
    program = jax.jit(jax.shard_map(play, mesh=mesh, in_specs=each, out_specs=each, check_vma=False))
    begin = time.perf_counter()
    compiled = program.lower(jax.random.split(jax.random.key(0), mesh.size)).compile()
    seconds = time.perf_counter() - begin
    seeds = iter(range(1, 1 << 30))

    def run() -> dict[str, Any]:
        keys = jax.random.split(jax.random.key(next(seeds)), mesh.size)
        episodes, lengths, total, seen = np.asarray(compiled(keys)).sum(0)
        count = max(episodes, 1)
        result = {"episode_length": float(lengths / count)}
        result |= {"episode_return": float(total / count)} if returns else {}
        played = share * mesh.size * rounds * STEPS_AT_ONCE
        result |= {"observation": float(seen / played)} if observations else {}
        return {"steps": played, **result}

    return run, {"compile_seconds": seconds, **jax_info()}


if __name__ == "__main__":
    serve(prepare)
