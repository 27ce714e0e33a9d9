"""Running moments against NumPy in float64 and Gymnasium's own."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.wrappers.utils import RunningMeanStd
from gymnasium.wrappers.vector import NormalizeReward

from jaxrl.normalize import RewardScale, RunningMoments, fold

RNG = np.random.default_rng(0)


def test_updates_are_gymnasium_s():
    ours, theirs = RunningMoments.empty((3,)), RunningMeanStd(epsilon=0, shape=(3,))
    update = jax.jit(RunningMoments.update)
    for rows in (5, 1, 64, 3, 64):
        batch = (RNG.normal(size=(rows, 3)) * [1, 0.01, 100] + [0, 5, -300]).astype(np.float32)
        ours, _ = update(ours, jnp.asarray(batch)), theirs.update(batch.astype(np.float64))
        assert float(ours.count) == theirs.count
        np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(ours.variance, theirs.var, rtol=2e-5, atol=1e-12)
    values = RNG.normal(size=(7, 3)).astype(np.float32) * 10 + np.float32([0, 5, -300])
    expected = np.clip((values - theirs.mean) / np.sqrt(theirs.var + 1e-8), -10, 10)
    np.testing.assert_allclose(ours.normalize(values), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected).max() == 10


@pytest.mark.parametrize("size", [64, 2048])
def test_nothing_drifts_over_millions_of_rows_far_from_zero(size):
    """The float32 data themselves are the reference's, so that only our own rounding counts."""
    offset, deviation = np.float32([0, 1e3, -1e5, 7]), np.float32([1, 1, 10, 1e-3])
    updates = 2**22 // size
    rows = jax.random.normal(jax.random.key(0), (updates, size, 4)) * deviation + offset
    result, _ = jax.jit(lambda m, x: jax.lax.scan(lambda m, x: (m.update(x), None), m, x))(
        RunningMoments.empty((4,)), rows
    )
    everything = np.asarray(rows, np.float64).reshape(-1, 4)
    assert float(result.count) == len(everything)
    # Changes below half a unit in the mean's last place are lost: the last ones that still matter come to this.
    error = np.abs(result.mean - everything.mean(axis=0))
    assert (error < 2 * np.spacing(np.abs(result.mean)) + 1e-3 * deviation).all()
    assert error[0] < 1e-7
    np.testing.assert_allclose(result.variance, everything.var(axis=0), rtol=2e-5)


def test_what_never_changes_becomes_zero():
    moments = RunningMoments.empty((2,))
    rows = jnp.full((37, 2), jnp.float32([1000.1, -0.3]))
    for _ in range(5):
        moments = moments.update(rows)
        np.testing.assert_array_equal(moments.variance < 1e-9, True)
        np.testing.assert_allclose(moments.normalize(rows[0]), 0, atol=0.01)


def test_before_any_rows_values_are_only_clipped():
    moments = RunningMoments.empty((2,))
    np.testing.assert_allclose(moments.normalize(jnp.float32([3, -40])), [3, -10], rtol=1e-6)
    np.testing.assert_allclose(moments.normalize(jnp.float32([3, -40]), clip=2.0), [2, -2])
    np.testing.assert_allclose(RunningMoments.empty().normalize(np.uint8([3, 200])), [3, 10], rtol=1e-6)
    np.testing.assert_allclose(RewardScale.empty(3).scale(jnp.float32([3, -40])), [3, -10], rtol=1e-6)


class Scripted(gymnasium.vector.VectorEnv):
    """Gives these rewards [time, envs], and no episode ever ends."""

    observation_space = action_space = single_observation_space = single_action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, rewards):
        self.rewards, self.num_envs, self.time = rewards, rewards.shape[1], -1

    def reset(self, *, seed=None, options=None):
        return np.zeros(self.num_envs), {}

    def step(self, actions):
        self.time += 1
        never = np.zeros(self.num_envs, bool)
        return np.zeros(self.num_envs), self.rewards[self.time], never, never, {}


def test_rewards_are_scaled_as_gymnasium_does_while_no_episode_ends():
    rewards = (RNG.normal(size=(40, 5)) * 3 + 1).astype(np.float32)
    wrapper = NormalizeReward(Scripted(rewards), gamma=0.9)
    wrapper.return_rms = RunningMeanStd(epsilon=0)
    wrapper.reset()
    ours, never = RewardScale.empty(5), jnp.zeros((1, 5), bool)
    for row in rewards:
        ours = ours.update(jnp.asarray(row[None]), never, 0.9)
        np.testing.assert_allclose(ours.scale(jnp.asarray(row)), wrapper.step(None)[1], rtol=1e-4)
    at_once = RewardScale.empty(5).update(jnp.asarray(rewards), jnp.zeros(rewards.shape, bool), 0.9)
    for a, b in zip(jax.tree.leaves(at_once), jax.tree.leaves(ours), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_returns_start_anew_after_any_end():
    reward = jnp.float32([[1, 1], [2, 2], [4, 4], [8, 8]])
    ended = jnp.asarray([[False, False], [True, False], [False, False], [False, True]])
    first = RewardScale.empty(2).update(reward[:3], ended[:3], 0.5)
    # By hand: 1, 2.5 (the end's own reward counts with what came before), then 4 and 8 + 2; without an end 1, 2.5,
    # 5.25, 10.625.
    returns = np.array([[1, 1], [2.5, 2.5], [4, 5.25], [10, 10.625]])
    np.testing.assert_allclose(first.returns, returns[2])
    second = first.update(reward[3:], ended[3:], 0.5)
    np.testing.assert_allclose(second.returns, [10, 0])
    assert float(second.moments.count) == 8
    np.testing.assert_allclose(second.moments.mean, returns.mean(), rtol=1e-6)
    np.testing.assert_allclose(second.moments.variance, returns.var(), rtol=1e-6)
    expected = np.clip(np.asarray(reward) / returns.std(), -10, 10)
    np.testing.assert_allclose(second.scale(reward), expected, rtol=1e-6)
    np.testing.assert_allclose(second.scale(reward, clip=0.5), np.minimum(expected, 0.5), rtol=1e-6)


def test_a_folded_layer_takes_raw_observations():
    moments = RunningMoments.empty((2, 3)).update(jnp.asarray(RNG.normal(size=(500, 2, 3)) * 4 + 20, jnp.float32))
    layer = {"w": jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32), "b": jnp.asarray(RNG.normal(size=5), jnp.float32)}
    observations = jnp.asarray(RNG.normal(size=(50, 2, 3)) * 4 + 20, jnp.float32)
    normalized = moments.normalize(observations).reshape(50, 6)
    folded = fold(moments, layer)
    result = observations.reshape(50, 6) @ folded["w"] + folded["b"]
    np.testing.assert_allclose(result, normalized @ layer["w"] + layer["b"], rtol=1e-4, atol=1e-4)


def test_members_keep_moments_of_their_own():
    rows = jnp.asarray(RNG.normal(size=(3, 10, 2)) + np.arange(3)[:, None, None], jnp.float32)
    empty = jax.tree.map(lambda x: jnp.stack([x] * 3), RunningMoments.empty((2,)))
    together = jax.jit(jax.vmap(RunningMoments.update))(empty, rows)
    for member in range(3):
        alone = RunningMoments.empty((2,)).update(rows[member])
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(a, b[member], rtol=1e-5, atol=1e-6)
