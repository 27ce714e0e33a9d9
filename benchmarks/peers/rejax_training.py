"""What rejax's algorithms share in the benchmarks: greedy evaluation, members, and what a run reports."""

import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

from benchmarks.contender import Run
from benchmarks.curves import learned
from benchmarks.info import peak_bytes
from benchmarks.peers.members import compile_members

PACKAGES = ("rejax", "gymnax", "jax", "jaxlib", "flax", "optax", "chex", "distrax", "numpy")


def with_evaluation(algo: Any, greedy: Callable[[Any, Any, Any], Any], episodes: int) -> Any:
    """The algorithm with greedy evaluations in place of its own; with none where there are 0 episodes.

    Args:
      algo: rejax's algorithm.
      greedy: the action of an algorithm in a state (of training) for an observation.
      episodes: how many each evaluation plays.
    """
    import jax
    import jax.numpy as jnp
    from rejax.evaluate import evaluate

    def mean_return(algo: Any, state: Any, rng: jax.Array) -> jax.Array:
        def act(obs: jax.Array, rng: jax.Array) -> jax.Array:
            return greedy(algo, state, obs)

        limit = algo.env_params.max_steps_in_episode
        return evaluate(act, rng, algo.env, algo.env_params, episodes, limit)[1].mean()

    return algo.replace(eval_callback=mean_return if episodes else lambda algo, state, rng: jnp.zeros(()))


def contender(
    algo: Any, params: Callable[[Any], Any], members: int, devices: int, info: dict[str, Any], solved: float | None
) -> tuple[Run, dict[str, Any]]:
    """Compiles; every run is a fresh training of other seeds.

    Args:
      algo: rejax's algorithm, without an evaluation before the training.
      params: what a state of training trains: results, without which nothing would be computed.
      members: seeds trained together, a multiple of `devices`.
      devices: devices that the members are split over.
      info: what every run reports besides.
      solved: the return that solves the task; None where nothing is evaluated.
    """
    import numpy as np

    def train(key: Any) -> tuple[Any, Any]:
        state, returns = algo.train(key)
        return params(state), returns

    before, begin = peak_bytes(), time.perf_counter()
    train_members = compile_members(train, members, devices)
    compile_seconds = time.perf_counter() - begin

    def run() -> dict[str, Any]:
        _, returns = train_members()
        result = {**info, "steps": members * algo.total_timesteps, "measured_bytes": peak_bytes() - before}
        return result if solved is None else result | learned(np.asarray(returns), algo.total_timesteps, solved)

    return run, {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "compile_seconds": compile_seconds,
        "devices": devices,
    }
