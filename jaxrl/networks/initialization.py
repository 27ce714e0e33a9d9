"""How parameters begin: Haiku draws them by the initializers that the layers name.

Truncated normal weights, which are Haiku's default, and orthogonal ones share one draw of random bits: a program with
a draw for each layer takes seconds more to compile.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits

Initializer = Callable[[Sequence[int], Any], jax.Array]
"""What Haiku calls an initializer: gives an array of a shape and dtype."""

INITIALIZERS = ("truncated_normal", "orthogonal")
"""The initializers of weights that networks know by name."""


def check_initializer(initializer: str | Initializer) -> None:
    """Checks that weights can be drawn by `initializer`.

    Raises:
      ValueError: no initializer has this name.
      TypeError: it is neither a name nor callable.
    """
    if isinstance(initializer, str) and initializer not in INITIALIZERS:
        raise ValueError(f"initializer = {initializer!r} is unknown: choose one of {', '.join(INITIALIZERS)}")
    if not callable(initializer) and not isinstance(initializer, str):
        raise TypeError(
            f"initializer = {initializer!r} must be one of {', '.join(INITIALIZERS)}, or a Haiku initializer such as "
            "haiku.initializers.VarianceScaling()"
        )


def weights_initializer(initializer: str | Initializer, features: int, scale: float = 1.0) -> Initializer:
    """The initializer of the weights of one layer.

    Args:
      initializer: a Haiku initializer, or "truncated_normal" (that of `haiku.Linear`: truncated at two deviations of
        1 / sqrt(features)), or "orthogonal" (Saxe et al., 2013).
      features: that one output of the layer depends on.
      scale: what all weights are multiplied by.
    """
    if initializer == "truncated_normal":
        return hk.initializers.TruncatedNormal(scale / math.sqrt(features))
    if initializer == "orthogonal":
        return hk.initializers.Orthogonal(scale)
    assert callable(initializer)
    return initializer if scale == 1 else lambda shape, dtype: scale * initializer(shape, dtype)


def hidden_scale(initializer: str | Initializer) -> float:
    """The scale of layers that an activation follows: sqrt(2) for orthogonal ones, as in all of PPO's code."""
    return math.sqrt(2) if initializer == "orthogonal" else 1.0


def transform(forward: Callable[..., Any]) -> hk.Transformed:
    """`haiku.transform` without random numbers in `apply`, whose `init` compiles faster.

    `init` draws from the same distributions as Haiku's: truncated normal and orthogonal parameters from one draw of
    random bits, others by their own initializers, in the order and with the keys of Haiku's `init`.
    """
    network: hk.Transformed = hk.without_apply_rng(hk.transform(forward))

    def init(key: jax.Array, *inputs: Any) -> hk.MutableParams:
        declared = _declared(forward, *inputs)
        # Sorted: what is drawn does not depend on the order in which the network is written.
        normal = sorted(p for p in declared if _is_truncated_normal(p))
        orthogonal = sorted(p for p in declared if _is_orthogonal(p))
        alone = [p for p in declared if p not in normal and p not in orthogonal]
        shared_key = alone_key = key
        if (normal or orthogonal) and any(p.initializer not in (jnp.zeros, jnp.ones) for p in alone):
            shared_key, alone_key = random_bits.split(key, 2)
        values = dict(zip(alone, _draw_alone(alone_key, alone), strict=True))
        sizes = [sum(math.prod(p.shape) for p in group) for group in (normal, orthogonal)]
        bits = random_bits.bits(shared_key, (sum(sizes),))
        values |= dict(zip(normal, _truncated_normal(bits[: sizes[0]], normal), strict=True))
        values |= dict(zip(orthogonal, _orthogonal(bits[sizes[0] :], orthogonal), strict=True))
        params: hk.MutableParams = {}
        for p in declared:
            params.setdefault(p.module, {})[p.name] = values[p]
        return params

    return hk.Transformed(init, network.apply)


class _Parameter(NamedTuple):
    """A parameter as its layer declares it."""

    module: str
    name: str
    shape: tuple[int, ...]
    dtype: Any
    initializer: Any


def _declared(forward: Callable[..., Any], *inputs: Any) -> list[_Parameter]:
    """The parameters of `forward`, in the order in which it asks for them."""
    declared = []

    def declare(
        _: Any, shape: Sequence[int], dtype: Any, initializer: Initializer, context: hk.GetterContext
    ) -> jax.Array:
        module, _, name = context.full_name.rpartition("/")
        declared.append(_Parameter(module, name, tuple(shape), dtype, initializer))
        return jnp.zeros(shape, dtype)

    def run(*inputs: Any) -> Any:
        with hk.custom_creator(declare):
            return forward(*inputs)

    jax.eval_shape(hk.transform(run).init, None, *inputs)
    return declared


