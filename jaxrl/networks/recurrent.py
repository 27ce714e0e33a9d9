"""A policy and a value that remember: layers, a recurrent cell, and layers again."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from jaxrl.networks import recurrence
from jaxrl.networks.actor_critic import policy_and_value
from jaxrl.networks.cells import CELLS, Arrays
from jaxrl.networks.initialization import Initializer, transform, weights_initializer
from jaxrl.networks.linear import product
from jaxrl.networks.mlp import Layers, Torso
from jaxrl.networks.options import LayerOptions
from jaxrl.spaces import Space


class Recurrent(NamedTuple):
    """A policy and a value with memory.

    A carry is a tuple of f32[batch, size]: (output,) of a GRU, (output, cell) of an LSTM. Heads are
    (f32[..., action_outputs], f32[...]).
    """

    init: Callable[[jax.Array, jax.Array], hk.MutableParams]
    """(key, observations [batch, ...]) -> parameters."""
    initial_carry: Callable[[int], Arrays]
    """(batch) -> the carry before an episode's first observation: zeros."""
    step: Callable[[hk.Params, Arrays, jax.Array], tuple[tuple[jax.Array, jax.Array], Arrays]]
    """(params, carry, observations [batch, ...]) -> (heads [batch, ...], carry)."""
    unroll: Callable[[hk.Params, Arrays, jax.Array, jax.Array], tuple[tuple[jax.Array, jax.Array], Arrays]]
    """(params, carry, observations [time, batch, ...], reset bool[time, batch]) -> (heads [time, batch, ...], carry).

    Where `reset`, the carry becomes the initial one before the observation is read.
    """


class Memory(hk.Module):
    """A recurrent cell.

    A GRU's parameters are those of `haiku.GRU`, cut into those of both gates (`w_i_gates`, `w_h_gates`, `b_gates`) and
    of the candidate (`w_i_candidate`, ...): slices of one array would be copied in every step. An LSTM has those of all
    its gates in one, where `haiku.LSTM` has one matrix that holds `w_i` above `w_h`.
    """

    def __init__(self, cell: str, size: int, initializer: str | Initializer, name: str | None = None):
        super().__init__(name=name or cell)
        self.cell = CELLS[cell]
        self.size = size
        self.initializer = initializer

    def step(self, features: jax.Array, carry: Arrays) -> tuple[jax.Array, Arrays]:
        """(f32[batch, size], carry) for f32[batch, features]."""
        carry, _ = self.cell.forward(self._recurrent_weights(), carry, self._gates(features))
        return carry[0], carry

    def unroll(self, features: jax.Array, carry: Arrays, reset: jax.Array) -> tuple[jax.Array, Arrays]:
        """(f32[time, batch, size], carry) for f32[time * batch, features]."""
        gates = tuple(x.reshape(*reset.shape, -1) for x in self._gates(features))
        return recurrence.unroll(self.cell, self._recurrent_weights(), carry, gates, reset)

    def _gates(self, features: jax.Array) -> Arrays:
        return tuple(
            product(features, self._weights("w_i", name, features.shape[-1]))
            + hk.get_parameter(f"b_{name}", (width * self.size,), init=jnp.zeros)
            for name, width in self.cell.matrices.items()
        )

    def _recurrent_weights(self) -> Arrays:
        return tuple(self._weights("w_h", name, self.size) for name in self.cell.matrices)

    def _weights(self, kind: str, name: str, features: int) -> jax.Array:
        width = self.cell.matrices[name]
        # The gates in one matrix share its unit rows if it is orthogonal; each gets the scale it would have alone.
        scale = math.sqrt(width) if self.initializer == "orthogonal" else 1.0
        initializer = weights_initializer(self.initializer, features, scale)
        return hk.get_parameter(f"{kind}_{name}", (features, width * self.size), init=initializer)


def recurrent_actor_critic(
    space: Space,
    hidden: tuple[int, ...],
    action_outputs: int,
    *,
    memory: str = "gru",
    memory_size: int = 128,
    after: tuple[int, ...] | None = None,
    shared: bool = False,
    head_scales: tuple[float, float] = (0.01, 1.0),
    activation: str = "tanh",
    initializer: str | Initializer = "orthogonal",
    **options: Any,
) -> Recurrent:
    """A policy and a value of all observations of an episode so far.

    Policy and value share the hidden layers and the memory, as in `purejaxrl/ppo_rnn.py`.

    Args:
      space: of the observations.
      hidden: widths of the layers before the memory.
      action_outputs: numbers that the policy needs, such as one logit an action.
      memory: one of `CELLS`.
      memory_size: numbers that one array of the carry remembers.
      after: widths of the layers after the memory; None: one like the last of `hidden`.
      shared: whether policy and value share the layers after the memory too; otherwise each has its own.
      head_scales: what the initial weights of the policy's and of the value's head are multiplied by.
      activation: of the hidden layers, one of `ACTIVATIONS`.
      initializer: of all weights: one of `INITIALIZERS`, or a Haiku initializer.
      **options: other fields of `LayerOptions`, such as `layer_norm`, `inputs` and `encoder`.

    Raises:
      ValueError: an option has an unknown value, or the encoder can't read the observations.
      TypeError: an option does not exist, or its value has a wrong type.
    """
    if memory not in CELLS:
        raise ValueError(f"memory = {memory!r} is unknown: choose one of {', '.join(CELLS)}")
    layers = LayerOptions(activation=activation, initializer=initializer, **options)
    torso = Torso(space, hidden, layers)
    widths = hidden[-1:] if after is None else after

    def heads(policy: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = policy
        if widths and shared:
            policy = value = Layers(widths, layers, name="after")(policy)
        elif widths:
            policy = Layers(widths, layers, name="policy")(policy)
            value = Layers(widths, layers, name="value")(value)
        return policy_and_value(policy, value, action_outputs, initializer, head_scales)

    def step(carry: Arrays, observations: Any) -> Any:
        features, carry = Memory(memory, memory_size, initializer).step(torso(observations, "mlp"), carry)
        return heads(features), carry

    def unroll(carry: Arrays, observations: Any, reset: jax.Array) -> Any:
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), observations)
        features, carry = Memory(memory, memory_size, initializer).unroll(torso(flat, "mlp"), carry, reset)
        outputs = heads(features.reshape(-1, memory_size))
        return jax.tree.map(lambda x: x.reshape(*reset.shape, *x.shape[1:]), outputs), carry

    def initial_carry(batch: int) -> Arrays:
        return (jnp.zeros((batch, memory_size), jnp.float32),) * CELLS[memory].carries

    one_step = transform(step)
    return Recurrent(
        lambda key, observations: one_step.init(
            key, initial_carry(jax.tree.leaves(observations)[0].shape[0]), observations
        ),
        initial_carry,
        one_step.apply,
        transform(unroll).apply,
    )
