"""The replay buffer."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import random_bits, replay


def item(number, envs=2):
    return {"obs": jnp.full((envs, 2, 3), number, jnp.uint8), "action": jnp.full(envs, number, jnp.int32)}


def test_create_keeps_dtypes():
    storage = replay.create(item(0), 10)
    assert {name: (x.shape, x.dtype) for name, x in storage.items()} == {
        "obs": ((10, 2, 2, 3), jnp.uint8),
        "action": ((10, 2), jnp.int32),
    }


@pytest.mark.parametrize(
    ("capacity", "envs", "written", "expected"), [(10, 1, 1, 10), (10, 2, 2, 6), (12, 1, 4, 12), (1, 3, 3, 3)]
)
def test_capacity_is_raised_to_whole_writes(capacity, envs, written, expected):
    assert replay.rows_of(capacity, envs, written) == expected


def test_write_goes_round_and_overwrites_the_oldest():
    storage = replay.create(item(0), 6)
    for i in range(5):
        rows = jax.tree.map(lambda *x: jnp.stack(x), item(2 * i + 1), item(2 * i + 2))
        storage = replay.write(storage, rows, jnp.int32(i))
        assert int(replay.filled(storage, 2, jnp.int32(i))) == min(2 * (i + 1), 6)
        assert int(storage["action"][replay.newest(storage, 2, jnp.int32(i)), 0]) == 2 * i + 2
    np.testing.assert_array_equal(storage["action"][:, 1], [7, 8, 9, 10, 5, 6])
    np.testing.assert_array_equal(storage["obs"][:, 0, 1, 2], [7, 8, 9, 10, 5, 6])


def draw(storage, bits, items):
    return replay.take(storage, replay.uniform(bits, items))


def test_samples_are_of_what_is_filled_in_64_bits_too():
    with jax.enable_x64(True):
        numbers = {"number": jnp.arange(100).reshape(50, 2)}
        drawn = draw(numbers, random_bits.bits(jax.random.key(0), (500,)), jnp.int32(7))
    np.testing.assert_array_equal(np.unique(drawn["number"]), np.arange(7))


def test_samples_are_uniform_over_what_is_filled_only():
    numbers = {"number": jnp.arange(100).reshape(50, 2)}
    drawn = draw(numbers, random_bits.bits(jax.random.key(0), (20_000,)), jnp.int32(40))["number"]
    counts = np.bincount(drawn, minlength=100)
    assert counts[40:].sum() == 0
    # 500 expected in each of 40; 22 is a standard deviation.
    assert np.abs(counts[:40] - 500).max() < 5 * 22


def loop_facts(capacity):
    """XLA's own count of the work of a loop that writes and samples, for 4 members."""

    def iteration(i, carry):
        storage, total = carry
        storage = replay.write(storage, {"x": jnp.full((1, 2, 8), total)}, i)
        bits = random_bits.bits(jax.random.fold_in(jax.random.key(0), i), (16,))
        return storage, total + jnp.sum(draw(storage, bits, 2 * replay.filled(storage, 1, i))["x"])

    def run(storage, total, stop):
        body = jax.vmap(iteration, (None, 0))
        return jax.lax.fori_loop(0, stop, body, (storage, total))

    storage = {"x": jnp.zeros((4, capacity // 2, 2, 8))}
    return jax.jit(run, donate_argnums=0).lower(storage, jnp.zeros(4), 9).compile()


def test_a_step_costs_the_same_at_any_capacity():
    small, large = loop_facts(1_000), loop_facts(100_000)
    whole = 4 * 100_000 * 8 * 4
    # Nothing as large as the buffer is allocated besides the buffer itself, nor copied in the loop.
    assert large.memory_analysis().temp_size_in_bytes < whole / 10
    assert small.memory_analysis().temp_size_in_bytes == large.memory_analysis().temp_size_in_bytes
    assert not re.search(r"f32\[4,(100000|50000,2),8\]\S* copy\(", large.as_text())


def stored(terminated, truncated, envs=1):
    """Rows whose reward is 1, 2, 4, ..., whose successor is numbered like the row, in all environments alike."""
    rows = len(terminated)
    number = jnp.tile(jnp.arange(rows)[:, None], (1, envs))
    flags = [jnp.tile(jnp.asarray(flag, bool)[:, None], (1, envs)) for flag in (terminated, truncated)]
    return replay.Experience(number, None, number, 2.0**number, number + 100, None, *flags)


@pytest.mark.parametrize(
    ("row", "newest", "reward", "successor", "discount"),
    [
        (0, 7, 1 + 2 / 2 + 4 / 4, 102, 1 / 8),  # Three whole steps.
        (2, 7, 4 + 8 / 2, 103, 0),  # The episode terminates in row 3,
        (3, 7, 8, 103, 0),
        (4, 7, 16 + 32 / 2, 105, 1 / 4),  # and is cut off in row 5, which is bootstrapped from.
        (6, 1, 64 + 128 / 2 + 1 / 4, 100, 1 / 8),  # Over the end of the storage.
        (7, 0, 128 + 1 / 2, 100, 1 / 4),  # Only up to the newest row,
        (0, 0, 1, 100, 1 / 2),  # behind which the oldest begin.
        (1, 0, 2 + 4 / 2 + 8 / 4, 103, 0),
    ],
)
def test_n_step_transitions_end_with_episodes_and_at_the_newest_row(row, newest, reward, successor, discount):
    storage = stored([0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0], envs=3)
    for env in range(3):
        batch = replay.transitions(storage, jnp.asarray([row * 3 + env]), 3, 0.5, jnp.int32(newest))
        assert (batch.obs, batch.action, batch.next_obs) == (row, row, successor)
        assert (batch.reward, batch.discount) == (reward, discount)


def test_n_step_transitions_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    time, envs, steps, discount = 11, 3, 4, 0.9
    reward, (terminated, truncated) = rng.normal(size=(time, envs)), rng.random((2, time, envs)) < 0.2
    number = jnp.arange(time * envs).reshape(time, envs)
    storage = replay.Experience(
        number, None, number, jnp.float32(reward), number, None, jnp.asarray(terminated), jnp.asarray(truncated)
    )
    for newest in range(time):
        batch = replay.transitions(storage, number.reshape(-1), steps, discount, jnp.int32(newest))
        for index in range(time * envs):
            (row, env), total, power = divmod(index, envs), 0.0, 1.0
            for _ in range(steps):
                total, power = total + power * reward[row, env], power * discount
                if terminated[row, env] or truncated[row, env] or row == newest or _ == steps - 1:
                    break
                row = (row + 1) % time
            np.testing.assert_allclose(batch.reward[index], total, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(batch.discount[index], 0 if terminated[row, env] else power, rtol=1e-6)
            assert batch.next_obs[index] == row * envs + env


def test_sequences_begin_with_their_carries_and_know_where_old_data_begin():
    storage = stored([0, 0, 0, 1, 0, 0, 0, 0], [0] * 8, envs=3)
    carries = (jnp.arange(12.0).reshape(4, 3, 1),)  # Of writes of two rows.
    batch = replay.sequences(storage, carries, jnp.asarray([1 * 3 + 2, 3 * 3 + 0]), 4, jnp.int32(7))
    np.testing.assert_array_equal(batch.steps.obs.T, [[2, 3, 4, 5], [6, 7, 0, 1]])
    np.testing.assert_array_equal(batch.carry[0][:, 0], [5, 9])
    np.testing.assert_array_equal(batch.reset.T, [[0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(batch.known.T, [[1, 1, 1, 1], [1, 1, 0, 0]])
    batch = replay.sequences(storage, carries, jnp.asarray([3 * 3 + 1]), 4, jnp.int32(1))
    np.testing.assert_array_equal(batch.known.T, [[1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("n", "targets"),
    [
        # Rewards 1, 2, 4, 8, 16, 32, values 100; row 2 terminates, row 4 is cut off.
        (1, [1 + 50, 2 + 50, 4, 8 + 50, np.nan]),
        (2, [1 + 1 + 25, 2 + 2, 4, 8 + 50, np.nan]),
        (5, [1 + 1 + 1, 2 + 2, 4, 8 + 50, np.nan]),
    ],
)
def test_targets_of_sequences_are_those_computed_by_hand(n, targets):
    steps = stored([0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0])
    known, values = jnp.ones((6, 1), bool), jnp.full((6, 1), 100.0)
    result, counts = replay.sequence_targets(steps, known, values, n, 0.5)
    np.testing.assert_allclose(jnp.where(counts, result, jnp.nan)[:, 0], targets)
    # Behind the newest row, 1, nothing is known: row 1 has no successor, and row 0 bootstraps from row 1.
    result, counts = replay.sequence_targets(steps, known.at[2:].set(False), values, n, 0.5)
    np.testing.assert_allclose(jnp.where(counts, result, jnp.nan)[:, 0], [1 + 50, *[np.nan] * 4])
