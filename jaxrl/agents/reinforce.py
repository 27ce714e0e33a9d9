"""REINFORCE: the policy gradient from whole episodes.

Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
learning", 1992. As is usual, the gradient of a step is not weighted by discount^t.
"""

import dataclasses
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import optax

from jaxrl import networks, optimizers, random_bits, schedules
from jaxrl.actors import any_member, start_actors
from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock, Mean, Metrics, episode_metrics, num_actions
from jaxrl.distributions import categorical
from jaxrl.environment import Environment, Episode, Transition
from jaxrl.pytree import leaf, pytree, static
from jaxrl.returns import episode_returns
from jaxrl.rollout import Policy, Step, blank_rows, play_episodes


@pytree
class ReinforceState:
    """State of one member; every iteration begins new episodes, so nothing else is carried."""

    params: Any
    opt_state: Any
    key: jax.Array


@pytree
class Rollout:
    """Whole episodes, side by side and one after another; leaves `[time, envs, ...]`.

    Attributes:
      played: the transitions.
      valid: bool, whether the step belongs to one of the update's episodes.
      value: f32, the learned value of the observation; 0 without one.
      bootstrap: f32, the learned value of what follows an episode that was cut off; 0 elsewhere.
    """

    played: Transition
    valid: jax.Array
    value: jax.Array
    bootstrap: jax.Array


