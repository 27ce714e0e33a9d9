"""Rollouts: the only place that steps environments, in training, evaluation, rendering, checks and exports.

`rollout` plays a fixed number of steps in many environments with automatic resets, `play_episodes` a number of whole
episodes. Either steps every environment exactly once for every step that it returns.

Where episodes start from is the business of `jaxrl.actors`.

A policy's carry (the state of a recurrent network) is reset before an episode's first observation is
consumed. What it drew or computed besides the action (extras: a log-probability, a value) is passed to `record`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import random_bits
from jaxrl.actors import Actors, any_member, draw_spares, where_each
from jaxrl.environment import Environment, Episode, Transition, step_episode
from jaxrl.pytree import pytree

Act = Callable[[Any, Episode, Any], tuple[Any, Any, Any]]
"""(carry, episodes under way, a row of noise), leaves `[envs, ...]` -> (actions, carry, extras)."""


@pytree
class Step:
    """One step of all environments, as `record` gets it; leaves `[envs, ...]`.

    Attributes:
      before: the episodes before the step.
      transition: what an agent learns from, with the true successor observation.
      following: the episodes after the step and before any reset.
      carry: the policy's carry after the step and before any reset.
      extras: what the policy gave besides the actions.
    """

    before: Episode
    transition: Transition
    following: Episode
    carry: Any
    extras: Any


Record = Callable[[Step], Any]
"""What of a step is kept: leaves `[envs, ...]`."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """How to act.

    Attributes:
      act: see `Act`.
      initial_carry: leaves `[envs, ...]`; () where the policy has no memory.
    """

    act: Act
    initial_carry: Any = ()


def rollout(
    env: Environment, actors: Actors, policy: Policy, noise: Any, key: jax.Array, record: Record
) -> tuple[Actors, Any]:
    """Plays as many steps as there are rows of noise, with automatic resets.

    Args:
      env: the environment.
      actors: leaves `[envs, ...]`.
      policy: how to act.
      noise: leaves `[steps, ...]`, a row for each call of the policy.
      key: of the environments' own randomness in these steps.
      record: what to keep of each step.

    Returns:
      The actors after the steps, and what was recorded, leaves `[steps, envs, ...]`.
    """
    if not jax.tree.leaves(noise):
        raise ValueError("noise must have a row for every step, as that is how many are played; give jnp.zeros(steps)")
    steps = jax.tree.leaves(noise)[0].shape[0]

    def one_step(actors: Actors, row: tuple[jax.Array | int, Any]) -> tuple[Actors, Any]:
        time, row_of_noise = row
        step, actors = _step(env, actors, policy, row_of_noise, (key, time), lambda ended: ended)
        return actors, record(step)

    if steps == 1:
        actors, recorded = one_step(actors, (0, jax.tree.map(lambda x: x[0], noise)))
        return actors, jax.tree.map(lambda x: x[None], recorded)
    return jax.lax.scan(one_step, actors, (jnp.arange(steps), noise))


def random_rollout(env: Environment, actors: Actors, steps: int, key: jax.Array, record: Record) -> tuple[Actors, Any]:
    """Plays `steps` steps of actions drawn uniformly from those allowed; returns what `rollout` does."""
    noise_key, step_key = random_bits.split(key, 2)
    shape = (steps, actors.num_envs)
    if actors.episodes.mask is None:
        actions = env.action_space.sample(noise_key, shape)
        return rollout(env, actors, Policy(lambda carry, episodes, row: (row, carry, ())), actions, step_key, record)
    choices: Any = env.action_space
    uniform = random_bits.uniform(random_bits.bits(noise_key, (*shape, *choices.shape)))
    return rollout(env, actors, random_policy(env), uniform, step_key, record)


def random_policy(env: Environment) -> Policy:
    """Chooses among the allowed actions of an environment with a mask.

    By noise uniform in [0, 1): f32[envs], or f32[envs, choices] where an action is made of several.
    """

    def act(carry: Any, episodes: Episode, row: jax.Array) -> tuple[jax.Array, Any, tuple[()]]:
        return jax.vmap(env.random_action)(episodes.state, row), carry, ()

    return Policy(act)


def play_episodes(
    env: Environment,
    actors: Actors,
    policy: Policy,
    episodes: int,
    noise: Callable[[jax.Array], Any] | None,
    key: jax.Array,
    fold: Callable[[Any, jax.Array, Step, jax.Array], Any],
    begin: Any,
) -> tuple[Any, jax.Array]:
    """Plays whole episodes, from those that begin in `actors`.

    An environment whose episode ends begins the next one that is still owed, in order, so that few steps are idle
    and no episode is preferred for being short.

    Args:
      env: the environment.
      actors: at the start of an episode each; at most `episodes` of them.
      policy: how to act.
      episodes: how many to play in all.
      noise: gives the row of noise of a time step i32[]; None where the policy takes none.
      key: of the environments' own randomness.
      fold: (kept so far, time i32[], step, bool[envs] whether it belongs to one of the episodes) -> kept; a step that
        does not belong to one is idle.
      begin: what `fold` begins with.

    Returns:
      What was kept, and how many time steps were played: i32[], the same for all members that play together
      (those who are done earlier wait).
    """
    num_envs = actors.num_envs
    ready = _Episodes(
        time=jnp.int32(0),
        going=jnp.bool_(True),
        active=jnp.ones(num_envs, bool),
        started=jnp.int32(num_envs),
        kept=begin,
    )

    def one_step(loop: tuple[_Episodes, Actors]) -> tuple[_Episodes, Actors]:
        so_far, actors = loop

        def begins(ended: jax.Array) -> jax.Array:
            ended &= so_far.active
            return ended & (so_far.started + jnp.cumsum(ended) <= episodes)

        step, actors = _step(env, actors, policy, noise and noise(so_far.time), (key, so_far.time), begins)
        begun = begins(step.transition.ended)
        active = (so_far.active & ~step.transition.ended) | begun
        following = _Episodes(
            time=so_far.time + 1,
            going=any_member(jnp.any(active)),
            active=active,
            started=so_far.started + jnp.sum(begun, dtype=jnp.int32),
            kept=fold(so_far.kept, so_far.time, step, so_far.active),
        )
        return following, actors

    done, _ = jax.lax.while_loop(lambda loop: loop[0].going, one_step, (ready, actors))
    return done.kept, done.time


def blank_rows(env: Environment, actors: Actors, policy: Policy, noise: Any, record: Record, rows: int) -> Any:
    """Zeros shaped as `rows` records of a step: leaves `[rows, envs, ...]`, for a `fold` that keeps every step."""

    def one() -> Any:
        return record(_step(env, actors, policy, noise, (actors.key, 0), lambda ended: ended)[0])

    return jax.tree.map(lambda x: jnp.zeros((rows, *x.shape), x.dtype), jax.eval_shape(one))


@pytree
class _Episodes:
    """The state of `play_episodes`: `time` i32[], `going` bool[], `active` bool[envs], `started` i32[] episodes."""

    time: jax.Array
    going: jax.Array
    active: jax.Array
    started: jax.Array
    kept: Any


def _step(
    env: Environment,
    actors: Actors,
    policy: Policy,
    noise: Any,
    key_and_time: tuple[jax.Array, jax.Array | int],
    restarts: Callable[[jax.Array], jax.Array],
) -> tuple[Step, Actors]:
    """One step of every environment: what happened, and the actors after it.

    Args:
      env: the environment.
      actors: leaves `[envs, ...]`.
      policy: how to act.
      noise: of this step.
      key_and_time: a key, and which of its uses this step is.
      restarts: bool[envs], where an episode ended -> bool[envs], where another one begins.
    """
    actions, carry, extras = policy.act(actors.carry, actors.episodes, noise)
    # Nothing is drawn for these where the environment's steps ignore their key.
    key, time = key_and_time
    _, keys = random_bits.bits_and_keys(key, time, bits=0, keys=actors.num_envs)
    following, transition = jax.vmap(lambda e, a, k: step_episode(env, e, a, k))(actors.episodes, actions, keys)
    # Without the barrier, XLA on a CPU computes the whole step once more for every array that depends on this.
    restart = jax.lax.optimization_barrier(restarts(transition.ended))
    takes, waiting = restart & ~actors.spare_used, restart & actors.spare_used
    # Where an episode is over and no other begins, the environment idles in a state that it may be in.
    idles = transition.ended & ~restart
    after = dataclasses.replace(
        actors,
        episodes=where_each(takes | idles, actors.spare, following),
        carry=where_each(restart, policy.initial_carry, carry),
        spare_used=actors.spare_used | takes,
    )
    needed = any_member(jnp.any(waiting))
    after = jax.lax.cond(needed, lambda a: draw_spares(env, a, waiting), lambda a: a, after)
    return Step(actors.episodes, transition, following, carry, extras), after
