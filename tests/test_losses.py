"""Losses and their gradients against rlax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import losses
from jaxrl._rlax import rlax
from jaxrl.distributions import categorical, masked

RNG = np.random.default_rng(0)
BATCH, ACTIONS = 20, 5
LOGITS = jnp.asarray(RNG.normal(size=(BATCH, ACTIONS)), jnp.float32)
MASK = jnp.asarray(RNG.random((BATCH, ACTIONS)) < 0.7).at[:, 2].set(True)
ACTION = jnp.asarray(RNG.integers(0, ACTIONS, BATCH), jnp.int32)
ADVANTAGE, WEIGHT, VALUE, REWARD = (jnp.asarray(RNG.normal(size=BATCH), jnp.float32) for _ in range(4))


def same(ours, theirs, *arguments):
    """Whether values and gradients with respect to all arguments agree."""
    everything = tuple(range(len(arguments)))
    mine, peer = (jax.value_and_grad(loss, everything)(*arguments) for loss in (ours, theirs))
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(peer), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_td_errors_are_rlax_s():
    same(
        lambda *a: jnp.sum(jnp.square(losses.td_errors(*a))),
        lambda *a: jnp.sum(jnp.square(jax.vmap(rlax().td_learning)(*a))),
        VALUE,
        REWARD,
        ADVANTAGE,
        WEIGHT,
    )


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_the_policy_gradient_is_rlax_s(mask):
    action = ACTION if mask is None else jnp.full(BATCH, 2)
    same(
        lambda x, a: -jnp.sum(categorical(x, mask).log_prob(action) * jax.lax.stop_gradient(a) * WEIGHT),
        lambda x, a: rlax().policy_gradient_loss(masked(x, mask), action, a, WEIGHT) * BATCH,
        LOGITS,
        ADVANTAGE,
    )


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_the_entropy_is_rlax_s(mask):
    same(
        lambda x: jnp.sum(categorical(x, mask).entropy() * WEIGHT),
        lambda x: -rlax().entropy_loss(masked(x, mask), WEIGHT) * BATCH,
        LOGITS,
    )


def test_taken_is_indexing():
    np.testing.assert_array_equal(losses.taken(LOGITS, ACTION), np.asarray(LOGITS)[np.arange(BATCH), ACTION])


@pytest.mark.parametrize("delta", [None, 0.7])
def test_quantile_regression_is_rlax_s(delta):
    quantiles = jnp.asarray(RNG.normal(size=(BATCH, 7)), jnp.float32)
    targets = jnp.asarray(RNG.normal(size=(BATCH, 5)), jnp.float32)
    levels = (jnp.arange(7) + 0.5) / 7

    def peer(quantiles, targets):
        targets = jax.lax.stop_gradient(targets)
        return jnp.sum(
            jax.vmap(lambda q, t: rlax().quantile_regression_loss(q, levels, t, delta or 0.0))(quantiles, targets)
        )

    same(lambda q, t: jnp.sum(losses.quantile_regression(q, t, delta)), peer, quantiles, targets)


def test_quantile_regression_finds_the_quantiles_of_its_targets():
    targets = np.sort(np.random.default_rng(1).exponential(size=1000)).astype(np.float32)
    quantiles = jnp.asarray([np.quantile(targets, level) for level in (0.125, 0.375, 0.625, 0.875)], jnp.float32)
    gradient = jax.grad(lambda q: jnp.sum(losses.quantile_regression(q[None], jnp.asarray(targets)[None])))(quantiles)
    np.testing.assert_allclose(gradient, 0, atol=2e-3)


def test_what_is_taken_keeps_the_axes_behind_the_actions():
    values = jnp.asarray(RNG.normal(size=(BATCH, ACTIONS, 3)), jnp.float32)
    np.testing.assert_array_equal(losses.taken(values, ACTION), np.asarray(values)[np.arange(BATCH), ACTION])
