"""Returns and advantages: by hand, from their definition in NumPy, and against rlax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import returns
from jaxrl._rlax import rlax

RNG = np.random.default_rng(0)
TIME, ENVS = 20, 6
REWARD, VALUE, RESET_VALUE = RNG.normal(size=(3, TIME, ENVS)).astype(np.float32)
ENDS = RNG.random((2, TIME, ENVS)) < 0.15
ENDS[:, -1] = [[True, False, False, True, False, False], [False, True, False, True, False, False]]
TERMINATED, TRUNCATED = ENDS
NEXT_VALUE = np.where(ENDS.any(0), RNG.normal(size=(TIME, ENVS)), np.concatenate([VALUE[1:], RESET_VALUE[:1]]))
NEXT_VALUE = NEXT_VALUE.astype(np.float32)
ROLLOUT = (REWARD, NEXT_VALUE, TERMINATED, TRUNCATED)


def n_step_return(time, env, n, discount):
    """r + ... + discount^(k-1) r + discount^k v of up to n steps, from the definition in float64."""
    total, weight = 0.0, 1.0
    for row in range(time, min(time + n, TIME)):
        total += weight * np.float64(REWARD[row, env])
        weight *= discount
        if TERMINATED[row, env]:
            return total
        if TRUNCATED[row, env]:
            break
    return total + weight * np.float64(NEXT_VALUE[row, env])


def lambda_return(time, env, discount, lambda_):
    """(1 - lambda) * sum of lambda^(n-1) G(n), all that is left going to the last of them."""
    ends = np.flatnonzero((TERMINATED | TRUNCATED)[time:, env])
    longest = ends[0] + 1 if len(ends) else TIME - time
    parts = [n_step_return(time, env, n, discount) for n in range(1, longest + 1)]
    weights = [(1 - lambda_) * lambda_ ** (n - 1) for n in range(1, longest)] + [lambda_ ** (longest - 1)]
    return np.dot(weights, parts)


def column(*numbers, dtype=np.float32):
    return jnp.asarray(numbers, dtype)[:, None]


def flags(*rows, time=4):
    return jnp.isin(jnp.arange(time), jnp.asarray(rows, jnp.int32))[:, None]


HAND = {
    # Discount and lambda are 1/2; rewards 1, 2, 4, 8; successors' values 16, 32, 64, 128 (true ones).
    # From the back: 8 + 64 = 72; 4 + (64 + 72) / 4 = 38; 2 + (32 + 38) / 4 = 19.5; 1 + (16 + 19.5) / 4 = 9.875.
    "no end": ([], [], [9.875, 19.5, 38.0, 72.0]),
    # 2 alone at row 1; row 0: 1 + (16 + 2) / 4.
    "terminated in the middle": ([1], [], [5.5, 2.0, 38.0, 72.0]),
    # 2 + 32 / 2 at row 1; row 0: 1 + (16 + 18) / 4.
    "truncated in the middle": ([], [1], [9.5, 18.0, 38.0, 72.0]),
    "both in the middle": ([1], [1], [5.5, 2.0, 38.0, 72.0]),
    # 8 alone in the last row; 4 + (64 + 8) / 4; 2 + (32 + 22) / 4; 1 + (16 + 15.5) / 4.
    "terminated at the end": ([3], [], [8.875, 15.5, 22.0, 8.0]),
    # The last row bootstraps from its true successor in any case.
    "truncated at the end": ([], [3], [9.875, 19.5, 38.0, 72.0]),
    "truncated in every row": ([], [0, 1, 2, 3], [9.0, 18.0, 36.0, 72.0]),
}


@pytest.mark.parametrize("case", HAND)
def test_lambda_returns_by_hand(case):
    terminated, truncated, expected = HAND[case]
    reward, next_value = column(1, 2, 4, 8), column(16, 32, 64, 128)
    result = returns.lambda_returns(
        reward, next_value, flags(*terminated), flags(*truncated), discount=0.5, lambda_=0.5
    )
    np.testing.assert_array_equal(result, column(*expected))
    value = column(3, 5, 7, 9)
    result = returns.generalised_advantages(
        reward, value, next_value, flags(*terminated), flags(*truncated), discount=0.5, lambda_=0.5
    )
    np.testing.assert_array_equal(result, column(*expected) - value)


@pytest.mark.parametrize(
    ("terminated", "truncated", "expected"),
    [
        # Two rewards and a quarter of the second successor's value; one and a half of its value in the last row.
        ([], [], [1 + 1 + 8, 2 + 2 + 16, 4 + 4 + 32, 8 + 64]),
        ([1], [], [1 + 1, 2, 4 + 4 + 32, 8 + 64]),
        ([], [1], [1 + 1 + 8, 2 + 16, 4 + 4 + 32, 8 + 64]),
        ([3], [0], [1 + 8, 2 + 2 + 16, 4 + 4, 8]),
    ],
)
def test_two_step_returns_by_hand(terminated, truncated, expected):
    result = returns.n_step_returns(
        column(1, 2, 4, 8), column(16, 32, 64, 128), flags(*terminated), flags(*truncated), discount=0.5, n=2
    )
    np.testing.assert_array_equal(result, column(*expected))


@pytest.mark.parametrize("lambda_", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("discount", [0.0, 0.97, 1.0])
def test_lambda_returns_are_the_definition(discount, lambda_):
    result = returns.lambda_returns(*ROLLOUT, discount=discount, lambda_=lambda_)
    expected = [[lambda_return(time, env, discount, lambda_) for env in range(ENVS)] for time in range(TIME)]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5, TIME, TIME + 7])
def test_n_step_returns_are_the_definition(n):
    result = returns.n_step_returns(*ROLLOUT, discount=0.9, n=n)
    expected = [[n_step_return(time, env, n, 0.9) for env in range(ENVS)] for time in range(TIME)]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_advantages_are_rlax_s_where_nothing_is_truncated():
    never = np.zeros_like(TRUNCATED)
    values = np.concatenate([VALUE, RESET_VALUE[:1]])
    result = returns.generalised_advantages(REWARD, VALUE, values[1:], TERMINATED, never, discount=0.97, lambda_=0.9)
    discounts = jnp.where(TERMINATED, 0, jnp.float32(0.97))
    estimate = jax.vmap(rlax().truncated_generalized_advantage_estimation, (1, 1, None, 1), 1)
    np.testing.assert_allclose(result, estimate(REWARD, discounts, 0.9, values), rtol=1e-5, atol=1e-6)


def test_the_usual_bugs_give_other_numbers():
    """Each changes returns before a truncation, and only there."""
    right = np.asarray(returns.lambda_returns(*ROLLOUT, discount=0.97, lambda_=0.9))
    only_truncated = TRUNCATED & ~TERMINATED
    bugs = {
        "bootstraps from after the reset": (REWARD, np.where(only_truncated, RESET_VALUE, NEXT_VALUE), *ENDS),
        "does not cut": (REWARD, NEXT_VALUE, TERMINATED, np.zeros_like(TRUNCATED)),
        "takes a truncation for a termination": (REWARD, NEXT_VALUE, TERMINATED | TRUNCATED, TRUNCATED),
    }
    for name, rollout in bugs.items():
        wrong = np.asarray(returns.lambda_returns(*rollout, discount=0.97, lambda_=0.9))
        at_ends = only_truncated.copy()
        at_ends[-1] &= name != "does not cut"  # Nothing follows the last row.
        assert (np.abs(wrong - right)[at_ends] > 1e-3).all(), name
        np.testing.assert_array_equal(wrong[TERMINATED], right[TERMINATED])


def test_episode_returns_are_lambda_returns_of_the_rows_played():
    time = 13
    bootstrap = np.where(TRUNCATED & ~TERMINATED, NEXT_VALUE, 0)
    result = jax.jit(returns.episode_returns)(REWARD, TERMINATED | TRUNCATED, bootstrap, time, discount=0.97)
    played = [x[:time] for x in (REWARD, np.where(TRUNCATED, NEXT_VALUE, 0).astype(np.float32), *ENDS)]
    np.testing.assert_allclose(result[:time], returns.lambda_returns(*played, discount=0.97, lambda_=1.0), rtol=1e-5)
    np.testing.assert_array_equal(result[time:], 0)
    by_hand = returns.episode_returns(
        column(1, 2, 4, 8), flags(1, 2), column(0, 64, 0, 0), 4, discount=jnp.float32(0.5)
    )
    np.testing.assert_array_equal(by_hand, column(1 + 17, 2 + 32, 4, 8))


def test_no_gradient_flows_into_targets():
    def total(reward, value, next_value):
        arguments = (reward, value, next_value, TERMINATED, TRUNCATED)
        targets = returns.generalised_advantages(*arguments, discount=0.9, lambda_=0.9)
        targets += returns.n_step_returns(reward, *arguments[2:], discount=0.9, n=3)
        return jnp.sum(targets + returns.episode_returns(reward, jnp.asarray(TERMINATED), next_value, 5, discount=0.9))

    for gradient in jax.grad(total, (0, 1, 2))(*map(jnp.asarray, (REWARD, VALUE, NEXT_VALUE))):
        assert not gradient.any()


def test_members_have_discounts_of_their_own():
    discount, lambda_ = jnp.float32([0.9, 0.99, 1.0]), jnp.float32([0.5, 0.95, 1.0])
    members = [jnp.stack([jnp.roll(x, k, axis=1) for k in range(3)]) for x in ROLLOUT]
    result = jax.jit(jax.vmap(lambda d, trace, *x: returns.lambda_returns(*x, discount=d, lambda_=trace)))(
        discount, lambda_, *members
    )
    for member in range(3):
        rollout = [x[member] for x in members]
        alone = returns.lambda_returns(*rollout, discount=float(discount[member]), lambda_=float(lambda_[member]))
        np.testing.assert_allclose(result[member], alone, rtol=1e-5, atol=1e-6)


def test_wrong_shapes_dtypes_and_lengths_are_refused():
    with pytest.raises(AssertionError, match="shape"):
        returns.lambda_returns(REWARD, NEXT_VALUE[:-1], *ENDS, discount=0.9, lambda_=0.9)
    with pytest.raises(AssertionError, match="type"):
        returns.lambda_returns(REWARD, NEXT_VALUE, TERMINATED.astype(np.float32), TRUNCATED, discount=0.9, lambda_=0.9)
    with pytest.raises(ValueError, match="n = 0 must be at least 1"):
        returns.n_step_returns(*ROLLOUT, discount=0.9, n=0)
