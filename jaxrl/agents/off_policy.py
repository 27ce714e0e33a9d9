"""What off-policy agents share: they collect steps, store them for replay, and learn from a batch of what is stored.

An algorithm adds what it learns (`init_learner`, `learn`, `acting_params`) and how it explores (`explore`).
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl import optimizers, random_bits, replay, schedules
from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock, Mean, Metrics, episode_metrics
from jaxrl.environment import Environment, Episode, Transition
from jaxrl.pytree import leaf, pytree, static
from jaxrl.replay import Batch, Experience
from jaxrl.rollout import Actors, Policy, rollout, start_actors


@pytree
class OffPolicyState:
    """State of one member.

    Attributes:
      learner: what learning changes, such as networks and optimizers.
      replay: `Experience` with leaves `[time, num_envs, ...]`.
      actors: the environments, leaves `[num_envs, ...]`; None once the run is over.
      key: the member's key; every iteration draws by its own index.
    """

    learner: Any
    replay: Any
    actors: Actors | None
    key: jax.Array


@pytree
class OffPolicy(Agent):
    """Base class of agents that learn from replayed steps, one batch an iteration."""

    env: Environment
    """The environment to learn in."""
    learning_rate: float = leaf(default=1e-3, above=0)
    """Adam's step size at the start of the run."""
    learning_rate_end_fraction: float = leaf(default=0.01, minimum=0)
    """Share of the step size that is left at the end of the run."""
    discount: float = leaf(default=0.99, minimum=0, maximum=1)
    """Discount of the return per step."""
    tau: float = leaf(default=0.01, above=0, maximum=1)
    """How far a target network moves towards the online one at each of its updates."""
    max_grad_norm: float | None = leaf(default=None, above=0)
    """Greatest global norm of a gradient; none: no clipping."""
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
    n_step: int = static(default=1, minimum=1)
    """Steps of reward before the value of the successor."""
    schedule: str = static(default="linear", choices=tuple(schedules.SHAPES))
    """How the step size falls over the run."""

    metrics = (*EPISODE_METRICS, "loss")
    """Those of episodes first, then those that `learn` measures."""
    learn_bits = 0
    """How many random numbers of 32 bits an update takes besides those that draw its batch. A class attribute or a
    property."""
    replays_mask = False
    """Whether learning needs the allowed actions of the first observation too, not only those of the successor."""

    def init_learner(self, key: jax.Array) -> Any:
        """What learning changes, before the first update: networks, targets, optimizers' states."""
        raise NotImplementedError

    def explore(
        self, learner: Any, carry: Any, episodes: Episode, bits: jax.Array, steps: jax.Array
    ) -> tuple[Any, Any, Any]:
        """Chooses actions to learn from.

        Args:
          learner: as `init_learner` and `learn` give it.
          carry: as `exploration_carry` gives it, leaves `[envs, ...]`.
          episodes: under way.
          bits: random bits u32[envs, action_bits].
          steps: i32[], environment steps of the member before this iteration.

        Returns:
          (actions `[envs, ...]`, carry, extras).
        """
        raise NotImplementedError

    def learn(
        self, learner: Any, batch: Batch, bits: jax.Array, clock: Clock
    ) -> tuple[Any, dict[str, jax.Array], jax.Array]:
        """One update.

        Args:
          learner: as `init_learner` gives it.
          batch: leaves `[batch, ...]`; the losses of its items are weighed by `batch.weight`.
          bits: random bits u32[learn_bits].
          clock: of the run.

        Returns:
          The learner, what was measured (f32[] by the names of `metrics` behind those of episodes), and the
          magnitude of every item's error, f32[batch], for replay by priority.
        """
        raise NotImplementedError

    def acting_params(self, learner: Any) -> Any:
        """The parameters that `act` plays with."""
        return learner.params

    def exploration_carry(self, batch: int) -> Any:
        """The carry of `explore` before an episode's first observation, leaves `[batch, ...]`."""
        return self.initial_carry(batch)

    def check(self) -> None:
        """Checks that returns of n steps fit the buffer and the episodes."""
        name = type(self).__name__
        limits = {"rows of the replay buffer, buffer_size / num_envs": self._rows, "the episode": self.env.max_steps}
        for what, limit in limits.items():
            if self.n_step > limit:
                raise ValueError(
                    f"{name}.n_step = {self.n_step} must be at most {limit}, the steps of {what}: give fewer"
                )

    def check_run(self, iterations: int) -> None:
        """Checks that learning starts within the run, and that the steps can be counted."""
        steps = iterations * self.steps_per_iteration
        if self.learning_starts > steps:
            raise ValueError(
                f"{type(self).__name__}.learning_starts = {self.learning_starts} must be at most the run's {steps} "
                "steps a member: nothing would be learned"
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
    def _rows(self) -> int:
        """Rows of the replay buffer."""
        return replay.rows_of(self.buffer_size, self.num_envs, self.train_every)

    def init(self, key: jax.Array) -> OffPolicyState:
        """Draws parameters, starts the environments, allocates an empty buffer."""
        params_key, start_key, run_key = random_bits.split(key, 3)
        learner = self.init_learner(params_key)
        actors = start_actors(self.env, start_key, self.num_envs, self.exploration_carry(self.num_envs))
        storage = replay.create(self._row(actors.episodes), self._rows)
        return OffPolicyState(learner, storage, actors, run_key)

    def _row(self, episodes: Episode) -> Experience:
        """An example of one row of the buffer."""
        space = self.env.action_space
        action, number, flag = (
            jnp.zeros((self.num_envs, *shape), dtype)
            for shape, dtype in ((space.shape, space.dtype), ((), jnp.float32), ((), bool))
        )
        obs, mask = episodes.obs, episodes.mask
        return self._stored(Transition(obs, mask, action, number, obs, mask, flag, flag, episodes.length, number))

    def _stored(self, played: Transition) -> Experience:
        """What is stored of steps."""
        return Experience(
            obs=played.obs,
            mask=played.mask if self.replays_mask else None,
            action=played.action,
            reward=played.reward,
            next_obs=played.next_obs,
            next_mask=played.next_mask,
            terminated=played.terminated,
            truncated=played.truncated if self.n_step > 1 else None,
        )

    def iterate(self, state: OffPolicyState, clock: Clock) -> tuple[OffPolicyState, Metrics]:
        """Plays `train_every` steps, stores them, and learns from one batch."""
        assert state.actors is not None
        # One pass of the random generator for everything that an iteration draws.
        explore = (self.train_every, self.num_envs, self.action_bits)
        drawing = self.batch_size + self.learn_bits
        bits, (key,) = random_bits.bits_and_keys(state.key, clock.iteration, bits=drawing + math.prod(explore), keys=1)
        steps = clock.iteration * self.steps_per_iteration
        policy = self._exploring(state.learner, steps)
        actors, played = rollout(
            self.env, state.actors, policy, bits[drawing:].reshape(explore), key, lambda step: step.transition
        )
        storage = replay.write(state.replay, self._stored(played), clock.iteration)
        # The buffer goes into the branch but never comes out: as an output it would be copied.
        learner, learned = jax.lax.cond(
            steps + self.steps_per_iteration >= self.learning_starts,
            lambda learner: self._learn(learner, storage, bits[:drawing], clock),
            lambda learner: (learner, {name: Mean(jnp.float32(0), jnp.float32(0)) for name in self._learned}),
            state.learner,
        )
        return OffPolicyState(learner, storage, actors, state.key), {**episode_metrics(played), **learned}

    @property
    def _learned(self) -> tuple[str, ...]:
        """The names of what learning measures."""
        return self.metrics[len(EPISODE_METRICS) :]

    def _exploring(self, learner: Any, steps: jax.Array) -> Policy:
        def act(carry: Any, episodes: Episode, bits: jax.Array) -> tuple[Any, Any, Any]:
            return self.explore(learner, carry, episodes, bits, steps)

        return Policy(act, self.exploration_carry(self.num_envs))

    def _learn(self, learner: Any, storage: Experience, bits: jax.Array, clock: Clock) -> tuple[Any, Metrics]:
        rows = replay.filled(storage, self.train_every, clock.iteration)
        indices = replay.uniform(bits[: self.batch_size], rows * self.num_envs)
        newest = replay.newest(storage, self.train_every, clock.iteration)
        batch = replay.transitions(storage, indices, self.n_step, self.discount, newest)
        learner, measured, _ = self.learn(learner, batch, bits[self.batch_size :], clock)
        return learner, {name: Mean(value, jnp.ones((), jnp.float32)) for name, value in measured.items()}

    def updates(self, clock: Clock) -> jax.Array:
        """How many updates there are up to and with that of the clock's iteration, from the first one on: i32[]."""
        first = -(-self.learning_starts // self.steps_per_iteration)
        return clock.iteration + 2 - max(first, 1)

    def scheduled_rate(self, clock: Clock, start: Any = None) -> jax.Array:
        """A step size that falls over the run by `schedule`: f32[]; `start`: None for `learning_rate`."""
        start = self.learning_rate if start is None else start
        return schedules.SHAPES[self.schedule](start, start * self.learning_rate_end_fraction, clock.fraction)

    def optimizer(self, learning_rate: Any) -> optax.GradientTransformation:
        """Adam, after clipping where there is a greatest norm."""
        return optimizers.optimizer("adam", learning_rate, self.max_grad_norm)

    def moved_target(self, target: Any, params: Any) -> Any:
        """Target parameters after a soft update towards the online ones by `tau`."""
        return optax.incremental_update(params, target, self.tau)

    def params(self, state: OffPolicyState) -> Any:
        """The parameters to act with."""
        return self.acting_params(state.learner)

    def kept(self, state: OffPolicyState) -> OffPolicyState:
        """The state without its replay buffer and its environments."""
        return dataclasses.replace(state, replay=None, actors=None)
