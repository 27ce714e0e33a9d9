"""Discrete distributions against SciPy and NumPy in float64, and against distrax's gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jaxrl import random_bits
from jaxrl._rlax import rlax
from jaxrl.distributions import EpsilonGreedy, categorical, masked, persistent

pytestmark = pytest.mark.usefixtures("fast_compilation")
RNG = np.random.default_rng(0)
BATCH, ACTIONS, SAMPLES = 50, 6, 40_000
LOGITS = (3 * RNG.normal(size=(BATCH, ACTIONS))).astype(np.float32)
MASK = RNG.random((BATCH, ACTIONS)) < 0.6
MASK[0] = False
MASKS = pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
BITS = random_bits.bits(jax.random.key(0), (SAMPLES, 2))


def allowed(mask):
    """NumPy's own account of a mask that may allow nothing."""
    if mask is None:
        return np.ones((BATCH, ACTIONS), bool)
    return np.where(mask.any(-1, keepdims=True), mask, True)


def reference(mask):
    """Probabilities in float64."""
    return special.softmax(np.where(allowed(mask), LOGITS.astype(np.float64), -np.inf), axis=-1)


def samples(distribution):
    """SAMPLES actions of an unbatched distribution."""
    return np.asarray(jax.jit(jax.vmap(distribution.sample))(BITS[:, : distribution.bits]))


def drawn_like(actions, probabilities):
    """Whether actions may have been drawn by these probabilities, and never where those are 0."""
    counts = np.bincount(actions, minlength=len(probabilities))
    possible = probabilities > 1e-3
    assert counts[probabilities == 0].sum() == 0
    if possible.sum() == 1:
        return bool(counts[possible] > 0.99 * SAMPLES)
    scaled = probabilities[possible] / probabilities[possible].sum() * counts[possible].sum()
    return stats.chisquare(counts[possible], scaled).pvalue > 1e-3


@MASKS
def test_a_categorical_is_scipy_s(mask):
    distribution, expected = categorical(LOGITS, mask), reference(mask)
    np.testing.assert_allclose(np.exp(distribution.log_probabilities), expected, rtol=3e-6)
    np.testing.assert_allclose(distribution.entropy(), stats.entropy(expected, axis=-1), rtol=2e-6, atol=1e-7)
    np.testing.assert_array_equal(distribution.mode(), expected.argmax(-1))
    for action in range(ACTIONS):
        result = np.asarray(distribution.log_prob(jnp.full(BATCH, action)))
        possible = expected[:, action] > 0
        np.testing.assert_allclose(result[possible], np.log(expected[possible, action]), rtol=1e-6, atol=1e-6)
        assert (result[~possible] < -1e38).all()
        assert np.isfinite(result).all()


