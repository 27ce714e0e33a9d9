"""What environments with a table of transitions share: a few states, a few outcomes of every action."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.environment import Environment, TimeStep
from jaxrl.pytree import pytree
from jaxrl.spaces import Discrete


@dataclasses.dataclass(frozen=True)
class Table:
    """The outcomes of every action in every state.

    Attributes:
      successor: i32[states, actions, outcomes].
      reward: i32[states, actions, outcomes], an index into `Tabular.rewards`.
      terminated: bool[states, actions, outcomes].
    """

    successor: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray

    @property
    def packed(self) -> np.ndarray:
        """Successor, reward and end in one number, so that a step is one read: i32[states, actions, outcomes]."""
        return ((self.successor * 8 + self.reward) * 2 + self.terminated).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Model:
    """A Markov decision process in NumPy, to plan with; `[states, actions, outcomes]` each.

    Attributes:
      probability: f64.
      successor: i32.
      reward: f64.
      terminated: bool.
    """

    probability: np.ndarray
    successor: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray


@pytree
class Tabular(Environment):
    """Base class: the state is a number i32[], which is also the observation.

    A subclass defines `table`, `rewards`, `starts` and `probabilities`.
    """

    @property
    def table(self) -> Table:
        """The outcomes, by static fields alone."""
        raise NotImplementedError

    @property
    def rewards(self) -> tuple[Any, ...]:
        """The rewards that there are, at most 8: f32[] each."""
        raise NotImplementedError

    @property
    def starts(self) -> np.ndarray:
        """The states i32[n] that an episode starts from, all equally likely."""
        raise NotImplementedError

    @property
    def probabilities(self) -> tuple[Any, ...] | None:
        """The probabilities of the outcomes, in order: f32[] each; None where every action has one outcome."""
        raise NotImplementedError

    @property
    def observation_space(self) -> Discrete:
        """The states."""
        return Discrete(self.table.successor.shape[0])

    @property
    def action_space(self) -> Discrete:
        """The actions."""
        return Discrete(self.table.successor.shape[1])

    @property
    def model(self) -> Model:
        """The process in NumPy; the environment's leaves must be single numbers."""
        table = self.table
        probabilities = (1.0,) if self.probabilities is None else self.probabilities
        return Model(
            np.broadcast_to(np.asarray(probabilities, np.float64), table.successor.shape),
            table.successor,
            np.asarray(self.rewards, np.float64)[table.reward],
            table.terminated,
        )

    def reset(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draws one of the starts; needs no randomness where there is only one."""
        starts = self.starts
        if len(starts) == 1:
            state = jnp.full((), int(starts[0]), jnp.int32)
        else:
            state = jnp.asarray(starts, jnp.int32)[random_bits.randint(len(starts), random_bits.bits(key, ()))]
        return state, state

    def step(self, state: jax.Array, action: Any, key: jax.Array) -> tuple[jax.Array, TimeStep]:
        """Draws one of the outcomes; needs no randomness where there is only one."""
        packed = jnp.asarray(self.table.packed)
        _, actions, outcomes = packed.shape
        index = (state * actions + action) * outcomes + self._outcome(key)
        drawn = packed.reshape(-1)[index]
        state, kind = drawn >> 4, (drawn >> 1) & 7
        reward = jnp.float32(self.rewards[0])
        for other_kind, other in enumerate(self.rewards[1:], 1):
            reward = jnp.where(kind == other_kind, other, reward)
        return state, TimeStep(state, reward.astype(jnp.float32), drawn & 1 != 0, jnp.zeros((), bool))

    def _outcome(self, key: jax.Array) -> jax.Array | int:
        """The number of the outcome, i32[]."""
        probabilities = self.probabilities
        if probabilities is None:
            return 0
        drawn = random_bits.uniform(random_bits.bits(key, ()))
        # As Gymnasium draws: the first outcome whose cumulated probability is above the drawn number.
        levels = [sum(probabilities[: index + 1]) for index in range(len(probabilities) - 1)]
        return sum((drawn >= level).astype(jnp.int32) for level in levels)


def slips(success_rate: Any) -> tuple[Any, Any, Any] | None:
    """The probabilities of slipping to one side, of not slipping, and of slipping to the other side."""
    if success_rate is None:
        return None
    fail = (1 - success_rate) / 2
    return fail, success_rate, fail


def slipping(table: Table) -> Table:
    """Adds slips to a table of one outcome: every action becomes (the one before, itself, the one after)."""

    def three(values: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(values[:, :, 0], turn, axis=1) for turn in (1, 0, -1)], axis=-1)

    return Table(three(table.successor), three(table.reward), three(table.terminated))
