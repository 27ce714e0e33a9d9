"""Deep recurrent Q-learning: the values of a network with memory, learned from sequences of replayed steps.

Hausknecht and Stone, "Deep recurrent Q-learning for partially observable MDPs", 2015. Sequences begin with the carry
that the acting network had, and first warm it up without learning (burn-in), as in R2D2 (Kapturowski et al.,
"Recurrent experience replay in distributed reinforcement learning", 2019), here without its distributed part.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import losses, networks, optimizers, replay
from jaxrl.agents.base import Clock, num_actions
from jaxrl.agents.epsilon_greedy import EpsilonGreedyAgent, dueling
from jaxrl.distributions import masked
from jaxrl.networks import CELLS
from jaxrl.pytree import pytree, static
from jaxrl.replay import Sequences, weighted_mean

MAX_SHARE = 0.9
"""Share of the greatest error of a sequence in its priority; the rest is that of the mean (Kapturowski et al.)."""
RESCALING_SLOPE = 1e-3
"""The least slope of rescaled values (Pohlen et al., 2018)."""


@pytree
class Learner:
    """What learning changes: parameters of the online and of the target network, and the optimizer's state."""

    params: Any
    target_params: Any
    opt_state: Any


@pytree
class DRQN(EpsilonGreedyAgent):
    """Deep recurrent Q-learning: double, with dueling heads."""

    batch_size: int = static(default=16, minimum=1)
    """Sequences in one update."""
    num_envs: int = static(default=4, minimum=1)
    """Environments that one member plays at once."""
    train_every: int = static(default=4, minimum=1)
    """Steps of each environment between two updates; at every so many of them a sequence may begin."""
    burn_in: int = static(default=4, minimum=0)
    """Steps at the start of a sequence that only warm the memory up."""
    sequence_length: int = static(default=16, minimum=1)
    """Steps of a sequence that are learned from."""
    rescale: bool = static(default=False, choices=(False, True))
    """Learn values through an invertible function that grows as the root of large ones (Pohlen et al., 2018)."""
    memory: str = static(default="gru", choices=tuple(CELLS))
    """The kind of recurrent cell."""
    memory_size: int = static(default=64, minimum=1)
    """Numbers that one array of its carry remembers."""

    replays_sequences = True

    def check(self) -> None:
        """Checks that sequences fit the buffer."""
        super().check()
        steps = self.burn_in + self.sequence_length + 1
        if steps > self._rows:
            raise ValueError(
                f"DRQN.burn_in = {self.burn_in} and DRQN.sequence_length = {self.sequence_length} make sequences of "
                f"{steps} steps with the last successor, and the replay buffer has buffer_size / num_envs = "
                f"{self._rows} for each environment: give shorter sequences or a larger buffer"
            )
        if self.n_step > self.sequence_length:
            raise ValueError(
                f"DRQN.n_step = {self.n_step} must be at most sequence_length = {self.sequence_length}: give fewer"
            )
        if self.priority == "gradient":
            raise ValueError("DRQN.priority = 'gradient' is for single transitions: give priority='error'")

    @property
    def sequence_steps(self) -> int:  # type: ignore[override]
        """Steps of a sequence, with that whose value is only bootstrapped from."""
        return self.burn_in + self.sequence_length + 1

    @property
    def _network(self) -> networks.Recurrent:
        return networks.recurrent_actor_critic(
            self.env.observation_space,
            self.hidden,
            num_actions(self),
            memory=self.memory,
            memory_size=self.memory_size,
            shared=True,
            head_scales=(1.0, 1.0),
            activation="relu",
            initializer="truncated_normal",
        )

    def init_learner(self, key: jax.Array) -> Learner:
        """Draws the parameters, and copies them for the target."""
        params = self._network.init(key, networks.example(self.env.observation_space))
        return Learner(params, jax.tree.map(jnp.copy, params), self.optimizer(0.0).init(params))

    def initial_carry(self, batch: int) -> Any:
        """The network's memory before an episode's first observation."""
        return self._network.initial_carry(batch)

    def learn(
        self, learner: Learner, batch: Sequences, bits: jax.Array, clock: Clock
    ) -> tuple[Learner, dict[str, jax.Array], jax.Array]:
        """One step of Adam on the loss of sequences, then one of the target."""
        gradient = jax.value_and_grad(self.loss, has_aux=True)
        (loss, errors), gradients = gradient(learner.params, learner.target_params, batch)
        optimizer = self.optimizer(self.scheduled_rate(clock))
        params, opt_state = optimizers.apply(optimizer, gradients, learner.opt_state, learner.params)
        target_params = self.moved_target(learner.target_params, params)
        return Learner(params, target_params, opt_state), {"loss": loss}, errors

    def loss(self, params: Any, target_params: Any, batch: Sequences) -> tuple[jax.Array, jax.Array]:
        """Half the mean squared error f32[] of the steps that are learned from, and a priority f32[batch] of each.

        Args:
          params: online parameters; the gradient is taken with respect to them.
          target_params: parameters that value the successors.
          batch: sequences of `sequence_steps` steps.
        """
        steps, cut = batch.steps, self.burn_in
        carry, target_carry = batch.carry, batch.carry
        if cut:
            carry = jax.lax.stop_gradient(self._unroll(params, carry, batch, slice(0, cut))[1])
            target_carry = self._unroll(target_params, target_carry, batch, slice(0, cut))[1]
        values, _ = self._unroll(params, carry, batch, slice(cut, None))
        target_values, _ = self._unroll(target_params, target_carry, batch, slice(cut, None))
        mask = None if steps.mask is None else steps.mask[cut:]
        choice = jnp.argmax(masked(jax.lax.stop_gradient(values), mask), axis=-1)
        following = self._unscaled(_taken(target_values, choice))
        learned = jax.tree.map(lambda x: x[cut:], steps)
        targets, counts = replay.sequence_targets(learned, batch.known[cut:], following, self.n_step, self.discount)
        errors = jax.lax.stop_gradient(self._scaled(targets)) - _taken(values[:-1], steps.action[cut:-1])
        errors = jnp.where(counts, errors, 0)
        count = jnp.maximum(jnp.sum(counts, axis=0), 1)
        each = jnp.sum(0.5 * jnp.square(errors), axis=0) / count
        size = jnp.abs(jax.lax.stop_gradient(errors))
        priority = MAX_SHARE * jnp.max(size, axis=0) + (1 - MAX_SHARE) * jnp.sum(size, axis=0) / count
        return weighted_mean(each, batch.weight), priority

    def _unroll(self, params: Any, carry: Any, batch: Sequences, part: slice) -> tuple[jax.Array, Any]:
        """The values f32[time, batch, actions] of a part of sequences, and the carry after it."""
        obs = jax.tree.map(lambda x: x[part], batch.steps.obs)
        heads, carry = self._network.unroll(params, carry, obs, batch.reset[part])
        return dueling(*heads), carry

    def _scaled(self, values: jax.Array) -> jax.Array:
        """Values as the network learns them."""
        if not self.rescale:
            return values
        return jnp.sign(values) * (jnp.sqrt(jnp.abs(values) + 1) - 1) + RESCALING_SLOPE * values

    def _unscaled(self, scaled: jax.Array) -> jax.Array:
        """The inverse of `_scaled` (Pohlen et al., 2018, proposition A.2)."""
        if not self.rescale:
            return scaled
        root = jnp.sqrt(1 + 4 * RESCALING_SLOPE * (jnp.abs(scaled) + 1 + RESCALING_SLOPE))
        return jnp.sign(scaled) * (jnp.square((root - 1) / (2 * RESCALING_SLOPE)) - 1)

    def outputs(self, params: Any, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """The value of every action, f32[batch, n] (rescaled ones with `rescale`), and the carry."""
        heads, carry = self._network.step(params, carry, obs)
        return dueling(*heads), carry


def _taken(values: jax.Array, actions: jax.Array) -> jax.Array:
    """`losses.taken` for f32[time, batch, actions]."""
    return losses.taken(values.reshape(-1, values.shape[-1]), actions.reshape(-1)).reshape(actions.shape)
