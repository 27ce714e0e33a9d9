"""Stochastic policies with soft values, of continuous and of discrete actions: what soft actor-critic learns with."""

import dataclasses
from typing import Any, Protocol

import haiku as hk
import jax
import jax.numpy as jnp

from jaxrl import losses, random_bits
from jaxrl.agents.off_policy_actor import ActionScale, Noise
from jaxrl.distributions import Categorical, SquashedGaussian, allowed_actions, categorical

LEAST_LOG_STD, GREATEST_LOG_STD = -10.0, 2.0
"""Where the logarithm of a Gaussian policy's deviations is clipped, before squashing."""


class SoftModel(Protocol):
    """A policy and critics; observations are as networks read them, masks bool[batch, n] or None."""

    actor: hk.Transformed
    critic: hk.Transformed

    @property
    def bits(self) -> int:
        """How many random numbers one action takes."""

    def init(self, key: jax.Array, obs: Any) -> tuple[Any, Any]:
        """Draws the parameters of the actor and of the critics, for an example of observations."""

    def value(self, actor: Any, critics: Any, obs: Any, mask: Any, bits: jax.Array, temperature: Any) -> jax.Array:
        """The soft value f32[batch]: what the critics' least value and the entropy are worth under the policy."""

    def action_values(self, critics: Any, obs: Any, action: jax.Array) -> jax.Array:
        """The critics' values f32[critics, batch] of actions `[batch, ...]`."""

    def actor_loss(
        self, actor: Any, critics: Any, obs: Any, mask: Any, bits: jax.Array, temperature: Any
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Less the mean soft value f32[], and the entropy f32[] in nats with what it may be at most on average."""

    def outputs(self, actor: Any, obs: Any) -> jax.Array:
        """What the deterministic action is read off: f32[batch, n]."""


@dataclasses.dataclass(frozen=True)
class GaussianModel:
    """A squashed Gaussian between the bounds of continuous actions (Haarnoja et al., 2018).

    Its density is that of the environment's own actions: the logarithm of the scale's slope is in it.
    """

    actor: hk.Transformed
    critic: hk.Transformed
    scale: ActionScale

    @property
    def bits(self) -> int:
        """One number a dimension."""
        return self.scale.dimensions

    def init(self, key: jax.Array, obs: Any) -> tuple[Any, Any]:
        """Draws parameters."""
        actor_key, critic_key = random_bits.split(key, 2)
        actions = jnp.zeros((1, self.bits), jnp.float32)
        return self.actor.init(actor_key, obs), self.critic.init(critic_key, obs, actions)

    def distribution(self, actor: Any, obs: Any) -> SquashedGaussian:
        """The policy for observations."""
        mean, log_std = self.actor.apply(actor, obs)
        std = jnp.exp(jnp.clip(log_std, LEAST_LOG_STD, GREATEST_LOG_STD))
        return SquashedGaussian(mean, std, *self.scale.bounds)

    def explored(self, actor: Any, obs: Any, noise: Noise) -> jax.Array:
        """Numbers f32[batch, d] of the actions that lie so many deviations off the mean before squashing."""
        policy = self.distribution(actor, obs)
        return self.scale.numbers(jnp.tanh(policy.mean + policy.scale * noise.value))

    def _sampled(
        self, actor: Any, critics: Any, obs: Any, bits: jax.Array, temperature: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Estimates by one sample each: the soft values f32[batch], and the log-densities f32[batch]."""
        action, log_prob = self.distribution(actor, obs).sample_with_log_prob(bits.reshape(-1, self.bits))
        values = self.action_values(critics, obs, action)
        return jnp.min(values, axis=0) - temperature * log_prob, log_prob

    def value(self, actor: Any, critics: Any, obs: Any, mask: Any, bits: jax.Array, temperature: Any) -> jax.Array:
        """Estimated by a sample."""
        return self._sampled(actor, critics, obs, bits, temperature)[0]

    def action_values(self, critics: Any, obs: Any, action: jax.Array) -> jax.Array:
        """The values of the environment's actions."""
        return self.critic.apply(critics, obs, self.scale.flat(action))

    def actor_loss(
        self, actor: Any, critics: Any, obs: Any, mask: Any, bits: jax.Array, temperature: Any
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Its gradient goes through the sample (reparameterisation)."""
        values, log_prob = self._sampled(actor, critics, obs, bits, temperature)
        return -jnp.mean(values), (-jnp.mean(log_prob), jnp.sum(jnp.log(2 * self.scale.half)))

    def outputs(self, actor: Any, obs: Any) -> jax.Array:
        """The squashed mean."""
        return self.distribution(actor, obs).mode()


@dataclasses.dataclass(frozen=True)
class CategoricalModel:
    """Probabilities of discrete actions, over which all expectations are exact (Christodoulou, 2019)."""

    actor: hk.Transformed
    critic: hk.Transformed
    bits: int = 0

    def init(self, key: jax.Array, obs: Any) -> tuple[Any, Any]:
        """Draws parameters."""
        actor_key, critic_key = random_bits.split(key, 2)
        return self.actor.init(actor_key, obs), self.critic.init(critic_key, obs)

    def distribution(self, actor: Any, obs: Any, mask: Any) -> Categorical:
        """The policy for observations, over the actions that are allowed."""
        return categorical(self.outputs(actor, obs), mask)

    def _exact(self, actor: Any, critics: Any, obs: Any, mask: Any, temperature: Any) -> tuple[jax.Array, jax.Array]:
        """The soft values f32[batch] and the entropies f32[batch]."""
        policy = self.distribution(actor, obs, mask)
        values = jnp.min(self.critic.apply(critics, obs)[0], axis=0)
        entropy = policy.entropy()
        return jnp.sum(jnp.exp(policy.log_probabilities) * values, axis=-1) + temperature * entropy, entropy

    def value(self, actor: Any, critics: Any, obs: Any, mask: Any, bits: jax.Array, temperature: Any) -> jax.Array:
        """Exact."""
        return self._exact(actor, critics, obs, mask, temperature)[0]

    def action_values(self, critics: Any, obs: Any, action: jax.Array) -> jax.Array:
        """The values of the actions i32[batch]."""
        return jax.vmap(losses.taken, in_axes=(0, None))(self.critic.apply(critics, obs)[0], action)

    def actor_loss(
        self, actor: Any, critics: Any, obs: Any, mask: Any, bits: jax.Array, temperature: Any
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Its gradient is exact."""
        values, entropy = self._exact(actor, critics, obs, mask, temperature)
        count = jnp.float32(self.outputs(actor, obs).shape[-1])
        if mask is not None:
            count = jnp.sum(allowed_actions(mask), axis=-1, dtype=jnp.float32)
        return -jnp.mean(values), (jnp.mean(entropy), jnp.mean(jnp.log(count)))

    def outputs(self, actor: Any, obs: Any) -> jax.Array:
        """The logits."""
        return self.actor.apply(actor, obs)[0]
