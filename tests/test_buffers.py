"""The replay buffer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import buffers, random_bits


def item(number):
    return {"obs": jnp.full((2, 3), number, jnp.uint8), "action": jnp.asarray(number, jnp.int32)}


def test_create_keeps_dtypes():
    replay = buffers.create(item(0), 10)
    assert {name: (x.shape, x.dtype) for name, x in replay.items()} == {
        "obs": ((10, 2, 3), jnp.uint8),
        "action": ((10,), jnp.int32),
    }


@pytest.mark.parametrize(("capacity", "rows", "expected"), [(10, 1, 10), (10, 4, 12), (12, 4, 12), (1, 3, 3)])
def test_capacity_is_raised_to_whole_writes(capacity, rows, expected):
    assert buffers.rounded_capacity(capacity, rows) == expected


def test_write_goes_round_and_overwrites_the_oldest():
    replay = buffers.create(item(0), 6)
    for i in range(5):
        rows = jax.tree.map(lambda *x: jnp.stack(x), item(2 * i + 1), item(2 * i + 2))
        replay = buffers.write(replay, rows, jnp.int32(i))
        assert int(buffers.filled(replay, 2, jnp.int32(i))) == min(2 * (i + 1), 6)
    np.testing.assert_array_equal(replay["action"], [7, 8, 9, 10, 5, 6])
    np.testing.assert_array_equal(replay["obs"][:, 1, 2], [7, 8, 9, 10, 5, 6])


def test_samples_are_of_what_is_filled_in_64_bits_too():
    with jax.enable_x64(True):
        drawn = buffers.sample({"number": jnp.arange(100)}, random_bits.bits(jax.random.key(0), (500,)), jnp.int32(7))
    np.testing.assert_array_equal(np.unique(drawn["number"]), np.arange(7))


def test_samples_are_uniform_over_what_is_filled_only():
    replay = {"number": jnp.arange(100)}
    drawn = buffers.sample(replay, random_bits.bits(jax.random.key(0), (20_000,)), jnp.int32(40))["number"]
    counts = np.bincount(drawn, minlength=100)
    assert counts[40:].sum() == 0
    # 500 expected in each of 40; 22 is a standard deviation.
    assert np.abs(counts[:40] - 500).max() < 5 * 22


def loop_facts(capacity):
    """XLA's own count of the work of a loop that writes and samples, for 4 members."""

    def iteration(i, carry):
        replay, total = carry
        replay = buffers.write(replay, {"x": jnp.full((1, 8), total)}, i)
        key = jax.random.fold_in(jax.random.key(0), i)
        return replay, total + jnp.sum(
            buffers.sample(replay, random_bits.bits(key, (16,)), buffers.filled(replay, 1, i))["x"]
        )

    def run(replay, total, stop):
        body = jax.vmap(iteration, (None, 0))
        return jax.lax.fori_loop(0, stop, body, (replay, total))

    replay = {"x": jnp.zeros((4, capacity, 8))}
    return jax.jit(run, donate_argnums=0).lower(replay, jnp.zeros(4), 9).compile()


def test_a_step_costs_the_same_at_any_capacity():
    small, large = loop_facts(1_000), loop_facts(100_000)
    whole = 4 * 100_000 * 8 * 4
    # Nothing as large as the buffer is allocated besides the buffer itself, nor copied in the loop.
    assert large.memory_analysis().temp_size_in_bytes < whole / 10
    assert small.memory_analysis().temp_size_in_bytes == large.memory_analysis().temp_size_in_bytes
    assert "f32[4,100000,8]{2,1,0} copy(" not in large.as_text()
