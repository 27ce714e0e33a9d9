"""Sweeps of a moment."""

from typing import Any

import pandas as pd
from small_runs import dqn

import jaxrl

SPACE = {"learning_rate": [1e-3, 1e-2, 3e-2], "double": [False, True], "env.length": [0.5, 1.0]}
SETTINGS = {
    "seeds": [5, 2],
    "steps": 120,
    "log_points": 12,
    "episodes": 2,
    "block_size": 4,
    "devices": 1,
    "progress": False,
}
"""Of a small sweep: each of its 6 batches has 2 trials."""


def sweep(space: Any = None, agent: Any = None, **arguments: Any) -> jaxrl.Sweep:
    return jaxrl.sweep(agent or dqn(), space or SPACE, **{**SETTINGS, **arguments})


def timeless(result: jaxrl.Sweep) -> pd.DataFrame:
    """Its table without the seconds, which never repeat."""
    return result.table().drop(columns="seconds")
