"""Optimizers from optax whose numbers may be traced."""

from typing import Any

import jax
import jax.numpy as jnp
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
    return update if max_grad_norm is None else optax.chain(clip_by_global_norm(max_grad_norm), update)


def clip_by_global_norm(max_norm: Any) -> optax.GradientTransformation:
    """`optax.clip_by_global_norm`, with the norm by `global_norm`: half the time of clipping and Adam on a CPU."""

    def update(gradients: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        norm = global_norm(gradients)
        return jax.tree.map(lambda x: jnp.where(norm < max_norm, x, x / norm * max_norm), gradients), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def global_norm(tree: Any) -> jax.Array:
    """The Euclidean norm f32[] of all elements, as `optax.global_norm`.

    XLA sums a whole array to one number by one addition after another on a CPU, but adds rows to one another by vector
    instructions. The barrier keeps it from joining the two sums.
    """
    rows = [jnp.sum(jnp.square(jnp.atleast_1d(x)), axis=0) for x in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(jnp.sum(jax.lax.optimization_barrier(x)) for x in rows))


def apply(transformation: optax.GradientTransformation, gradients: Any, opt_state: Any, params: Any) -> tuple[Any, Any]:
    """One step of an optimizer: returns (params, opt_state)."""
    updates, opt_state = transformation.update(gradients, opt_state, params)
    return optax.apply_updates(params, updates), opt_state
