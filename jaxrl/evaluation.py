"""Greedy episodes on the device: how good a policy is when it does not explore."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxrl.agents.base import Agent
from jaxrl.checks import positive
from jaxrl.collecting import any_member, start_all
from jaxrl.devices import member_keys, member_mesh
from jaxrl.environment import Episode, take
from jaxrl.loop import AXIS, member_axes, over_members, specs
from jaxrl.pytree import pytree

RESERVED_SEED = 2**32 - 1
"""The seed of no member: evaluation draws from it, so that no episode repeats one of training."""


PLAYED_AT_ONCE = 256
"""Members that play side by side."""


@pytree
class Playing:
    """Episodes under way, `[episodes, ...]`: their steps, and which of them are over."""

    time: jax.Array
    going: jax.Array
    episodes: Episode
    over: jax.Array


def greedy_returns(agent: Agent, params: Any, key: jax.Array, episodes: int) -> jax.Array:
    """Plays whole greedy episodes of one member side by side: undiscounted returns f32[episodes]."""
    env = agent.env
    start_key, play_key = jax.random.split(key)

    def choose(obs: Any, mask: Any) -> jax.Array:
        return agent.policy(params, obs, mask=mask)

    def step(playing: Playing) -> Playing:
        actions = jax.vmap(choose)(playing.episodes.obs, playing.episodes.mask)
        keys = jax.random.split(jax.random.fold_in(play_key, playing.time), episodes)
        following, played = jax.vmap(lambda e, a, k: take(env, e, a, k))(playing.episodes, actions, keys)
        # An episode that is over keeps its return; what its environment does from there on is not looked at.
        kept = jnp.where(playing.over, playing.episodes.episode_return, following.episode_return)
        over = playing.over | played.ended
        following = Episode(following.state, following.obs, following.mask, following.length, kept)
        return Playing(playing.time + 1, any_member(~jnp.all(over)), following, over)

    playing = Playing(jnp.int32(0), jnp.ones((), bool), start_all(env, start_key, episodes), jnp.zeros(episodes, bool))
    return jax.lax.while_loop(lambda p: p.going, step, playing).episodes.episode_return


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
