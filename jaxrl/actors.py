"""Environments side by side, and where their episodes start from.

Resetting every environment in every step, as `vmap` of a conditional reset does, is wasteful even where a
reset is cheap. So each environment has a *spare* start, drawn ahead, which it takes when its episode ends. When one
ends that has no spare left, all used spares are redrawn at once, in a branch that is not taken
otherwise: how often that happens follows from how long episodes last. Environments whose reset is costly
(`Environment.costly_reset`) take their spares from a *reserve*, in order, so that hardly any start is computed in
vain. No two episodes share a start, unless the environment says that they may (`Environment.distinct_starts`).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import random_bits
from jaxrl.environment import Environment, Episode, start_episode
from jaxrl.pytree import pytree

LEAST_RESERVE = 32
"""The fewest starts that are drawn ahead at once, so that members of few environments seldom do, and together."""


@pytree
class Reserve:
    """Starts that were drawn ahead, in order; environments take them one after the other.

    Attributes:
      starts: leaves `[size, ...]`.
      first: i32[], the index of the first of them among all starts; negative before any was drawn.
      taken: i32[], the index of the next one to take.
    """

    starts: Episode
    first: jax.Array
    taken: jax.Array


@pytree
class Actors:
    """Environments side by side, each in an episode under way; leaves `[envs, ...]` where not said otherwise.

    Attributes:
      episodes: under way.
      carry: of the policy.
      spare: the next start of each environment.
      spare_used: bool[envs], whether it was taken already.
      drawn: i32[envs], how many starts were drawn for each environment; not counted where there is a reserve.
      reserve: where spares come from if a reset is costly; else None.
      key: of all starts.
    """

    episodes: Episode
    carry: Any
    spare: Episode
    spare_used: jax.Array
    drawn: jax.Array
    reserve: Reserve | None
    key: jax.Array

    @property
    def num_envs(self) -> int:
        """How many environments there are."""
        return self.spare_used.shape[0]


def start_actors(env: Environment, key: jax.Array, num_envs: int, initial_carry: Any = ()) -> Actors:
    """Starts an episode in every environment.

    Args:
      env: the environment.
      key: no other use may be made of it.
      num_envs: how many environments to play side by side.
      initial_carry: of the policy, leaves `[num_envs, ...]`.
    """
    if reserve_size(env, num_envs):
        episodes = start_each(env, _reserved_keys(env, key, jnp.arange(num_envs)))
    else:
        episodes = start_each(env, _own_keys(key, jnp.zeros(num_envs, jnp.int32)))
    return actors_at(env, episodes, key, initial_carry, drawn=1)


def actors_at(env: Environment, episodes: Episode, key: jax.Array, initial_carry: Any = (), drawn: int = 0) -> Actors:
    """Environments that go on from given episodes, leaves `[envs, ...]`.

    Args:
      env: the environment.
      episodes: to go on from.
      key: of the starts of later episodes.
      initial_carry: of the policy, leaves `[envs, ...]`.
      drawn: how many starts were drawn for each environment by this key already.
    """
    num_envs = episodes.length.shape[0]
    size = reserve_size(env, num_envs)
    reserve = None
    if size:
        # Contents that are never taken, because `first` says that none was drawn.
        starts = jax.tree.map(lambda x: x[jnp.arange(size) % num_envs], episodes)
        reserve = Reserve(starts, jnp.int32(-size - 1), jnp.int32(drawn * num_envs))
    return Actors(
        episodes=episodes,
        carry=initial_carry,
        spare=episodes,
        spare_used=jnp.ones(num_envs, bool),
        drawn=jnp.full(num_envs, drawn, jnp.int32),
        reserve=reserve,
        key=key,
    )


def start_each(env: Environment, keys: jax.Array) -> Episode:
    """Starts an episode by every key: leaves `[envs, ...]`."""
    return jax.vmap(lambda key: start_episode(env, key))(keys)


def draw_spares(env: Environment, actors: Actors, waiting: jax.Array) -> Actors:
    """Gives starts to the environments that wait for one, bool[envs], and new spares to those that used theirs.

    This runs for all members where any environment of any of them waits, and yet no member's numbers depend on
    another's. An environment's own starts follow in order, whenever they are drawn, so every member redraws its spares;
    from a reserve, the order is that of the environments that ask, so only members that need one take any.
    """
    wanted, reserve = actors.spare_used, actors.reserve
    if reserve is None:
        starts = start_each(env, _own_keys(actors.key, actors.drawn))
    else:
        wanted &= jnp.any(waiting)
        starts, reserve = _take_reserved(env, reserve, actors.key, wanted)
    return dataclasses.replace(
        actors,
        episodes=where_each(waiting, starts, actors.episodes),
        spare=where_each(wanted & ~waiting, starts, actors.spare),
        spare_used=(actors.spare_used & ~wanted) | waiting,
        drawn=actors.drawn + wanted,
        reserve=reserve,
    )


def _own_keys(key: jax.Array, drawn: jax.Array) -> jax.Array:
    """Keys[envs] of the next start of every environment, of which so many were drawn before, i32[envs]."""
    return random_bits.keys_at(key, drawn, jnp.arange(drawn.shape[0]))


def reserve_size(env: Environment, num_envs: int) -> int:
    """How many starts are drawn ahead; 0 where each environment draws its own."""
    return env.distinct_starts or (max(num_envs, LEAST_RESERVE) if env.costly_reset else 0)


def _reserved_keys(env: Environment, key: jax.Array, indices: jax.Array) -> jax.Array:
    """Keys[n] of the starts with the indices i32[n]: a function of nothing else, so that any may be drawn again."""
    if env.distinct_starts:
        indices = indices % env.distinct_starts
    return random_bits.keys_at(key, indices, jnp.zeros_like(indices))


def _take_reserved(env: Environment, reserve: Reserve, key: jax.Array, wanted: jax.Array) -> tuple[Episode, Reserve]:
    """The next starts of the reserve for the environments that want one, bool[envs]: leaves `[envs, ...]`."""
    size = reserve.starts.length.shape[0]
    count = jnp.sum(wanted, dtype=jnp.int32)
    # Starts that may be shared are drawn only once.
    short = reserve.first < 0 if env.distinct_starts else reserve.taken + count > reserve.first + size

    def draw(reserve: Reserve) -> Reserve:
        first = jnp.zeros_like(reserve.taken) if env.distinct_starts else reserve.taken
        starts = start_each(env, _reserved_keys(env, key, first + jnp.arange(size)))
        return Reserve(starts, first, reserve.taken)

    reserve = jax.lax.cond(any_member(short), draw, lambda r: r, reserve)
    places = (reserve.taken - reserve.first + jnp.cumsum(wanted) - 1) % size
    starts = jax.tree.map(lambda x: x[places], reserve.starts)
    return starts, dataclasses.replace(reserve, taken=reserve.taken + count)


def where_each(flags: jax.Array, new: Any, old: Any) -> Any:
    """Leaves `[envs, ...]` of `new` where bool[envs] says so, of `old` elsewhere."""
    return jax.vmap(lambda flag, n, o: jax.tree.map(lambda x, y: jnp.where(flag, x, y), n, o))(flags, new, old)


@jax.custom_batching.custom_vmap
def any_member(flag: jax.Array) -> jax.Array:
    """Whether `flag` holds for any member: bool[], never batched.

    A loop may run on this under `vmap` without turning into a select over all that it carries.
    """
    return flag


@any_member.def_vmap
def _any_member_batched(axis_size: int, in_batched: list[bool], flag: jax.Array) -> tuple[jax.Array, bool]:
    del axis_size
    return any_member(jnp.any(flag, axis=0) if in_batched[0] else flag), False
