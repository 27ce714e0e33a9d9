"""The operations of a program that primitives of JAX become."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrl.web.primitives import MOVES, REDUCTIONS, expression
from jaxrl.web.program import Array, Builder, Dot, Each, Lookup, Operand, Reduce, Take


class UnsupportedOperationError(ValueError):
    """A function has an operation that is not translated to JavaScript."""


def moved(builder: Builder, equation: Any, operands: Sequence[Operand]) -> list[Operand]:
    """The results of a primitive that only moves numbers: it is given their indices to move."""
    primitive, places = equation.primitive, MOVES[equation.primitive.name]
    sources = [operand for place, operand in enumerate(operands) if place in places]
    starts = iter(np.cumsum([0, *(source.size for source in sources)]))
    indices = [_indices(x) + np.int32(next(starts)) if place in places else x for place, x in enumerate(operands)]
    results = primitive.bind(*indices, **equation.params)
    taken = [np.asarray(x, np.int32) for x in (results if primitive.multiple_results else [results])]
    if any((x < 0).any() for x in taken):
        raise _unsupported(equation, "with indices outside the array")
    return [_take(builder, sources, x) for x in taken]


def _take(builder: Builder, sources: Sequence[Operand], indices: np.ndarray) -> Operand:
    """The elements at `indices` of the sources, one behind the other; 0 where an index is negative."""
    flat = indices.reshape(-1)
    if len(sources) == 1 and np.array_equal(flat, np.arange(sources[0].size)):
        return _reshaped(sources[0], indices.shape)
    if isinstance(sources[0], np.ndarray) and len(sources) == 1 and not (flat < 0).any():
        return sources[0].reshape(-1)[indices]
    return builder.add(Take(flat), tuple(sources), indices.shape, sources[0].dtype)


def _indices(operand: Operand) -> np.ndarray:
    """Where each element of an operand is stored, i32 in its shape."""
    return np.arange(operand.size, dtype=np.int32).reshape(operand.shape)


def _reshaped(operand: Operand, shape: Sequence[int]) -> Operand:
    if isinstance(operand, Array):
        return Array(operand.number, tuple(shape), operand.dtype)
    return operand.reshape(shape)


def _transposed(builder: Builder, operand: Operand, axes: Sequence[int]) -> Operand:
    if not isinstance(operand, Array):
        return operand.transpose(axes)
    return _take(builder, [operand], _indices(operand).transpose(axes))


def _each(builder: Builder, equation: Any, operands: Sequence[Operand]) -> Array:
    primitive, result = equation.primitive, equation.outvars[0].aval
    dtypes = tuple(np.dtype(operand.dtype) for operand in operands)
    text = expression(primitive.name, dtypes, np.dtype(result.dtype), equation.params)
    if text is None or len(equation.outvars) != 1:
        raise _unsupported(equation)
    operation = Each(primitive, tuple(sorted(equation.params.items())), text)
    repeated = tuple(_broadcast(builder, operand, result) for operand in operands)
    return builder.add(operation, repeated, result.shape, result.dtype)


def _broadcast(builder: Builder, operand: Operand, result: Any) -> Operand:
    """An operand of an element-wise operation in the shape of its result; single elements stay single."""
    if operand.size in (1, result.size):
        return operand
    return _take(builder, [operand], np.broadcast_to(_indices(operand), result.shape))


def _reduce(builder: Builder, equation: Any, operands: Sequence[Operand]) -> Array:
    (operand,), axes, result = operands, [int(axis) for axis in equation.params["axes"]], equation.outvars[0].aval
    kept = [axis for axis in range(len(operand.shape)) if axis not in axes]
    arranged = _transposed(builder, operand, [*kept, *axes])
    length = int(np.prod([operand.shape[axis] for axis in axes]))
    operation = Reduce(equation.primitive, *REDUCTIONS[equation.primitive.name], length)
    return builder.add(operation, (arranged,), result.shape, result.dtype)


def _dot(builder: Builder, equation: Any, operands: Sequence[Operand]) -> Array:
    contracted, batched = equation.params["dimension_numbers"]
    arranged = []
    for operand, summed, batch in zip(operands, contracted, batched, strict=True):
        free = [axis for axis in range(len(operand.shape)) if axis not in (*summed, *batch)]
        arranged.append(_transposed(builder, operand, [*batch, *free, *summed]))
    shape, result = operands[0].shape, equation.outvars[0].aval
    batch, length = (int(np.prod([shape[axis] for axis in axes])) for axes in (batched[0], contracted[0]))
    rows, columns = (operand.size // (batch * length) for operand in operands)
    return builder.add(Dot(batch, rows, columns, length), tuple(arranged), result.shape, result.dtype)


def _gather(builder: Builder, equation: Any, operands: Sequence[Operand]) -> Array:
    """Slices from where whole numbers say that only the running program knows."""
    (table, starts), result = operands, equation.outvars[0].aval
    numbers, mode = equation.params["dimension_numbers"], equation.params["mode"]
    if mode == lax.GatherScatterMode.FILL_OR_DROP or numbers.operand_batching_dims:
        raise _unsupported(equation, f"in the mode {mode}")
    offsets = equation.primitive.bind(_indices(table), np.zeros(starts.shape, np.int32), **equation.params)
    among = [1 if axis in numbers.offset_dims else size for axis, size in enumerate(result.shape)]
    rows = np.broadcast_to(np.arange(np.prod(among, dtype=int)).reshape(among), result.shape)
    return _lookup(builder, table, starts, (offsets, rows), numbers.start_index_map, equation)


def _dynamic_slice(builder: Builder, equation: Any, operands: Sequence[Operand]) -> Array:
    table, *starts = operands
    offsets = equation.primitive.bind(_indices(table), *np.zeros(len(starts), np.int32), **equation.params)
    places = _take(builder, starts, np.arange(len(starts), dtype=np.int32))
    return _lookup(builder, table, places, (offsets, np.zeros(offsets.shape, np.int32)), range(len(starts)), equation)


def _lookup(
    builder: Builder, table: Operand, starts: Operand, places: tuple[Any, Any], axes: Sequence[int], equation: Any
) -> Array:
    """The slices of a table along some axes, of the sizes of an equation; `places` as `Lookup` has them."""
    offsets, rows = (np.asarray(x, np.int32).reshape(-1) for x in places)
    strides = tuple(int(np.prod(table.shape[axis + 1 :])) for axis in axes)
    limits = tuple(int(table.shape[axis] - equation.params["slice_sizes"][axis]) for axis in axes)
    result = equation.outvars[0].aval
    return builder.add(Lookup(offsets, rows, strides, limits), (table, starts), result.shape, result.dtype)


def _convolution(builder: Builder, equation: Any, operands: Sequence[Operand]) -> Operand:
    """Products of patches and kernels; a convolution of JAX itself says which elements a patch has."""
    (image, kernel), params, result = operands, equation.params, equation.outvars[0].aval
    numbers = params["dimension_numbers"]
    if params["feature_group_count"] != 1 or params["batch_group_count"] != 1:
        raise _unsupported(equation, "in groups")
    count_from_1 = np.arange(1, image.size + 1, dtype=np.float32).reshape(image.shape)
    patches = lax.conv_general_dilated_patches(
        count_from_1,
        [kernel.shape[axis] for axis in numbers.rhs_spec[2:]],
        **{name: params[name] for name in ("window_strides", "padding", "lhs_dilation", "rhs_dilation")},
        dimension_numbers=numbers,
        precision=lax.Precision.HIGHEST,
    )
    features_last = [numbers.out_spec[0], *numbers.out_spec[2:], numbers.out_spec[1]]
    indices = np.rint(np.asarray(patches)).astype(np.int32).transpose(features_last) - 1
    arranged = (_take(builder, [image], indices), _transposed(builder, kernel, numbers.rhs_spec))
    channels, length = kernel.shape[numbers.rhs_spec[0]], indices.shape[-1]
    product = builder.add(
        Dot(1, indices.size // length, channels, length), arranged, (*indices.shape[:-1], channels), result.dtype
    )
    return _transposed(builder, product, [int(axis) for axis in np.argsort(features_last)])


LOWERED: dict[str, Callable[[Builder, Any, Sequence[Operand]], Operand]] = {
    "each": _each,
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    **dict.fromkeys(REDUCTIONS, _reduce),
}
"""What gives the result of a primitive that does not only move numbers; "each" for all others."""


def _first(wanted: Any) -> Any:
    def rewritten(axes: Sequence[int], index_dtype: Any) -> Callable[[jax.Array], jax.Array]:
        (axis,) = axes

        def first(x: jax.Array) -> jax.Array:
            places = lax.broadcasted_iota(index_dtype, x.shape, axis)
            best = x == wanted(x, axis=axis, keepdims=True)
            return jnp.min(jnp.where(best, places, x.shape[axis]), axis=axis)

        return first

    return rewritten


REWRITTEN: dict[str, Callable[..., Callable[..., jax.Array]]] = {"argmax": _first(jnp.max), "argmin": _first(jnp.min)}
"""Primitives that are other ones put together: of their parameters, the function."""


def _unsupported(equation: Any, how: str = "") -> UnsupportedOperationError:
    name = f"{equation.primitive.name} {how}".strip()
    return UnsupportedOperationError(f"the operation {name} is not translated to JavaScript")
