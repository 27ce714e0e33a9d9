"""Random play of brax and jumanji by their own vectorised environments with automatic reset: one compiled program.

The same as in jaxrl's work: the library's own physics or game, an allowed action drawn uniformly for every environment
in every step, one device.

Not the same: brax's `AutoResetWrapper` puts an environment back to the one start that it drew at the very beginning,
where jaxrl gives every episode a start of its own; `kind="fresh"` is what fresh starts cost without a reserve: a reset
of every environment in every step. jumanji's `AutoResetWrapper` resets under a condition, which `vmap` turns into a
reset of every environment in every step. Neither hands out the last observation of an episode.
"""

import importlib.metadata
import itertools
import time
from collections.abc import Callable
from typing import Any

from benchmarks.contender import Run, serve

DIFFERS = {
    "brax": ["every episode of an environment begins with the same start", "the last observation is lost"],
    "fresh": ["a reset of every environment in every step"],
    "jumanji": ["resets every environment in every step and selects", "the last observation is lost"],
}
Play = tuple[Callable[[Any], Any], Callable[[Any, Any], tuple[Any, Any, Any]]]
"""(keys[envs] -> state) and (state, key -> state, rewards[envs], bool[envs] whether an episode ended)."""


def _brax(name: str, num_envs: int, fresh: bool, options: dict[str, Any]) -> Play:
    import brax.envs
    import jax
    import jax.numpy as jnp

    env = brax.envs.create(name, auto_reset=not fresh, **options)
    wrapped = jax.vmap(env.step) if fresh else env.step
    reset = jax.vmap(env.reset) if fresh else env.reset

    def step(state: Any, key: Any) -> tuple[Any, Any, Any]:
        action_key, reset_key = jax.random.split(key)
        action = jax.random.uniform(action_key, (num_envs, env.action_size), minval=-1, maxval=1)
        after = wrapped(state, action)
        ended = after.done.astype(bool)
        if not fresh:
            return after, after.reward, ended
        starts = reset(jax.random.split(reset_key, num_envs))
        chosen = jax.vmap(lambda e, s, a: jax.tree.map(lambda x, y: jnp.where(e, x, y), s, a))(ended, starts, after)
        return chosen, after.reward, ended

    if not fresh:
        vectorised = brax.envs.create(name, batch_size=num_envs, **options)
        wrapped, reset = vectorised.step, lambda keys: vectorised.reset(keys[0])
    return reset, step


def _jumanji(name: str, num_envs: int, options: dict[str, Any]) -> Play:
    import jax
    import jax.numpy as jnp
    import jumanji
    from jumanji.wrappers import AutoResetWrapper, VmapWrapper

    env = VmapWrapper(AutoResetWrapper(jumanji.make(name, **options)))

    def step(state: Any, key: Any) -> tuple[Any, Any, Any]:
        counts = jnp.cumsum(state[1].observation.action_mask, axis=1)
        drawn = jnp.floor(jax.random.uniform(key, (num_envs, 1)) * counts[:, -1:])
        after = env.step(state[0], jnp.argmax(counts > drawn, axis=1).astype(jnp.int32))
        return after, after[1].reward, after[1].last()

    return env.reset, step


def prepare(kind: str, env: str, num_envs: int, steps: int, **options: Any) -> tuple[Run, dict[str, Any]]:
    """Compiles random play.

    Args:
      kind: "brax", "fresh" (brax without its own automatic reset) or "jumanji".
      env: the library's name of the environment.
      num_envs: environments.
      steps: steps of each environment in one run.
      **options: of the environment.

    Returns:
      The work and information about it.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    reset, step = (
        _jumanji(env, num_envs, options) if kind == "jumanji" else _brax(env, num_envs, kind == "fresh", options)
    )

    def play(seed: jax.Array) -> tuple[jax.Array, jax.Array]:
        reset_key, play_key = jax.random.split(jax.random.key(seed))

        def one(carry: Any, i: jax.Array) -> tuple[Any, None]:
            state, total, count = carry
            state, reward, ended = step(state, jax.random.fold_in(play_key, i))
            return (state, total + jnp.sum(reward), count + jnp.sum(ended)), None

        state = reset(jax.random.split(reset_key, num_envs))
        _, total, count = jax.lax.scan(one, (state, jnp.float32(0), jnp.int32(0)), jnp.arange(steps))[0]
        return total, count

    begin = time.perf_counter()
    compiled = jax.jit(play).lower(jax.ShapeDtypeStruct((), jnp.uint32)).compile()
    seconds = time.perf_counter() - begin
    seeds = itertools.count()

    def run() -> dict[str, Any]:
        total, count = map(float, compiled(np.uint32(next(seeds))))
        return {"steps": num_envs * steps, "episodes": count, "reward_a_step": total / (num_envs * steps)}

    library = "jumanji" if kind == "jumanji" else "brax"
    versions = {name: importlib.metadata.version(name) for name in (library, "jax", "jaxlib", "numpy")}
    return run, {"versions": versions, "differs": DIFFERS[kind], "compile_seconds": seconds}


if __name__ == "__main__":
    serve(prepare)
