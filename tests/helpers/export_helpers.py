"""Policies for the tests of exports: of PPO, drawn at random, but decided."""

from typing import Any

import jax
import numpy as np

import jaxrl


def decided(agent: jaxrl.PPO, factor: float = 100.0, seed: int = 0) -> jaxrl.Member:
    """A member whose policy's head, which begins near 0, is multiplied by a factor."""
    params = agent.params(agent.init(jax.random.key(seed)))

    def scaled(path: Any, x: Any) -> np.ndarray:
        return np.asarray(x) * (factor if "policy" in jax.tree_util.keystr(path) and "head" in str(path) else 1.0)

    params = jax.tree_util.tree_map_with_path(scaled, params)
    return jaxrl.Member(agent, 0, seed, params, {"diverged": np.zeros(1, bool)})
