"""Contender: jaxrl's DQN on CartPole-v1 with uniform or prioritized replay, or drawing by priority alone.

The training has the settings of `benchmarks.ours.dqn` but for its replay. Drawing alone is what an iteration adds with
priorities: one new item, a batch drawn from a full buffer, and its new priorities.
"""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp

import jaxrl
from benchmarks.contender import Run, serve, sharing
from benchmarks.info import jax_info
from benchmarks.ours.dqn import LOG_POINTS, agent
from jaxrl import random_bits
from jaxrl.priorities import Priorities

BATCH, STARTS = 32, 100


def prepare(
    members: int, steps: int, devices: int, replay: str = "prioritized", items: int | None = None
) -> tuple[Run, dict[str, Any]]:
    """Compiles the training, or, where a number of items is given, drawing from so many on one device."""
    jaxrl.use_cpu_cores(devices)
    return _training(members, steps, devices, replay) if items is None else _drawing(members, steps, items)


def _training(members: int, steps: int, devices: int, replay: str) -> tuple[Run, dict[str, Any]]:
    trained = dataclasses.replace(agent(batch_size=BATCH, learning_starts=STARTS), replay=replay)

    def train(steps: int) -> jaxrl.Result:
        return jaxrl.train(
            trained, steps, seeds=members, devices=sharing(members, devices), log_points=LOG_POINTS, progress=False
        )

    compiling = train(STARTS).compile_seconds

    def run() -> dict[str, Any]:
        train(steps)
        return {"steps": members * steps, "updates": members * (steps - STARTS)}

    return run, {"compile_seconds": compiling, **jax_info()}


def _drawing(members: int, steps: int, items: int) -> tuple[Run, dict[str, Any]]:
    tree = Priorities.empty(items).add(jnp.int32(0), items)

    def draw(index: jax.Array, tree: Priorities) -> Priorities:
        tree = tree.add(index % items, 1)
        bits = random_bits.bits(jax.random.fold_in(jax.random.key(0), index), (BATCH, tree.draw_bits))
        indices, _ = tree.draw(bits, items)
        # A function of the index, so that an item that is drawn twice has one priority.
        return tree.update(indices, 0.5 + random_bits.uniform(indices.astype(jnp.uint32) * jnp.uint32(2654435761)))

    body = jax.vmap(draw, in_axes=(None, 0))
    program = jax.jit(lambda trees: jax.lax.fori_loop(0, steps, body, trees), donate_argnums=0)
    trees = [jax.tree.map(lambda x: jnp.tile(x[None], (members, *[1] * x.ndim)), tree)]
    begin = time.perf_counter()
    compiled = program.lower(trees[0]).compile()
    seconds = time.perf_counter() - begin

    def run() -> dict[str, Any]:
        trees[0] = jax.block_until_ready(compiled(trees[0]))
        return {"steps": members * steps}

    return run, {"compile_seconds": seconds, **jax_info()}


if __name__ == "__main__":
    serve(prepare)