@MASKS
def test_a_categorical_s_gradients_are_distrax_s(mask):
    rlax()  # So that distrax's import leaves TensorFlow alone.
    import distrax

    action = jnp.asarray(reference(mask).argmax(-1))
    weights = jnp.asarray(RNG.normal(size=BATCH), jnp.float32)

    def loss(of):
        def total(logits):
            distribution = of(logits)
            return jnp.sum(weights * (distribution.log_prob(action) + 0.1 * distribution.entropy()))

        return jax.grad(total)

    ours = loss(lambda logits: categorical(logits, mask))(LOGITS)
    theirs = loss(lambda logits: distrax.Categorical(jnp.where(allowed(mask), logits, -jnp.inf)))(LOGITS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert (np.asarray(ours)[~allowed(mask)] == 0).all()


def test_extreme_logits_have_finite_gradients():
    logits = jnp.asarray([[500.0, -500.0, 0.0], [-jnp.inf, 1.0, 0.0], [1e30, 0.0, -1e30]])

    def log_prob_and_entropy(logits, action):
        distribution = categorical(logits, jnp.asarray([True, True, False]))
        return jnp.stack([distribution.log_prob(action), distribution.entropy()])

    for function in (log_prob_and_entropy, jax.jacobian(log_prob_and_entropy)):
        batched = jax.vmap(jax.vmap(function, (None, 0)), (0, None))
        assert np.isfinite(batched(logits, jnp.arange(3))).all()


@MASKS
def test_a_categorical_s_samples_are_drawn_by_its_probabilities(mask):
    expected = reference(mask)
    for row in range(4):
        distribution = categorical(LOGITS[row], None if mask is None else mask[row])
        assert drawn_like(samples(distribution), expected[row])


def test_a_sample_is_where_the_cumulated_probabilities_pass_the_number():
    expected = reference(None)
    bits = BITS[:BATCH, :1]
    level = (np.asarray(bits) >> 8) / 2**24
    cumulated = np.cumsum(expected, axis=-1)
    clear = np.abs(cumulated - level).min(-1) > 1e-6
    assert clear.sum() > BATCH - 3
    drawn = np.asarray(categorical(LOGITS).sample(bits))
    np.testing.assert_array_equal(drawn[clear], (cumulated > level).argmax(-1)[clear])


@pytest.mark.parametrize("count", [1, 2, 3, 8, 120])
def test_forbidden_actions_are_never_drawn_at_the_ends(count):
    ends = jnp.uint32([[0], [255], [2**32 - 256], [2**32 - 1]])
    for number in range(50):
        mask = np.random.default_rng(number).random(count) < 0.3
        mask[number % count] = True
        logits = jnp.asarray(np.random.default_rng(number).normal(size=count), jnp.float32)
        drawn = jax.vmap(categorical(logits, mask).sample)(ends)
        assert mask[np.asarray(drawn)].all()


def test_forbidden_actions_are_never_drawn_where_sums_are_rounded_up():
    """XLA sums many numbers in parts: the sum up to a forbidden action may exceed the one up to the action before."""
    mask = np.arange(500) % 4 != 0
    distribution = categorical(jax.random.normal(jax.random.key(0), (300, 500)), mask)
    cumulated = np.asarray(jax.jit(lambda x: jnp.cumsum(jnp.exp(x), axis=-1))(distribution.log_probabilities))
    row, action = np.nonzero((np.diff(cumulated, prepend=np.float32(0)) > 0) & ~mask)
    below, above, total = cumulated[row, action - 1], cumulated[row, action], cumulated[row, -1]
    # Random numbers whose level lies there: a little below the share of the sum, as the level is of the total.
    numbers = np.ceil(below.astype(np.float64) / total * 2**24)[:, None] + np.arange(6)
    numbers = np.minimum(numbers, 2**24 - 1).astype(np.uint32)
    level = np.float32(numbers) * np.float32(2**-24) * total[:, None] * np.float32(1 - 2e-7)
    hit = (below[:, None] <= level) & (level < above[:, None])
    assert hit.sum() > 10, "no number fell between two such sums"
    which, _ = np.nonzero(hit)
    drawn = jax.jit(lambda d, bits: d.sample(bits))(
        jax.tree.map(lambda x: x[row[which]], distribution), jnp.asarray(numbers[hit] << 8)[:, None]
    )
    assert mask[np.asarray(drawn)].all()


def test_a_mask_leaves_minus_infinity_above_what_it_forbids():
    values = jnp.asarray([-jnp.inf, 2.0, -jnp.inf])
    assert jnp.argmax(masked(values, jnp.asarray([False, False, True]))) == 2
    np.testing.assert_array_equal(masked(values, jnp.zeros(3, bool)), masked(values, jnp.ones(3, bool)))


@MASKS
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9])
def test_a_persistent_distribution_is_the_mixture(mask, probability):
    previous = RNG.integers(-1, ACTIONS, BATCH)
    repeats = np.arange(ACTIONS) == previous[:, None]
    repeats &= allowed(mask)
    share = probability * repeats.any(-1, keepdims=True)
    expected = (1 - share) * reference(mask) + share * repeats
    assert 0 < repeats.any(-1).sum() < BATCH
    distribution = persistent(LOGITS, mask, jnp.asarray(previous), probability)
    np.testing.assert_allclose(np.exp(distribution.log_probabilities), expected, rtol=3e-6)
    np.testing.assert_allclose(distribution.entropy(), stats.entropy(expected, axis=-1), rtol=3e-6, atol=3e-7)
    assert drawn_like(samples(jax.tree.map(lambda x: x[1], distribution)), expected[1])

    def in_float64(logits, action):
        """The sum of log-probabilities and entropies, for a difference quotient."""
        fresh = special.softmax(np.where(allowed(mask), logits, -np.inf), axis=-1)
        mixed = (1 - share) * fresh + share * repeats
        return np.log(mixed[np.arange(BATCH), action]).sum() + stats.entropy(mixed, axis=-1).sum()

    action = expected.argmax(-1)

    def ours(logits):
        distribution = persistent(logits, mask, jnp.asarray(previous), probability)
        return jnp.sum(distribution.log_prob(jnp.asarray(action)) + distribution.entropy())

    gradient = np.asarray(jax.grad(ours)(jnp.asarray(LOGITS)))
    for index in [(row, column) for row in range(1, 8) for column in range(ACTIONS)]:
        step = np.zeros(LOGITS.shape)
        step[index] = 1e-5
        quotient = (in_float64(LOGITS + step, action) - in_float64(LOGITS - step, action)) / 2e-5
        np.testing.assert_allclose(gradient[index], quotient, rtol=1e-4, atol=2e-6)


