"""Greedy episodes on the device: how good a policy is when it does not explore."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxrl.agents.base import Agent, policy_of
from jaxrl.checks import positive
from jaxrl.devices import member_keys, member_mesh
from jaxrl.loop import AXIS, member_axes, over_members, specs
from jaxrl.rollout import Step, play_episodes, start_actors

RESERVED_SEED = 2**32 - 1
"""The seed of no member: evaluation draws from it, so that no episode repeats one of training."""


PLAYED_AT_ONCE = 256
"""Members that play side by side."""


def greedy_returns(agent: Agent, params: Any, key: jax.Array, episodes: int) -> jax.Array:
    """Plays whole episodes of one member's deterministic actions side by side: undiscounted returns f32[episodes]."""
    start_key, play_key = jax.random.split(key)
    policy = policy_of(agent, params, episodes)
    actors = start_actors(agent.env, start_key, episodes, policy.initial_carry)

    def add(returns: jax.Array, time: jax.Array, step: Step, active: jax.Array) -> jax.Array:
        return jnp.where(active, step.transition.episode_return, returns)

    unknown = jnp.zeros(episodes, jnp.float32)
    return play_episodes(agent.env, actors, policy, episodes, None, play_key, add, unknown)[0]


@functools.partial(jax.jit, static_argnames=("episodes", "varied", "mesh"))
def _block_returns(
    agent: Agent, params: Any, keys: jax.Array, episodes: int, varied: tuple[str, ...], mesh: Mesh
) -> jax.Array:
    axes = member_axes(agent, varied)
    body = jax.vmap(lambda a, p, k: greedy_returns(a, p, k, episodes), in_axes=(axes, 0, 0))
    members = PartitionSpec(AXIS)
    return over_members(body, mesh, (specs(axes, agent), members, members))(agent, params, keys)


def evaluation_key(seed: int) -> jax.Array:
    """The key of episodes that are played to judge a policy: never a member's own."""
    return jax.random.fold_in(jax.random.key(seed), RESERVED_SEED)


def evaluate(result: Any, episodes: int = 32, seed: int = 0, block: int = PLAYED_AT_ONCE) -> np.ndarray:
    """Plays greedy episodes with every member of a result, on the device.

    Args:
      result: what `jaxrl.train` or `jaxrl.load` gave.
      episodes: episodes a member.
      seed: of the episodes; the same seed gives the same starts again.
      block: members played at once.

    Returns:
      Undiscounted returns, f32[members, episodes].

    Raises:
      TypeError: an argument is no whole number.
      ValueError: `episodes` or `block` is not positive.
    """
    episodes = positive("episodes", episodes)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed = {seed!r} must be a whole number")
    base = evaluation_key(seed)
    block = min(positive("block", block), len(result.seeds))
    mesh = member_mesh(block)
    block = -(-block // mesh.size) * mesh.size
    returns = []
    for first in range(0, len(result.seeds), block):
        # The last block is filled up with the last member, so that all blocks share one compilation.
        chosen = np.minimum(np.arange(first, first + block), len(result.seeds) - 1)
        params = jax.tree.map(lambda x, chosen=chosen: x[chosen], result.params)
        keys = member_keys(base, result.seeds[chosen])
        played = _block_returns(result.batched_agent(chosen), params, keys, episodes, tuple(result.vary), mesh)
        returns.append(np.asarray(played)[: len(result.seeds) - first])
    return np.concatenate(returns)
