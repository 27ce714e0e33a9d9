"""Random play of classic control by Gymnasium: its own NumPy version of many carts, or one object for each environment.

The same as in jaxrl's work: the task (physics, limits, starts), an action drawn uniformly for every environment in
every step, automatic resets to fresh random starts.

Not the same: one process on one core. The state is float64, and observations (float32) and rewards are always built.
"vector" is the environment's own vector version, which Gymnasium has of CartPole alone: `CartPoleVectorEnv`, where the
step after an episode's end only resets; those are not counted as steps. "jaxrl next step" and "jaxrl same step" are
jaxrl's environment in Gymnasium's interface, played by the same loop. "sync" is a `SyncVectorEnv` at its quickest: it
resets within the last step, hands out its observations without copying them, and goes without Gymnasium's check of the
first step (`PassiveEnvChecker`).
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
    "jaxrl next step": ["the step after an episode's end only resets; it is not counted"],
    "jaxrl same step": ["hands out the last observations of episodes in its infos"],
    "sync": ["one Python object for each environment, stepped in turn"],
}

MODES = {"jaxrl next step": "NextStep", "jaxrl same step": "SameStep"}
"""When jaxrl's environments reset, by kind."""


def _make(env: str, num_envs: int, kind: str) -> gymnasium.vector.VectorEnv:
    """The environments of one kind."""
    if kind == "vector" and env == "CartPole-v1":
        return CartPoleVectorEnv(num_envs)
    if kind == "sync":
        one = functools.partial(gymnasium.make, env, disable_env_checker=True)
        return gymnasium.vector.SyncVectorEnv(
            [one] * num_envs, copy=False, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
        )
    if kind in MODES:
        from jaxrl.adapters import gymnasium_vector_env

        return gymnasium_vector_env(env, num_envs, autoreset_mode=MODES[kind])
    raise ValueError(f'kind="{kind}" of {env} is neither "sync" nor the "vector" of CartPole-v1.')


def _draw(random: np.random.Generator, space: gymnasium.Space, num_envs: int) -> np.ndarray:
    """Uniform actions of a `Discrete` or a `Box`, `[num_envs, ...]`."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return random.integers(0, space.n, num_envs)
    assert isinstance(space, gymnasium.spaces.Box)
    return random.random((num_envs, *space.shape), np.float32) * (space.high - space.low) + space.low


def prepare(env: str, num_envs: int, steps: int, kind: str = "vector") -> tuple[Run, dict[str, Any]]:
    """Makes the environments.

    Args:
      env: Gymnasium's name.
      num_envs: environments.
      steps: calls of `step` in one run.
      kind: "vector" for the environment's own vector version, "sync" for `SyncVectorEnv`, "jaxrl next step"
        and "jaxrl same step" for jaxrl's in either mode of automatic resets.

    Returns:
      The work and information about it.

    Raises:
      ValueError: there is no such kind of this environment.
    """
    envs = _make(env, num_envs, kind)
    envs.reset(seed=0)
    random = np.random.default_rng(0)
    lost = 0 if kind in ("sync", "jaxrl same step") else 1  # Steps between two episodes that only reset.

    def run() -> dict[str, Any]:
        envs.reset()
        began = np.zeros(num_envs, np.int64)
        episodes = finished = 0
        for i in range(1, steps + 1):
            _, _, terminated, truncated, _ = envs.step(_draw(random, envs.single_action_space, num_envs))
            (ended,) = np.nonzero(terminated | truncated)
            episodes += ended.size
            finished += i * ended.size - int(began[ended].sum())
            began[ended] = i + lost
        # What is under way at the end was played too.
        played = finished + int((steps - began).clip(0).sum())
        return {"steps": played, "episodes": episodes, "episode_length": finished / max(episodes, 1)}

    versions = {name: importlib.metadata.version(name) for name in ("gymnasium", "numpy")}
    differs = DIFFERS[kind] if kind in MODES else DIFFERS["all"] + DIFFERS[kind]
    return run, {"versions": versions, "differs": differs, "kind": kind}


if __name__ == "__main__":
    serve(prepare)
