"""Contender: jaxrl's Q-learning, 16 environments a member and an update of the table after every step of them.

The time is that of the whole call of `jaxrl.train`: checking, starting, training with its log, copying the results.
"""

from typing import Any

import jaxrl
from benchmarks.contender import Run, serve, sharing
from benchmarks.info import jax_info

LOG_POINTS = 10


def prepare(env: str, members: int, steps: int, devices: int, block_size: int) -> tuple[Run, dict[str, Any]]:
    """Compiles by a short training; `block_size` is the number of members trained at once."""
    jaxrl.use_cpu_cores(devices)
    agent = jaxrl.QLearning(jaxrl.make(env), num_envs=16)
    count = sharing(members, devices)

    def train(first_seed: int, steps: int = steps) -> jaxrl.Result:
        seeds = range(first_seed, first_seed + members)
        return jaxrl.train(
            agent, steps, seeds=seeds, devices=count, block_size=block_size, log_points=LOG_POINTS, progress=False
        )

    result = train(0, LOG_POINTS * agent.steps_per_iteration)  # The same program serves any number of steps.
    seeds = iter(range(members, 1 << 31, members))

    def run() -> dict[str, Any]:
        train(next(seeds))
        return {"steps": members * steps, "updates": members * steps}

    return run, {"compile_seconds": result.compile_seconds, **jax_info()}


if __name__ == "__main__":
    serve(prepare)
