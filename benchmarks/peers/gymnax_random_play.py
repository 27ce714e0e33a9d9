"""Random play of classic control by gymnax 1.0.1: one compiled program, the environments split over the devices.

The same as in jaxrl's work: the task (physics, limits, starts, float32), an action drawn uniformly for every
environment in every step, a fresh random start after each episode within the same step, and the sums over finished
episodes (of lengths, and of returns where rewards vary) that keep the work from being removed.

Not the same: gymnax draws a fresh start for every environment in every step and then selects it where an episode
ended. It takes one key for each environment and step, splits it once more, and so runs the generator at least twice
over each environment. What is not asked for (the observation) is removed by the compiler, here as in jaxrl. Actions
are drawn for all environments at once, which is quicker than gymnax's own `action_space.sample` for each.
"""

import importlib.metadata
import itertools
import time
from typing import Any

from benchmarks.contender import Run, serve
from benchmarks.peers.members import use_devices

DIFFERS = [
    "draws a fresh start for every environment in every step and selects it where an episode ended",
    "one key an environment and step, split once more inside the step",
]


def draw_actions(space: Any, key: Any, width: int) -> Any:
    """Uniform actions of a `Discrete` or a `Box` of gymnax, `[width, ...]`."""
    import jax
    import jax.numpy as jnp

    if hasattr(space, "n"):
        if space.n == 2:
            return (jax.random.bits(key, (width,), jnp.uint8) & 1).astype(jnp.int32)
        return jax.random.randint(key, (width,), 0, space.n)
    return jax.random.uniform(key, (width, *space.shape), minval=space.low, maxval=space.high)


def _compile(name: str, num_envs: int, steps: int, devices: int, count_returns: bool) -> Any:
    """Compiles a function of a seed, u32[]; it gives finished episodes, their steps and returns, [num_envs] each."""
    import gymnax
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax

    env, params = gymnax.make(name)
    space = env.action_space(params)
    width = num_envs // devices

    def play(seed: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        key = jax.random.fold_in(jax.random.key(seed), lax.axis_index("envs"))

        def advance(carry: Any, i: jax.Array) -> tuple[Any, None]:
            state, episode_return, episodes, finished, returns = carry
            key_action, key_step = jax.random.split(jax.random.fold_in(key, i))
            action = draw_actions(space, key_action, width)
            keys = jax.random.split(key_step, width)
            _, after, reward, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
                keys, state, action, params
            )
            done = terminated | truncated
            length = jnp.where(done, state.time + 1, 0)  # The state's own counter is the episode's length.
            if count_returns:
                episode_return += reward.reshape(width)
                returns += jnp.where(done, episode_return, 0.0)
                episode_return = jnp.where(done, 0.0, episode_return)
            return (after, episode_return, episodes + done, finished + length, returns), None

        _, state = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.fold_in(key, steps), width), params)
        counts, sums = jnp.zeros(width, jnp.int32), jnp.zeros(width)
        return lax.scan(advance, (state, sums, counts, counts, sums), jnp.arange(steps))[0][2:]

    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("envs",))
    none, split = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("envs")
    program = jax.shard_map(play, mesh=mesh, in_specs=none, out_specs=(split, split, split), check_vma=False)
    return jax.jit(program).lower(jax.ShapeDtypeStruct((), jnp.uint32)).compile()


def prepare(env: str, num_envs: int, steps: int, devices: int = 1, returns: bool = False) -> tuple[Run, dict[str, Any]]:
    """Compiles random play.

    Args:
      env: gymnax's name of an environment whose state counts its time.
      num_envs: environments, a multiple of `devices`.
      steps: steps of each environment in one run.
      devices: devices that the environments are split over.
      returns: whether to sum returns.

    Returns:
      The work and information about it.

    Raises:
      ValueError: the environments cannot be split evenly.
    """
    if num_envs % devices:
        raise ValueError(f"num_envs={num_envs} is not a multiple of devices={devices}.")
    use_devices(devices)
    import jax
    import numpy as np

    begin = time.perf_counter()
    play = _compile(env, num_envs, steps, devices, returns)
    compile_seconds = time.perf_counter() - begin
    seeds = itertools.count()

    def run() -> dict[str, Any]:
        episodes, finished, total = (np.asarray(array).sum(dtype=np.float64) for array in play(np.uint32(next(seeds))))
        count = max(episodes, 1)
        result = {"episodes": int(episodes), "episode_length": float(finished / count)}
        result |= {"episode_return": float(total / count)} if returns else {}
        return {"steps": num_envs * steps, **result}

    versions = {name: importlib.metadata.version(name) for name in ("gymnax", "jax", "jaxlib", "numpy")}
    return run, {
        "versions": versions,
        "differs": DIFFERS,
        "compile_seconds": compile_seconds,
        "device": jax.devices()[0].device_kind,
        "devices": devices,
    }


if __name__ == "__main__":
    serve(prepare)
