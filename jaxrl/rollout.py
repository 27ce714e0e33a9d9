"""Playing: the only place that steps environments, in training, evaluation, rendering, checks and exports.

`rollout` plays a fixed number of steps in many environments with automatic resets, `play_episodes` a number of whole
episodes. Either steps every environment exactly once for every step that it returns.

**Starts.** Resetting every environment in every step, as `vmap` of a conditional reset does, is wasteful even where a
reset is cheap. So each environment has a *spare* start, drawn ahead, which it takes when its episode ends. When one
ends that has no spare left, all spares that were used are drawn anew at once, in a branch that is not taken
otherwise: how often that happens follows from how long episodes last. Environments whose reset is costly
(`Environment.costly_reset`) take their spares from a *reserve*, in order, so that hardly any start is computed in
vain. No two episodes share a start, unless the environment says that they may (`Environment.distinct_starts`).

**Policies.** A policy's carry (the state of a recurrent network) is reset before an episode's first observation is
consumed. What it drew or computed besides the action (extras: a log-probability, a value) goes to whoever records.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import random_bits
from jaxrl.environment import Environment, Episode, Transition, start, take
from jaxrl.pytree import pytree

LEAST_RESERVE = 32
"""The fewest starts that are drawn ahead at once, so that members of few environments seldom do, and together."""

Act = Callable[[Any, Episode, Any], tuple[Any, Any, Any]]
"""(carry, episodes under way, a row of noise), leaves `[envs, ...]` -> (actions, carry, extras)."""


@pytree
class Step:
    """One step of all environments, for whoever records it; leaves `[envs, ...]`.

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
    return jax.vmap(lambda key: start(env, key))(keys)


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
    following, transition = jax.vmap(lambda e, a, k: take(env, e, a, k))(actors.episodes, actions, keys)
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
    after = jax.lax.cond(needed, lambda a: _draw_spares(env, a, waiting), lambda a: a, after)
    return Step(actors.episodes, transition, following, carry, extras), after


def _draw_spares(env: Environment, actors: Actors, waiting: jax.Array) -> Actors:
    """Gives starts to the environments that wait for one, bool[envs], and new spares to those that used theirs.

    This runs for all members where any environment of any of them waits, and yet no member's numbers depend on
    another's. An environment's own starts follow in order, whenever they are drawn, so every member draws its spares
    anew; from a reserve, the order is that of the environments that ask, so only members that need one take any.
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
