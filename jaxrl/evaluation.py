"""Greedy episodes on the device: how good a policy is when it does not explore."""

import bisect
import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxrl.actors import reserve_size, start_actors
from jaxrl.agents.base import Agent, policy_of
from jaxrl.arguments import LARGEST_SEED, positive, shown, whole
from jaxrl.devices import (
    USABLE_MEMORY,
    NotEnoughMemoryError,
    bytes_of,
    free_device_memory,
    mebibytes,
    member_keys,
    member_mesh,
)
from jaxrl.environment import start_episode
from jaxrl.loop import AXIS, member_axes, over_members, specs
from jaxrl.pytree import cache_by_structure, with_array_leaves
from jaxrl.rollout import Step, play_episodes

MOST_EPISODES = 2**31 - 1
"""As many episodes as 32 bits count."""
RESERVED_SEED = 2**32 - 1
"""The seed of no member: evaluation draws from it, so that no episode repeats one of training."""


PLAYED_AT_ONCE = 256
"""Members that play side by side."""


class _Sizes(NamedTuple):
    """Bytes of one member's episode under way, of its carry, of what acting in it computes, and of the parameters."""

    episode: int
    carry: int
    acting: int
    params: int


@cache_by_structure
def _sizes(agent: Agent) -> _Sizes:
    key = jax.random.key(0)
    params = jax.eval_shape(lambda: agent.params(agent.init(key)))
    # The outputs of every layer: those of its products, which are as wide as its weights.
    widths = sum(x.shape[-1] for x in jax.tree.leaves(params) if len(x.shape) > 1)
    episode, carry = jax.eval_shape(lambda: (start_episode(agent.env, key), agent.initial_carry(1)))
    return _Sizes(bytes_of(episode), bytes_of(carry), widths * np.dtype(np.float32).itemsize, bytes_of(params))


def episode_bytes(agent: Agent, episodes: int) -> int:
    """Bytes that one member needs besides its parameters to play so many episodes side by side."""
    sizes = _sizes(agent)
    # Each episode has the start of another one ready, two counters and a return; a step reads one copy of all that
    # and writes another.
    actors = episodes * (2 * sizes.episode + sizes.carry + 16) + reserve_size(agent.env, episodes) * sizes.episode
    return 2 * actors + episodes * sizes.acting


def players(agent: Agent, episodes: int, members: int, free: int) -> int:
    """How many members can play so many episodes at once.

    Args:
      agent: of all members.
      episodes: of each.
      members: the most that are wanted.
      free: bytes of memory.

    Raises:
      NotEnoughMemoryError: not one can.
    """

    def needed(count: int) -> int:
        return episode_bytes(agent, count) + _sizes(agent).params

    usable, each = int(free * USABLE_MEMORY), needed(episodes)
    if each > usable:
        fits = bisect.bisect_right(range(1, episodes), usable, key=needed)
        raise NotEnoughMemoryError(
            f"episodes = {episodes} played side by side need {mebibytes(each)} of memory a member, and "
            f"{mebibytes(usable)} may be used: " + (f"at most {fits} would fit" if fits else "not even one fits")
        )
    return min(members, usable // each)


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


def exact_scores(agent: Agent, params: Any) -> np.ndarray | None:
    """The environment's exact score of every member, f64[members], by parameters `[members, ...]`; None without one."""
    exact = agent.env.exact_score
    if exact is None:
        return None
    agent = with_array_leaves(agent)

    @jax.jit
    @jax.vmap
    def scores(params: Any) -> jax.Array:
        return exact.score(lambda count: policy_of(agent, params, count))

    members = len(jax.tree.leaves(params)[0])
    parts = [slice(first, first + PLAYED_AT_ONCE) for first in range(0, members, PLAYED_AT_ONCE)]
    return np.concatenate([np.asarray(scores(jax.tree.map(lambda x, p=p: x[p], params)), np.float64) for p in parts])


class Trained(Protocol):
    """Trained members, such as a `Result`: an agent, and what differs between its members `[members, ...]`."""

    @property
    def agent(self) -> Agent: ...  # noqa: D102

    @property
    def params(self) -> Any: ...  # noqa: D102

    @property
    def seeds(self) -> np.ndarray: ...  # noqa: D102

    @property
    def vary(self) -> dict[str, np.ndarray]: ...  # noqa: D102

    def batched_agent(self, chosen: np.ndarray) -> Agent:
        """The agent with the values of the chosen members in its varied leaves."""


def evaluate(result: Trained, episodes: int = 32, seed: int = 0, block_size: int = PLAYED_AT_ONCE) -> np.ndarray:
    """Plays greedy episodes with every member of a result, on the device.

    Args:
      result: what `jaxrl.train` or `jaxrl.load` gave.
      episodes: episodes a member.
      seed: of the episodes; the same seed gives the same starts again.
      block_size: the most members that play at once; fewer where memory is short.

    Returns:
      Undiscounted returns, f32[members, episodes].

    Raises:
      TypeError: `result` is not a result, or another argument is not a whole number.
      ValueError: an argument is out of range.
      NotEnoughMemoryError: not even one member can play so many episodes side by side.
    """
    if not all(hasattr(result, name) for name in ("agent", "params", "seeds", "batched_agent")):
        raise TypeError(f"result = {shown(result)} must be a result of jaxrl.train or jaxrl.load")
    episodes = positive("episodes", episodes, MOST_EPISODES)
    base = evaluation_key(whole("seed", seed, 0, LARGEST_SEED))
    block_size = min(positive("block_size", block_size), len(result.seeds))
    block_size = players(result.agent, episodes, block_size, free_device_memory(member_mesh(block_size)))
    mesh = member_mesh(block_size)
    block_size = -(-block_size // mesh.size) * mesh.size
    returns = []
    for first in range(0, len(result.seeds), block_size):
        # The last block is filled up with the last member, so that all blocks share one compilation.
        chosen = np.minimum(np.arange(first, first + block_size), len(result.seeds) - 1)
        params = jax.tree.map(lambda x, chosen=chosen: x[chosen], result.params)
        keys = member_keys(base, result.seeds[chosen])
        played = _block_returns(result.batched_agent(chosen), params, keys, episodes, tuple(result.vary), mesh)
        returns.append(np.asarray(played)[: len(result.seeds) - first])
    return np.concatenate(returns)
