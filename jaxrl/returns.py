"""Returns and advantages over a rollout, on rlax, with both kinds of end right.

Rows follow in time, columns are environments. A termination stops bootstrapping, a truncation never does: it bootstraps
from the value of its *true* successor, not of the observation after the reset. Either cuts the trace: nothing that
happens in the next episode counts. The last row bootstraps from its own successor, whether or not it ends an episode.

No gradient flows into any of these: they are targets.
"""

import chex
import jax
import jax.numpy as jnp

from jaxrl._rlax import rlax
from jaxrl.arguments import positive


def lambda_returns(
    reward: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    *,
    discount: jax.Array | float,
    lambda_: jax.Array | float,
) -> jax.Array:
    """The lambda-returns: G_t = r_t + discount * ((1 - lambda) * v(s_{t+1}) + lambda * G_{t+1}), f32[time, envs].

    Sutton and Barto, 2018, equation 12.18; by `rlax.lambda_returns`. One environment, whose second step was truncated
    before a state that is worth 8, and whose third terminated:

    >>> reward = jnp.ones((3, 1))
    >>> next_value = jnp.full((3, 1), 8.0)
    >>> truncated, terminated = jnp.array([[False], [True], [False]]), jnp.array([[False], [False], [True]])
    >>> lambda_returns(reward, next_value, terminated, truncated, discount=0.5, lambda_=1.0)[:, 0].tolist()
    [3.5, 5.0, 1.0]

    Args:
      reward: f32[time, envs].
      next_value: f32[time, envs], the learned value of the true successor, from before any reset.
      terminated: bool[time, envs]; the value of the successor is 0, whatever `next_value` is there.
      truncated: bool[time, envs].
      discount: f32[], per step.
      lambda_: f32[], from 0, one-step returns, to 1, the returns up to the end of the episode or of the rollout.
    """
    _check(reward, next_value, terminated, truncated)
    discounts, traces = _discounts_and_traces(terminated, truncated, discount, lambda_)
    returns = jax.vmap(rlax().lambda_returns, in_axes=1, out_axes=1)(reward, discounts, next_value, traces)
    return jax.lax.stop_gradient(returns)


def generalised_advantages(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    *,
    discount: jax.Array | float,
    lambda_: jax.Array | float,
) -> jax.Array:
    """Generalised advantage estimates: the lambda-returns less the values, f32[time, envs].

    Schulman et al., 2016. The value's targets are these plus `value`. `rlax.truncated_generalized_advantage_estimation`
    takes one value a step, so that it knows no true successor of a step that was truncated.

    Args:
      reward: f32[time, envs].
      value: f32[time, envs], the learned value of what the step was decided from.
      next_value: f32[time, envs], that of the true successor.
      terminated: bool[time, envs].
      truncated: bool[time, envs].
      discount: f32[], per step.
      lambda_: f32[], in [0, 1].
    """
    chex.assert_equal_shape([reward, value])
    returns = lambda_returns(reward, next_value, terminated, truncated, discount=discount, lambda_=lambda_)
    return returns - jax.lax.stop_gradient(value)


def n_step_returns(
    reward: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    *,
    discount: jax.Array | float,
    n: int,
) -> jax.Array:
    """The returns of n rewards and the value of the n-th successor: f32[time, envs].

    Fewer rewards where the episode or the rollout ends before. Sutton and Barto, 2018, equation 7.1; by
    `rlax.n_step_bootstrapped_returns`.

    Args:
      reward: f32[time, envs].
      next_value: f32[time, envs], the value of the true successor.
      terminated: bool[time, envs].
      truncated: bool[time, envs].
      discount: f32[], per step.
      n: of rewards.

    Raises:
      ValueError: n is less than 1.
      TypeError: n is no whole number.
    """
    n = positive("n", n)
    _check(reward, next_value, terminated, truncated)
    discounts, traces = _discounts_and_traces(terminated, truncated, discount, 1.0)
    # More than the rollout is long are as many as it is long.
    n = min(n, len(reward))

    def unbatched(rewards: jax.Array, discounts: jax.Array, values: jax.Array, traces: jax.Array) -> jax.Array:
        return rlax().n_step_bootstrapped_returns(rewards, discounts, values, n, traces)

    returns = jax.vmap(unbatched, in_axes=1, out_axes=1)(reward, discounts, next_value, traces)
    return jax.lax.stop_gradient(returns)


def episode_returns(
    reward: jax.Array, ended: jax.Array, bootstrap: jax.Array, time: jax.Array | int, *, discount: jax.Array | float
) -> jax.Array:
    """The discounted returns to the end of each episode, of the first rows alone: f32[time, envs], 0 beyond them.

    What remains of an episode that the rows don't finish counts as 0. As `lambda_returns` with a lambda of 1, but
    rows that were never played cost nothing: `rlax.discounted_returns` works through all of them.

    Args:
      reward: f32[time, envs].
      ended: bool[time, envs], terminated or truncated.
      bootstrap: f32[time, envs], the value of what follows a step that ended an episode; 0 at a termination.
      time: i32[], how many rows were played; not batched over members.
      discount: f32[], per step.
    """
    chex.assert_rank(reward, 2)
    chex.assert_equal_shape([reward, ended, bootstrap])
    chex.assert_type([reward, ended, bootstrap], [float, bool, float])

    def back(rows_done: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        returns, following = carry
        row = time - 1 - rows_done
        following = reward[row] + discount * jnp.where(ended[row], bootstrap[row], following)
        return returns.at[row].set(following), following

    start = (jnp.zeros_like(reward), jnp.zeros_like(reward[0]))
    return jax.lax.stop_gradient(jax.lax.fori_loop(0, time, back, start)[0])


def _check(reward: jax.Array, next_value: jax.Array, terminated: jax.Array, truncated: jax.Array) -> None:
    chex.assert_rank(reward, 2)
    chex.assert_equal_shape([reward, next_value, terminated, truncated])
    chex.assert_type([reward, next_value, terminated, truncated], [float, float, bool, bool])


def _discounts_and_traces(
    terminated: jax.Array, truncated: jax.Array, discount: jax.Array | float, lambda_: jax.Array | float
) -> tuple[jax.Array, jax.Array]:
    """Per step, f32[time, envs] each: the discount of what follows, and how much of it is the trace."""
    discounts = jnp.where(terminated, 0.0, jnp.asarray(discount, jnp.float32))
    return discounts, jnp.where(terminated | truncated, 0.0, jnp.asarray(lambda_, jnp.float32))
