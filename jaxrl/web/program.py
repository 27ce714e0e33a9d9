"""A function of arrays as a short list of operations on flat arrays, each of which JavaScript can do in a few lines.

Five kinds of operations are enough for a feed-forward policy, since the layout of every array is known: whatever moves
numbers (reshaping, transposing, slicing, joining, padding) is `Take` with constant indices, and a convolution is a
`Take` of its patches and a `Dot`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive


@dataclasses.dataclass(frozen=True)
class Array:
    """An array that is known when the program runs.

    Attributes:
      number: its place among the arrays of the program.
      shape, dtype: of the array; it is stored flat, in row-major order.
    """

    number: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """How many elements it has."""
        return int(np.prod(self.shape))


Operand: TypeAlias = Array | np.ndarray
"""An array that is known when the program runs, or a constant."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """What computes one array from others."""

    kind: ClassVar[str]

    def attributes(self) -> tuple[Any, ...]:
        """By what two operations on the same operands differ; hashable but for arrays."""
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    def evaluate(self, size: int, *operands: jax.Array) -> jax.Array:
        """The flat result of `size` elements, of flat operands."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Each(Operation):
    """A primitive of JAX on every element; operands of one element are repeated.

    Attributes:
      primitive, parameters: of JAX.
      expression: the same in JavaScript, of a, b and c.
    """

    kind = "each"
    primitive: Primitive
    parameters: tuple[tuple[str, Any], ...]
    expression: str

    def evaluate(self, size: int, *operands: jax.Array) -> jax.Array:
        """See the base class."""
        return self.primitive.bind(*(jnp.broadcast_to(x, (size,)) for x in operands), **dict(self.parameters))


@dataclasses.dataclass(frozen=True)
class Take(Operation):
    """The elements at constant indices i32[size] of the operands, joined; 0 where an index is negative."""

    kind = "take"
    indices: np.ndarray

    def evaluate(self, size: int, *operands: jax.Array) -> jax.Array:
        """See the base class."""
        joined = jnp.concatenate(operands)
        return jnp.where(self.indices < 0, jnp.zeros((), joined.dtype), joined[jnp.maximum(self.indices, 0)])


@dataclasses.dataclass(frozen=True)
class Dot(Operation):
    """Products of the rows of `[batch, rows, length]` with those of `[batch, columns, length]`."""

    kind = "dot"
    batch: int
    rows: int
    columns: int
    length: int

    def evaluate(self, size: int, *operands: jax.Array) -> jax.Array:
        """See the base class."""
        left, right = operands
        left = left.reshape(self.batch, self.rows, self.length)
        right = right.reshape(self.batch, self.columns, self.length)
        return jnp.einsum("bik,bjk->bij", left, right, precision="highest").reshape(-1)


@dataclasses.dataclass(frozen=True)
class Reduce(Operation):
    """The sum, greatest, ... of each run of `length` elements.

    Attributes:
      primitive: of JAX.
      initial, expression: what it begins with, and how an element b joins what a holds, in JavaScript.
      length: of a run.
    """

    kind = "reduce"
    primitive: Primitive
    initial: str
    expression: str
    length: int

    def evaluate(self, size: int, *operands: jax.Array) -> jax.Array:
        """See the base class."""
        parameters = {"axes": (1,)} | ({"out_sharding": None} if self.primitive.name == "reduce_sum" else {})
        return self.primitive.bind(operands[0].reshape(size, self.length), **parameters)


@dataclasses.dataclass(frozen=True)
class Lookup(Operation):
    """Slices of the first operand from where the second says, whole numbers `[count, axes]`; kept inside.

    Attributes:
      offsets: i32[size], where each element would be if all slices began at 0.
      rows: i32[size], which of the slices each element is of.
      strides, limits: for each of the axes, how many elements apart neighbours are, and where a slice begins at most.
    """

    kind = "lookup"
    offsets: np.ndarray
    rows: np.ndarray
    strides: tuple[int, ...]
    limits: tuple[int, ...]

    def evaluate(self, size: int, *operands: jax.Array) -> jax.Array:
        """See the base class."""
        table, starts = operands
        inside = jnp.clip(starts.reshape(-1, len(self.strides)), 0, jnp.asarray(self.limits))
        return table[self.offsets + (inside @ jnp.asarray(self.strides))[self.rows]]


@dataclasses.dataclass(frozen=True)
class Step:
    """An operation of a program, with its operands and its result."""

    operation: Operation
    operands: tuple[Operand, ...]
    result: Array


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of arrays by name.

    Attributes:
      inputs: what it takes.
      steps: in order; only those that some output depends on.
      outputs: what it gives: results of steps, inputs, or constants.
    """

    inputs: dict[str, Array]
    steps: tuple[Step, ...]
    outputs: dict[str, Operand]

    def evaluate(self, inputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """The outputs by JAX: what checks that the operations were put together rightly."""
        known = {array.number: jnp.asarray(inputs[name], array.dtype) for name, array in self.inputs.items()}

        def value(operand: Operand) -> jax.Array:
            return known[operand.number] if isinstance(operand, Array) else jnp.asarray(operand)

        for step in self.steps:
            flat = [value(operand).reshape(-1) for operand in step.operands]
            result = step.operation.evaluate(step.result.size, *flat)
            known[step.result.number] = result.astype(step.result.dtype).reshape(step.result.shape)
        return {name: value(operand).reshape(operand.shape) for name, operand in self.outputs.items()}


class Builder:
    """Collects the steps of a program; of equal ones it keeps the first."""

    def __init__(self) -> None:
        self._inputs: dict[str, Array] = {}
        self._steps: list[Step] = []
        self._results: dict[Any, Array] = {}
        self._count = 0

    def input(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """Adds an input."""
        self._inputs[name] = self._array(shape, dtype)
        return self._inputs[name]

    def add(self, operation: Operation, operands: tuple[Operand, ...], shape: tuple[int, ...], dtype: Any) -> Array:
        """Adds an operation, and gives its result."""
        key = (
            *(type(operation), *map(_key, operation.attributes()), *map(_key, operands)),
            *(shape, np.dtype(dtype)),
        )
        if key not in self._results:
            self._results[key] = self._array(shape, dtype)
            self._steps.append(Step(operation, operands, self._results[key]))
        return self._results[key]

    def program(self, outputs: dict[str, Operand]) -> Program:
        """The program that gives these outputs."""
        needed = {operand.number for operand in outputs.values() if isinstance(operand, Array)}
        steps: list[Step] = []
        for step in reversed(self._steps):
            if step.result.number in needed:
                steps.append(step)
                needed |= {operand.number for operand in step.operands if isinstance(operand, Array)}
        return Program(self._inputs, tuple(reversed(steps)), outputs)

    def _array(self, shape: tuple[int, ...], dtype: Any) -> Array:
        self._count += 1
        return Array(self._count - 1, tuple(shape), np.dtype(dtype))


def _key(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    return value
