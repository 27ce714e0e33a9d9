"""Observations that a policy meets in its own environment."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.collecting import collect, keys_to_collect, start_all
from jaxrl.environment import Episode
from jaxrl.evaluation import evaluation_key
from jaxrl.pytree import concrete

EPISODES = 16
"""Episodes that are played side by side."""


def met_observations(agent: Agent, params: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Plays greedy episodes with automatic reset, a twentieth of the actions explored.

    The few explored actions lead to states beside the beaten track, which another rounding might enter.

    Returns:
      Observations `[count, ...]` and their masks bool[count, n] (None where there are none), spread evenly over
      whole episodes.
    """
    agent = concrete(agent)
    # At least two whole episodes each, so that late states are among them.
    steps = max(-(-count // EPISODES), 2 * agent.env.max_steps)

    def act(episodes: Episode, key: jax.Array) -> jax.Array:
        coin_key, explore_key = jax.random.split(key)
        obs, masks = episodes.obs, episodes.mask
        greedy = jax.vmap(lambda o, m: agent.policy(params, o, mask=m))(obs, masks)
        keys = jax.random.split(explore_key, EPISODES)
        explored = jax.vmap(lambda o, m, k: agent.policy(params, o, k, m))(obs, masks, keys)
        return jnp.where(jax.random.uniform(coin_key, (EPISODES,)) < 0.05, explored, greedy)

    @jax.jit
    def play(key: jax.Array) -> Any:
        start_key, noise_key, play_key = jax.random.split(key, 3)
        keys = jax.random.split(play_key, keys_to_collect(agent.env, steps, EPISODES))
        noise = jax.random.split(noise_key, steps)
        played = collect(agent.env, start_all(agent.env, start_key, EPISODES), act, noise, keys)[1]
        return played.obs, played.mask

    rows = np.linspace(0, steps * EPISODES - 1, count).astype(int)
    obs, mask = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:])[rows], play(evaluation_key(seed)))
    return obs, mask
