"""Observations that a policy meets in its own environment."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.actors import start_actors
from jaxrl.agents.base import Agent
from jaxrl.environment import Episode
from jaxrl.evaluation import evaluation_key
from jaxrl.pytree import with_array_leaves
from jaxrl.rollout import Policy, Step, rollout

EPISODES = 16
"""Episodes that are played side by side."""
EXPLORED = 0.05
"""The share of the actions that are explored."""


@dataclasses.dataclass(frozen=True)
class Played:
    """Steps of the episodes of several environments; arrays `[time, envs, ...]`.

    Attributes:
      obs: the observations.
      mask: bool[time, envs, n], the allowed actions, or None where all are, always.
      carry: the policy's carry that each observation met, a pytree.
      first: bool[time, envs], whether an episode begins with the observation.
    """

    obs: np.ndarray
    mask: np.ndarray | None
    carry: Any
    first: np.ndarray

    def spread(self, count: int) -> "Played":
        """`count` of all steps, spread evenly; arrays `[count, ...]`."""
        rows = np.linspace(0, self.first.size - 1, count).astype(int)
        return self._each(lambda x: x.reshape(-1, *x.shape[2:])[rows])

    def sequences(self, steps: int, envs: int) -> "Played":
        """The first `steps` steps of `envs` environments."""
        return self._each(lambda x: x[:steps, :envs])

    def _each(self, part: Any) -> "Played":
        return Played(*jax.tree.map(part, (self.obs, self.mask, self.carry, self.first)))


def play(agent: Agent, params: Any, count: int, seed: int) -> Played:
    """Plays deterministic actions with automatic reset, a twentieth of them explored instead.

    The few explored actions lead to states beside the beaten track, which another rounding might enter.

    Args:
      agent: the agent.
      params: one member's parameters.
      count: how many observations there must be at least; at least two whole episodes in each environment.
      seed: of the episodes.
    """
    agent = with_array_leaves(agent)
    steps = max(-(-count // EPISODES), 2 * agent.env.max_steps)

    def act(carry: Any, episodes: Episode, bits: jax.Array) -> tuple[Any, Any, Any]:
        obs, mask = episodes.obs, episodes.mask
        chosen, following, _ = agent.act(params, carry, obs, mask)
        explored, _, _ = agent.act(params, carry, obs, mask, bits[:, 1:])
        explores = random_bits.uniform(bits[:, 0]) < EXPLORED
        actions = jax.vmap(jnp.where)(explores, explored, chosen)
        return actions, following, carry

    def record(step: Step) -> Any:
        return step.before.obs, step.before.mask, step.extras, step.before.length == 0

    @jax.jit
    def played(key: jax.Array) -> Any:
        start_key, noise_key, step_key = random_bits.split(key, 3)
        noise = random_bits.bits(noise_key, (steps, EPISODES, 1 + agent.action_bits))
        carry = agent.initial_carry(EPISODES)
        actors = start_actors(agent.env, start_key, EPISODES, carry)
        return rollout(agent.env, actors, Policy(act, carry), noise, step_key, record)[1]

    return Played(*jax.tree.map(np.asarray, played(evaluation_key(seed))))
