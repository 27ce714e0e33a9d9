"""Playing many environments side by side, with the automatic reset: what all agents collect with.

Random numbers are most of the cost of a cheap environment, so they are drawn in few passes. A policy
gets rows of noise that were drawn for all steps at once. Where several steps are collected at once, an
episode's next start is drawn ahead, once for as many of them as an episode lasts
(`Environment.least_steps`); should an environment end a second time before the next draw, the same steps
are played once more with a start of its own for every end. So no two episodes ever share a start,
whatever `least_steps` says. A single step (DQN's default) draws a start for every environment.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import random_bits
from jaxrl.environment import Environment, Episode, Transition, advance, start

Act = Callable[[Episode, Any], jax.Array]
"""(episodes under way, leaves [envs, ...]; one row of noise) -> actions[envs, ...]."""


def start_all(env: Environment, key: jax.Array, num_envs: int) -> Episode:
    """Starts an episode in every environment: leaves `[envs, ...]`."""
    return start_each(env, random_bits.split(key, num_envs))


def start_each(env: Environment, keys: jax.Array) -> Episode:
    """Starts an episode by every key: leaves `[envs, ...]`."""
    return jax.vmap(lambda key: start(env, key))(keys)


def window(env: Environment, steps: int) -> int:
    """How many of `steps` steps share one drawn start, at most an episode's; the last window may be shorter."""
    windows = -(-steps // min(steps, env.least_steps, env.max_steps))
    return -(-steps // windows)


def keys_to_collect(env: Environment, steps: int, num_envs: int) -> int:
    """How many keys `collect` takes."""
    return 1 + -(-steps // window(env, steps)) * num_envs


def collect(env: Environment, episodes: Episode, act: Act, noise: Any, keys: jax.Array) -> tuple[Episode, Transition]:
    """Plays as many steps as there are rows of noise, with the automatic reset.

    Args:
      env: the environment.
      episodes: leaves `[envs, ...]`.
      act: chooses the actions of one step.
      noise: leaves `[steps, ...]`, a row for each call of `act`.
      keys: `[keys_to_collect(env, steps, envs)]`.

    Returns:
      The episodes after the steps, and the transitions, leaves `[steps, envs, ...]`.
    """
    steps, num_envs = jax.tree.leaves(noise)[0].shape[0], episodes.length.shape[0]
    if steps == 1:
        actions = act(episodes, jax.tree.map(lambda x: x[0], noise))
        episodes, transitions = play(env, episodes, actions, keys[0], start_each(env, keys[1:]))
        return episodes, jax.tree.map(lambda x: x[None], transitions)
    size = window(env, steps)
    rows, start_keys = (noise, jax.random.split(keys[0], steps)), keys[1:].reshape(-1, num_envs)

    def one_window(episodes: Episode, row: Any) -> tuple[Episode, Transition]:
        rows, keys = row
        return _play_window(env, episodes, act, rows, start_each(env, keys))

    whole = steps // size
    equal = jax.tree.map(lambda x: x[: whole * size].reshape(whole, size, *x.shape[1:]), rows)
    episodes, played = jax.lax.scan(one_window, episodes, (equal, start_keys[:whole]))
    played = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), played)
    if steps % size:
        last = jax.tree.map(lambda x: x[whole * size :], rows)
        episodes, rest = one_window(episodes, (last, start_keys[whole]))
        played = jax.tree.map(lambda first, second: jnp.concatenate([first, second]), played, rest)
    return episodes, played


def play(
    env: Environment, episodes: Episode, actions: Any, key: jax.Array, fresh: Episode
) -> tuple[Episode, Transition]:
    """One step of every episode, leaves `[envs, ...]`; those that end go on with their `fresh` one."""
    # Nothing is drawn from these where the environment's steps ignore their key.
    keys = random_bits.split(key, episodes.length.shape[0])
    return jax.vmap(lambda e, a, k, f: advance(env, e, a, k, f))(episodes, actions, keys, fresh)


def _play_window(
    env: Environment, episodes: Episode, act: Act, rows: tuple[Any, jax.Array], fresh: Episode
) -> tuple[Episode, Transition]:
    """Plays the steps of `rows`, leaves `[window, ...]`, with one fresh start for each environment, or more."""

    def steps(next_start: Callable[[jax.Array, jax.Array], Episode]) -> tuple[Episode, jax.Array, Transition]:
        def step(carry: tuple[Episode, jax.Array], row: Any) -> tuple[tuple[Episode, jax.Array], Transition]:
            (episodes, ends), (noise, key) = carry, row
            step_key, start_key = jax.random.split(key)
            actions = act(episodes, noise)
            following, played = play(env, episodes, actions, step_key, next_start(ends, start_key))
            return (following, ends + played.ended), played

        nothing = jnp.zeros(episodes.length.shape, jnp.int32)
        (after, ends), played = jax.lax.scan(step, (episodes, nothing), rows)
        return after, ends, played

    def own_start(ends: jax.Array, key: jax.Array) -> Episode:
        spare = start_all(env, key, ends.shape[0])
        return jax.vmap(lambda first, a, b: jax.tree.map(lambda x, y: jnp.where(first, x, y), a, b))(
            ends == 0, fresh, spare
        )

    after, ends, played = steps(lambda ends, key: fresh)
    if len(rows[1]) == 1:
        return after, played
    again = any_member(jnp.any(ends > 1))
    return jax.lax.cond(again, lambda: steps(own_start)[::2], lambda: (after, played))


def collect_randomly(env: Environment, episodes: Episode, steps: int, key: jax.Array) -> tuple[Episode, Transition]:
    """Plays `steps` steps of actions drawn uniformly from those allowed; returns what `collect` does."""
    noise_key, play_key = jax.random.split(key)
    num_envs = episodes.length.shape[0]
    keys = jax.random.split(play_key, keys_to_collect(env, steps, num_envs))
    if episodes.mask is None:
        actions = env.action_space.sample(noise_key, (steps, num_envs))
        return collect(env, episodes, lambda episodes, row: row, actions, keys)
    noise = random_bits.bits(noise_key, (steps, num_envs))
    return collect(env, episodes, lambda episodes, row: jax.vmap(env.random_action)(episodes.state, row), noise, keys)


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
