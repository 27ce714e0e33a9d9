"""Contender: jaxrl's DQN on CartPole-v1 with the settings that all contenders share.

One environment a member, one update of 32 transitions in every step after the first 1,000, two hidden
layers of 64, a buffer of 10,000, double Q-learning, Adam, a soft target update in every step. The time is
that of the whole call of `jaxrl.train`: checking, starting, training with its log, copying the results.
"""

from typing import Any

import jaxrl
from benchmarks.contender import Run, serve, sharing
from benchmarks.curves import learned
from benchmarks.info import jax_info, peak_bytes
from jaxrl.memory import member_bytes

LOG_POINTS, SOLVED = 100, 475.0


def agent(hidden: tuple[int, ...] = (64, 64), batch_size: int = 32, learning_starts: int = 1_000) -> jaxrl.DQN:
    """The agent that all contenders train."""
    return jaxrl.DQN(
        jaxrl.make("CartPole-v1"),
        learning_rate=1e-3,
        schedule="constant",
        discount=0.99,
        epsilon_end=0.04,
        epsilon_decay_steps=10_000,
        tau=0.01,
        hidden=hidden,
        batch_size=batch_size,
        buffer_size=10_000,
        learning_starts=learning_starts,
        average_share=None,
        double=True,
    )


def prepare(
    members: int,
    steps: int,
    devices: int,
    block_size: int | None = None,
    hidden: list[int] | None = None,
    learning_starts: int = 1_000,
) -> tuple[Run, dict[str, Any]]:
    """Compiles by a short training; `block_size` members are trained at once, by default as many as jaxrl chooses."""
    jaxrl.use_cpu_cores(devices)
    trained = agent(tuple(hidden or (64, 64)), learning_starts=learning_starts)
    count = sharing(members, devices)
    before = peak_bytes()

    def train(first_seed: int, steps: int = steps) -> jaxrl.Result:
        seeds = range(first_seed, first_seed + members)
        return jaxrl.train(
            trained, steps, seeds=seeds, devices=count, block_size=block_size, log_points=LOG_POINTS, progress=False
        )

    result = train(0, learning_starts)  # The same program serves any number of steps.
    seeds = iter(range(members, 1 << 31, members))

    def run() -> dict[str, Any]:
        returns = train(next(seeds)).log["episode_return"]
        updates = members * (steps - learning_starts)
        return {"steps": members * steps, "updates": updates, **learned(returns, steps, SOLVED)}

    member = member_bytes(trained, LOG_POINTS)
    info = {
        "compile_seconds": result.compile_seconds,
        "predicted_bytes_per_member": member.training + member.result,
        "measured_bytes": peak_bytes() - before,
    }
    return run, {**info, **jax_info()}


if __name__ == "__main__":
    serve(prepare)
