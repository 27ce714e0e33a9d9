"""Optimizers from optax whose numbers may be traced."""

from typing import Any

import jax
import optax

OPTIMIZERS = {"adam": optax.adam, "sgd": optax.sgd}
"""Optimizers by name, each built from a learning rate."""


def optimizer(name: str, learning_rate: Any, max_grad_norm: Any = None) -> optax.GradientTransformation:
    """An optimizer, after clipping by the global norm where a greatest norm is given."""
    update = OPTIMIZERS[name](learning_rate)
    return update if max_grad_norm is None else optax.chain(optax.clip_by_global_norm(max_grad_norm), update)


def apply(transformation: optax.GradientTransformation, gradients: Any, opt_state: Any, params: Any) -> tuple[Any, Any]:
    """One step of an optimizer: returns (params, opt_state)."""
    updates, opt_state = transformation.update(gradients, opt_state, params)
    return jax.tree.map(lambda p, u: p + u, params, updates), opt_state
