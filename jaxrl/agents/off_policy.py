"""What off-policy agents share: they collect steps, store them for replay, and learn from a batch of what is stored.

An algorithm adds what it learns (`init_learner`, `learn`, `acting_params`) and how it explores (`explore`).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxrl import networks, optimizers, random_bits, replay, schedules
from jaxrl.actors import Actors, start_actors
from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock, Mean, Metrics, episode_metrics
from jaxrl.agents.replay_draws import PRIORITY_EPSILON, ReplayDraws, gradient_norms
from jaxrl.environment import Environment, Episode, Transition
from jaxrl.priorities import Priorities
from jaxrl.pytree import leaf, pytree, static
from jaxrl.replay import Batch, Experience
from jaxrl.rollout import Policy, rollout


@pytree
class OffPolicyState:
    """State of one member.

    Attributes:
      learner: what learning changes, such as networks and optimizers.
      replay: `Experience` with leaves `[time, num_envs, ...]`.
      carries: of the policy before the rows of each iteration, leaves `[time / train_every, num_envs, ...]`; None
        where no sequences are learned from.
      priorities: of transitions or sequences; None where all are drawn alike.
      actors: the environments, leaves `[num_envs, ...]`; None once the run is over.
      key: the member's key; every iteration draws by its own index.
    """

    learner: Any
    replay: Any
    carries: Any
    priorities: Priorities | None
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
    replay: str = static(default="uniform", choices=("uniform", "prioritized"))
    """How transitions are drawn: all alike, or in proportion to their priorities (Schaul et al., 2016)."""
    priority: str = static(default="error", choices=("error", "gradient"))
    """What a priority is made of: the magnitude of an item's error, or the norm of the gradient of its loss (GER;
    Lahire et al., 2022), which takes a gradient for each item."""
    priority_exponent: float = leaf(default=0.6, minimum=0, maximum=1)
    """Power of that in the priority; 0: all items are drawn alike."""
    importance_exponent: float = leaf(default=0.4, minimum=0, maximum=1)
    """How far importance weights make up for unequal draws at the start of the run; it rises linearly to 1, in full."""

    metrics = (*EPISODE_METRICS, "loss")
    learn_metrics: ClassVar[tuple[str, ...]] = ("loss",)
    """Those of `metrics` that `learn` measures."""
    learn_bits = 0
    """How many random numbers of 32 bits an update takes besides those that draw its batch. A class attribute or a
    property."""
    replays_mask = False
    """Whether learning needs the allowed actions of the first observation too, not only those of the successor."""
    replays_sequences = False
    """Whether `learn` gets `Sequences` of `sequence_steps` steps in place of transitions."""
    sequence_steps = 1
    """Steps of a sequence. A class attribute or a property."""

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
        self, learner: Any, batch: Any, bits: jax.Array, clock: Clock
    ) -> tuple[Any, dict[str, jax.Array], jax.Array]:
        """One update.

        Args:
          learner: as `init_learner` gives it.
          batch: a `Batch`, or `Sequences` where `replays_sequences`; the losses of its items are weighed by
            `batch.weight`.
          bits: random bits u32[learn_bits].
          clock: of the run.

        Returns:
          The learner, what was measured (f32[] by the names of `metrics` behind those of episodes), and the
          magnitude of every item's error, f32[batch], for replay by priority (as `gradients` gives it).
        """
        raise NotImplementedError

    def acting_params(self, learner: Any) -> Any:
        """The parameters that `act` plays with."""
        return learner.params

    def exploration_carry(self, batch: int) -> Any:
        """The carry of `explore` before an episode's first observation, leaves `[batch, ...]`."""
        return self.initial_carry(batch)

    def check(self) -> None:
        """Checks that returns of n steps fit the buffer and the episodes, and that a choice of priority has a use."""
        name = type(self).__name__
        limits = {"rows of the replay buffer, buffer_size / num_envs": self._rows, "the episode": self.env.max_steps}
        for what, limit in limits.items():
            if self.n_step > max(limit, 1):  # An environment without a step is refused elsewhere.
                raise ValueError(
                    f"{name}.n_step = {self.n_step} must be at most {limit}, the steps of {what}: give fewer"
                )

        if self.priority != "error" and not self._draws.prioritized:
            raise ValueError(
                f"{name}.priority = {self.priority!r} has no effect on uniform replay: give replay='prioritized' too"
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
        carries = replay.create(actors.carry, self._rows // self.train_every) if self.replays_sequences else None
        return OffPolicyState(learner, storage, carries, self._draws.empty_priorities(), actors, run_key)

    def _row(self, episodes: Episode) -> Experience:
        """An example of one row of the buffer."""
        action = networks.example(self.env.action_space, (self.num_envs,))
        zeros, flag = jnp.zeros(self.num_envs, jnp.float32), jnp.zeros(self.num_envs, bool)
        obs, mask = episodes.obs, episodes.mask
        return self._stored(Transition(obs, mask, action, zeros, obs, mask, flag, flag, episodes.length, zeros))

    def _stored(self, played: Transition) -> Experience:
        """What is stored of steps."""
        if self.replays_sequences:  # The successor is the next row.
            flags = (played.terminated, played.truncated)
            return Experience(played.obs, played.mask, played.action, played.reward, None, None, *flags)
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
        drawing = self._draws.bits + self.learn_bits
        bits, (key,) = random_bits.bits_and_keys(state.key, clock.iteration, bits=drawing + math.prod(explore), keys=1)
        steps = clock.iteration * self.steps_per_iteration
        policy = self._exploring(state.learner, steps)
        actors, played = rollout(
            self.env, state.actors, policy, bits[drawing:].reshape(explore), key, lambda step: step.transition
        )
        storage = replay.write(state.replay, self._stored(played), clock.iteration)
        carries = state.carries
        if carries is not None:
            carries = replay.write(carries, jax.tree.map(lambda x: x[None], state.actors.carry), clock.iteration)
        priorities = self._draws.add(state.priorities, clock.iteration)
        # The buffer and the priorities go into the branch but never come out: as outputs they would be copied.
        learner, learned, drawn = jax.lax.cond(
            steps + self.steps_per_iteration >= self.learning_starts,
            lambda learner: self._learn(learner, (storage, carries, priorities), bits[:drawing], clock),
            lambda learner: (learner, self._nothing_learned, self._draws.none),
            state.learner,
        )
        if priorities is not None:
            priorities = priorities.update(*drawn)
        following = OffPolicyState(learner, storage, carries, priorities, actors, state.key)
        return following, {**episode_metrics(played), **learned}

    def workspace(self) -> Any:
        """A batch as it is drawn and as the network reads it, the steps of an iteration, and what a gradient keeps."""
        stored = jax.eval_shape(lambda: self.init(jax.random.key(0))).replay
        learned = self.batch_size * self.sequence_steps
        rows = 2 * (learned + self.steps_per_iteration)
        experience = jax.tree.map(lambda x: jax.ShapeDtypeStruct((rows, *x.shape[2:]), x.dtype), stored)
        kept = jax.ShapeDtypeStruct((learned, self.gradient_numbers), jnp.float32)
        # The policy of the last step.
        acting = jax.ShapeDtypeStruct((self.num_envs, 2 * sum(self.hidden)), jnp.float32)
        bits = self._draws.bits + self.learn_bits + self.steps_per_iteration * self.action_bits
        return experience, kept, acting, jax.ShapeDtypeStruct((bits,), jnp.uint32)

    @property
    def gradient_numbers(self) -> int:
        """What gradients keep of an item: before and after the activation of every layer, on the way there and back."""
        return 4 * sum(self.hidden)

    @property
    def _draws(self) -> ReplayDraws:
        added = self.num_envs if self.replays_sequences else self.steps_per_iteration
        return ReplayDraws(self._rows, self.train_every, added, self.batch_size, self.replay == "prioritized")

    @property
    def _nothing_learned(self) -> Metrics:
        return {name: Mean(jnp.float32(0), jnp.float32(0)) for name in self.learn_metrics}

    def _exploring(self, learner: Any, steps: jax.Array) -> Policy:
        def act(carry: Any, episodes: Episode, bits: jax.Array) -> tuple[Any, Any, Any]:
            return self.explore(learner, carry, episodes, bits, steps)

        return Policy(act, self.exploration_carry(self.num_envs))

    def _learn(
        self, learner: Any, memory: tuple[Experience, Any, Priorities | None], bits: jax.Array, clock: Clock
    ) -> tuple[Any, Metrics, tuple[jax.Array, jax.Array] | None]:
        """One update: the learner, what was measured, and the items that were drawn with their new priorities."""
        storage, carries, priorities = memory
        draw_bits, learn_bits = bits[: self._draws.bits], bits[self._draws.bits :]
        exponent = schedules.linear(self.importance_exponent, 1.0, clock.fraction)
        indices, weight = self._draws.draw(storage, priorities, draw_bits, clock.iteration, exponent)
        newest = replay.newest(storage, self.train_every, clock.iteration)
        batch: Any
        if self.replays_sequences:
            batch = replay.sequences(storage, carries, indices, self.sequence_steps, newest)
        else:
            batch = replay.transitions(storage, indices, self.n_step, self.discount, newest)
        batch = dataclasses.replace(batch, weight=weight)
        learner, measured, errors = self.learn(learner, batch, learn_bits, clock)
        learned = {name: Mean(value, jnp.ones((), jnp.float32)) for name, value in measured.items()}
        if priorities is None:
            return learner, learned, None
        return learner, learned, (indices, jnp.power(errors + PRIORITY_EPSILON, self.priority_exponent))

    def gradients(
        self, loss: Callable[[Any, Batch], tuple[jax.Array, jax.Array]], params: Any, batch: Batch
    ) -> tuple[jax.Array, jax.Array, Any]:
        """The loss f32[] of a batch, what priorities are made of, f32[batch], and the gradient.

        Args:
          loss: of (params, batch): the weighted mean f32[], and the errors f32[batch].
          params: what the gradient is taken with respect to.
          batch: leaves `[batch, ...]`.
        """
        if self._draws.prioritized and self.priority == "gradient":
            return gradient_norms(loss, params, batch)
        (mean, errors), gradients = jax.value_and_grad(loss, has_aux=True)(params, batch)
        return mean, jnp.abs(errors), gradients

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

    def final_state(self, state: OffPolicyState) -> OffPolicyState:
        """The state without its replay buffer, what belongs to that, and its environments."""
        return dataclasses.replace(state, replay=None, carries=None, priorities=None, actors=None)
