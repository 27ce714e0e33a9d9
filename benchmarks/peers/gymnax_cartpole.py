"""Random play of CartPole-v1 by gymnax 1.0.1: one compiled program, the environments split over the devices.

The same as in jaxrl's work: the task (physics, limits, 500 steps, starts from [-0.05, 0.05), float32), an
action drawn uniformly for every environment in every step, a fresh random start after each episode within
the same step, and the sums over finished episodes that keep the work from being removed.

Not the same: gymnax draws a fresh start for every environment in every step and then selects it where an
episode ended. It takes one key for each environment and step, splits it once more, and so runs the
generator at least twice over each environment. What is not asked for (observation, reward, discount) is
removed by the compiler, here as in jaxrl. The generator is JAX's default, Threefry; gymnax takes any key,
so `generator` may name another one.
"""

import importlib.metadata
import itertools
import os
import time
from typing import Any

from benchmarks.contender import Run, serve

DIFFERS = [
    "draws a fresh start for every environment in every step and selects it where an episode ended",
    "one key an environment and step, split once more inside the step",
]


def _compile(num_envs: int, steps: int, devices: int) -> Any:
    """Compiles a function of a seed, u32[]; it gives finished episodes and their steps, i32[num_envs] each."""
    import gymnax
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax

    env, params = gymnax.make("CartPole-v1")
    width = num_envs // devices

    def play(seed: jax.Array) -> tuple[jax.Array, jax.Array]:
        key = jax.random.fold_in(jax.random.key(seed), lax.axis_index("envs"))

        def advance(carry: Any, i: jax.Array) -> tuple[Any, None]:
            state, episodes, finished = carry
            key_action, key_step = jax.random.split(jax.random.fold_in(key, i))
            action = jax.random.bits(key_action, (width,), jnp.uint8) & 1
            keys = jax.random.split(key_step, width)
            _, after, _, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
                keys, state, action.astype(jnp.int32), params
            )
            done = terminated | truncated
            length = jnp.where(done, state.time + 1, 0)  # The state's own counter is the episode's length.
            return (after, episodes + done, finished + length), None

        _, state = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.fold_in(key, steps), width), params)
        zeros = lax.pcast(jnp.zeros(width, jnp.int32), "envs", to="varying")
        state = state.replace(time=zeros)
        (_, episodes, finished), _ = lax.scan(advance, (state, zeros, zeros), jnp.arange(steps))
        return episodes, finished

    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("envs",))
    none, split = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("envs")
    program = jax.shard_map(play, mesh=mesh, in_specs=none, out_specs=(split, split))
    return jax.jit(program).lower(jax.ShapeDtypeStruct((), jnp.uint32)).compile()


def prepare(
    num_envs: int, steps: int, devices: int = 1, device: str | None = None, generator: str = "threefry2x32"
) -> tuple[Run, dict[str, Any]]:
    """Compiles random play.

    Args:
      num_envs: environments, a multiple of `devices`.
      steps: steps of each environment in one run.
      devices: CPU devices, or GPUs, that the environments are split over.
      device: "cpu" or "gpu"; by default what `JAX_PLATFORMS` says, else the CPU.
      generator: JAX's name of the random generator, such as "unsafe_rbg".

    Returns:
      The work and facts about it.

    Raises:
      ValueError: the environments cannot be split evenly.
    """
    if num_envs % devices:
        raise ValueError(f"num_envs={num_envs} is not a multiple of devices={devices}.")
    platforms = {"cpu": "cpu", "gpu": "cuda", None: os.environ.get("JAX_PLATFORMS", "cpu")}
    os.environ["JAX_PLATFORMS"] = platforms[device]
    import jax
    import numpy as np

    jax.config.update("jax_default_prng_impl", generator)
    if platforms[device] == "cpu":
        jax.config.update("jax_num_cpu_devices", devices)
    begin = time.perf_counter()
    play = _compile(num_envs, steps, devices)
    compile_seconds = time.perf_counter() - begin
    seeds = itertools.count()

    def run() -> dict[str, Any]:
        episodes, finished = (np.asarray(array).sum(dtype=np.int64) for array in play(np.uint32(next(seeds))))
        return {
            "steps": num_envs * steps,
            "episodes": int(episodes),
            "episode_length": float(finished / max(episodes, 1)),
        }

    versions = {name: importlib.metadata.version(name) for name in ("gymnax", "jax", "jaxlib", "numpy")}
    return run, {
        "versions": versions,
        "differs": DIFFERS,
        "compile_seconds": compile_seconds,
        "device": jax.devices()[0].device_kind,
        "devices": devices,
        "generator": generator,
    }


if __name__ == "__main__":
    serve(prepare)
