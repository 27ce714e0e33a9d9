"""Recurrent cells: how one step runs forwards and backwards.

A carry is a tuple of f32[batch, size], of which the first is the cell's output. Gates are a tuple of f32[batch, width],
one for each of the recurrent weight matrices f32[size, width].
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Arrays = tuple[jax.Array, ...]


class Cell(NamedTuple):
    """A recurrent cell."""

    matrices: dict[str, int]
    """The recurrent weight matrices: names, and widths in multiples of the cell's size."""
    carries: int
    """Arrays in a carry."""
    forward: Callable[[Arrays, Arrays, Arrays], tuple[Arrays, Arrays]]
    """(weights, carry, what the inputs add to the gates) -> (carry, what the gradient needs to know of the step).

    Weights here and transposed ones in `backward` are as `multiply` takes them."""
    backward: Callable[[Arrays, Arrays, Arrays, Arrays], tuple[Arrays, Arrays]]
    """(transposed weights, carry before the step, what the gradient needs, gradient of the carry after the step)
    -> gradients of (gates, carry before)."""
    multiplied: Callable[[Arrays, Arrays], Arrays]
    """(carry before, what the gradient needs) -> what each weight matrix was multiplied with."""


def split_for_one_row(weights: jax.Array) -> jax.Array:
    """Weights f32[size, width] as f32[2, size / 2, width], for `multiply` with one row; odd sizes stay whole.

    XLA on a CPU takes 10 to 17 times as long for a row and one matrix (128 by 256: 27 us) as for two halves of both.
    """
    size, width = weights.shape
    return weights if size % 2 else weights.reshape(2, size // 2, width)


def multiply(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """The matrix product f32[batch, width] of f32[batch, size] and weights f32[size, width], split or not."""
    if weights.ndim == 2:
        return rows @ weights
    halves = rows.reshape(rows.shape[0], *weights.shape[:2])
    return jnp.sum(jnp.einsum("bpk,pkn->pbn", halves, weights), axis=0)


def _gru_forward(weights: Arrays, carry: Arrays, gates: Arrays) -> tuple[Arrays, Arrays]:
    (h,) = carry
    zr = jax.nn.sigmoid(gates[0] + multiply(h, weights[0]))
    z, r = jnp.split(zr, 2, axis=-1)
    a = jnp.tanh(gates[1] + multiply(r * h, weights[1]))
    return ((1 - z) * h + z * a,), (zr, a)


def _gru_backward(transposed: Arrays, before: Arrays, kept: Arrays, gradient: Arrays) -> tuple[Arrays, Arrays]:
    (h,), (zr, a), (of_h,) = before, kept, gradient
    z, r = jnp.split(zr, 2, axis=-1)
    of_a = of_h * z * (1 - a * a)
    of_rh = multiply(of_a, transposed[1])
    of_zr = jnp.concatenate([of_h * (a - h), of_rh * h], axis=-1) * zr * (1 - zr)
    return (of_zr, of_a), (of_h * (1 - z) + of_rh * r + multiply(of_zr, transposed[0]),)


def _gru_multiplied(before: Arrays, kept: Arrays) -> Arrays:
    (h,), (zr, _) = before, kept
    return h, jnp.split(zr, 2, axis=-1)[1] * h


def _lstm_forward(weights: Arrays, carry: Arrays, gates: Arrays) -> tuple[Arrays, Arrays]:
    h, c = carry
    i, g, f, o = jnp.split(gates[0] + multiply(h, weights[0]), 4, axis=-1)
    i, g, f, o = jax.nn.sigmoid(i), jnp.tanh(g), jax.nn.sigmoid(f + 1), jax.nn.sigmoid(o)
    c = f * c + i * g
    squashed = jnp.tanh(c)
    return (o * squashed, c), (i, g, f, o, squashed)


def _lstm_backward(transposed: Arrays, before: Arrays, kept: Arrays, gradient: Arrays) -> tuple[Arrays, Arrays]:
    (_, c), (i, g, f, o, squashed), (of_h, of_c) = before, kept, gradient
    of_c = of_c + of_h * o * (1 - squashed * squashed)
    of_gates = jnp.concatenate(
        [of_c * g * i * (1 - i), of_c * i * (1 - g * g), of_c * c * f * (1 - f), of_h * squashed * o * (1 - o)],
        axis=-1,
    )
    return (of_gates,), (multiply(of_gates, transposed[0]), of_c * f)


CELLS = {
    "gru": Cell({"gates": 2, "candidate": 1}, 1, _gru_forward, _gru_backward, _gru_multiplied),
    "lstm": Cell({"gates": 4}, 2, _lstm_forward, _lstm_backward, lambda before, kept: before[:1]),
}
"""Recurrent cells by name: the equations of `haiku.GRU` (Cho et al., 2014, whose reset gate comes before the product;
that of cuDNN and Flax comes after) and of `haiku.LSTM` (Zaremba et al., 2014; 1 is added to the forget gate)."""
