"""Deep Q-learning.

Mnih et al., "Human-level control through deep reinforcement learning", 2015; double Q-learning by
van Hasselt, Guez and Silver, 2016; dueling heads by Wang et al., 2016; quantiles of the return by Dabney et al.,
"Distributional Reinforcement Learning with Quantile Regression", 2018.
"""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import optax

from jaxrl import losses, networks, optimizers
from jaxrl.agents.base import Clock, num_actions
from jaxrl.agents.epsilon_greedy import EpsilonGreedyAgent, dueling
from jaxrl.distributions import masked
from jaxrl.pytree import leaf, pytree, static
from jaxrl.replay import Batch, weighted_mean


@pytree
class Learner:
    """What learning changes.

    Attributes:
      params: of the online network.
      target_params: of the target network.
      average_params: the running average of the online parameters, or None where there is none.
      opt_state: the optimizer's state.
    """

    params: Any
    target_params: Any
    average_params: Any
    opt_state: Any


@pytree
class DQN(EpsilonGreedyAgent):
    """Deep Q-learning with a replay buffer and a target network."""

    learning_rate: float = leaf(default=3e-3, above=0)
    """Adam's step size at the start of the run."""
    average_share: float | None = leaf(default=0.2, above=0, maximum=1)
    """Share of the updates so far over which the parameters that play greedily are averaged; none: no average."""
    huber_delta: float | None = leaf(default=None, above=0)
    """Where the Huber loss turns from squared to linear; none: squared loss."""
    target_period: int = static(default=1, minimum=1)
    """Updates between two moves of the target network."""
    double: bool = static(default=True, choices=(False, True))
    """Choose the next action by the online network, value it by the target network."""
    dueling: bool = static(default=False, choices=(False, True))
    """Split the head into the state's value and the actions' advantages."""
    quantiles: int = static(default=0, minimum=0)
    """Quantiles of the return to learn for every action, whose mean is its value (QR-DQN); 0: the value alone. With
    them, `huber_delta` is where their loss turns from squared to linear, and none makes it linear."""

    @property
    def _network(self) -> hk.Transformed:
        width = max(self.quantiles, 1)
        actions = num_actions(self) * width
        heads = (actions, width) if self.dueling else (actions,)
        return networks.mlp(self.env.observation_space, self.hidden, heads)

    @property
    def gradient_numbers(self) -> int:
        """What gradients keep of an item: that of the layers, and every pair of a quantile and a target."""
        return super().gradient_numbers + 4 * self.quantiles**2

    def init_learner(self, key: jax.Array) -> Learner:
        """Draws the parameters, and copies them for the target and the average."""
        params = self._network.init(key, networks.example(self.env.observation_space))
        target = jax.tree.map(jnp.copy, params)
        average = None if self.average_share is None else jax.tree.map(jnp.copy, params)
        return Learner(params, target, average, self.optimizer(0.0).init(params))

    def learn(
        self, learner: Learner, batch: Batch, bits: jax.Array, clock: Clock
    ) -> tuple[Learner, dict[str, jax.Array], jax.Array]:
        """One step of Adam on the loss of a batch, then one of the target and one of the average."""
        loss, errors, gradients = self.gradients(
            lambda params, batch: self.loss(params, learner.target_params, batch), learner.params, batch
        )
        optimizer = self.optimizer(self.scheduled_rate(clock))
        params, opt_state = optimizers.apply(optimizer, gradients, learner.opt_state, learner.params)
        target_params = self._move_target(learner.target_params, params, clock)
        average = self._move_average(learner.average_params, params, clock)
        return Learner(params, target_params, average, opt_state), {"loss": loss}, errors

    def loss(self, params: Any, target_params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """The mean loss f32[] of the temporal-difference errors of a batch, and these errors, f32[batch].

        Args:
          params: online parameters; the gradient is taken with respect to them.
          target_params: parameters that value the successors.
          batch: leaves `[batch, ...]`.
        """
        if self.quantiles:
            return self._quantile_loss(params, target_params, batch)
        next_values = masked(self._values(target_params, batch.next_obs), batch.next_mask)
        errors = losses.td_errors(
            losses.taken(self._values(params, batch.obs), batch.action),
            batch.reward,
            batch.discount,
            losses.taken(next_values, self._next_action(params, next_values, batch)),
        )
        each = optax.l2_loss(errors) if self.huber_delta is None else optax.huber_loss(errors, delta=self.huber_delta)
        return weighted_mean(each, batch.weight), errors

    def _quantile_loss(self, params: Any, target_params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """`loss` of quantiles; the errors are those of their means."""
        following = self._quantiles(target_params, batch.next_obs)
        next_values = masked(jnp.mean(following, axis=-1), batch.next_mask)
        chosen = losses.taken(following, self._next_action(params, next_values, batch))
        targets = jax.lax.stop_gradient(batch.reward[:, None] + batch.discount[:, None] * chosen)
        quantiles = losses.taken(self._quantiles(params, batch.obs), batch.action)
        each = losses.quantile_regression(quantiles, targets, self.huber_delta)
        return weighted_mean(each, batch.weight), jnp.mean(targets, axis=-1) - jnp.mean(quantiles, axis=-1)

    def _next_action(self, params: Any, next_values: jax.Array, batch: Batch) -> jax.Array:
        """The greedy action i32[batch] of the successors: the target network's, or the online network's if `double`."""
        if self.double:
            next_values = masked(jax.lax.stop_gradient(self._values(params, batch.next_obs)), batch.next_mask)
        return jnp.argmax(next_values, axis=-1)

    def _move_target(self, target_params: Any, params: Any, clock: Clock) -> Any:
        if self.target_period == 1:
            return self.moved_target(target_params, params)
        due = clock.iteration % self.target_period == 0
        return jax.lax.cond(due, lambda old: self.moved_target(old, params), lambda old: old, target_params)

    def _move_average(self, average: Any, params: Any, clock: Clock) -> Any:
        """The polynomial-decay average of Shamir and Zhang, 2013: as long as it should be at any length of run."""
        if self.average_share is None:
            return None
        return optax.incremental_update(params, average, 1 / jnp.maximum(self.average_share * self.updates(clock), 1.0))

    def acting_params(self, learner: Learner) -> Any:
        """The averaged parameters, or the online network's where there is no average."""
        return learner.params if self.average_share is None else learner.average_params

    def _values(self, params: Any, obs: Any) -> jax.Array:
        """f32[batch, actions] for observations `[batch, ...]`."""
        if self.quantiles:
            return jnp.mean(self._quantiles(params, obs), axis=-1)
        heads = self._network.apply(params, obs)
        if not self.dueling:
            return heads[0]
        advantages, value = heads
        return dueling(advantages, value[..., 0])

    def _quantiles(self, params: Any, obs: Any) -> jax.Array:
        """f32[batch, actions, quantiles] for observations `[batch, ...]`."""
        heads = self._network.apply(params, obs)
        quantiles = heads[0].reshape(-1, num_actions(self), self.quantiles)
        if not self.dueling:
            return quantiles
        return jnp.moveaxis(dueling(jnp.moveaxis(quantiles, -1, 1), heads[1]), 1, -1)

    def outputs(self, params: Any, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """The value of every action: f32[batch, n]."""
        return self._values(params, obs), carry
