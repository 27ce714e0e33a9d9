"""DQN on CartPole-v1 by Stable-Baselines3: one training a process, in PyTorch on one thread each.

The same as in jaxrl's work: the task, 64-64 relu networks, one step of one environment and one update of 32
transitions from 10,000 in each iteration, the first 1,000 steps only collecting, Adam at 1e-3, discount 0.99,
a soft target update of 0.01 in every step, the successor stored as it was before the reset, the time limit
not counted as terminal, and exploration from 1 to 0.04 over the first 10,000 steps (over all of them where
there are fewer).

Not the same: see `DIFFERS`. Left out to its advantage: Gymnasium's check of the first step, and the log.
"""

import importlib.metadata
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks.contender import Run, serve

LEARNING_START, EXPLORATION = 1_000, 10_000
PLACES = 20
PACKAGES = ("stable-baselines3", "torch", "gymnasium", "numpy")
DIFFERS = [
    "no double DQN: the target network also chooses the action, which saves one forward pass",
    "Huber loss instead of the squared error",
    "the norm of the gradients is computed and clipped at infinity",
    "actions are uniform until learning starts, whatever epsilon is",
    "weights start as PyTorch has them: uniform within 1 / sqrt(inputs), biases too",
    "one member a process; float64 physics in Python",
]


def start() -> None:
    """Readies a process: one thread, everything imported."""
    import stable_baselines3
    import torch

    torch.set_num_threads(1)
    assert stable_baselines3.DQN


def train(steps: int, seed: int) -> tuple[list[int], list[float]]:
    """One training; returns the lengths and returns of its episodes in their order."""
    import gymnasium
    from stable_baselines3 import DQN
    from stable_baselines3.common.monitor import Monitor

    env = Monitor(gymnasium.make("CartPole-v1", disable_env_checker=True))
    model = DQN(
        "MlpPolicy",
        env,
        learning_rate=1e-3,
        buffer_size=10_000,
        learning_starts=LEARNING_START,
        batch_size=32,
        tau=0.01,
        gamma=0.99,
        train_freq=1,
        gradient_steps=1,
        target_update_interval=1,
        exploration_initial_eps=1.0,
        exploration_final_eps=0.04,
        exploration_fraction=min(EXPLORATION / steps, 1.0),
        max_grad_norm=float("inf"),
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
    )
    model.learn(steps, log_interval=steps)
    return env.get_episode_lengths(), env.get_episode_rewards()


def make_curve(steps: int, trainings: list[tuple[list[int], list[float]]]) -> list[list[float | None]]:
    """The mean over trainings of each one's mean return of the episodes that ended in each twentieth of the steps."""
    edges = [steps * place // PLACES for place in range(PLACES + 1)]
    curve: list[list[float | None]] = []
    for low, high in itertools.pairwise(edges):
        means = []
        for lengths, returns in trainings:
            ends = np.cumsum(lengths)
            within = np.asarray(returns)[(ends > low) & (ends <= high)]
            means += [float(within.mean())] if within.size else []
        curve.append([high, sum(means) / len(means) if means else None])
    return curve


def prepare(steps: int, seed: int = 0, processes: int = 1, curve: bool = False) -> tuple[Run, dict[str, Any]]:
    """Starts the processes, which stay; every run is a fresh training of other seeds in each.

    Args:
      steps: environment steps of each training.
      seed: the first training's seed; the others count on from there.
      processes: trainings that run at once.
      curve: whether to tell how well it learned: mean returns at 20 places.

    Returns:
      The work and facts about it.
    """
    spawn = multiprocessing.get_context("spawn")
    workers = [ProcessPoolExecutor(1, mp_context=spawn, initializer=start) for _ in range(processes)]
    for ready in [worker.submit(int) for worker in workers]:
        ready.result()
    seeds = itertools.count(seed)

    def run() -> dict[str, Any]:
        futures = [worker.submit(train, steps, next(seeds)) for worker in workers]
        trainings = [future.result() for future in futures]
        lengths = np.concatenate([lengths for lengths, _ in trainings])
        found: dict[str, Any] = {
            "steps": processes * steps,
            "updates": processes * max(steps - LEARNING_START, 0),
            "episode_length": float(lengths.mean()) if lengths.size else None,
        }
        return found | ({"curve": make_curve(steps, trainings)} if curve else {})

    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return run, {"versions": versions, "differs": DIFFERS, "device": "cpu", "processes": processes}


if __name__ == "__main__":
    serve(prepare)
