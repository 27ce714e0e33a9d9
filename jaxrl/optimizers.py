"""Optimizers from optax whose numbers may be traced."""

from typing import Any

import optax

OPTIMIZERS = {
    "adam": lambda rate, epsilon: optax.adam(rate, eps=epsilon),
    "rmsprop": lambda rate, epsilon: optax.rmsprop(rate, decay=0.99, eps=epsilon, eps_in_sqrt=False),
    "sgd": lambda rate, epsilon: optax.sgd(rate),
}
"""Optimizers by name, each built from a learning rate and what is added to the root of the second moment."""


def optimizer(
    name: str, learning_rate: Any, max_grad_norm: Any = None, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """An optimizer, after clipping by the global norm where a greatest norm is given."""
    update = OPTIMIZERS[name](learning_rate, epsilon)
    return update if max_grad_norm is None else optax.chain(optax.clip_by_global_norm(max_grad_norm), update)


def apply(transformation: optax.GradientTransformation, gradients: Any, opt_state: Any, params: Any) -> tuple[Any, Any]:
    """One step of an optimizer: returns (params, opt_state)."""
    updates, opt_state = transformation.update(gradients, opt_state, params)
    return optax.apply_updates(params, updates), opt_state
