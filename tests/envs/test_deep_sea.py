"""DeepSea against bsuite's rules: a transcription of them in NumPy, and the mapping that bsuite's generator gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl


def bsuite_step(size, mapping, row, column, action, fails, noise, cost=0.01, stochastic=False):
    """One step by the rules of bsuite's `deep_sea.py`: (row, column, reward)."""
    right = action == mapping[row, column]
    reward = 1.0 if column == size - 1 and right else 0.0
    if stochastic and row == size - 1 and column in (0, size - 1):
        reward += noise
    if right:
        reward -= cost / size
        column = column if fails and stochastic else min(column + 1, size - 1)
    else:
        column = max(column - 1, 0)
    return row + 1, column, reward


@pytest.mark.parametrize(("size", "seed"), [(2, 0), (5, 42), (11, 7)])
def test_every_transition_is_bsuites(size, seed):
    env = jaxrl.make("DeepSea-v0", size=size, mapping_seed=seed)
    mapping = np.random.RandomState(seed).binomial(1, 0.5, [size, size])
    step = jax.jit(env.step)
    for row in range(size):
        for column in range(row + 1):
            for action in range(2):
                after, given = step(jnp.int32(row * size + column), jnp.int32(action), jax.random.key(0))
                below, beside, reward = bsuite_step(size, mapping, row, column, action, False, 0.0)
                assert int(after) == int(given.obs) == (size * size if below == size else below * size + beside)
                assert float(given.reward) == pytest.approx(reward, abs=1e-7)
                assert bool(given.terminated) == (below == size)


def test_without_a_mapping_1_leads_to_the_right_and_the_treasure_pays_099():
    env = jaxrl.make("DeepSea-v0", size=8, mapping_seed=None)
    state, total = env.reset(jax.random.key(0))[0], 0.0
    for _ in range(8):
        state, given = env.step(state, jnp.int32(1), jax.random.key(0))
        total += float(given.reward)
    assert total == pytest.approx(0.99)
    assert bool(given.terminated)


def test_the_stochastic_one_fails_once_in_size_steps_and_is_noisy_in_the_last_corners():
    size = 6
    env = jaxrl.make("DeepSea-v0", size=size, mapping_seed=None, stochastic=True)
    keys = jax.random.split(jax.random.key(0), 20_000)

    def many(state, action):
        after, given = jax.vmap(lambda key: env.step(jnp.int32(state), jnp.int32(action), key))(keys)
        return np.asarray(after), np.asarray(given.reward)

    after, reward = many(2 * size + 1, 1)
    assert set(after) == {3 * size + 1, 3 * size + 2}
    assert (after == 3 * size + 1).mean() == pytest.approx(1 / size, abs=0.015)
    np.testing.assert_allclose(reward, -0.01 / size, rtol=1e-5)
    for column, action, mean in ((0, 0, 0.0), (size - 1, 1, 1 - 0.01 / size)):
        _, reward = many((size - 1) * size + column, action)
        assert reward.mean() == pytest.approx(mean, abs=0.04)
        assert reward.std() == pytest.approx(1, abs=0.03)
    assert many((size - 1) * size + 2, 0)[1].std() == 0


def test_it_passes_the_checker():
    with pytest.warns(UserWarning, match="key-ignored"):  # There is one start.
        report = jaxrl.check_env(jaxrl.make("DeepSea-v0", stochastic=True), steps=200)
    assert [finding.code for finding in report.findings] == ["key-ignored"]


@pytest.mark.parametrize("size", [4, 20])
def test_the_picture_shows_the_diver(size):
    env = jaxrl.make("DeepSea-v0", size=size)
    cell = min(64, 800 // size)
    picture = env.render(np.int32(2 * size + 1))
    rows, columns = np.nonzero((picture == (226, 138, 67)).all(-1))
    assert (rows.mean(), columns.mean()) == pytest.approx((12 + 2.5 * cell, 12 + 1.5 * cell), abs=1.5)
    assert not (env.render(np.int32(size * size)) == (226, 138, 67)).all(-1).any()