@pytree
class Reinforce(Agent):
    """REINFORCE with an optional baseline.

    An update learns from exactly `episodes_per_update` whole episodes. `num_envs` environments play
    them: whichever ends an episode begins the next one that is still owed, so that few steps are
    idle and no episode is preferred for being short.
    """

    env: Environment
    """The environment to learn in."""
    learning_rate: float = leaf(default=2e-3, above=0)
    """The optimizer's step size at the start of the run."""
    learning_rate_end_fraction: float = leaf(default=0.0, minimum=0)
    """Share of the step size that is left at the end of the run."""
    discount: float = leaf(default=0.99, minimum=0, maximum=1)
    """Discount of the return per step."""
    entropy_cost: float = leaf(default=0.01, minimum=0)
    """Weight of the entropy bonus at the start of the run; it falls linearly to 0."""
    value_cost: float = leaf(default=0.5, minimum=0)
    """Weight of the value's squared error; only with baseline "value"."""
    max_grad_norm: float | None = leaf(default=1.0, above=0)
    """Greatest global norm of a gradient; none: no clipping."""
    hidden: tuple[int, ...] = static(default=(64, 64), minimum=1)
    """Widths of the hidden layers."""
    inputs: str = static(default="raw", choices=networks.INPUTS)
    """How the network reads an observation: raw, or its signs apart."""
    num_envs: int = static(default=16, minimum=1)
    """Environments that one member plays at once."""
    episodes_per_update: int = static(default=32, minimum=1)
    """Episodes in one update."""
    baseline: str = static(default="time", choices=("none", "time", "value"))
    """What is taken off the return: nothing, the batch's mean at the same time step, a learned value."""
    normalize: bool = static(default=True, choices=(False, True))
    """Divide the advantages by their standard deviation over the batch."""
    optimizer: str = static(default="adam", choices=tuple(optimizers.OPTIMIZERS))
    """The optimizer."""
    schedule: str = static(default="cosine", choices=tuple(schedules.SHAPES))
    """How the step size falls over the run."""
    gradient_chunk: int = static(default=8, minimum=1)
    """Time steps of all environments that one piece of the gradient is computed from."""

    def check(self) -> None:
        """Checks that every environment has an episode to play, and that there is a baseline."""
        if self.baseline == "time" and self.episodes_per_update == 1:
            raise ValueError(
                "Reinforce.episodes_per_update = 1 with baseline = 'time' takes every return off itself and learns "
                "nothing: use baseline 'none' or 'value', or more episodes"
            )
        if self.episodes_per_update < self.num_envs:
            raise ValueError(
                f"Reinforce.num_envs = {self.num_envs} must be at most episodes_per_update = "
                f"{self.episodes_per_update}: more environments would have nothing to play"
            )

    output_kinds = ("probabilities", "logits")
    metrics = (*EPISODE_METRICS, "loss", "entropy", "used_fraction")
    steps_vary = True

    @property
    def steps_per_iteration(self) -> int:
        """The most environment steps of one update: every episode as long as can be."""
        return self.episodes_per_update * self.env.max_steps

    @property
    def _network(self) -> hk.Transformed:
        actions = num_actions(self)
        heads = (actions, 1) if self.baseline == "value" else (actions,)
        return networks.mlp(self.env.observation_space, self.hidden, heads, self.inputs)

    @property
    def _rows(self) -> int:
        """The most time steps that the episodes of an update can take side by side."""
        rounds = -(-self.episodes_per_update // self.num_envs)
        return -(-rounds * self.env.max_steps // self.gradient_chunk) * self.gradient_chunk

    def init(self, key: jax.Array) -> ReinforceState:
        """Draws parameters."""
        params_key, run_key = random_bits.split(key, 2)
        params = self._network.init(params_key, networks.example(self.env.observation_space))
        return ReinforceState(params, self._optimizer(0.0).init(params), run_key)

    def iterate(self, state: ReinforceState, clock: Clock) -> tuple[ReinforceState, Metrics]:
        """Plays whole episodes and makes one update from all of them."""
        rollout, time = self.collect(state.params, state.key, clock.iteration)
        returns = self.returns(rollout, time)
        gradients, sums = self._gradients(state.params, rollout, returns, time, clock)
        fraction = clock.fraction
        rate_end = self.learning_rate * self.learning_rate_end_fraction
        rate = schedules.SHAPES[self.schedule](self.learning_rate, rate_end, fraction)
        params, opt_state = optimizers.apply(self._optimizer(rate), gradients, state.opt_state, state.params)
        # Of the member's own time: waiting for slower members is not part of it.
        own_time = jnp.sum(jnp.any(rollout.valid, axis=1), dtype=jnp.float32)
        used = Mean(jnp.sum(rollout.valid, dtype=jnp.float32), own_time * self.num_envs)
        metrics = {**episode_metrics(rollout.played, rollout.valid), **sums, "used_fraction": used}
        return ReinforceState(params, opt_state, state.key), metrics

    def collect(self, params: Any, key: jax.Array, iteration: jax.Array | int = 0) -> tuple[Rollout, jax.Array]:
        """Plays `episodes_per_update` whole episodes.

        Args:
          params: of the policy.
          key: no other use may be made of it but for other iterations.
          iteration: i32[], from 0.

        Returns:
          The rollout, and how many of its time steps were played (i32[], the same for all members
          that are trained together: those who are done earlier wait).
        """
        _, (start_key, act_key, step_key) = random_bits.bits_and_keys(key, iteration, bits=0, keys=3)
        actors, policy = start_actors(self.env, start_key, self.num_envs), self._sampling(params)

        def noise(time: jax.Array | int) -> jax.Array:
            return random_bits.bits_and_keys(act_key, time, bits=self.num_envs, keys=0)[0][:, None]

        def write(rows: Rollout, time: jax.Array, step: Step, active: jax.Array) -> Rollout:
            row = dataclasses.replace(self._row(params, step), valid=active)
            return jax.tree.map(lambda whole, part: whole.at[time].set(part), rows, row)

        rows = blank_rows(self.env, actors, policy, noise(0), lambda step: self._row(params, step), self._rows)
        return play_episodes(self.env, actors, policy, self.episodes_per_update, noise, step_key, write, rows)

    def workspace(self) -> Any:
        """The rollout of one update."""
        return jax.eval_shape(lambda key: self.collect(self.init(key).params, key), jax.random.key(0))

    def gradient_workspace(self) -> Any:
        """Returns and advantages, and what a gradient keeps of one piece of the rollout."""
        numbers = jax.ShapeDtypeStruct((self._rows, self.num_envs, 3), jnp.float32)
        # Before and after the activation of every layer, on the way there and back.
        kept = jax.ShapeDtypeStruct((self.gradient_chunk * self.num_envs, 4 * sum(self.hidden)), jnp.float32)
        return numbers, kept

    def _sampling(self, params: Any) -> Policy:
        """The policy that explores; its extras are the values f32[envs]."""

        def act(carry: Any, episodes: Episode, bits: jax.Array) -> tuple[jax.Array, Any, jax.Array]:
            logits, values = self._heads(params, episodes.obs)
            return categorical(logits, episodes.mask).sample(bits), carry, values

        return Policy(act)

    def _row(self, params: Any, step: Step) -> Rollout:
        """One row of the rollout, with all of it valid."""
        played, values = step.transition, step.extras
        cut_off = played.truncated & ~played.terminated
        bootstrap = jnp.zeros_like(values)
        if self.baseline == "value":
            needed = any_member(jnp.any(cut_off))
            following = jax.lax.cond(needed, lambda: self._heads(params, played.next_obs)[1], lambda: bootstrap)
            bootstrap = jnp.where(cut_off, following, 0)
        return Rollout(played, jnp.ones_like(cut_off), values, bootstrap)

    def returns(self, rollout: Rollout, time: jax.Array) -> jax.Array:
        """The discounted return from every step to the end of its episode.

        Args:
          rollout: leaves `[time, envs, ...]`.
          time: i32[], how many rows of it were played; not batched over members.

        Returns:
          f32[time, envs]; an episode that was cut off counts its learned value as what follows.
        """
        played = rollout.played
        return episode_returns(played.reward, played.ended, rollout.bootstrap, time, discount=self.discount)

    def advantages(self, rollout: Rollout, returns: jax.Array) -> jax.Array:
        """Returns less the baseline, divided by their deviation where `normalize`: f32[time, envs]."""
        valid = rollout.valid.astype(jnp.float32)
        advantages = returns - rollout.value
        if self.baseline == "time":
            step = rollout.played.length - 1
            zeros = jnp.zeros(self.env.max_steps, jnp.float32)
            totals, counts = zeros.at[step].add(returns * valid), zeros.at[step].add(valid)
            advantages = returns - (totals / jnp.maximum(counts, 1))[step]
        if self.normalize:
            count = jnp.sum(valid)
            mean = jnp.sum(advantages * valid) / count
            variance = jnp.sum(jnp.square(advantages - mean) * valid) / count
            advantages = (advantages - mean) / (jnp.sqrt(variance) + 1e-6)
        return jnp.where(rollout.valid, advantages, 0)

    def _gradients(
        self, params: Any, rollout: Rollout, returns: jax.Array, time: jax.Array, clock: Clock
    ) -> tuple[Any, Metrics]:
        """The gradient of the mean loss over all valid steps, piece by piece: rows never played cost nothing."""
        count = jnp.sum(rollout.valid, dtype=jnp.float32)
        entropy_cost = schedules.linear(self.entropy_cost, 0.0, clock.fraction)
        batch = (rollout, returns, self.advantages(rollout, returns))

        def chunk(index: jax.Array, carry: Any) -> Any:
            rows = jax.tree.map(
                lambda x: jax.lax.dynamic_slice_in_dim(x, index * self.gradient_chunk, self.gradient_chunk), batch
            )
            (_, metrics), gradients = jax.value_and_grad(self.loss, has_aux=True)(params, *rows, entropy_cost)
            return jax.tree.map(jnp.add, carry, (gradients, metrics))

        shapes = jax.eval_shape(jax.grad(self.loss, has_aux=True), params, *batch, entropy_cost)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        chunks = -(-time // self.gradient_chunk)
        gradients, totals = jax.lax.fori_loop(0, chunks, chunk, zeros)
        gradients = jax.tree.map(lambda g: g / count, gradients)
        return gradients, {name: Mean(total, count) for name, total in totals.items()}

    def loss(
        self, params: Any, rollout: Rollout, returns: jax.Array, advantages: jax.Array, entropy_cost: Any
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss summed over valid steps.

        Args:
          params: parameters of the policy, and of the value if there is one.
          rollout: leaves `[time, envs, ...]`.
          returns: f32[time, envs].
          advantages: f32[time, envs].
          entropy_cost: f32[], the weight of the entropy bonus.

        Returns:
          (loss f32[], sums by name f32[]).
        """
        flat, returns, advantages = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (rollout, returns, advantages))
        weights = flat.valid.astype(jnp.float32)
        logits, values = self._heads(params, flat.played.obs)
        policy = categorical(logits, flat.played.mask)
        policy_loss = -jnp.sum(policy.log_prob(flat.played.action) * jax.lax.stop_gradient(advantages) * weights)
        entropy = jnp.sum(policy.entropy() * weights)
        loss = policy_loss - entropy_cost * entropy
        if self.baseline == "value":
            loss += self.value_cost * jnp.sum(optax.l2_loss(values, returns) * weights)
        return loss, {"loss": loss, "entropy": entropy}

    def _optimizer(self, learning_rate: Any) -> Any:
        return optimizers.optimizer(self.optimizer, learning_rate, self.max_grad_norm)

    def _heads(self, params: Any, obs: Any) -> tuple[jax.Array, jax.Array]:
        """Logits f32[batch, actions] and values f32[batch] (0 where none is learned)."""
        heads = self._network.apply(params, obs)
        if self.baseline == "value":
            return heads[0], heads[1][:, 0]
        return heads[0], jnp.zeros(heads[0].shape[0], jnp.float32)

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> tuple[Any, Any, Any]:
        """The actions i32[batch]: sampled with bits, the likeliest without."""
        logits, _ = self._heads(params, obs)
        policy = categorical(logits, mask)
        return policy.mode() if bits is None else policy.sample(bits), carry, ()

    def outputs(self, params: Any, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """The logit of every action: f32[batch, n]."""
        return self._heads(params, obs)[0], carry
