"""Recurrent cells over time, with a gradient that is fast on a CPU.

Only what depends on the step before stays in the loop over time. Products with the inputs come before it, and the
gradient of the recurrent weights is one product over all steps after it, where JAX's own gradient of a loop makes a
small one in every step and adds it up.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.networks.cells import Arrays, Cell, split_for_one_row
from jaxrl.networks.linear import weight_gradient


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def unroll(cell: Cell, weights: Arrays, carry: Arrays, gates: Arrays, reset: jax.Array) -> tuple[jax.Array, Arrays]:
    """Runs a cell over time.

    Args:
      cell: the cell.
      weights: recurrent, f32[size, width] each.
      carry: before the first step, f32[batch, size] each.
      gates: what the inputs add to the gates, f32[time, batch, width] each.
      reset: bool[time, batch], whether the carry becomes 0 before a step.

    Returns:
      The outputs f32[time, batch, size], and the carry after the last step.
    """
    outputs, last, _ = _run(cell, weights, carry, gates, reset)
    return outputs[0], last


def reset_carry(carry: Arrays, reset: jax.Array) -> Arrays:
    """Zeros where `reset`, bool[...]; the carry f32[..., size] elsewhere."""
    return jax.tree.map(lambda x: jnp.where(reset[..., None], 0, x), carry)


def _run(cell: Cell, weights: Arrays, carry: Arrays, gates: Arrays, reset: jax.Array) -> tuple[Arrays, Arrays, Arrays]:
    """The carries [time, batch, size], the last of them, and what the gradient needs to know [time, batch, ...]."""
    weights = _for_batch(reset.shape[1], weights)

    def step(carry: Arrays, now: tuple[Arrays, jax.Array]) -> tuple[Arrays, tuple[Arrays, Arrays]]:
        after, kept = cell.forward(weights, reset_carry(carry, now[1]), now[0])
        return after, (after, kept)

    last, (carries, kept) = jax.lax.scan(step, carry, (gates, reset))
    return carries, last, kept


def _for_batch(batch: int, weights: Arrays) -> Arrays:
    return tuple(split_for_one_row(w) for w in weights) if batch == 1 else weights


def _forward(cell: Cell, weights: Arrays, carry: Arrays, gates: Arrays, reset: jax.Array) -> Any:
    carries, last, kept = _run(cell, weights, carry, gates, reset)
    return (carries[0], last), (weights, carry, reset, carries, kept)


def _backward(cell: Cell, residuals: Any, gradient: tuple[jax.Array, Arrays]) -> Any:
    weights, first, reset, carries, kept = residuals
    of_outputs, of_last = gradient
    transposed = _for_batch(reset.shape[1], tuple(jax.lax.optimization_barrier(w.T) for w in weights))
    earlier = jax.tree.map(lambda first, carries: jnp.concatenate([first[None], carries[:-1]]), first, carries)
    before = reset_carry(earlier, reset)

    def step(of_carry: Arrays, now: Any) -> tuple[Arrays, Arrays]:
        before, kept, reset, of_output = now
        of_gates, of_before = cell.backward(transposed, before, kept, (of_carry[0] + of_output, *of_carry[1:]))
        return reset_carry(of_before, reset), of_gates

    of_first, of_gates = jax.lax.scan(step, of_last, (before, kept, reset, of_outputs), reverse=True)
    of_weights = tuple(
        weight_gradient(inputs.reshape(-1, inputs.shape[-1]), of_gate.reshape(-1, of_gate.shape[-1]))
        for inputs, of_gate in zip(cell.multiplied(before, kept), of_gates, strict=True)
    )
    return of_weights, of_first, of_gates, None


unroll.defvjp(_forward, _backward)
