"""What on-policy agents share: rollouts of a fixed length, advantages, and updates of an actor and a critic.

An algorithm adds its loss, and how often it learns from a rollout (`A2C`: once, `PPO`: several times in minibatches).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrl import optimizers, random_bits, returns, schedules
from jaxrl.agents.actor_critic import ActorCritic, Params, Previous, check_action_bounds
from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock, Mean, Metrics, episode_metrics
from jaxrl.distributions import Distribution
from jaxrl.environment import Environment, Episode
from jaxrl.normalize import RewardScale, RunningMoments
from jaxrl.pytree import leaf, pytree, static
from jaxrl.rollout import Actors, Policy, Step, any_member, rollout, start_actors
from jaxrl.spaces import Box, Discrete

GRADIENT_EPSILON = 1e-5
"""What Adam and RMSProp add to the root of the second moment (as in OpenAI's baselines; Huang et al., 2022)."""


@pytree
class ActingParams:
    """What acting needs: parameters, and the moments that observations are normalised by (None: they are not)."""

    model: Params
    moments: RunningMoments | None


@pytree
class Carry:
    """What the exploring policy remembers from step to step; leaves `[envs, ...]`.

    Attributes:
      memory: of the network; () without one.
      previous: how the step before explored; None where exploration does not persist.
    """

    memory: Any
    previous: Previous | None


@pytree
class Rows:
    """A rollout: leaves `[time, envs, ...]`.

    Attributes:
      obs: raw, as the environment gave it.
      mask: the allowed actions, or None.
      previous: as `Carry.previous`, before the step.
      reset: bool, whether an episode begins with the observation.
      action: flat, before clipping to the bounds.
      log_prob: f32, of the action when it was taken.
      value: f32, of the observation.
      bootstrap: f32, the value of the true successor of an episode that was cut off; 0 elsewhere.
      reward, terminated, truncated, length, episode_return: as in `Transition`.
    """

    obs: Any
    mask: Any
    previous: Previous | None
    reset: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    bootstrap: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    length: jax.Array
    episode_return: jax.Array

    @property
    def ended(self) -> jax.Array:
        """bool[time, envs], whether the episode is over, for either reason."""
        return self.terminated | self.truncated


@pytree
class Batch:
    """What an update learns from: a rollout or a part of it.

    Attributes:
      rows: leaves `[time, envs, ...]`, or `[batch, ...]` where the policy has no memory.
      obs: as the network reads them, likewise.
      memory: before the first observations, leaves `[envs, ...]`; () where the policy has none.
      advantage: f32, likewise.
      target: f32, the values to learn.
    """

    rows: Rows
    obs: Any
    memory: Any
    advantage: jax.Array
    target: jax.Array


@pytree
class OnPolicyState:
    """State of one member.

    Attributes:
      params: of the model.
      opt_state: of the optimizer.
      actors: the environments, leaves `[num_envs, ...]`; their carry is a `Carry`.
      moments: of observations, or None.
      reward_scale: of rewards, or None.
      key: the member's key; every iteration draws by its own index.
    """

    params: Params
    opt_state: Any
    actors: Actors
    moments: RunningMoments | None
    reward_scale: RewardScale | None
    key: jax.Array


@pytree
class OnPolicy(Agent):
    """Base class of agents that learn from rollouts of their own policy."""

    env: Environment
    """The environment to learn in."""
    learning_rate: float = leaf(default=2e-3, above=0)
    """The optimizer's step size at the start of the run."""
    learning_rate_end_fraction: float = leaf(default=0.0, minimum=0)
    """Share of the step size that is left at the end of the run."""
    discount: float = leaf(default=0.99, minimum=0, maximum=1)
    """Discount of the return per step."""
    gae_lambda: float = leaf(default=0.95, minimum=0, maximum=1)
    """Decay of the traces of generalised advantages; 1: returns to the end of the rollout or of the episode."""
    entropy_cost: float = leaf(default=0.0, minimum=0)
    """Weight of the entropy bonus."""
    value_cost: float = leaf(default=0.5, minimum=0)
    """Weight of the value's squared error."""
    max_grad_norm: float | None = leaf(default=0.5, above=0)
    """Greatest global norm of a gradient; none: no clipping."""
    initial_std: float = leaf(default=1.0, above=0)
    """First standard deviation of continuous actions, in units of half the range of each dimension."""
    persistence: float | None = leaf(default=None, minimum=0, below=1)
    """How far exploration persists from step to step at the start of the run; it falls linearly to 0. Continuous
    actions: the correlation of their noise; discrete ones: the probability of repeating the last action. None: off."""
    hidden: tuple[int, ...] = static(default=(64, 64), minimum=1)
    """Widths of the hidden layers."""
    activation: str = static(default="tanh", choices=("tanh", "relu"))
    """Activation function of the hidden layers."""
    shared: bool = static(default=False, choices=(False, True))
    """Share the hidden layers between policy and value."""
    num_envs: int = static(default=8, minimum=1)
    """Environments that one member plays at once."""
    rollout_steps: int = static(default=32, minimum=1)
    """Steps of every environment between two updates."""
    schedule: str = static(default="linear", choices=tuple(schedules.SHAPES))
    """How the step size falls over the run."""
    optimizer: str = static(default="adam", choices=tuple(optimizers.OPTIMIZERS))
    """The optimizer."""
    normalize_observations: bool = static(default=False, choices=(False, True))
    """Normalise observations by their running moments."""
    normalize_rewards: bool = static(default=False, choices=(False, True))
    """Divide rewards by the running deviation of the discounted return."""
    normalize_advantages: bool = static(default=False, choices=(False, True))
    """Normalise the advantages of every minibatch to mean 0 and deviation 1."""

    action_spaces = (Discrete, Box)
    epochs = 1
    minibatches = 1
    memory = "none"
    memory_size = 0

    def check(self) -> None:
        """Checks that the rollout divides into minibatches, and that continuous actions have bounds."""
        name = type(self).__name__
        check_action_bounds(name, self.env.action_space)
        sequences = self.memory != "none"
        what, size = (
            ("num_envs", self.num_envs) if sequences else ("num_envs * rollout_steps", self.steps_per_iteration)
        )
        if size % self.minibatches:
            fitting = max(count for count in range(1, self.minibatches) if size % count == 0)
            raise ValueError(
                f"{name}.minibatches = {self.minibatches} must divide {what} = {size}"
                + (", because a policy with memory learns from whole sequences" if sequences else "")
                + f": minibatches = {fitting} does"
            )

    @property
    def action_bits(self) -> int:  # type: ignore[override]
        """One random number an action, or one a dimension."""
        return 1 if isinstance(self.env.action_space, Discrete) else self._model.outputs

    @property
    def output_kinds(self) -> tuple[str, ...]:  # type: ignore[override]
        """Probabilities and logits of discrete actions."""
        return ("probabilities", "logits") if isinstance(self.env.action_space, Discrete) else ()

    metrics = (*EPISODE_METRICS, "loss", "value_loss", "entropy")

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one rollout."""
        return self.num_envs * self.rollout_steps

    @property
    def _model(self) -> ActorCritic:
        space = self.env.observation_space
        return ActorCritic(
            space,
            self.env.action_space,
            self.hidden,
            self.activation,
            self.shared,
            self.memory,
            self.memory_size,
        )

    def _optimizer(self, learning_rate: Any) -> optax.GradientTransformation:
        return optimizers.optimizer(self.optimizer, learning_rate, self.max_grad_norm, GRADIENT_EPSILON)

    def init(self, key: jax.Array) -> OnPolicyState:
        """Draws parameters, starts the environments."""
        params_key, start_key, run_key = random_bits.split(key, 3)
        params = self._model.init(params_key, self.initial_std)
        actors = start_actors(self.env, start_key, self.num_envs, self._initial_carry())
        space = self.env.observation_space
        moments = RunningMoments.empty(space.shape) if self._normalizes else None
        scale = RewardScale.empty(self.num_envs) if self.normalize_rewards else None
        return OnPolicyState(params, self._optimizer(0.0).init(params), actors, moments, scale, run_key)

    @property
    def _normalizes(self) -> bool:
        """Whether observations are normalised: those that are numbers."""
        return self.normalize_observations and isinstance(self.env.observation_space, Box)

    def _initial_carry(self) -> Carry:
        model = self._model
        previous = None if self.persistence is None else model.initial_previous(self.num_envs)
        return Carry(model.initial_memory(self.num_envs), previous)

    def iterate(self, state: OnPolicyState, clock: Clock) -> tuple[OnPolicyState, Metrics]:
        """Plays a rollout, and learns from it."""
        shape = (self.rollout_steps, self.num_envs, self.action_bits)
        count = shape[0] * shape[1] * shape[2]
        bits, (step_key,) = random_bits.bits_and_keys(
            state.key, clock.iteration, bits=count + self._partition_bits, keys=1
        )
        acting = ActingParams(state.params, state.moments)
        actors, rows = rollout(
            self.env,
            state.actors,
            self._exploring(acting, clock),
            bits[:count].reshape(shape),
            step_key,
            lambda step: self._row(acting, step),
        )
        last = self._model.step(state.params, actors.carry.memory, self._observe(acting, actors.episodes.obs))[0]
        rewards, scale = rows.reward, state.reward_scale
        if scale is not None:
            scale = scale.update(rewards, rows.ended, self.discount)
            rewards = scale.scale(rewards)
        advantage = self._advantages(rows, rewards, last.value)
        batch = Batch(
            rows, self._observe(acting, rows.obs), state.actors.carry.memory, advantage, advantage + rows.value
        )
        params, opt_state, metrics = self._learn(state.params, state.opt_state, batch, bits[count:], clock)
        moments = state.moments
        if moments is not None:
            moments = moments.update(rows.obs.reshape(-1, *rows.obs.shape[2:]))
        following = OnPolicyState(params, opt_state, actors, moments, scale, state.key)
        return following, {**episode_metrics(rows), **metrics}

    def _observe(self, acting: ActingParams, obs: Any) -> Any:
        """Observations as the network reads them."""
        return obs if acting.moments is None else acting.moments.normalize(obs)

    def _exploring(self, acting: ActingParams, clock: Clock) -> Policy:
        """The policy that rollouts are played by; its extras are (action, log-probability, value, previous)."""
        model = self._model

        def act(carry: Carry, episodes: Episode, bits: jax.Array) -> tuple[Any, Carry, Any]:
            heads, memory = model.step(acting.model, carry.memory, self._observe(acting, episodes.obs))
            distribution = self._distribution(acting.model, heads.policy, episodes.mask, carry.previous, clock)
            action, log_prob = distribution.sample_with_log_prob(bits)
            following = None
            if carry.previous is not None:
                following = model.next_previous(acting.model, heads.policy, action)
            extras = (action, log_prob, heads.value, carry.previous)
            return model.shaped(distribution.clip(action)), Carry(memory, following), extras

        return Policy(act, self._initial_carry())

    def _distribution(
        self, params: Params, policy: jax.Array, mask: Any, previous: Previous | None, clock: Clock
    ) -> Distribution:
        persistence = 0.0 if previous is None else schedules.linear(self.persistence, 0.0, clock.fraction)
        return self._model.distribution(params, policy, mask, previous, persistence)

    def _row(self, acting: ActingParams, step: Step) -> Rows:
        """What learning needs of a step."""
        played, (action, log_prob, value, previous) = step.transition, step.extras
        cut_off = played.truncated & ~played.terminated

        def successor_value() -> jax.Array:
            return self._model.step(acting.model, step.carry.memory, self._observe(acting, played.next_obs))[0].value

        # Few steps are cut off, and only those need the value of a successor that is not acted from.
        following = jax.lax.cond(any_member(jnp.any(cut_off)), successor_value, lambda: jnp.zeros_like(value))
        return Rows(
            obs=played.obs,
            mask=played.mask,
            previous=previous,
            reset=step.before.length == 0,
            action=action,
            log_prob=log_prob,
            value=value,
            bootstrap=jnp.where(cut_off, following, 0),
            reward=played.reward,
            terminated=played.terminated,
            truncated=played.truncated,
            length=played.length,
            episode_return=played.episode_return,
        )

    def _advantages(self, rows: Rows, rewards: jax.Array, last_value: jax.Array) -> jax.Array:
        """Generalised advantages f32[time, envs]; `last_value` f32[envs] is that of what follows the rollout."""
        following = jnp.concatenate([rows.value[1:], last_value[None]])
        return returns.generalised_advantages(
            rewards,
            rows.value,
            jnp.where(rows.ended, rows.bootstrap, following),
            rows.terminated,
            rows.truncated,
            discount=self.discount,
            lambda_=self.gae_lambda,
        )

    def scratch(self) -> Any:
        """The rollout of one update, and the batch made of it."""

        def one(key: jax.Array) -> Any:
            state, clock = self.init(key), Clock(jnp.int32(0), jnp.int32(1))
            acting = ActingParams(state.params, state.moments)
            bits = jnp.zeros((self.rollout_steps, self.num_envs, self.action_bits), jnp.uint32)
            rows = rollout(
                self.env, state.actors, self._exploring(acting, clock), bits, key, lambda step: self._row(acting, step)
            )[1]
            return rows, self._observe(acting, rows.obs), rows.value, rows.value

        return jax.eval_shape(one, jax.random.key(0))

    @property
    def _partition_bits(self) -> int:
        """How many random numbers an iteration takes to partition its rollout into minibatches."""
        rows = self.num_envs if self.memory != "none" else self.steps_per_iteration
        return 0 if self.minibatches == 1 else self.epochs * rows

    def _learn(
        self, params: Params, opt_state: Any, batch: Batch, bits: jax.Array, clock: Clock
    ) -> tuple[Params, Any, Metrics]:
        """All updates of an iteration: parameters, the optimizer's state, and the means of what was measured."""
        rate = schedules.SHAPES[self.schedule](
            self.learning_rate, self.learning_rate * self.learning_rate_end_fraction, clock.fraction
        )
        gradient = jax.grad(functools.partial(self._measured_loss, clock=clock), has_aux=True)
        flat = batch if self.memory != "none" else _flattened(batch)

        def update(carry: tuple[Params, Any, jax.Array], indices: jax.Array | None) -> tuple[Any, Any]:
            params, opt_state, stopped = carry
            gradients, measured = gradient(params, flat if indices is None else self._taken(flat, indices))
            after = optimizers.apply(self._optimizer(rate), gradients, opt_state, params)
            stop = self._stops(measured)
            if stop is not None:
                stopped |= stop
                after = jax.tree.map(lambda old, new: jnp.where(stopped, old, new), (params, opt_state), after)
            weight = (~stopped).astype(jnp.float32)
            return (*after, stopped), {name: Mean(value * weight, weight) for name, value in measured.items()}

        carry = (params, opt_state, jnp.bool_(False))
        if self.minibatches == 1:
            (params, opt_state, _), sums = jax.lax.scan(lambda c, _: update(c, None), carry, length=self.epochs)
        else:
            indices = partitions(bits.reshape(self.epochs, -1), self.minibatches)
            (params, opt_state, _), sums = jax.lax.scan(update, carry, indices)
        return params, opt_state, jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)

    def _taken(self, batch: Batch, indices: jax.Array) -> Batch:
        """The rows, or the environments where the policy has memory, of a minibatch."""
        if self.memory == "none":
            return jax.tree.map(lambda x: x[indices], batch)
        memory = jax.tree.map(lambda x: x[indices], batch.memory)
        rest = jax.tree.map(lambda x: x[:, indices], dataclasses.replace(batch, memory=()))
        return dataclasses.replace(rest, memory=memory)

    def _measured_loss(self, params: Params, batch: Batch, clock: Clock) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of a minibatch, and what is measured on the way."""
        if self.memory == "none":
            heads = self._model.step(params, (), batch.obs)[0]
        else:
            heads = self._model.unroll(params, batch.memory, batch.obs, batch.rows.reset)
        rows = batch.rows
        distribution = self._distribution(params, heads.policy, rows.mask, rows.previous, clock)
        advantage = batch.advantage
        if self.normalize_advantages:
            advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
        loss, measured = self.policy_loss(distribution, batch, advantage, clock)
        value_loss = jnp.mean(self.value_errors(heads.value, batch, clock))
        entropy = jnp.mean(distribution.entropy())
        loss += self.value_cost * value_loss - self.entropy_cost * entropy
        return loss, {"loss": loss, "value_loss": value_loss, "entropy": entropy, **measured}

    def policy_loss(
        self, distribution: Distribution, batch: Batch, advantage: jax.Array, clock: Clock
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss f32[] of the policy over a minibatch, and what else is measured of it: f32[] by name.

        Args:
          distribution: of the policy that is learned, for every row.
          batch: the minibatch.
          advantage: f32, of every row, normalised if they are.
          clock: of the run.
        """
        raise NotImplementedError

    def value_errors(self, value: jax.Array, batch: Batch, clock: Clock) -> jax.Array:
        """Half the squared errors of the values, f32 for each row."""
        return optax.l2_loss(value, batch.target)

    def _stops(self, measured: dict[str, jax.Array]) -> jax.Array | None:
        """Whether learning from this rollout stops before an update with these measurements; None: never."""
        return None

    def params(self, state: OnPolicyState) -> ActingParams:
        """The model's parameters, and the moments of observations."""
        return ActingParams(state.params, state.moments)

    def kept(self, state: OnPolicyState) -> OnPolicyState:
        """The state without its environments."""
        return dataclasses.replace(state, actors=None)

    def initial_carry(self, batch: int) -> Any:
        """The network's memory before an episode's first observation."""
        return self._model.initial_memory(batch)

    def act(
        self, params: ActingParams, carry: Any, obs: Any, mask: Any = None, bits: Any = None
    ) -> tuple[Any, Any, Any]:
        """Actions `[batch, ...]` inside their bounds: sampled with bits, the mode without; the extras are values."""
        heads, carry = self._model.step(params.model, carry, self._observe(params, obs))
        distribution = self._model.distribution(params.model, heads.policy, mask)
        action = distribution.mode() if bits is None else distribution.clip(distribution.sample(bits))
        return self._model.shaped(action), carry, heads.value

    def outputs(self, params: ActingParams, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """Logits f32[batch, n] of discrete actions; continuous ones: the mode, f32[batch, dimensions]."""
        heads, carry = self._model.step(params.model, carry, self._observe(params, obs))
        if isinstance(self.env.action_space, Discrete):
            return heads.policy, carry
        return self._model.distribution(params.model, heads.policy).mode(), carry


def partitions(bits: jax.Array, minibatches: int) -> jax.Array:
    """Random partitions of rows into minibatches, one partition an epoch.

    Of every `minibatches` rows in succession each goes to another minibatch, in random order: minibatches are spread
    over the whole rollout, and nothing has to be sorted but so few numbers.

    Args:
      bits: random bits u32[epochs, rows].
      minibatches: how many; they divide the rows.

    Returns:
      Indices of rows, i32[epochs * minibatches, rows / minibatches].
    """
    epochs, rows = bits.shape
    groups = bits.reshape(epochs, rows // minibatches, minibatches)
    order = jnp.argsort(groups, axis=-1).astype(jnp.int32)
    indices = order + minibatches * jnp.arange(rows // minibatches, dtype=jnp.int32)[:, None]
    return jnp.moveaxis(indices, -1, 1).reshape(epochs * minibatches, -1)


def _flattened(batch: Batch) -> Batch:
    """Leaves `[time * envs, ...]` for `[time, envs, ...]`."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
