"""Contender: jaxrl's REINFORCE on Plane Strike, the published network, one update for each 64 games."""

from typing import Any

import numpy as np

import jaxrl
from benchmarks.contender import Run, serve
from benchmarks.info import jax_info

GAMES = 64


def prepare(members: int, updates: int, devices: int) -> tuple[Run, dict[str, Any]]:
    """Compiles by a first training."""
    jaxrl.use_cpu_cores(devices)
    game = jaxrl.make("PlaneStrike-v0")
    agent = jaxrl.Reinforce(
        game, hidden=(128, 64, 64), discount=0.5, num_envs=16, episodes_per_update=GAMES, gradient_chunk=16
    )
    compile_seconds = jaxrl.train(agent, iterations=updates, seeds=members, progress=False).compile_seconds
    seeds = iter(range(members, 1 << 31, members))

    def run() -> dict[str, Any]:
        first = next(seeds)
        result = jaxrl.train(agent, iterations=updates, seeds=range(first, first + members), progress=False)
        lengths = result.log["episode_length"]
        strikes = float(np.sum(result.log["step"][:, -1]))
        return {
            "steps": members * updates * GAMES,
            "updates": members * updates,
            "strikes_a_game": strikes / (members * updates * GAMES),
            "final_length": float(np.mean(lengths[:, -1])),
        }

    return run, {"compile_seconds": compile_seconds, **jax_info()}


if __name__ == "__main__":
    serve(prepare)
