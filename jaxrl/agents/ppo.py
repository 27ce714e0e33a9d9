"""Proximal policy optimization.

Schulman et al., "Proximal policy optimization algorithms", 2017, with generalised advantages (Schulman et al., 2016)
and the details that Huang et al., "The 37 implementation details of proximal policy optimization", 2022, list.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxrl import schedules
from jaxrl._rlax import rlax
from jaxrl.agents.base import Clock
from jaxrl.agents.minibatches import Batch
from jaxrl.agents.on_policy import OnPolicy
from jaxrl.distributions import Distribution
from jaxrl.pytree import leaf, pytree, static


@pytree
class PPO(OnPolicy):
    """Proximal policy optimization: several epochs of minibatches from every rollout, near the policy that played."""

    clip: float = leaf(default=0.2, above=0)
    """How far the ratio of probabilities may move from 1 for an update to gain by it, at the start of the run."""
    clip_end_fraction: float = leaf(default=1.0, minimum=0)
    """Share of `clip` that is left at the end of the run."""
    value_clip: float | None = leaf(default=None, above=0)
    """How far values may move from those of the rollout for an update to gain by it; none: as far as they do."""
    target_kl: float | None = leaf(default=None, above=0)
    """Divergence from the policy that played, in nats, at which learning from a rollout stops; none: it does not."""
    normalize_advantages: bool = static(default=True, choices=(False, True))
    """Normalise the advantages of every minibatch to mean 0 and deviation 1."""
    epochs: int = static(default=8, minimum=1)
    """How often every rollout is learned from."""
    minibatches: int = static(default=4, minimum=1)
    """Updates of an epoch; they must divide the rollout."""
    memory: str = static(default="none", choices=("none", "gru", "lstm"))
    """Recurrent cell of the policy and the value."""
    memory_size: int = static(default=64, minimum=1)
    """Width of the recurrent cell."""

    metrics: ClassVar[tuple[str, ...]] = (*OnPolicy.metrics, "kl", "clip_fraction")

    def policy_loss(
        self, distribution: Distribution, batch: Batch, advantage: jax.Array, clock: Clock
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The clipped surrogate objective (Schulman et al., 2017, equation 7), negated."""
        log_ratio = distribution.log_prob(batch.action) - batch.log_prob
        ratio = jnp.exp(log_ratio)
        clip = self._clip(clock)
        loss = rlax().clipped_surrogate_pg_loss(ratio.reshape(-1), advantage.reshape(-1), clip)
        # An estimate without bias, and of less variance than the mean of -log_ratio (Schulman, 2020).
        kl = jnp.mean(ratio - 1 - log_ratio)
        return loss, {"kl": kl, "clip_fraction": jnp.mean((jnp.abs(ratio - 1) > clip).astype(jnp.float32))}

    def _clip(self, clock: Clock) -> jax.Array:
        return schedules.SHAPES[self.schedule](self.clip, self.clip * self.clip_end_fraction, clock.fraction)

    def value_errors(self, value: jax.Array, batch: Batch, clock: Clock) -> jax.Array:
        """Half the squared errors, or with `value_clip` the greater one of the value and the clipped value."""
        errors = super().value_errors(value, batch, clock)
        if self.value_clip is None:
            return errors
        near = batch.value + jnp.clip(value - batch.value, -self.value_clip, self.value_clip)
        return jnp.maximum(errors, optax.l2_loss(near, batch.target))

    def _stops(self, measured: dict[str, Any]) -> jax.Array | None:
        return None if self.target_kl is None else measured["kl"] > self.target_kl