def test_a_repetition_survives_a_probability_that_underflows():
    logits = jnp.asarray([0.0, -500.0])
    distribution = persistent(logits, None, jnp.int32(1), 0.25)
    np.testing.assert_allclose(distribution.log_probabilities, np.log([0.75, 0.25]), rtol=1e-6)
    unlikely = persistent(logits, None, jnp.int32(0), 0.25).log_probabilities
    np.testing.assert_allclose(unlikely, [0, np.log(0.75) - 500], rtol=1e-6)
    never = jax.jacobian(lambda x: persistent(x, None, jnp.int32(1), 0.0).log_probabilities)(logits)
    assert np.isfinite(never).all()


@MASKS
@pytest.mark.parametrize("epsilon", [0.0, 0.2, 1.0])
def test_epsilon_greedy_is_numpy_s(mask, epsilon):
    uniform = allowed(mask) / allowed(mask).sum(-1, keepdims=True)
    greedy = np.where(allowed(mask), LOGITS, -np.inf).argmax(-1)
    expected = epsilon * uniform + (1 - epsilon) * np.eye(ACTIONS)[greedy]
    distribution = EpsilonGreedy(jnp.asarray(LOGITS), epsilon, mask)
    np.testing.assert_array_equal(distribution.mode(), greedy)
    np.testing.assert_allclose(distribution.entropy(), stats.entropy(expected, axis=-1), rtol=2e-6, atol=1e-6)
    for action in range(ACTIONS):
        result = np.asarray(distribution.log_prob(jnp.full(BATCH, action)))
        possible = expected[:, action] > 0
        np.testing.assert_allclose(result[possible], np.log(expected[possible, action]), rtol=1e-6, atol=1e-6)
        assert (result[~possible] == np.finfo(np.float32).min).all()
    for row in range(3):
        one = EpsilonGreedy(LOGITS[row], epsilon, None if mask is None else mask[row])
        assert drawn_like(samples(one), expected[row])
    gradient = jax.grad(lambda e: jnp.sum(EpsilonGreedy(jnp.asarray(LOGITS), e, mask).entropy()))(epsilon)
    assert np.isfinite(gradient)


def test_members_and_jit_boundaries_change_nothing():
    logits = jnp.asarray(LOGITS.reshape(5, 10, ACTIONS))
    mask = jnp.asarray(MASK.reshape(5, 10, ACTIONS))
    bits = BITS[:BATCH, :1].reshape(5, 10, 1)
    previous = jnp.asarray(RNG.integers(-1, ACTIONS, (5, 10)))
    probability = jnp.linspace(0, 0.8, 5)
    made = jax.jit(jax.vmap(persistent))(logits, mask, previous, probability)
    actions = jax.jit(jax.vmap(lambda d, b: d.sample(b)))(made, bits)
    for member in range(5):
        alone = persistent(logits[member], mask[member], previous[member], probability[member])
        np.testing.assert_array_equal(alone.sample(bits[member]), actions[member])
        np.testing.assert_allclose(
            alone.log_prob(actions[member]), made.log_prob(actions)[member], rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("mask", [None, [True, False, True, True]])
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_one_number_explores_as_often_as_two_and_as_evenly(epsilon, mask):
    mask = None if mask is None else jnp.asarray(mask)
    choice = EpsilonGreedy(jnp.asarray([1.0, 9.0, 2.0, 1.0]), jnp.float32(epsilon), mask)
    count = 20_000
    drawn = jax.vmap(choice.sample_by_one)(random_bits.bits(jax.random.key(0), (count,)))
    shares = np.bincount(drawn, minlength=4) / count
    allowed = np.ones(4) if mask is None else np.asarray(mask, float)
    best = np.argmax(np.where(allowed, [1.0, 9.0, 2.0, 1.0], -1))
    expected = epsilon * allowed / allowed.sum() + (1 - epsilon) * (np.arange(4) == best)
    # Five standard deviations.
    np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / np.sqrt(count))
    assert np.all(shares[expected == 0] == 0)
