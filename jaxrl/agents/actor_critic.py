"""A policy and a value over one environment's spaces: what on-policy agents act and learn with."""

import dataclasses
import math
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import networks
from jaxrl.distributions import (
    Distribution,
    Gaussian,
    MultiCategorical,
    autoregressive,
    autoregressive_noise,
    categorical,
    persistent,
)
from jaxrl.masks import split_choices
from jaxrl.pytree import pytree
from jaxrl.spaces import ArraySpace, Box, Discrete, MultiDiscrete, Space, flat_bounds, is_array_space


@pytree
class Params:
    """What is learned.

    Attributes:
      network: of Haiku.
      log_std: f32[dimensions], the logarithm of a Gaussian policy's deviations in units of half the range of each
        dimension; None for discrete actions.
    """

    network: Any
    log_std: jax.Array | None


@pytree
class Heads:
    """What the network says of observations; leaves `[..., batch]`.

    Attributes:
      policy: f32[..., batch, n]: logits, or means in units of half the range of each dimension.
      value: f32[..., batch].
    """

    policy: jax.Array
    value: jax.Array


@pytree
class Previous:
    """How a step before explored, for exploration that persists.

    Attributes:
      action: i32[batch] or i32[batch, d], the discrete action, -1 in an episode's first step; or f32[batch, d], the
        noise in deviations, 0 in an episode's first step.
      weight: f32[batch, 1], 0 in an episode's first step, else 1.
    """

    action: jax.Array
    weight: jax.Array


