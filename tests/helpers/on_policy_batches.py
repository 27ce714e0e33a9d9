"""Rollouts from literal numbers, for the losses of on-policy agents."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.agents.minibatches import Batch

OLD = np.log([0.5, 0.4, 0.25, 0.8, 0.1])
"""Log-probabilities of five actions when they were taken."""
ADVANTAGES = np.array([2.0, 1.0, -3.0, 4.0, -0.5])


def batch_of(**columns: Any) -> Batch:
    """A batch with these columns; what the losses don't look at is left out."""
    return Batch(
        **dict.fromkeys(("obs", "mask", "previous", "reset", "advantage")),
        memory=(),
        action=jnp.asarray(columns.get("action", np.zeros(5)), jnp.int32),
        log_prob=jnp.asarray(columns.get("log_prob", OLD), jnp.float32),
        value=jnp.asarray(columns.get("value", np.zeros(5)), jnp.float32),
        target=jnp.asarray(columns.get("target", np.zeros(5)), jnp.float32),
    )
