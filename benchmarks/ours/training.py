"""What the contenders that train jaxrl's agents share: compiling, timing the whole call, and what was learned."""

from typing import Any

import numpy as np

import jaxrl
from benchmarks.contender import Run, sharing
from benchmarks.curves import learned
from benchmarks.info import jax_info, peak_bytes
from jaxrl.memory import member_bytes

LOG_POINTS, EPISODES = 100, 32


def contender(
    agent: Any, members: int, steps: int, devices: int, evaluations: int = 0, curve: bool = False
) -> tuple[Run, dict[str, Any]]:
    """Compiles by a short training; every run is a training of new seeds.

    The time is that of the whole call of `jaxrl.train`: checking, starting, training with its log, copying the results.

    Args:
      agent: what to train.
      members: seeds trained together.
      steps: environment steps of each member.
      devices: devices there are.
      evaluations: greedy evaluations of 32 episodes each, evenly spaced, which make the learning curve.
      curve: whether to summarise the episodes of the training instead.
    """
    count, before = sharing(members, devices), peak_bytes()
    evaluating: dict[str, Any] = (
        {"evaluate_every": steps // evaluations, "evaluation_episodes": EPISODES} if evaluations else {}
    )

    def train(first_seed: int) -> jaxrl.Result:
        seeds = range(first_seed, first_seed + members)
        return jaxrl.train(
            agent, steps, seeds=seeds, devices=count, log_points=LOG_POINTS, progress=False, **evaluating
        )

    compile_seconds = train(0).compile_seconds
    seeds = iter(range(members, 1 << 31, members))

    def run() -> dict[str, Any]:
        log = train(next(seeds)).log
        result: dict[str, Any] = {"steps": members * steps, "measured_bytes": peak_bytes() - before}
        returns = log["evaluation_return" if evaluations else "episode_return"]
        if evaluations:
            returns = returns[:, ~np.isnan(returns).all(0)]
        return result | (learned(returns, steps, agent.env.solved_return) if evaluations or curve else {})

    member = member_bytes(agent, LOG_POINTS)
    info = {"compile_seconds": compile_seconds, "predicted_bytes_per_member": member.training + member.result}
    return run, {**info, **jax_info()}
