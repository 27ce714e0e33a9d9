"""The exact score of a Plane Strike policy: every placement played once, on device.

The score is the mean number of strikes until the eighth hit. On the board of 8 with the "app"
placements, random play that never repeats itself scores 57.78, always striking the cell that is
likeliest to be hit scores 12.08, and the model in the published app scores 13.19.
"""

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.actors import actors_at
from jaxrl.environment import episode_from
from jaxrl.rollout import Policy, Step, play_episodes

if TYPE_CHECKING:
    from jaxrl.envs.plane_strike import PlaneStrike


def strikes(env: "PlaneStrike", policy: Policy) -> jax.Array:
    """Plays every placement of `env` once: i32[placements], in the order of `env.placements`.

    May be jitted, and batched over policies by `jax.vmap`. The rewards and `max_steps` of `env` play no part.

    Args:
      env: the game, which sets the board's size and the placements.
      policy: for as many games as there are placements; it takes no noise. It must choose an untried cell: a cell
        that is struck again counts as one more strike, and a game that isn't over after size * size strikes counts
        as that many.
    """
    count = len(env.placements)
    env = dataclasses.replace(env, max_steps=env.size * env.size)
    games = jax.vmap(lambda plane: episode_from(env, *env.begin(plane)))(jnp.arange(count, dtype=jnp.int32))
    unused_key = jax.random.key(0)
    actors = actors_at(env, games, unused_key, policy.initial_carry)

    def add(counts: jax.Array, time: jax.Array, step: Step, active: jax.Array) -> jax.Array:
        return counts + active

    return play_episodes(env, actors, policy, count, None, unused_key, add, jnp.zeros(count, jnp.int32))[0]


def score(env: "PlaneStrike", policy: Policy) -> jax.Array:
    """The expected number of strikes of a policy in one game of `env`: f32[], lower is better.

    Exact to rounding: the mean of `strikes` over the placements, each weighted by its probability
    (all equal for "app").
    """
    probabilities = env.placement_probabilities.astype(np.float32)
    return jnp.sum(strikes(env, policy) * probabilities)
