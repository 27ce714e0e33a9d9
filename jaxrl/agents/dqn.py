"""Deep Q-learning.

Mnih et al., "Human-level control through deep reinforcement learning", 2015; double Q-learning by
van Hasselt, Guez and Silver, 2016; dueling heads by Wang et al., 2016.
"""

import dataclasses
import math
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import optax

from jaxrl import buffers, losses, networks, optimizers, random_bits, schedules
from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock, Mean, Metrics, episode_metrics, num_actions
from jaxrl.distributions import EpsilonGreedy, masked
from jaxrl.environment import Environment, Episode
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rollout import Actors, Policy, rollout, start_actors


@pytree
class Experience:
    """What the replay buffer holds of a transition; fields as in `Transition`."""

    obs: Any
    action: jax.Array
    reward: jax.Array
    next_obs: Any
    next_mask: Any
    terminated: jax.Array


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
class DQNState:
    """State of one member.

    Attributes:
      learner: networks and optimizer.
      replay: `Experience` with leaves `[capacity, ...]`.
      actors: the environments, leaves `[num_envs, ...]`; None once the run is over.
      key: the member's key; every iteration draws by its own index.
    """

    learner: Learner
    replay: Any
    actors: Actors | None
    key: jax.Array


@pytree
class DQN(Agent):
    """Deep Q-learning with a replay buffer and a target network."""

    env: Environment
    """The environment to learn in."""
    learning_rate: float = leaf(default=3e-3, above=0)
    """Adam's step size at the start of the run."""
    learning_rate_end_fraction: float = leaf(default=0.01, minimum=0)
    """Share of the step size that is left at the end of the run."""
    discount: float = leaf(default=0.99, minimum=0, maximum=1)
    """Discount of the return per step."""
    epsilon_start: float = leaf(default=1.0, minimum=0, maximum=1)
    """Probability of a random action at the first step."""
    epsilon_end: float = leaf(default=0.04, minimum=0, maximum=1)
    """Probability of a random action after the decay."""
    epsilon_decay_steps: float = leaf(default=10_000.0, above=0)
    """Environment steps over which epsilon falls linearly."""
    tau: float = leaf(default=0.01, above=0, maximum=1)
    """How far the target network moves towards the online one at each of its updates."""
    average_share: float | None = leaf(default=0.2, above=0, maximum=1)
    """Share of the updates so far over which the parameters that play greedily are averaged; none: no average."""
    max_grad_norm: float | None = leaf(default=None, above=0)
    """Greatest global norm of a gradient; none: no clipping."""
    huber_delta: float | None = leaf(default=None, above=0)
    """Where the Huber loss turns from squared to linear; none: squared loss."""
    hidden: tuple[int, ...] = static(default=(64, 64), minimum=1)
    """Widths of the hidden layers."""
    batch_size: int = static(default=64, minimum=1)
    """Transitions in one update."""
    buffer_size: int = static(default=10_000, minimum=1)
    """Transitions in the replay buffer (raised to a multiple of num_envs * train_every)."""
    learning_starts: int = static(default=1_000, minimum=0)
    """Environment steps before the first update."""
    train_every: int = static(default=1, minimum=1)
    """Steps of each environment between two updates."""
    num_envs: int = static(default=1, minimum=1)
    """Environments that one member plays at once."""
    target_period: int = static(default=1, minimum=1)
    """Updates between two moves of the target network."""
    schedule: str = static(default="linear", choices=tuple(schedules.SHAPES))
    """How the step size falls over the run."""
    double: bool = static(default=True, choices=(False, True))
    """Choose the next action by the online network, value it by the target network."""
    dueling: bool = static(default=False, choices=(False, True))
    """Split the head into the state's value and the actions' advantages."""

    action_bits = EpsilonGreedy.bits
    output_kinds = ("q-values",)
    metrics = (*EPISODE_METRICS, "loss")

    def check_run(self, iterations: int) -> None:
        """Checks that learning starts within the run, and that the steps can be counted."""
        steps = iterations * self.steps_per_iteration
        if self.learning_starts > steps:
            raise ValueError(
                f"DQN.learning_starts = {self.learning_starts} must be at most the run's {steps} steps a member: "
                "nothing would be learned"
            )
        if steps > 2**31 - 1:
            raise ValueError(
                f"{iterations} iterations of {self.steps_per_iteration} steps are more than the counter of steps can "
                "hold (2^31): give fewer"
            )

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps between two updates."""
        return self.num_envs * self.train_every

    @property
    def _capacity(self) -> int:
        return buffers.rounded_capacity(self.buffer_size, self.steps_per_iteration)

    @property
    def _network(self) -> hk.Transformed:
        actions = num_actions(self)
        heads = (actions, 1) if self.dueling else (actions,)
        return networks.mlp(self.env.observation_space, self.hidden, heads)

    def init(self, key: jax.Array) -> DQNState:
        """Draws parameters, starts the environments, allocates an empty buffer."""
        params_key, start_key, run_key = random_bits.split(key, 3)
        obs = networks.example(self.env.observation_space)
        params = self._network.init(params_key, obs[None])
        target = jax.tree.map(jnp.copy, params)
        average = None if self.average_share is None else jax.tree.map(jnp.copy, params)
        learner = Learner(params, target, average, self._optimizer(0.0).init(params))
        actors = start_actors(self.env, start_key, self.num_envs)
        replay = buffers.create(self._example(actors.episodes), self._capacity)
        return DQNState(learner, replay, actors, run_key)

    def _example(self, episodes: Episode) -> Experience:
        one = jax.tree.map(lambda x: x[0], episodes)
        number = jnp.zeros((), jnp.float32)
        return Experience(one.obs, jnp.zeros((), jnp.int32), number, one.obs, one.mask, jnp.zeros((), bool))

    def iterate(self, state: DQNState, clock: Clock) -> tuple[DQNState, Metrics]:
        """Plays `train_every` steps, stores them, and learns from one batch."""
        assert state.actors is not None
        # One pass of the random generator for everything that an iteration draws.
        explore = (self.train_every, self.num_envs, self.action_bits)
        drawn, keys = random_bits.bits_and_keys(
            state.key, clock.iteration, bits=self.batch_size + math.prod(explore), keys=1
        )
        sample_bits, explore_bits = drawn[: self.batch_size], drawn[self.batch_size :].reshape(explore)
        steps = clock.iteration * self.steps_per_iteration
        policy = self._exploring(state.learner.params, steps)
        actors, played = rollout(self.env, state.actors, policy, explore_bits, keys[0], lambda step: step.transition)
        items = Experience(
            played.obs, played.action, played.reward, played.next_obs, played.next_mask, played.terminated
        )
        items = jax.tree.map(lambda x: x.reshape(self.steps_per_iteration, *x.shape[2:]), items)
        replay = buffers.write(state.replay, items, clock.iteration)
        # The buffer goes into the branch but never comes out: as an output it would be copied.
        learner, loss = jax.lax.cond(
            steps + self.steps_per_iteration >= self.learning_starts,
            lambda learner: self._learn(learner, replay, sample_bits, clock),
            lambda learner: (learner, Mean(jnp.float32(0), jnp.float32(0))),
            state.learner,
        )
        return DQNState(learner, replay, actors, state.key), {**episode_metrics(played), "loss": loss}

    def scratch(self) -> Any:
        """A batch as it is drawn and as the network reads it, the steps of an iteration, and what a gradient keeps."""
        example = jax.eval_shape(lambda: self._example(start_actors(self.env, jax.random.key(0), 1).episodes))
        rows = 2 * (self.batch_size + self.steps_per_iteration)
        experience = jax.tree.map(lambda x: jax.ShapeDtypeStruct((rows, *x.shape), x.dtype), example)
        # Before and after the activation of every layer, on the way there and back; and the last step's policy.
        kept = jax.ShapeDtypeStruct((self.batch_size, 4 * sum(self.hidden)), jnp.float32)
        acting = jax.ShapeDtypeStruct((self.num_envs, 2 * sum(self.hidden)), jnp.float32)
        bits = self.batch_size + self.steps_per_iteration * self.action_bits
        return experience, kept, acting, jax.ShapeDtypeStruct((bits,), jnp.uint32)

    def _exploring(self, params: Any, steps: jax.Array) -> Policy:
        """Epsilon-greedy, after so many environment steps i32[]."""
        epsilon = schedules.linear(
            self.epsilon_start, self.epsilon_end, steps.astype(jnp.float32) / self.epsilon_decay_steps
        )

        def act(carry: Any, episodes: Episode, bits: jax.Array) -> tuple[jax.Array, Any, Any]:
            values = self._values(params, episodes.obs)
            return EpsilonGreedy(values, epsilon, episodes.mask).sample(bits), carry, ()

        return Policy(act)

    def _learn(self, learner: Learner, replay: Any, bits: jax.Array, clock: Clock) -> tuple[Learner, Mean]:
        available = buffers.filled(replay, self.steps_per_iteration, clock.iteration)
        batch = buffers.sample(replay, bits, available)
        loss, gradients = jax.value_and_grad(self.loss)(learner.params, learner.target_params, batch)
        rate_end = self.learning_rate * self.learning_rate_end_fraction
        rate = schedules.SHAPES[self.schedule](self.learning_rate, rate_end, clock.fraction)
        params, opt_state = optimizers.apply(self._optimizer(rate), gradients, learner.opt_state, learner.params)
        target_params = self._move_target(learner.target_params, params, clock)
        average = self._move_average(learner.average_params, params, clock)
        return Learner(params, target_params, average, opt_state), Mean(loss, jnp.ones((), jnp.float32))

    def loss(self, params: Any, target_params: Any, batch: Experience) -> jax.Array:
        """The mean loss of the temporal-difference errors of a batch: f32[].

        Args:
          params: online parameters; the gradient is taken with respect to them.
          target_params: parameters that value the successors.
          batch: leaves `[batch, ...]`.
        """
        next_values = masked(self._values(target_params, batch.next_obs), batch.next_mask)
        choice = next_values
        if self.double:
            choice = masked(jax.lax.stop_gradient(self._values(params, batch.next_obs)), batch.next_mask)
        errors = losses.td_errors(
            losses.taken(self._values(params, batch.obs), batch.action),
            batch.reward,
            jnp.where(batch.terminated, 0.0, self.discount),
            losses.taken(next_values, jnp.argmax(choice, axis=-1)),
        )
        if self.huber_delta is None:
            return jnp.mean(optax.l2_loss(errors))
        return jnp.mean(optax.huber_loss(errors, delta=self.huber_delta))

    def _move_target(self, target_params: Any, params: Any, clock: Clock) -> Any:
        if self.target_period == 1:
            return optax.incremental_update(params, target_params, self.tau)
        due = clock.iteration % self.target_period == 0
        return jax.lax.cond(
            due, lambda old: optax.incremental_update(params, old, self.tau), lambda old: old, target_params
        )

    def _move_average(self, average: Any, params: Any, clock: Clock) -> Any:
        """The polynomial-decay average of Shamir and Zhang, 2013: as long as it should be at any length of run."""
        if self.average_share is None:
            return None
        before = -(-self.learning_starts // self.steps_per_iteration)
        updates = clock.iteration + 2 - max(before, 1)
        return optax.incremental_update(params, average, 1 / jnp.maximum(self.average_share * updates, 1.0))

    def _optimizer(self, learning_rate: Any) -> Any:
        return optimizers.optimizer("adam", learning_rate, self.max_grad_norm)

    def _values(self, params: Any, obs: Any) -> jax.Array:
        """f32[batch, actions] for observations `[batch, ...]`."""
        heads = self._network.apply(params, obs)
        if not self.dueling:
            return heads[0]
        advantages, value = heads
        return value + advantages - jnp.mean(advantages, axis=-1, keepdims=True)

    def params(self, state: DQNState) -> Any:
        """The averaged parameters, or the online network's where there is no average."""
        learner = state.learner
        return learner.params if self.average_share is None else learner.average_params

    def kept(self, state: DQNState) -> DQNState:
        """The state without its replay buffer and its environments."""
        return dataclasses.replace(state, replay=None, actors=None)

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> tuple[Any, Any, Any]:
        """The actions i32[batch]: epsilon-greedy at `epsilon_end` with bits, greedy without."""
        choice = EpsilonGreedy(self._values(params, obs), self.epsilon_end, mask)
        return choice.mode() if bits is None else choice.sample(bits), carry, ()

    def outputs(self, params: Any, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """The value of every action: f32[batch, n]."""
        return self._values(params, obs), carry
