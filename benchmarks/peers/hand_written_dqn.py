"""DQN on CartPole-v1 written by hand in plain JAX: the yardstick for the engine's speed.

One function closed over constants, as purejaxrl writes it, with nothing of jaxrl in it. Even the
gradient is written out. The work of one iteration, for every member:

1.  one epsilon-greedy step of one environment, stored with its true successor observation;
2.  one update: batch of 32, double DQN, squared error, Adam, soft target update.

The first `LEARNING_START` iterations only collect, which is nearly free, and they count as steps:
compare only runs of the same number of steps. purejaxrl's own DQN was measured at the same speed or less.
"""

import importlib.metadata
import itertools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks.contender import Run, serve, sharing
from benchmarks.curves import learned

CAPACITY = 10_000
BATCH = 32
LEARNING_START = 1_000
WIDTHS = (4, 64, 64, 2)
LEARNING_RATE = 1e-3
DISCOUNT = 0.99
TAU = 0.01
EPSILON_END = 0.04
EPSILON_STEPS = 10_000
MAX_STEPS = 500
SLOTS, SOLVED = 100, 475.0

Pytree = Any
Train = Callable[[np.ndarray], tuple[Pytree, jax.Array]]
Batch = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]


def step_cartpole(state: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Moves the cart: f32[4] and i32[] to the next f32[4] and terminated bool[]."""
    x_dot, theta, theta_dot = state[1], state[2], state[3]
    sin, cos = jnp.sin(theta), jnp.cos(theta)
    push = (jnp.where(action == 1, 10.0, -10.0) + 0.05 * theta_dot**2 * sin) / 1.1
    theta_acc = (9.8 * sin - cos * push) / (0.5 * (4.0 / 3.0 - 0.1 * cos**2 / 1.1))
    x_acc = push - 0.05 * theta_acc * cos / 1.1
    after = state + 0.02 * jnp.stack([x_dot, x_acc, theta_dot, theta_acc])
    terminated = (jnp.abs(after[0]) > 2.4) | (jnp.abs(after[2]) > 12 * 2 * jnp.pi / 360)
    return after, terminated


def uniforms(bits: jax.Array) -> jax.Array:
    """Turns random words, u32[n], into f32[n] in [0, 1)."""
    return lax.bitcast_convert_type((bits >> 9) | jnp.uint32(0x3F800000), jnp.float32) - 1.0


def forward(params: Pytree, obs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The network's two hidden layers, f32[..., 64] each, and its action values, f32[..., 2]."""
    (w1, b1), (w2, b2), (w3, b3) = params
    hidden1 = jax.nn.relu(obs @ w1 + b1)
    hidden2 = jax.nn.relu(hidden1 @ w2 + b2)
    return hidden1, hidden2, hidden2 @ w3 + b3


def gradient(params: Pytree, target: Pytree, batch: Batch) -> Pytree:
    """The gradient of the mean squared double DQN error (van Hasselt et al., 2016) of a batch."""
    obs, action, reward, terminated, next_obs = batch
    values_select = forward(params, next_obs)[2]
    values_target = forward(target, next_obs)[2]
    second_is_best = values_select[:, 1] > values_select[:, 0]
    bootstrap = jnp.where(second_is_best, values_target[:, 1], values_target[:, 0])
    goal = reward + DISCOUNT * (1.0 - terminated) * bootstrap

    hidden1, hidden2, values = forward(params, obs)
    error = (jnp.where(action == 1, values[:, 1], values[:, 0]) - goal) * (2.0 / BATCH)
    d_values = jnp.stack([jnp.where(action == 0, error, 0.0), jnp.where(action == 1, error, 0.0)], -1)
    w2, w3 = params[1][0], params[2][0]
    d_hidden2 = jnp.where(hidden2 > 0, d_values[:, :1] * w3[:, 0] + d_values[:, 1:] * w3[:, 1], 0.0)
    d_hidden1 = jnp.where(hidden1 > 0, d_hidden2 @ w2.T, 0.0)
    # Transposed before the product, which is faster on a CPU; the barrier keeps XLA from folding it in again.
    hidden1_transposed = lax.optimization_barrier(hidden1.T)
    return (
        (obs.T @ d_hidden1, d_hidden1.sum(0)),
        (hidden1_transposed @ d_hidden2, d_hidden2.sum(0)),
        (hidden2.T @ d_values, d_values.sum(0)),
    )


def init_params(key: jax.Array) -> Pytree:
    """Weights from a truncated normal of variance 1 / inputs, as Haiku has it; biases of 0."""
    keys = jax.random.split(key, len(WIDTHS) - 1)
    return tuple(
        (jax.random.truncated_normal(k, -2.0, 2.0, (n, m)) / jnp.sqrt(float(n)), jnp.zeros(m))
        for k, n, m in zip(keys, WIDTHS, WIDTHS[1:], strict=False)
    )


def make_block(steps: int) -> Callable[[jax.Array], tuple[Pytree, jax.Array]]:
    """One block of members trained from start to end: seeds u32[members] to (params, log)."""
    optimizer = optax.adam(LEARNING_RATE)

    def init(seed: jax.Array) -> dict[str, Pytree]:
        key_params, key_state, key = jax.random.split(jax.random.fold_in(jax.random.key(0), seed), 3)
        params = init_params(key_params)
        state = jax.random.uniform(key_state, (4,), minval=-0.05, maxval=0.05)
        scalars = [jnp.zeros(CAPACITY, dtype) for dtype in (jnp.int32, jnp.float32, bool)]
        return {
            "params": params,
            "target": params,
            "optimizer": optimizer.init(params),
            "state": state,
            "episode_return": jnp.zeros(()),
            "buffer": (jnp.zeros((CAPACITY, 4)), *scalars, jnp.zeros((CAPACITY, 4))),
            "log": jnp.zeros((SLOTS, 2)),
            "key": key,
        }

    def collect(member: dict[str, Pytree], i: jax.Array) -> tuple[dict[str, Pytree], jax.Array]:
        # One draw serves the whole iteration: exploring, the action, the reset and the batch.
        bits = jax.random.bits(jax.random.fold_in(member["key"], i), (6 + BATCH,))
        draws = uniforms(bits)
        fresh = draws[2:6] * 0.1 - 0.05
        filled = jnp.minimum(i + 1, CAPACITY)
        rows = jnp.minimum((draws[6:] * filled).astype(jnp.int32), filled - 1)

        epsilon = jnp.maximum(1.0 - (1.0 - EPSILON_END) * i / EPSILON_STEPS, EPSILON_END)
        values = forward(member["params"], member["state"])[2]
        greedy = (values[1] > values[0]).astype(jnp.int32)
        action = jnp.where(draws[0] < epsilon, (bits[1] >> 31).astype(jnp.int32), greedy)
        after, terminated = step_cartpole(member["state"], action)
        episode_return = member["episode_return"] + 1.0
        done = terminated | (episode_return >= MAX_STEPS)

        transition = (member["state"], action, jnp.ones(()), terminated, after)
        buffer = jax.tree.map(
            lambda rows, row: lax.dynamic_update_index_in_dim(rows, row, i % CAPACITY, 0), member["buffer"], transition
        )
        slot = i * SLOTS // steps
        entry = member["log"][slot] + jnp.where(done, jnp.stack([episode_return, 1.0]), 0.0)
        collected = {
            "state": jnp.where(done, fresh, after),
            "episode_return": jnp.where(done, 0.0, episode_return),
            "buffer": buffer,
            "log": lax.dynamic_update_index_in_dim(member["log"], entry, slot, 0),
        }
        return member | collected, rows

    def learn(member: dict[str, Pytree], rows: jax.Array) -> dict[str, Pytree]:
        batch = jax.tree.map(lambda column: column.at[rows].get(mode="promise_in_bounds"), member["buffer"])
        gradients = gradient(member["params"], member["target"], batch)
        updates, optimizer_state = optimizer.update(gradients, member["optimizer"])
        params = optax.apply_updates(member["params"], updates)
        target = optax.incremental_update(params, member["target"], TAU)
        return member | {"params": params, "target": target, "optimizer": optimizer_state}

    def collect_only(i: jax.Array, members: dict[str, Pytree]) -> dict[str, Pytree]:
        return jax.vmap(collect, in_axes=(0, None))(members, i)[0]

    def collect_and_learn(i: jax.Array, members: dict[str, Pytree]) -> dict[str, Pytree]:
        return jax.vmap(learn)(*jax.vmap(collect, in_axes=(0, None))(members, i))

    def block(seeds: jax.Array) -> tuple[Pytree, jax.Array]:
        members = jax.vmap(init)(seeds)
        # Two loops instead of a cond at the start of learning.
        members = lax.fori_loop(0, min(LEARNING_START, steps), collect_only, members)
        members = lax.fori_loop(min(LEARNING_START, steps), steps, collect_and_learn, members)
        return members["params"], members["log"]

    return block


def make_train(members: int, steps: int, devices: int | None = None, block: int = 16) -> Train:
    """Compiles the training of `members` members for `steps` environment steps each.

    Args:
      members: how many members; blocks of one size must divide them.
      steps: environment steps of one member.
      devices: devices to use; all of them by default, never more than members.
      block: most members on one device at a time.

    Returns:
      A compiled function of the seeds, u32[members]. It gives the parameters, each with a leading
      member axis, and the log, f32[members, 100, 2]: the sum of the returns of the episodes that
      ended in each slot, and their number.

    Raises:
      ValueError: the members cannot be divided into equal blocks.
    """
    devices = min(devices or jax.device_count(), members)
    width = min(block * devices, members)
    if members % width or width % devices:
        raise ValueError(f"members={members} is not a multiple of block x devices, {block} x {devices}.")
    axis = jax.sharding.PartitionSpec("members")
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("members",))
    sharding = jax.sharding.NamedSharding(mesh, axis)
    program = make_block(steps)
    if devices > 1:
        program = jax.shard_map(program, mesh=mesh, in_specs=axis, out_specs=axis, check_vma=False)
    compiled = jax.jit(program).lower(jax.ShapeDtypeStruct((width,), jnp.uint32, sharding=sharding)).compile()

    def train(seeds: np.ndarray) -> tuple[Pytree, jax.Array]:
        groups = np.asarray(seeds, np.uint32).reshape(-1, width)
        # Waiting for each block keeps only one replay buffer a member in memory.
        results = [jax.block_until_ready(compiled(jax.device_put(group, sharding))) for group in groups]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *results)

    return train


def prepare(members: int, steps: int, devices: int) -> tuple[Run, dict[str, Any]]:
    """Compiles the training of `members` members; blocks as jaxrl makes them: 16 a CPU core, else all at once."""
    jax.config.update("jax_num_cpu_devices", devices)
    block = 16 if jax.devices()[0].platform == "cpu" else members
    devices = sharing(members, devices)
    begin = time.perf_counter()
    train = make_train(members, steps, devices, block)
    info = {
        "compile_seconds": time.perf_counter() - begin,
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "optax")},
        "differs": ["one task and one setting, with the gradient written out by hand"],
    }
    seeds = itertools.count(0, members)

    def run() -> dict[str, Any]:
        totals, counts = np.moveaxis(np.asarray(train(next(seeds) + np.arange(members))[1]), -1, 0)
        returns = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
        result = learned(returns, steps, SOLVED)
        return {"steps": members * steps, "updates": members * max(steps - LEARNING_START, 0), **result}

    return run, info


if __name__ == "__main__":
    serve(prepare)
