"""What on-policy agents share: rollouts of a fixed length, advantages, and updates of an actor and a critic.

An algorithm adds its loss, and how often it learns from a rollout (`A2C`: once, `PPO`: several times in minibatches).
"""

import dataclasses
import functools
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxrl import optimizers, random_bits, schedules
from jaxrl.actors import Actors, start_actors
from jaxrl.agents.actor_critic import ActorCritic, Params, check_action_bounds
from jaxrl.agents.base import EPISODE_METRICS, Agent, Clock, Mean, Metrics, episode_metrics
from jaxrl.agents.collection import ActingParams, Collector, Rows, initial_carry
from jaxrl.agents.minibatches import Batch, batch_of, partitions, take
from jaxrl.distributions import Distribution
from jaxrl.environment import Environment
from jaxrl.normalize import Moments, RewardScale, observation_moments
from jaxrl.pytree import leaf, pytree, static
from jaxrl.returns import generalised_advantages
from jaxrl.spaces import Box, Discrete, MultiDiscrete

GRADIENT_EPSILON = 1e-5
"""What Adam and RMSProp add to the root of the second moment (as in OpenAI's baselines; Huang et al., 2022)."""


@pytree
class OnPolicyState:
    """State of one member.

    Attributes:
      params: of the model.
      opt_state: of the optimizer.
      actors: the environments, leaves `[num_envs, ...]`, whose carry is a `Carry`; None once the run is over.
      moments: of observations, or None.
      reward_scale: of rewards, or None.
      key: the member's key; every iteration draws by its own index.
    """

    params: Params
    opt_state: Any
    actors: Actors | None
    moments: Moments | None
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

    action_spaces = (Discrete, MultiDiscrete, Box)
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
        return self._model.dimensions

    @property
    def output_kinds(self) -> tuple[str, ...]:  # type: ignore[override]
        """Probabilities and logits of discrete actions."""
        return ("probabilities", "logits") if isinstance(self.env.action_space, Discrete) else ()

    metrics: ClassVar[tuple[str, ...]] = (*EPISODE_METRICS, "loss", "value_loss", "entropy")

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
        first = initial_carry(self._model, self.num_envs, self.persistence is not None)
        actors = start_actors(self.env, start_key, self.num_envs, first)
        moments = observation_moments(self.env.observation_space) if self.normalize_observations else None
        scale = RewardScale.empty(self.num_envs) if self.normalize_rewards else None
        return OnPolicyState(params, self._optimizer(0.0).init(params), actors, moments, scale, run_key)

    def _collector(self, params: Params, moments: Moments | None, clock: Clock) -> Collector:
        return Collector(self.env, self._model, ActingParams(params, moments), self._persistence(clock))

    def _persistence(self, clock: Clock) -> jax.Array | None:
        return None if self.persistence is None else schedules.linear(self.persistence, 0.0, clock.fraction)

    def iterate(self, state: OnPolicyState, clock: Clock) -> tuple[OnPolicyState, Metrics]:
        """Plays a rollout, and learns from it."""
        shape = (self.rollout_steps, self.num_envs, self.action_bits)
        count = math.prod(shape)
        assert state.actors is not None
        bits, (key,) = random_bits.bits_and_keys(state.key, clock.iteration, bits=count + self._partition_bits, keys=1)
        collector = self._collector(state.params, state.moments, clock)
        actors, rows, last_value = collector.collect(state.actors, bits[:count].reshape(shape), key)
        reward, scale, moments = rows.reward, state.reward_scale, state.moments
        if scale is not None:
            scale = scale.update(reward, rows.ended, self.discount)
            reward = scale.scale(reward)
        if moments is not None:
            moments = moments.update(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows.obs))
        advantage = self._advantages(rows, reward, last_value)
        batch = batch_of(rows, collector.acting.observe(rows.obs), advantage, state.actors.carry.memory)
        params, opt_state, metrics = self._learn(state.params, state.opt_state, batch, bits[count:], clock)
        following = OnPolicyState(params, opt_state, actors, moments, scale, state.key)
        return following, {**episode_metrics(rows), **metrics}

    def _advantages(self, rows: Rows, reward: jax.Array, last_value: jax.Array) -> jax.Array:
        """f32[time, envs]; `last_value` f32[envs] is that of the observations after the rollout."""
        return generalised_advantages(
            reward,
            rows.value,
            rows.next_values(last_value),
            rows.terminated,
            rows.truncated,
            discount=self.discount,
            lambda_=self.gae_lambda,
        )

    def workspace(self) -> Any:
        """A rollout, the batch made of it, its random bits, and what a gradient keeps of a minibatch."""

        def one(key: jax.Array) -> Any:
            state = self.init(key)
            assert state.actors is not None
            collector = self._collector(state.params, state.moments, Clock(jnp.int32(0), jnp.int32(1)))
            bits = jnp.zeros((self.rollout_steps, self.num_envs, self.action_bits), jnp.uint32)
            _, rows, _ = collector.collect(state.actors, bits, key)
            return rows, batch_of(rows, collector.acting.observe(rows.obs), rows.value, state.actors.carry.memory)

        # Before and after the activation of every layer, for the policy and the value, and the gates of the memory.
        numbers = 4 * sum(self.hidden) + (8 * self.memory_size if self.memory != "none" else 0)
        kept = jax.ShapeDtypeStruct((self.steps_per_iteration // self.minibatches, numbers), jnp.float32)
        bits = jax.ShapeDtypeStruct((self.steps_per_iteration * self.action_bits + self._partition_bits,), jnp.uint32)
        return jax.eval_shape(one, jax.random.key(0)), kept, bits

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

        def update(carry: tuple[Params, Any, jax.Array], indices: jax.Array | None) -> tuple[Any, Any]:
            params, opt_state, stopped = carry
            gradients, measured = gradient(params, batch if indices is None else take(batch, indices))
            after = optimizers.apply(self._optimizer(rate), gradients, opt_state, params)
            stop = self._stops(measured)
            if stop is not None:
                stopped |= stop
                after = jax.tree.map(lambda old, new: jnp.where(stopped, old, new), (params, opt_state), after)
            return (*after, stopped), {name: Mean.of(value, ~stopped) for name, value in measured.items()}

        carry = (params, opt_state, jnp.bool_(False))
        whole = self.minibatches == 1
        indices = None if whole else partitions(bits.reshape(self.epochs, -1), self.minibatches)
        (params, opt_state, _), sums = jax.lax.scan(update, carry, indices, length=self.epochs * self.minibatches)
        return params, opt_state, jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)

    def _measured_loss(self, params: Params, batch: Batch, clock: Clock) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of a minibatch, and what is measured on the way."""
        if self.memory == "none":
            heads = self._model.step(params, (), batch.obs)[0]
        else:
            heads = self._model.unroll(params, batch.memory, batch.obs, batch.reset)
        persistence = self._persistence(clock)
        distribution = self._model.distribution(params, heads.policy, batch.mask, batch.previous, persistence)
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

    def final_state(self, state: OnPolicyState) -> OnPolicyState:
        """The state without its environments."""
        return dataclasses.replace(state, actors=None)

    def initial_carry(self, batch: int) -> Any:
        """The network's memory before an episode's first observation."""
        return self._model.initial_memory(batch)

    def act(
        self, params: ActingParams, carry: Any, obs: Any, mask: Any = None, bits: Any = None
    ) -> tuple[Any, Any, Any]:
        """Actions `[batch, ...]` inside their bounds: sampled with bits, the mode without; the extras are values.

        Samples do not persist from step to step (`persistence`): that is how rollouts explore at first, and falls to 0.
        """
        heads, carry = self._model.step(params.model, carry, params.observe(obs))
        distribution = self._model.distribution(params.model, heads.policy, mask)
        action = distribution.mode() if bits is None else distribution.clip(distribution.sample(bits))
        return self._model.shaped(action), carry, heads.value

    def outputs(self, params: ActingParams, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """Logits f32[batch, n] of discrete actions, of several choices behind one another; continuous ones: the mode,
        f32[batch, dimensions].
        """
        heads, carry = self._model.step(params.model, carry, params.observe(obs))
        if isinstance(self.env.action_space, Discrete | MultiDiscrete):
            return heads.policy, carry
        return self._model.distribution(params.model, heads.policy).mode(), carry
