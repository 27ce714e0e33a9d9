"""What prioritized replay saves on a sparse task: `python -m benchmarks.prioritized_replay`.

A corridor whose far end alone has a reward, in the manner of the Blind Cliffwalk of Schaul et al., 2016: a linear
function of the one-hot cell, random actions only, so that both kinds of replay see the same steps, and greedy episodes
that show when the values lead to the goal. Few updates for many steps make the choice of what to replay count. Both
kinds run with each step size, and are compared at the best of each; nothing else was tuned apart.
"""

import argparse
from typing import Any

import numpy as np
from scipy.stats import bootstrap

import jaxrl
from jaxrl.envs.maze import Maze

STEPS, EVERY = 160_000, 640
COMMON: dict[str, Any] = {
    "num_envs": 16,
    "batch_size": 16,
    "buffer_size": 100_000,
    "hidden": (),
    "tau": 0.1,
    "discount": 0.95,
    "epsilon_start": 1.0,
    "epsilon_end": 1.0,
}
KINDS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "prioritized": {"replay": "prioritized"},
    # In an environment without chance, unequal draws bias nothing that weights could make up for.
    "prioritized, importance_exponent=0": {"replay": "prioritized", "importance_exponent": 0.0},
}


def corridor(cells: int) -> Maze:
    """One row, from the start at its left end to the goal at its right end."""
    return Maze(layout=f"S{'.' * (cells - 2)}G", observation="cell", max_steps=1_000)


def steps_to_solution(agent: jaxrl.DQN, seeds: range) -> np.ndarray:
    """Environment steps f32[seeds] until a greedy episode first reaches the goal; `STEPS` where none does."""
    result = jaxrl.train(agent, STEPS, seeds=seeds, evaluate_every=EVERY, evaluation_episodes=1, progress=False)
    returns = np.asarray(result.log["evaluation_return"])
    steps = np.broadcast_to(np.asarray(result.log["step"]), returns.shape)
    return np.min(np.where(returns > 0.9, steps, STEPS), axis=1)


def main() -> None:
    """Prints one row for each kind of replay and step size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--first-seed", type=int, default=5_000)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[0.01])
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    print(f"steps to the first greedy success in a corridor of {arguments.cells} cells, {len(seeds)} seeds")
    for rate in arguments.learning_rates:
        for name, fields in KINDS.items():
            agent = jaxrl.DQN(corridor(arguments.cells), learning_rate=rate, **COMMON, **fields)
            steps = steps_to_solution(agent, seeds)
            interval = bootstrap((steps,), np.mean, rng=0).confidence_interval
            print(
                f"  step size {rate:<6g} {name:36} mean {steps.mean():8,.0f} "
                f"[{interval.low:,.0f}, {interval.high:,.0f}] median {np.median(steps):8,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
