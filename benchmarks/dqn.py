"""The engine's DQN beside the same loop written by hand: `python -m benchmarks.dqn`.

Both do the same work (`hand_written_dqn` says which) in one process, in turn, after compiling. The
engine's time is that of the whole call of `jaxrl.train`: checking, starting, training with its log,
copying the results to the host. One JSON line for each number of members: medians, and the ratio of
each pair of runs.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxrl
from benchmarks import hand_written_dqn as by_hand


def engine(members: int, steps: int, devices: int, block: int) -> Callable[[], jaxrl.Result]:
    """The same work as `hand_written_dqn`, by the engine."""
    agent = jaxrl.DQN(
        jaxrl.make("CartPole-v1"),
        learning_rate=by_hand.LEARNING_RATE,
        schedule="constant",
        discount=by_hand.DISCOUNT,
        epsilon_end=by_hand.EPSILON_END,
        epsilon_decay_steps=by_hand.EPSILON_STEPS,
        tau=by_hand.TAU,
        hidden=by_hand.WIDTHS[1:-1],
        batch_size=by_hand.BATCH,
        buffer_size=by_hand.CAPACITY,
        learning_starts=by_hand.LEARNING_START,
        average_share=None,
        double=True,
    )
    width = min(members, block * devices)

    def train() -> jaxrl.Result:
        return jaxrl.train(agent, steps, seeds=members, block=width, devices=devices, slots=100, progress=False)

    return train


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure(members: int, steps: int, devices: int, block: int, repeats: int) -> dict[str, Any]:
    """Times both in turn at one number of members, on the most devices that can share them evenly."""
    devices = max(count for count in range(1, devices + 1) if members % count == 0)
    begin = time.perf_counter()
    hand = by_hand.make_train(members, steps, devices, block)
    hand_compile = time.perf_counter() - begin
    train = engine(members, steps, devices, block)
    result = train()
    seeds = np.arange(members)
    pairs = [(seconds_of(train), seconds_of(lambda: hand(seeds))) for _ in range(repeats)]
    total = members * steps
    return {
        "members": members,
        "steps": steps,
        "devices": devices,
        "engine_steps_per_second": round(total / statistics.median(ours for ours, _ in pairs)),
        "by_hand_steps_per_second": round(total / statistics.median(theirs for _, theirs in pairs)),
        "engine_to_by_hand": round(statistics.median(theirs / ours for ours, theirs in pairs), 3),
        "ratios": [round(theirs / ours, 3) for ours, theirs in pairs],
        "engine_compile_seconds": round(result.compile_seconds, 2),
        "by_hand_compile_seconds": round(hand_compile, 2),
        "engine_final_return": round(float(np.nanmean(result.log["episode_return"][:, -10:])), 1),
    }


def main() -> None:
    """Prints one JSON line for each number of members."""
    parser = argparse.ArgumentParser(description="Time the engine's DQN beside the same loop written by hand.")
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 16, 32, 128])
    parser.add_argument("--steps", type=int, default=20_000, help="environment steps of each member")
    parser.add_argument("--devices", type=int, default=os.cpu_count(), help="CPU devices, one a core by default")
    parser.add_argument("--block", type=int, default=16, help="most members on one device at a time")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    jaxrl.use_cpu_cores(arguments.devices)
    for members in arguments.members:
        numbers = measure(members, arguments.steps, arguments.devices, arguments.block, arguments.repeats)
        print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
