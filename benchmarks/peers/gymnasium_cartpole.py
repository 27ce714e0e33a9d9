"""Random play of CartPole-v1 by Gymnasium: its own NumPy version of many carts, or one object for each.

The same as in jaxrl's work: the task (physics, limits, 500 steps, starts from [-0.05, 0.05)), an action
drawn uniformly for every environment in every step, automatic resets to fresh random starts.

Not the same: one process on one core. The state is float64, and observations (float32) and rewards are
always built. "vector" is Gymnasium's `CartPoleVectorEnv`, where the step after an episode's end only resets;
those are not counted as steps. "sync" is a `SyncVectorEnv` of `gymnasium.make("CartPole-v1")`s at its
quickest: it resets within the last step, as jaxrl does, hands out its observations without copying them,
and goes without Gymnasium's check of the first step (`PassiveEnvChecker`).
"""

import functools
import importlib.metadata
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from benchmarks.contender import Run, serve

DIFFERS = {
    "all": ["one process on one core", "float64 state", "observations and rewards are always built"],
    "vector": ["the step after an episode's end only resets; it is not counted"],
    "sync": ["one Python object for each environment, stepped in turn"],
}


def _make(num_envs: int, kind: str) -> gymnasium.vector.VectorEnv:
    """The environments of one kind."""
    if kind == "vector":
        return CartPoleVectorEnv(num_envs)
    if kind == "sync":
        one = functools.partial(gymnasium.make, "CartPole-v1", disable_env_checker=True)
        return gymnasium.vector.SyncVectorEnv(
            [one] * num_envs, copy=False, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
        )
    raise ValueError(f'kind="{kind}" is neither "vector" nor "sync".')


def prepare(num_envs: int, steps: int, kind: str = "vector") -> tuple[Run, dict[str, Any]]:
    """Makes the environments.

    Args:
      num_envs: environments.
      steps: calls of `step` in one run.
      kind: "vector" for `CartPoleVectorEnv`, "sync" for `SyncVectorEnv`.

    Returns:
      The work and facts about it.
    """
    env = _make(num_envs, kind)
    env.reset(seed=0)
    random = np.random.default_rng(0)
    lost = 1 if kind == "vector" else 0  # Steps between two episodes that only reset.

    def run() -> dict[str, Any]:
        env.reset()
        began = np.zeros(num_envs, np.int64)
        episodes = finished = 0
        for i in range(1, steps + 1):
            _, _, terminated, truncated, _ = env.step(random.integers(0, 2, num_envs))
            (ended,) = np.nonzero(terminated | truncated)
            episodes += ended.size
            finished += i * ended.size - int(began[ended].sum())
            began[ended] = i + lost
        # What is under way at the end was played too.
        played = finished + int((steps - began).clip(0).sum())
        return {"steps": played, "episodes": episodes, "episode_length": finished / max(episodes, 1)}

    versions = {name: importlib.metadata.version(name) for name in ("gymnasium", "numpy")}
    return run, {"versions": versions, "differs": DIFFERS["all"] + DIFFERS[kind], "kind": kind}


if __name__ == "__main__":
    serve(prepare)
