"""Twin delayed deep deterministic policy gradients, and what they grew from.

TD3: Fujimoto, van Hoof and Meger, "Addressing Function Approximation Error in Actor-Critic Methods", 2018. DDPG:
Lillicrap et al., "Continuous control with deep reinforcement learning", 2016: one critic, no smoothing, no delay.
All noise is in units of half the range of each dimension, and all actions stay inside the bounds, the targets' too.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import networks, optimizers, random_bits
from jaxrl.agents.base import Clock
from jaxrl.agents.collection import ActingParams
from jaxrl.agents.off_policy_actor import OffPolicyActor, critic_loss
from jaxrl.environment import Episode
from jaxrl.normalize import Moments
from jaxrl.pytree import leaf, pytree, static
from jaxrl.replay import Batch


@pytree
class Learner:
    """What learning changes.

    Attributes:
      actor, target_actor: parameters of the policy and of its target.
      critics, target_critics: parameters with a leading axis of critics.
      actor_opt, critic_opt: states of the optimizers.
      moments: of observations, or None.
    """

    actor: Any
    target_actor: Any
    critics: Any
    target_critics: Any
    actor_opt: Any
    critic_opt: Any
    moments: Moments | None


@pytree
class TD3(OffPolicyActor):
    """Deterministic policy gradients with the least of two critics, smoothed targets and a delayed policy."""

    exploration_noise: float = leaf(default=0.1, minimum=0)
    """Standard deviation of the noise that explores, in units of half the range."""
    target_noise: float | None = leaf(default=0.2, minimum=0)
    """Standard deviation of the noise in the targets' actions, in units of half the range; none: no smoothing."""
    target_noise_clip: float = leaf(default=0.5, minimum=0)
    """Greatest noise in the targets' actions."""
    policy_delay: int = static(default=2, minimum=1)
    """Updates of the critics for one of the policy and of the targets."""

    output_kinds = ()

    @property
    def learn_bits(self) -> int:  # type: ignore[override]
        """Those of the targets' noise."""
        return 0 if self.target_noise is None else self.batch_size * self.action_bits

    def init_learner(self, key: jax.Array) -> Learner:
        """Draws the parameters, and copies them for the targets."""
        actor_key, critic_key = random_bits.split(key, 2)
        obs = networks.example(self.env.observation_space)
        actor = self.actor_network(self.action_bits).init(actor_key, obs)
        critics = self.critic.init(critic_key, obs, jnp.zeros((1, self.action_bits), jnp.float32))
        targets = jax.tree.map(jnp.copy, (actor, critics))
        adam = self.optimizer(0.0)
        moments = self.empty_moments()
        return Learner(actor, targets[0], critics, targets[1], adam.init(actor), adam.init(critics), moments)

    def policy(self, actor: Any, obs: Any) -> jax.Array:
        """The flat action f32[batch, d], between -1 and 1, for observations as the network reads them."""
        return jnp.tanh(self.actor_network(self.action_bits).apply(actor, obs)[0])

    def explore(
        self, learner: Learner, carry: Any, episodes: Episode, bits: jax.Array, steps: jax.Array
    ) -> tuple[jax.Array, Any, Any]:
        """Uniform actions until learning starts, then those of the policy with noise."""
        noise = carry.following(bits, self.persistence)
        flat = self._noisy(self.acting_params(learner), episodes.obs, noise.value)
        numbers = jnp.where(steps < self.learning_starts, self.scale.uniform(noise.value), self.scale.numbers(flat))
        return self.scale.shaped(numbers), noise, ()

    def _noisy(self, params: ActingParams, obs: Any, noise: jax.Array) -> jax.Array:
        flat = self.policy(params.model, params.observe(obs)) + self.exploration_noise * noise
        return jnp.clip(flat, -1, 1)

    def learn(
        self, learner: Learner, batch: Batch, bits: jax.Array, clock: Clock
    ) -> tuple[Learner, dict[str, jax.Array], jax.Array]:
        """One step of Adam for the critics; when it is due, one for the policy, and soft updates of the targets."""
        moments, batch = self.observed(learner.moments, batch)
        target = self.targets(learner, batch, bits)

        def loss(critics: Any) -> tuple[jax.Array, jax.Array]:
            return critic_loss(
                self.critic.apply(critics, batch.obs, self.scale.flat(batch.action)), target, batch.weight
            )

        (value_loss, errors), gradients = jax.value_and_grad(loss, has_aux=True)(learner.critics)
        optimizer = self.optimizer(self.scheduled_rate(clock))
        critics, critic_opt = optimizers.apply(optimizer, gradients, learner.critic_opt, learner.critics)

        def update(rest: tuple[Any, ...]) -> tuple[Any, ...]:
            actor, actor_opt, target_actor, target_critics = rest
            gradients = jax.grad(self.actor_loss)(actor, critics, batch.obs)
            actor, actor_opt = optimizers.apply(optimizer, gradients, actor_opt, actor)
            return (
                actor,
                actor_opt,
                self.moved_target(target_actor, actor),
                self.moved_target(target_critics, critics),
            )

        rest = learner.actor, learner.actor_opt, learner.target_actor, learner.target_critics
        if self.policy_delay == 1:
            rest = update(rest)
        else:
            rest = jax.lax.cond(self.updates(clock) % self.policy_delay == 0, update, lambda rest: rest, rest)
        actor, actor_opt, target_actor, target_critics = rest
        following = Learner(actor, target_actor, critics, target_critics, actor_opt, critic_opt, moments)
        return following, {"loss": value_loss}, errors

    def targets(self, learner: Learner, batch: Batch, bits: jax.Array) -> jax.Array:
        """What the critics learn, f32[batch]: the reward and the least value of a target action with clipped noise.

        Args:
          learner: whose targets are used.
          batch: with observations as networks read them.
          bits: random bits u32[learn_bits].
        """
        flat = self.policy(learner.target_actor, batch.next_obs)
        if self.target_noise is not None:
            noise = self.target_noise * random_bits.normal(bits.reshape(flat.shape))
            flat = jnp.clip(flat + jnp.clip(noise, -self.target_noise_clip, self.target_noise_clip), -1, 1)
        values = self.critic.apply(learner.target_critics, batch.next_obs, flat)
        return batch.reward + batch.discount * jnp.min(values, axis=0)

    def actor_loss(self, actor: Any, critics: Any, obs: Any) -> jax.Array:
        """Less the mean value f32[] of the policy's actions by the first critic."""
        first = jax.tree.map(lambda x: x[:1], critics)
        return -jnp.mean(self.critic.apply(first, obs, self.policy(actor, obs)))

    def act(
        self, params: ActingParams, carry: Any, obs: Any, mask: Any = None, bits: Any = None
    ) -> tuple[Any, Any, Any]:
        """Actions `[batch, ...]` inside their bounds: with noise (that does not persist) where there are bits."""
        noise = jnp.float32(0) if bits is None else random_bits.normal(bits)
        return self.scale.shaped(self.scale.numbers(self._noisy(params, obs, noise))), carry, ()

    def outputs(self, params: ActingParams, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """The deterministic action, f32[batch, d]."""
        return self.scale.numbers(self.policy(params.model, params.observe(obs))), carry


@pytree
class DDPG(TD3):
    """Deterministic policy gradients: TD3 with one critic, without smoothing and delay."""

    critics: int = static(default=1, minimum=1)
    """Critics, of which the least value counts."""
    target_noise: float | None = leaf(default=None, minimum=0)
    """Standard deviation of the noise in the targets' actions, in units of half the range; none: no smoothing."""
    policy_delay: int = static(default=1, minimum=1)
    """Updates of the critics for one of the policy and of the targets."""
