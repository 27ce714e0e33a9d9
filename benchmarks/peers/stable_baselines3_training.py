"""DQN, PPO or A2C on CartPole-v1 by Stable-Baselines3: one training a process, in PyTorch on one thread each.

The same as in jaxrl's work: the task; the successor stored as it was before the reset; the time limit not counted as
terminal. DQN: 64-64 relu networks, one step of one environment and one update of 32 transitions from 10,000 in each
iteration, the first 1,000 steps only collecting, Adam at 1e-3, discount 0.99, a soft target update of 0.01 in every
step, and exploration from 1 to 0.04 over the first 10,000 steps (over all of them where there are fewer). PPO:
purejaxrl's settings, see `purejaxrl_ppo.py`. A2C: its own defaults, 5 steps of 8 environments an update, RMSProp.

Not the same: see `DIFFERS`. Left out to its advantage: Gymnasium's check of the first step, and the log.
"""

import importlib.metadata
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks.contender import Run, serve
from benchmarks.curves import by_log_point, learned

LEARNING_START, EXPLORATION = 1_000, 10_000
PLACES, SOLVED = 20, 475.0
PACKAGES = ("stable-baselines3", "torch", "gymnasium", "numpy")
COMMON = ["one member a process; float64 physics in Python"]
DIFFERS = {
    "dqn": [
        "no double DQN: the target network also chooses the action, which saves one forward pass",
        "Huber loss instead of the squared error",
        "the norm of the gradients is computed and clipped at infinity",
        "actions are uniform until learning starts, whatever epsilon is",
        "weights start as PyTorch has them: uniform within 1 / sqrt(inputs), biases too",
        *COMMON,
    ],
    "ppo": COMMON,
    "a2c": COMMON,
}
ENVS = {"dqn": 1, "ppo": 4, "a2c": 8}


def start() -> None:
    """Readies a process: one thread, everything imported."""
    import stable_baselines3
    import torch

    torch.set_num_threads(1)
    assert stable_baselines3.DQN


def settings(algorithm: str, steps: int) -> dict[str, Any]:
    """The arguments of one of the algorithms."""
    if algorithm == "a2c":
        return {}
    if algorithm == "ppo":
        return {
            "learning_rate": lambda remaining: 2.5e-4 * remaining,
            "n_steps": 128,
            "batch_size": 128,
            "n_epochs": 4,
            "clip_range_vf": 0.2,
            "ent_coef": 0.01,
        }
    return {
        "learning_rate": 1e-3,
        "buffer_size": 10_000,
        "learning_starts": LEARNING_START,
        "batch_size": 32,
        "tau": 0.01,
        "gamma": 0.99,
        "train_freq": 1,
        "gradient_steps": 1,
        "target_update_interval": 1,
        "exploration_initial_eps": 1.0,
        "exploration_final_eps": 0.04,
        "exploration_fraction": min(EXPLORATION / steps, 1.0),
        "max_grad_norm": float("inf"),
        "policy_kwargs": {"net_arch": [64, 64]},
    }


def train(algorithm: str, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One training; returns the steps at which its episodes ended, and their returns."""
    import gymnasium
    import stable_baselines3
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    num_envs = ENVS[algorithm]
    monitors = [Monitor(gymnasium.make("CartPole-v1", disable_env_checker=True)) for _ in range(num_envs)]
    envs = DummyVecEnv([lambda monitor=monitor: monitor for monitor in monitors])
    kind = getattr(stable_baselines3, algorithm.upper())
    model = kind("MlpPolicy", envs, seed=seed, device="cpu", **settings(algorithm, steps))
    model.learn(steps, log_interval=steps)
    ends = [np.cumsum(monitor.get_episode_lengths(), dtype=np.int64) * num_envs for monitor in monitors]
    return np.concatenate(ends), np.concatenate([monitor.get_episode_rewards() for monitor in monitors])


def curves(steps: int, trainings: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The mean return of the episodes that ended in each twentieth of each training: f64[trainings, 20]."""
    rows = []
    for ends, returns in trainings:
        ended, values = np.zeros((2, 1, PLACES, max(ends.size, 1)))
        log_points = np.minimum((ends - 1) * PLACES // steps, PLACES - 1)
        ended[0, log_points, np.arange(ends.size)], values[0, log_points, np.arange(ends.size)] = 1, returns
        rows.append(by_log_point(ended > 0, values, PLACES))
    return np.concatenate(rows)


def prepare(steps: int, algorithm: str = "dqn", processes: int = 1, curve: bool = False) -> tuple[Run, dict[str, Any]]:
    """Starts the processes, which stay; every run is a fresh training of other seeds in each.

    Args:
      steps: environment steps of each training.
      algorithm: "dqn", "ppo" or "a2c".
      processes: trainings that run at once.
      curve: whether to summarise what was learned, at 20 places.

    Returns:
      The work and information about it.
    """
    spawn = multiprocessing.get_context("spawn")
    workers = [ProcessPoolExecutor(1, mp_context=spawn, initializer=start) for _ in range(processes)]
    for ready in [worker.submit(int) for worker in workers]:
        ready.result()
    seeds = itertools.count()

    def run() -> dict[str, Any]:
        futures = [worker.submit(train, algorithm, steps, next(seeds)) for worker in workers]
        trainings = [future.result() for future in futures]
        return {"steps": processes * steps, **(learned(curves(steps, trainings), steps, SOLVED) if curve else {})}

    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return run, {"versions": versions, "differs": DIFFERS[algorithm], "device": "cpu", "processes": processes}


if __name__ == "__main__":
    serve(prepare)
