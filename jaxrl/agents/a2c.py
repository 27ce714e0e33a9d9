"""Advantage actor-critic.

Mnih et al., "Asynchronous methods for deep reinforcement learning", 2016, synchronous: all environments of a member
are played for a few steps, and learned from once. With `gae_lambda` below 1, advantages are those of Schulman et
al., "High-dimensional continuous control using generalized advantage estimation", 2016; 1 gives n-step returns.
"""

import jax
import jax.numpy as jnp

from jaxrl.agents.base import Clock
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy import OnPolicy
from jaxrl.distributions import Distribution
from jaxrl.optimizers import OPTIMIZERS
from jaxrl.pytree import leaf, pytree, static


@pytree
class A2C(OnPolicy):
    """Advantage actor-critic: one update from every rollout."""

    learning_rate: float = leaf(default=2e-3, above=0)
    """The optimizer's step size at the start of the run."""
    gae_lambda: float = leaf(default=1.0, minimum=0, maximum=1)
    """Decay of the traces of generalised advantages; 1: n-step returns."""
    rollout_steps: int = static(default=8, minimum=1)
    """Steps of every environment between two updates."""
    optimizer: str = static(default="rmsprop", choices=tuple(OPTIMIZERS))
    """The optimizer."""

    def policy_loss(
        self, distribution: Distribution, batch: Batch, advantage: jax.Array, clock: Clock
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean of -log probability * advantage (Mnih et al., 2016, algorithm S3)."""
        return -jnp.mean(distribution.log_prob(batch.action) * jax.lax.stop_gradient(advantage)), {}
