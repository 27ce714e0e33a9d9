"""DQN on CartPole-v1 by rejax: many members trained together in one compiled program.

The same as in jaxrl's work: the task, 64-64 relu networks initialised alike, one step of one environment and
one update of 32 transitions from 10,000 in each iteration, the first 1,000 steps only collecting, double
DQN, Adam at 1e-3, discount 0.99, a soft target update of 0.01 in every step, and exploration from 1 to 0.04
over the first 10,000 steps (over all of them where there are fewer).

Not the same: see `DIFFERS`. What costs most is how rejax samples: without replacement by `jax.random.choice`
with probabilities, which in every update draws a number for each of the 10,000 rows of the buffer and takes
the 32 greatest. The first update is one step later than in jaxrl.
"""

import importlib.metadata
import itertools
import math
import os
import time
from typing import Any

from benchmarks.contender import Run, serve

BUFFER, LEARNING_START, EXPLORATION = 10_000, 1_000, 10_000
EPISODES = 8
PACKAGES = ("rejax", "gymnax", "jax", "jaxlib", "flax", "optax", "chex", "distrax", "numpy")
DIFFERS = [
    "batches are drawn without replacement, by a number drawn for each row of the buffer in every update",
    "the observation stored as the next one is that after the reset; ends by the time limit count as terminal",
    "actions are uniform until learning starts, whatever epsilon is",
    "half the squared error",
    "gradients pass through an element-wise clip at infinity",
    "a fresh start is drawn in every step and selected where an episode ended",
    "no returns of training episodes are recorded",
]


def make_algorithm(steps: int, evaluations: int) -> Any:
    """Rejax's DQN with the settings of the benchmark."""
    import jax
    import jax.numpy as jnp
    import rejax
    from rejax.evaluate import evaluate

    def no_evaluation(algo: Any, state: Any, rng: jax.Array) -> jax.Array:
        return jnp.zeros(())

    def greedy_return(algo: Any, state: Any, rng: jax.Array) -> jax.Array:
        def act(obs: jax.Array, rng: jax.Array) -> jax.Array:
            return jnp.argmax(algo.agent.apply(state.q_ts.params, obs[None])[0])

        return evaluate(act, rng, algo.env, algo.env_params, EPISODES, 500)[1].mean()

    algo = rejax.get_algo("dqn").create(
        env="CartPole-v1",
        agent_kwargs={"activation": "relu"},
        num_envs=1,
        total_timesteps=steps,
        eval_freq=steps // max(evaluations, 1),
        skip_initial_evaluation=True,
        buffer_size=BUFFER,
        fill_buffer=LEARNING_START,
        batch_size=32,
        learning_rate=1e-3,
        gamma=0.99,
        ddqn=True,
        target_update_freq=1,
        polyak=0.99,  # What is kept of the target network.
        eps_start=1.0,
        eps_end=0.04,
        exploration_fraction=min(EXPLORATION / steps, 1.0),
        max_grad_norm=jnp.inf,
    )
    return algo.replace(eval_callback=greedy_return if evaluations else no_evaluation)


def _compile(algo: Any, members: int, seed: int, devices: int) -> Any:
    """Compiles a function of u32[members], a number for each; it gives parameters and evaluations of each."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def train(number: jax.Array) -> tuple[Any, jax.Array]:
        state, returns = algo.train(jax.random.fold_in(jax.random.key(seed), number))
        return state.q_ts.params, returns

    program = jax.vmap(train)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("members",))
    axis = jax.sharding.PartitionSpec("members")
    if devices > 1:
        program = jax.shard_map(program, mesh=mesh, in_specs=axis, out_specs=axis, check_vma=False)
    sharding = jax.sharding.NamedSharding(mesh, axis)
    compiled = jax.jit(program).lower(jax.ShapeDtypeStruct((members,), jnp.uint32, sharding=sharding)).compile()
    return lambda numbers: jax.block_until_ready(compiled(jax.device_put(numbers, sharding)))


def prepare(
    members: int, steps: int, seed: int = 0, evaluations: int = 0, device: str | None = None, devices: int | None = None
) -> tuple[Run, dict[str, Any]]:
    """Compiles the training; every run is a fresh one of other seeds.

    Args:
      members: seeds trained together, a multiple of `devices`.
      steps: environment steps of each member; a multiple of `evaluations`.
      seed: what the members' seeds are folded into.
      evaluations: greedy evaluations of 8 episodes each, evenly spaced; 0 for a timed run.
      device: "cpu" or "gpu"; by default what `JAX_PLATFORMS` says, else the CPU.
      devices: CPU devices, or GPUs, that the members are split over. By default as many CPU devices as there
        are cores and as divide the members, which is quicker than one that uses all cores; and one GPU.

    Returns:
      The work and facts about it.

    Raises:
      ValueError: the members or the steps cannot be divided evenly.
    """
    platforms = {"cpu": "cpu", "gpu": "cuda", None: os.environ.get("JAX_PLATFORMS", "cpu")}
    os.environ["JAX_PLATFORMS"] = platforms[device]
    on_cpu = platforms[device] == "cpu"
    devices = devices or (math.gcd(members, os.cpu_count() or 1) if on_cpu else 1)
    if members % devices or steps % max(evaluations, 1):
        raise ValueError(f"{members=} must be a multiple of {devices=}, and {steps=} of {evaluations=}.")
    import jax
    import numpy as np

    if on_cpu:
        jax.config.update("jax_num_cpu_devices", devices)
    begin = time.perf_counter()
    train = _compile(make_algorithm(steps, evaluations), members, seed, devices)
    compile_seconds = time.perf_counter() - begin
    first = itertools.count(step=members)

    def run() -> dict[str, Any]:
        _, returns = train(next(first) + np.arange(members, dtype=np.uint32))
        found = {"steps": members * steps, "updates": members * max(steps - LEARNING_START - 1, 0)}
        if not evaluations:
            return found
        places = (np.arange(evaluations) + 1) * (steps // evaluations)
        means = np.asarray(returns).mean(0)
        return found | {"curve": [[int(place), float(mean)] for place, mean in zip(places, means, strict=True)]}

    return run, {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "differs": DIFFERS,
        "compile_seconds": compile_seconds,
        "device": jax.devices()[0].device_kind,
        "devices": devices,
    }


if __name__ == "__main__":
    serve(prepare)