@dataclasses.dataclass(frozen=True)
class ActorCritic:
    """The model: networks and what their outputs mean.

    Attributes:
      observation_space: of what the networks read.
      action_space: of the policy.
      hidden: widths of the hidden layers.
      activation: of the hidden layers.
      shared: whether policy and value share the hidden layers.
      memory: "none", or the kind of recurrent cell.
      memory_size: of the cell.
    """

    observation_space: Space
    action_space: Space
    hidden: tuple[int, ...]
    activation: str
    shared: bool
    memory: str = "none"
    memory_size: int = 0

    @property
    def outputs(self) -> int:
        """How many numbers the policy's head has."""
        space = self.action_space
        if isinstance(space, MultiDiscrete):
            return sum(space.counts)
        return space.n if isinstance(space, Discrete) else self.dimensions

    @property
    def dimensions(self) -> int:
        """How many numbers an action has."""
        assert is_array_space(self.action_space)  # The agent was checked when it was made.
        return math.prod(self.action_space.shape)

    @property
    def _discrete(self) -> bool:
        return isinstance(self.action_space, Discrete | MultiDiscrete)

    @property
    def values_are_free(self) -> bool:
        """Whether acting computes the values too, or most of them."""
        return self.shared or self.memory != "none"

    @property
    def _network(self) -> networks.Recurrent | hk.Transformed:
        layers = (self.observation_space, self.hidden, self.outputs)
        options: dict[str, Any] = {"shared": self.shared, "activation": self.activation}
        if self.memory == "none":
            return networks.actor_critic(*layers, **options)
        return networks.recurrent_actor_critic(*layers, memory=self.memory, memory_size=self.memory_size, **options)

    def init(self, key: jax.Array, initial_std: Any) -> Params:
        """Draws parameters; `initial_std` is the first deviation of a Gaussian policy, as `Params.log_std` has it."""
        network = self._network.init(key, networks.example(self.observation_space))
        if self._discrete:
            return Params(network, None)
        return Params(network, jnp.full(self.dimensions, jnp.log(initial_std), jnp.float32))

    def initial_memory(self, batch: int) -> Any:
        """The memory before an episode's first observation: leaves `[batch, ...]`; () where there is none."""
        network = self._network
        return network.initial_carry(batch) if isinstance(network, networks.Recurrent) else ()

    def step(self, params: Params, memory: Any, obs: jax.Array) -> tuple[Heads, Any]:
        """What the network says of observations `[batch, ...]`, and the memory after them."""
        network = self._network
        if isinstance(network, networks.Recurrent):
            heads, memory = network.step(params.network, memory, obs)
            return Heads(*heads), memory
        return Heads(*network.apply(params.network, obs)), memory

    def unroll(self, params: Params, memory: Any, obs: jax.Array, reset: jax.Array) -> Heads:
        """What a network with memory says of whole rollouts.

        Args:
          params: parameters.
          memory: before the first observations, leaves `[batch, ...]`.
          obs: `[time, batch, ...]`.
          reset: bool[time, batch], whether an episode begins with an observation.

        Returns:
          Leaves `[time, batch, ...]`.
        """
        network = self._network
        assert isinstance(network, networks.Recurrent)
        return Heads(*network.unroll(params.network, memory, obs, reset)[0])

    def distribution(
        self,
        params: Params,
        policy: jax.Array,
        mask: Any = None,
        previous: Previous | None = None,
        persistence: Any = 0,
    ) -> Distribution:
        """The distribution over actions that the policy's outputs f32[..., n] mean.

        Args:
          params: parameters.
          policy: `Heads.policy`.
          mask: bool[..., n], the allowed actions (see `jaxrl.masks`), or None.
          previous: of the step before; None for exploration that does not persist.
          persistence: f32[] in [0, 1), how far exploration persists from step to step; None as `previous`.
        """
        if self._discrete:
            return self._choices(policy, mask, None if persistence is None else previous, persistence)
        mean, scale, low, high = self._scaled(params, policy)
        if previous is None or persistence is None:
            return Gaussian(mean, scale, low, high)
        return autoregressive(mean, scale, previous.action, persistence * previous.weight, low, high)

    def _choices(self, policy: jax.Array, mask: Any, previous: Previous | None, persistence: Any) -> Distribution:
        """The distribution over discrete actions, as `distribution` has it."""
        if isinstance(self.action_space, MultiDiscrete):
            parts = split_choices(policy, self.action_space)
            masks = [None] * len(parts) if mask is None else split_choices(mask, self.action_space)
            if previous is None:
                return MultiCategorical(tuple(map(categorical, parts, masks)))
            actions = [previous.action[..., i] for i in range(len(parts))]
            choices = zip(parts, masks, actions, strict=True)
            return MultiCategorical(tuple(persistent(*choice, persistence) for choice in choices))
        if previous is None:
            return categorical(policy, mask)
        return persistent(policy, mask, previous.action, persistence)

    def _scaled(self, params: Params, policy: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Means f32[..., d], deviations, and bounds f32[d], of flat actions."""
        assert isinstance(self.action_space, Box)
        assert params.log_std is not None
        low, high = flat_bounds(self.action_space)
        half = (high - low) / 2
        return (high + low) / 2 + half * policy, half * jnp.exp(params.log_std), low, high

    def initial_previous(self, batch: int) -> Previous:
        """What comes before an episode's first step."""
        if self._discrete:
            action = jnp.full((batch, *self.action_space.shape), -1, jnp.int32)  # type: ignore[union-attr]
        else:
            action = jnp.zeros((batch, self.dimensions), jnp.float32)
        return Previous(action, jnp.zeros((batch, 1), jnp.float32))

    def next_previous(self, params: Params, policy: jax.Array, action: jax.Array) -> Previous:
        """What the step after these flat actions has as its previous one."""
        weight = jnp.ones((action.shape[0], 1), jnp.float32)
        if self._discrete:
            return Previous(action, weight)
        mean, scale, _, _ = self._scaled(params, policy)
        return Previous(autoregressive_noise(action, mean, scale), weight)

    def shaped(self, action: jax.Array) -> jax.Array:
        """Flat actions `[batch, d]` as the environment takes them."""
        assert is_array_space(self.action_space)
        return action if self._discrete else shaped(self.action_space, action)


def shaped(space: ArraySpace, action: jax.Array) -> jax.Array:
    """Flat actions `[batch, d]` as actions of a space."""
    return action.reshape(-1, *space.shape).astype(space.dtype)


def check_action_bounds(owner: str, space: Space) -> None:
    """Checks that a continuous action space has finite bounds, where they are known and the same for all members.

    Raises:
      ValueError: it has not, or they are equal, or its numbers are integers.
    """
    if not isinstance(space, Box) or any(isinstance(x, jax.core.Tracer) for x in (space.low, space.high)):
        return
    if not jnp.issubdtype(space.dtype, jnp.floating):
        raise ValueError(
            f"{owner} needs actions of a floating dtype, and the action space is {space!r}: give it dtype=jnp.float32 "
            "and round inside the environment's step, or make the actions jaxrl.Discrete"
        )
    low, high = (np.asarray(x, np.float64) for x in (space.low, space.high))
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise ValueError(
            f"{owner} needs finite bounds of its actions, low below high, and the action space is {space!r}: give the "
            "environment's action_space such as jaxrl.Box(-1.0, 1.0, (dimensions,)), and scale inside its step"
        )
