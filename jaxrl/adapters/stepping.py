"""Environments for the loops of other libraries: one compiled call a step, with the resets of the engine.

Those loops hold the actions, and so the program ends with every step. What it keeps from one to the next is given
back to it whole, and donated.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits, registry
from jaxrl.actors import Actors, actors_at, start_actors, start_each, where_each
from jaxrl.arguments import shown
from jaxrl.env_checker import check_environment
from jaxrl.environment import Environment, TimeStep
from jaxrl.pytree import pytree, with_array_leaves
from jaxrl.random_bits import bits_and_keys, split
from jaxrl.rollout import Policy, Step, rollout
from jaxrl.wrappers import StatefulWrapper, WrapperState


@pytree
class Informed(StatefulWrapper):
    """The same environment, whose state keeps the info of the last step; zeros before the first one.

    Starts come from the reserve: among thousands of environments some need one in nearly every step, and to draw one
    for each of them takes twice as long as the step itself. State of the wrapper: the info.
    """

    costly_reset = True

    def reset(self, key: jax.Array) -> tuple[WrapperState, Any]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        space: Any = self.env.action_space
        action = jnp.zeros(space.shape, space.dtype)
        info = jax.eval_shape(lambda: self.env.step(state, action, key)[1].info)
        return WrapperState(state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), info)), obs

    def step(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        """Takes one step."""
        # Without the barrier, XLA on a CPU computes the step once more for every array that a program gives.
        after, step = jax.lax.optimization_barrier(self.env.step(state.inner, action, key))
        return WrapperState(after, step.info), step


@pytree
class Playing:
    """Environments under way, leaves `[envs, ...]`.

    Attributes:
      actors: the episodes, and the starts of the next ones.
      over: bool[envs], whether the episode ended in the last step and waits for its reset.
      count: i32[], steps so far.
      key: of the environments' own randomness.
    """

    actors: Actors
    over: jax.Array
    count: jax.Array
    key: jax.Array


@pytree
class Outcome:
    """What a step gives, leaves `[envs, ...]`.

    Attributes:
      obs: to act on next.
      reward: f32[envs].
      terminated, truncated: bool[envs].
      final_obs: the true successor, before any reset; () where that is `obs`.
      info: of the step, before any reset.
      mask: the allowed actions for `obs`, or None.
    """

    obs: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_obs: Any
    info: Any
    mask: Any


def checked_environment(env: Any) -> Environment:
    """An environment, or what `jaxrl.make` makes of its name, with arrays for its numbers.

    Raises:
      TypeError: it is neither.
      EnvironmentCheckError: it breaks the contract.
    """
    env = registry.make(env) if isinstance(env, str) else env
    if not isinstance(env, Environment):
        raise TypeError(f"env = {shown(env)} must be a jaxrl.Environment, or the name of one")
    check_environment(env)
    return with_array_leaves(env)


class Batch:
    """Environments side by side, stepped by one compiled call each time.

    A call that takes and gives lists of arrays costs a third of one with dataclasses and keys in it: those are put
    together inside of the compiled program.
    """

    def __init__(self, env: Environment, num_envs: int, next_step: bool) -> None:
        """Compiles nothing yet.

        Args:
          env: the environment.
          num_envs: how many.
          next_step: whether an episode that is over shows its last observation, and is reset by the next step, which
            ignores the action and earns nothing; else its reset belongs to the step that ends it.
        """
        self.num_envs = num_envs
        self._next_step = next_step
        env_leaves, self._env = jax.tree.flatten(env)
        self._constants = jax.device_put(env_leaves)
        self._leaves: list[jax.Array] = []
        self._structure: Any = None

    def begin(self, seed: int = 0, seeds: np.ndarray | None = None) -> tuple[Any, Any]:
        """Starts an episode everywhere, by one seed for all or by u32[envs]: the observations and masks."""
        env = jax.tree.unflatten(self._env, self._constants)
        if seeds is not None:
            playing = _start_by_each(env, jax.vmap(jax.random.key)(seeds))
        else:
            playing = _start(env, jax.random.key(seed), self.num_envs)
        self._leaves, self._structure = jax.tree.flatten(playing)
        self._leaves = list(map(_plain, self._leaves))
        return playing.actors.episodes.obs, playing.actors.episodes.mask

    def step(self, actions: np.ndarray) -> Outcome:
        """Takes one step everywhere, with the automatic reset; actions `[envs, ...]`."""
        program = _program((self._env, self._structure), self._next_step)
        self._leaves, outcome = program(self._leaves, self._constants, actions)
        return Outcome(*outcome)

    @property
    def playing(self) -> Playing:
        """The environments under way."""
        return _together(self._structure, self._leaves)


@functools.partial(jax.jit, static_argnums=2)
def _start(env: Environment, key: jax.Array, num_envs: int) -> Playing:
    start_key, step_key = split(key, 2)
    return _ready(start_actors(Informed(env), start_key, num_envs), step_key)


@jax.jit
def _start_by_each(env: Environment, keys: jax.Array) -> Playing:
    start_key, step_key = split(random_bits.keys_at(keys[0], *jnp.zeros((2, 1), jnp.int32))[0], 2)
    episodes = start_each(Informed(env), keys)
    return _ready(actors_at(Informed(env), episodes, start_key), step_key)


def _ready(actors: Actors, key: jax.Array) -> Playing:
    return Playing(actors, jnp.zeros(actors.num_envs, bool), jnp.int32(0), key)


def _plain(leaf: Any) -> jax.Array:
    """A leaf without the class of random keys, which JAX handles in Python."""
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _together(structure: Any, leaves: list[jax.Array]) -> Playing:
    playing = jax.tree.unflatten(structure, leaves)
    actors = dataclasses.replace(playing.actors, key=jax.random.wrap_key_data(playing.actors.key))
    return dataclasses.replace(playing, actors=actors, key=jax.random.wrap_key_data(playing.key))


@functools.lru_cache(maxsize=64)
def _program(structures: tuple[Any, Any], next_step: bool) -> Any:
    @functools.partial(jax.jit, donate_argnums=0)
    def run(leaves: list[jax.Array], constants: list[jax.Array], actions: jax.Array) -> Any:
        env = jax.tree.unflatten(structures[0], constants)
        playing, outcome = _advance(env, _together(structures[1], leaves), actions, next_step)
        fields = [getattr(outcome, field.name) for field in dataclasses.fields(outcome)]
        return [*map(_plain, jax.tree.leaves(playing))], fields

    return run


def _advance(env: Environment, playing: Playing, actions: jax.Array, next_step: bool) -> tuple[Playing, Outcome]:
    before = playing.actors
    key = bits_and_keys(playing.key, playing.count, bits=0, keys=1)[1][0]
    policy = Policy(lambda carry, episodes, row: (row, carry, ()))
    after, recorded = rollout(Informed(env), before, policy, actions[None], key, _seen)
    outcome: Outcome = jax.tree.map(lambda x: x[0], recorded)
    over = outcome.terminated | outcome.truncated
    if next_step:
        # The engine has reset the episode already: it stays there, unseen, for the step that does nothing else.
        resets = playing.over
        after = dataclasses.replace(after, episodes=where_each(resets, before.episodes, after.episodes))
        over &= ~resets
        outcome = dataclasses.replace(
            outcome,
            reward=jnp.where(resets, 0, outcome.reward),
            terminated=outcome.terminated & ~resets,
            truncated=outcome.truncated & ~resets,
        )
        obs = where_each(over, outcome.final_obs, after.episodes.obs)
        outcome = dataclasses.replace(outcome, final_obs=())
    else:
        obs = after.episodes.obs
    outcome = dataclasses.replace(outcome, obs=obs, mask=after.episodes.mask)
    return dataclasses.replace(playing, actors=after, over=over, count=playing.count + 1), outcome


def _seen(step: Step) -> Outcome:
    moved = step.transition
    info = step.following.state.extra
    return Outcome((), moved.reward, moved.terminated, moved.truncated, moved.next_obs, info, ())
