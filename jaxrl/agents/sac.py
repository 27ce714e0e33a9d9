"""Soft actor-critic with a learned temperature.

Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", 2018; for discrete actions: Christodoulou, "Soft
Actor-Critic for Discrete Action Settings", 2019.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import networks, optimizers
from jaxrl.agents.base import EPISODE_METRICS, Clock, num_actions
from jaxrl.agents.collection import ActingParams
from jaxrl.agents.off_policy_actor import Noise, OffPolicyActor, critic_loss
from jaxrl.agents.soft import CategoricalModel, GaussianModel
from jaxrl.environment import Episode
from jaxrl.normalize import Moments
from jaxrl.pytree import leaf, pytree
from jaxrl.random_bits import masked_choice
from jaxrl.replay import Batch
from jaxrl.spaces import Box, Discrete


@pytree
class Learner:
    """What learning changes.

    Attributes:
      actor: parameters of the policy.
      critics, target_critics: parameters with a leading axis of critics.
      log_temperature: f32[].
      opt_states: of the actor, the critics and the temperature.
      moments: of observations, or None.
    """

    actor: Any
    critics: Any
    target_critics: Any
    log_temperature: jax.Array
    opt_states: tuple[Any, Any, Any]
    moments: Moments | None


@pytree
class SAC(OffPolicyActor):
    """Soft actor-critic: twin critics, and a policy that is paid for its entropy."""

    initial_temperature: float = leaf(default=1.0, above=0)
    """What a nat of entropy is worth at first, in units of reward."""
    target_entropy: float | None = leaf(default=None)
    """What the policy's entropy is led to by the temperature, in nats; none: `entropy_ratio` of that of uniform
    discrete actions; of continuous ones that of uniform actions between the bounds, less 1 + log 2 a dimension (which
    is -1 a dimension between -1 and 1)."""
    entropy_ratio: float = leaf(default=0.5, minimum=0, maximum=1)
    """Entropy that discrete actions are led to, as a share of that of uniform ones."""

    action_spaces = (Box, Discrete)
    metrics = (*EPISODE_METRICS, "loss", "entropy", "temperature")
    learn_metrics = ("loss", "entropy", "temperature")

    @property
    def discrete(self) -> bool:
        """Whether the actions are."""
        return isinstance(self.env.action_space, Discrete)

    @property
    def replays_mask(self) -> bool:  # type: ignore[override]
        """The policy is learned where discrete actions were chosen."""
        return self.discrete

    @property
    def output_kinds(self) -> tuple[str, ...]:  # type: ignore[override]
        """Probabilities and logits of discrete actions."""
        return ("probabilities", "logits") if self.discrete else ()

    @property
    def action_bits(self) -> int:  # type: ignore[override]
        """One random number an action, or one a dimension."""
        return 1 if self.discrete else self.scale.dimensions

    @property
    def learn_bits(self) -> int:  # type: ignore[override]
        """Those of the actions in the targets and of those that the policy is judged by."""
        return 2 * self.batch_size * self._model.bits

    @property
    def _model(self) -> GaussianModel | CategoricalModel:
        if not self.discrete:
            return GaussianModel(
                self.actor_network(self.scale.dimensions, self.scale.dimensions), self.critic, self.scale
            )
        actor = self.actor_network(num_actions(self))
        return CategoricalModel(actor, networks.ensemble(actor, self.critics))

    def init_learner(self, key: jax.Array) -> Learner:
        """Draws the parameters, and copies the critics' for their targets."""
        obs = networks.example(self.env.observation_space)
        actor, critics = self._model.init(key, obs)
        log_temperature = jnp.log(jnp.asarray(self.initial_temperature, jnp.float32))
        adam = self.optimizer(0.0)
        opt_states = adam.init(actor), adam.init(critics), adam.init(log_temperature)
        targets = jax.tree.map(jnp.copy, critics)
        return Learner(actor, critics, targets, log_temperature, opt_states, self.empty_moments())

    def explore(
        self, learner: Learner, carry: Any, episodes: Episode, bits: jax.Array, steps: jax.Array
    ) -> tuple[jax.Array, Any, Any]:
        """Uniform actions until learning starts, then samples of the policy."""
        params, model, early = self.acting_params(learner), self._model, steps < self.learning_starts
        obs = params.observe(episodes.obs)
        if isinstance(model, CategoricalModel):
            sampled = model.distribution(params.model, obs, episodes.mask).sample(bits)
            every = jnp.ones((len(sampled), num_actions(self)), bool)
            allowed = every if episodes.mask is None else episodes.mask
            return jnp.where(early, masked_choice(allowed, bits[:, 0]), sampled), carry, ()
        noise = carry.following(bits, self.persistence)
        numbers = jnp.where(early, self.scale.uniform(noise.value), model.explored(params.model, obs, noise))
        return self.scale.shaped(numbers), noise, ()

    def exploration_carry(self, batch: int) -> Any:
        """The noise before an episode's first step, of continuous actions."""
        return () if self.discrete else Noise.initial(batch, self.action_bits)

    def learn(
        self, learner: Learner, batch: Batch, bits: jax.Array, clock: Clock
    ) -> tuple[Learner, dict[str, jax.Array], jax.Array]:
        """One step of Adam each for the critics, the policy and the temperature, and a soft update of the targets."""
        moments, batch = self.observed(learner.moments, batch)
        model, temperature = self._model, jnp.exp(learner.log_temperature)
        optimizer = self.optimizer(self.scheduled_rate(clock))
        actor_opt, critic_opt, temperature_opt = learner.opt_states
        target = self.targets(learner, batch, bits[: len(bits) // 2])

        def value_loss(critics: Any) -> tuple[jax.Array, jax.Array]:
            return critic_loss(model.action_values(critics, batch.obs, batch.action), target, batch.weight)

        (loss, errors), gradients = jax.value_and_grad(value_loss, has_aux=True)(learner.critics)
        critics, critic_opt = optimizers.apply(optimizer, gradients, critic_opt, learner.critics)

        def policy_loss(actor: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            return model.actor_loss(actor, critics, batch.obs, batch.mask, bits[len(bits) // 2 :], temperature)

        gradients, (entropy, greatest) = jax.grad(policy_loss, has_aux=True)(learner.actor)
        actor, actor_opt = optimizers.apply(optimizer, gradients, actor_opt, learner.actor)
        surplus = entropy - self._led_to(greatest)
        log_temperature, temperature_opt = optimizers.apply(
            optimizer, temperature * surplus, temperature_opt, learner.log_temperature
        )
        following = Learner(
            actor,
            critics,
            self.moved_target(learner.target_critics, critics),
            log_temperature,
            (actor_opt, critic_opt, temperature_opt),
            moments,
        )
        return following, {"loss": loss, "entropy": entropy, "temperature": temperature}, errors

    def targets(self, learner: Learner, batch: Batch, bits: jax.Array) -> jax.Array:
        """What the critics learn, f32[batch]: the reward and the soft value of the successor.

        Args:
          learner: whose policy and targets are used.
          batch: with observations as networks read them.
          bits: random bits u32, half of `learn_bits`.
        """
        temperature = jnp.exp(learner.log_temperature)
        value = self._model.value(
            learner.actor, learner.target_critics, batch.next_obs, batch.next_mask, bits, temperature
        )
        return batch.reward + batch.discount * value

    def _led_to(self, greatest: jax.Array) -> Any:
        """The target of the entropy, of which uniform actions have the greatest, f32[]."""
        if self.target_entropy is not None:
            return self.target_entropy
        if self.discrete:
            return self.entropy_ratio * greatest
        return greatest - self.action_bits * (1 + jnp.log(2.0))

    def act(
        self, params: ActingParams, carry: Any, obs: Any, mask: Any = None, bits: Any = None
    ) -> tuple[Any, Any, Any]:
        """Actions `[batch, ...]` inside their bounds: samples (that do not persist) with bits, the mode without."""
        obs, model = params.observe(obs), self._model
        if isinstance(model, CategoricalModel):
            choice = model.distribution(params.model, obs, mask)
            return choice.mode() if bits is None else choice.sample(bits), carry, ()
        policy = model.distribution(params.model, obs)
        return self.scale.shaped(policy.mode() if bits is None else policy.sample(bits)), carry, ()

    def outputs(self, params: ActingParams, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """Logits f32[batch, n] of discrete actions; continuous ones: the deterministic action, f32[batch, d]."""
        return self._model.outputs(params.model, params.observe(obs)), carry