def _is_truncated_normal(parameter: _Parameter) -> bool:
    """Whether a parameter is drawn as Haiku's layers are by default: around 0, within two deviations."""
    initializer = parameter.initializer
    if type(initializer) is not hk.initializers.TruncatedNormal or parameter.dtype != jnp.float32:
        return False
    given = (initializer.stddev, initializer.mean, initializer.lower, initializer.upper)
    return all(isinstance(value, float) for value in given) and given[1:] == (0, -2, 2)


def _is_orthogonal(parameter: _Parameter) -> bool:
    initializer = parameter.initializer
    if type(initializer) is not hk.initializers.Orthogonal or parameter.dtype != jnp.float32:
        return False
    return initializer.axis == -1 and len(parameter.shape) >= 2


def _draw_alone(key: jax.Array, parameters: list[_Parameter]) -> list[jax.Array]:
    """Draws each parameter by its own initializer."""
    drawn: hk.Transformed = hk.transform(lambda: [p.initializer(p.shape, p.dtype) for p in parameters])
    return drawn.apply({}, key)


def _truncated_normal(bits: jax.Array, parameters: list[_Parameter]) -> list[jax.Array]:
    """Truncated normal parameters from u32[all their elements]."""
    uniform = 2 * random_bits.uniform(bits) - 1
    normal = math.sqrt(2) * jax.lax.erf_inv(math.erf(math.sqrt(2)) * uniform)
    return [part / (1 / p.initializer.stddev) for p, part in zip(parameters, _parts(normal, parameters), strict=True)]


def _orthogonal(bits: jax.Array, parameters: list[_Parameter]) -> list[jax.Array]:
    """Orthogonal parameters from u32[all their elements]."""
    if not parameters:
        return []
    shapes = [(math.prod(p.shape[:-1]), p.shape[-1]) for p in parameters]
    tall = (max(map(max, shapes)), max(map(min, shapes)))
    matrices = []
    for shape, part in zip(shapes, _parts(random_bits.normal(bits), parameters), strict=True):
        matrix = part.reshape(shape)
        matrix = matrix.T if shape[0] < shape[1] else matrix
        matrices.append(jnp.pad(matrix, [(0, size - given) for size, given in zip(tall, matrix.shape, strict=True)]))
    drawn = []
    for p, shape, q in zip(parameters, shapes, _orthonormal(jnp.stack(matrices)), strict=True):
        q = q[: max(shape), : min(shape)]
        drawn.append(p.initializer.scale * (q.T if shape[0] < shape[1] else q).reshape(p.shape))
    return drawn


def _orthonormal(matrices: jax.Array) -> jax.Array:
    """Orthonormal columns f32[count, m, n] from normal matrices of independent columns, m >= n: uniform among all such.

    Rows and columns of zeros, which fill up smaller matrices, stay zeros. By the Gram-Schmidt process, run twice over
    every column for the sake of rounding (Giraud et al., 2005): it is the QR decomposition whose R has a positive
    diagonal, which makes Q uniform (Mezzadri, 2007). Not by `jnp.linalg.qr`: on several CPU devices of one process,
    programs with several decompositions never end (JAX 0.10.1).
    """

    def column(index: jax.Array, done: jax.Array) -> jax.Array:
        vectors = jax.lax.dynamic_index_in_dim(matrices, index, axis=2, keepdims=False)
        for _ in range(2):
            shares = jnp.einsum("cm,cmn->cn", vectors, done, precision="highest")
            vectors -= jnp.einsum("cmn,cn->cm", done, shares, precision="highest")
        lengths = jnp.linalg.norm(vectors, axis=1, keepdims=True)
        return done.at[:, :, index].set(vectors / jnp.where(lengths > 0, lengths, 1))

    return jax.lax.fori_loop(0, matrices.shape[2], column, jnp.zeros_like(matrices))


def _parts(flat: jax.Array, parameters: list[_Parameter]) -> list[jax.Array]:
    """Cuts f32[all elements] into arrays of the parameters' shapes."""
    if not parameters:
        return []
    parts = jnp.split(flat, np.cumsum([math.prod(p.shape) for p in parameters])[:-1])
    return [part.reshape(p.shape) for p, part in zip(parameters, parts, strict=True)]
