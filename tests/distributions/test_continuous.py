"""Gaussians, plain and squashed, against SciPy in float64 and against distrax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jaxrl import random_bits
from jaxrl._rlax import rlax
from jaxrl.distributions import Gaussian, SquashedGaussian, autoregressive, autoregressive_noise, categorical

pytestmark = pytest.mark.usefixtures("fast_compilation")
RNG = np.random.default_rng(0)
BATCH, SIZE, SAMPLES = 40, 3, 40_000
MEAN = RNG.normal(size=(BATCH, SIZE)).astype(np.float32)
SCALE = np.exp(RNG.normal(size=(BATCH, SIZE))).astype(np.float32)
LOW, HIGH = np.float32([-2, -0.1, 1]), np.float32([2, 0.7, 100])
BITS = random_bits.bits(jax.random.key(3), (SAMPLES, SIZE))
SCALES = pytest.mark.parametrize("scale", [SCALE, SCALE[0]], ids=["of each", "shared"])


def wide(array):
    return np.asarray(array, np.float64)


def squashed_log_density(unsquashed, mean, scale):
    """The log-density of LOW + (HIGH - LOW) * (1 + tanh(u)) / 2, in float64, from u itself."""
    slope = 2 * (np.log(2) - unsquashed - np.logaddexp(0, -2 * unsquashed))
    return (stats.norm.logpdf(unsquashed, mean, scale) - slope - np.log(wide(HIGH - LOW) / 2)).sum(-1)


@SCALES
def test_a_gaussian_is_scipy_s(scale):
    distribution = Gaussian(jnp.asarray(MEAN), jnp.asarray(scale), LOW, HIGH)
    action = (MEAN + 2 * scale * RNG.normal(size=MEAN.shape)).astype(np.float32)
    expected = stats.norm.logpdf(wide(action), wide(MEAN), wide(scale)).sum(-1)
    np.testing.assert_allclose(distribution.log_prob(action), expected, rtol=1e-5, atol=1e-5)
    entropy = np.broadcast_to(stats.norm.entropy(wide(MEAN), wide(scale)), MEAN.shape).sum(-1)
    np.testing.assert_allclose(distribution.entropy(), entropy, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(distribution.mode(), np.clip(MEAN, LOW, HIGH))
    np.testing.assert_array_equal(distribution.clip(action), np.clip(action, LOW, HIGH))
    assert distribution.bits == SIZE


def test_a_gaussian_without_bounds_clips_nothing():
    distribution = Gaussian(jnp.asarray(MEAN), jnp.asarray(SCALE))
    np.testing.assert_array_equal(distribution.mode(), MEAN)
    np.testing.assert_array_equal(distribution.clip(100 * MEAN), 100 * MEAN)
    assert categorical(jnp.zeros(2)).clip(7) == 7


@SCALES
def test_a_gaussian_s_gradients_are_distrax_s(scale):
    rlax()  # So that distrax's import leaves TensorFlow alone.
    import distrax

    action = jnp.asarray(MEAN[::-1])

    def gradients(of):
        def loss(mean, scale):
            distribution = of(mean, scale)
            return jnp.sum(distribution.log_prob(action)) + 0.1 * jnp.sum(distribution.entropy())

        return jax.grad(loss, (0, 1))(jnp.asarray(MEAN), jnp.asarray(scale))

    peer = gradients(
        lambda mean, scale: distrax.Independent(distrax.Normal(mean, jnp.broadcast_to(scale, mean.shape)), 1)
    )
    for ours, theirs in zip(gradients(Gaussian), peer, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-5)


def test_a_gaussian_s_samples_are_normal_and_independent_by_dimension():
    distribution = Gaussian(jnp.asarray(MEAN[0]), jnp.asarray(SCALE[0]), LOW, HIGH)
    drawn = np.asarray(jax.vmap(distribution.sample)(BITS))
    for index in range(SIZE):
        assert stats.kstest(drawn[:, index], "norm", (MEAN[0, index], SCALE[0, index])).pvalue > 1e-3
    assert np.abs(np.corrcoef(drawn.T) - np.eye(SIZE)).max() < 4 / np.sqrt(SAMPLES)


def test_a_gaussian_s_sample_comes_with_its_log_density():
    distribution = Gaussian(jnp.asarray(MEAN), jnp.asarray(SCALE[0]))
    action, log_prob = distribution.sample_with_log_prob(BITS[:BATCH])
    np.testing.assert_array_equal(action, distribution.sample(BITS[:BATCH]))
    np.testing.assert_allclose(log_prob, distribution.log_prob(action), rtol=1e-5, atol=1e-5)


def test_autoregressive_noise_is_standard_normal_and_correlated():
    correlation, steps, chains = 0.8, 60, 4_000
    mean, scale = jnp.float32([0.3, -2.0]), jnp.float32([0.5, 3.0])
    bits = random_bits.bits(jax.random.key(1), (steps, chains, 2))

    def step(noise, inputs):
        bits, first = inputs
        distribution = autoregressive(
            jnp.broadcast_to(mean, (chains, 2)), scale, noise, jnp.where(first, 0.0, correlation)
        )
        action = distribution.sample(bits)
        following = autoregressive_noise(action, mean, scale)
        return following, (following, action, distribution.log_prob(action))

    inputs = (bits, jnp.arange(steps) == 0)
    _, (noise, action, log_prob) = jax.lax.scan(step, jnp.zeros((chains, 2)), inputs)
    np.testing.assert_allclose(action, mean + scale * noise, rtol=1e-4, atol=1e-5)
    for time in (0, 1, steps - 1):
        assert stats.kstest(np.asarray(noise[time, :, 0]), "norm").pvalue > 1e-3
        assert stats.kstest(np.asarray(noise[time, :, 1]), "norm").pvalue > 1e-3
    for lag in (1, 2, 5):
        result = np.corrcoef(noise[10, :, 0], noise[10 + lag, :, 0])[0, 1]
        assert result == pytest.approx(correlation**lag, abs=4 / np.sqrt(chains))
    # The density given the noise before is that of the innovation.
    innovation = wide(noise)[1:] - correlation * wide(noise)[:-1]
    width = np.sqrt(1 - correlation**2)
    expected = (stats.norm.logpdf(innovation, 0, width) - np.log(wide(scale))).sum(-1)
    np.testing.assert_allclose(log_prob[1:], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        log_prob[0], (stats.norm.logpdf(wide(noise)[0]) - np.log(wide(scale))).sum(-1), atol=1e-4
    )


@SCALES
def test_a_squashed_gaussian_s_density_is_the_change_of_variables(scale):
    unsquashed = np.clip(MEAN + scale * RNG.normal(size=MEAN.shape), -3, 3)
    action = (wide(LOW) + wide(HIGH - LOW) * (1 + np.tanh(unsquashed)) / 2).astype(np.float32)
    result = SquashedGaussian(jnp.asarray(MEAN), jnp.asarray(scale), LOW, HIGH).log_prob(action)
    # At 3, 1 - tanh^2 is 0.01: the action's rounding, 1e-7, becomes 1e-5 in the number before squashing, over the
    # scale, times how many scales that is off the mean.
    off = (np.abs(unsquashed - MEAN) / np.minimum(scale, 1) ** 2).max()
    np.testing.assert_allclose(
        result, squashed_log_density(unsquashed, wide(MEAN), wide(scale)), atol=4e-5 * max(off, 1)
    )


@pytest.mark.parametrize("mean", [0.0, 5.0, -20.0, 300.0])
def test_a_squashed_sample_s_density_is_exact_however_close_to_the_bound(mean):
    means = jnp.full((BATCH, SIZE), mean)
    bits = BITS[:BATCH]
    action, log_prob = SquashedGaussian(means, jnp.asarray(SCALE), LOW, HIGH).sample_with_log_prob(bits)
    unsquashed = wide(Gaussian(means, jnp.asarray(SCALE)).sample(bits))
    noise = wide(random_bits.normal(bits))
    slope = 2 * (np.log(2) - unsquashed - np.logaddexp(0, -2 * unsquashed))
    expected = (stats.norm.logpdf(noise) - np.log(wide(SCALE)) - slope - np.log(wide(HIGH - LOW) / 2)).sum(-1)
    np.testing.assert_allclose(log_prob, expected, rtol=2e-6, atol=1e-5)
    assert (np.asarray(action) >= LOW).all()
    assert (np.asarray(action) <= HIGH).all()


@pytest.mark.parametrize("name", ["sample", "log_prob", "sample_with_log_prob", "entropy", "mode"])
def test_a_squashed_gaussian_is_finite_with_its_gradients_at_the_bounds(name):
    actions = jnp.stack([LOW, HIGH, np.nextafter(LOW, HIGH), np.nextafter(HIGH, LOW), (LOW + HIGH) / 2])
    arguments = {"log_prob": (actions,), "sample": (BITS[:5],), "sample_with_log_prob": (BITS[:5],)}.get(name, ())

    def outputs(mean, scale):
        distribution = SquashedGaussian(mean, scale, LOW, HIGH)
        return sum(map(jnp.sum, jax.tree.leaves(getattr(distribution, name)(*arguments))))

    for mean in (0.0, 30.0, -1e4):
        for scale in (1e-3, 1.0, 50.0):
            at = (jnp.full((5, SIZE), mean), jnp.full((5, SIZE), scale))
            for value in jax.tree.leaves(jax.value_and_grad(outputs, (0, 1))(*at)):
                assert np.isfinite(value).all()
    by_action = jax.grad(lambda a: jnp.sum(SquashedGaussian(jnp.zeros(SIZE), jnp.ones(SIZE), LOW, HIGH).log_prob(a)))
    assert np.isfinite(by_action(actions)).all()


def test_a_squashed_gaussian_is_distrax_s_transformed():
    rlax()
    import distrax

    base = distrax.Normal(jnp.asarray(MEAN), jnp.asarray(SCALE))
    centre, half = (HIGH + LOW) / 2, (HIGH - LOW) / 2
    to_bounds = distrax.Chain([distrax.ScalarAffine(centre, half), distrax.Tanh()])
    peer = distrax.Independent(distrax.Transformed(base, to_bounds), 1)
    distribution = SquashedGaussian(jnp.asarray(MEAN), jnp.asarray(SCALE), LOW, HIGH)
    action = jnp.asarray(centre + half * np.tanh(np.clip(MEAN[::-1], -2, 2)))
    np.testing.assert_allclose(distribution.log_prob(action), peer.log_prob(action), rtol=1e-4, atol=1e-4)


def test_a_squashed_gaussian_s_samples_have_the_distribution_and_its_mass_is_one():
    mean, scale = np.float32([0.2, -1, 2]), np.float32([0.5, 1.0, 0.3])
    distribution = SquashedGaussian(jnp.asarray(mean), jnp.asarray(scale), LOW, HIGH)
    drawn = wide(jax.vmap(distribution.sample)(BITS))
    relative = np.clip((drawn - wide(LOW)) / wide(HIGH - LOW) * 2 - 1, -1 + 1e-12, 1 - 1e-12)
    for index in range(SIZE):
        assert stats.kstest(np.arctanh(relative[:, index]), "norm", (mean[index], scale[index])).pvalue > 1e-3
        one = SquashedGaussian(
            jnp.asarray(mean[index, None]), jnp.asarray(scale[index, None]), LOW[index, None], HIGH[index, None]
        )
        points = np.linspace(LOW[index], HIGH[index], 20_001)
        density = np.exp(wide(one.log_prob(jnp.asarray(points[:, None], jnp.float32))))
        assert integrate.trapezoid(density, points) == pytest.approx(1, abs=2e-3)
    expected = wide(LOW) + wide(HIGH - LOW) * (1 + np.tanh(wide(mean))) / 2
    np.testing.assert_allclose(distribution.mode(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("scale", "tolerance"), [(0.01, 5e-4), (0.5, 5e-4), (2.0, 5e-4), (3.0, 5e-3), (5.0, 5e-2)])
def test_a_squashed_gaussian_s_entropy_is_the_integral(scale, tolerance):
    for mean in (0.0, 0.7, -2.0, 5.0):
        noise = np.linspace(-9, 9, 20_001)
        unsquashed = mean + scale * noise
        slope = 2 * (np.log(2) - unsquashed - np.logaddexp(0, -2 * unsquashed))
        expected = stats.norm.entropy(mean, scale) + integrate.trapezoid(slope * stats.norm.pdf(noise), noise)
        result = SquashedGaussian(jnp.float32([mean] * SIZE), jnp.full(SIZE, scale), LOW, HIGH).entropy()
        np.testing.assert_allclose(result, SIZE * expected + np.log(wide(HIGH - LOW) / 2).sum(), atol=SIZE * tolerance)


def test_members_and_jit_boundaries_change_nothing():
    mean, scale = jnp.asarray(MEAN.reshape(4, 10, SIZE)), jnp.asarray(SCALE[:4])
    bits = BITS[:BATCH].reshape(4, 10, SIZE)
    made = jax.jit(jax.vmap(lambda m, s: SquashedGaussian(m, s, LOW, HIGH)))(mean, scale)
    action, log_prob = jax.jit(jax.vmap(lambda d, b: d.sample_with_log_prob(b)))(made, bits)
    entropy = jax.jit(jax.vmap(lambda d: d.entropy()))(made)
    for member in range(4):
        alone = SquashedGaussian(mean[member], scale[member], LOW, HIGH)
        expected = (*alone.sample_with_log_prob(bits[member]), alone.entropy())
        for a, b in zip(expected, (action[member], log_prob[member], entropy[member]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
