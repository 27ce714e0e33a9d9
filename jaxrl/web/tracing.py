"""From a JAX function to a `Program`: what depends on no input is computed at once, the rest becomes operations."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from jaxrl.web.lowering import LOWERED, REWRITTEN, UnsupportedOperationError, moved
from jaxrl.web.primitives import CALLS, DTYPES, IDENTITIES, LOOPS, MOVES
from jaxrl.web.program import Array, Builder, Operand, Program


def traced(function: Callable[..., dict[str, Any]], inputs: dict[str, Any]) -> Program:
    """Traces a function.

    Args:
      function: of the inputs in their order; gives arrays by name.
      inputs: shape and dtype of each, by name.

    Raises:
      UnsupportedOperationError: the function has an operation, or a type of numbers, that is not translated.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*inputs.values())
    builder = Builder()
    given: list[Operand] = []
    for name, shape in inputs.items():
        _check_dtype(shape.dtype, f"the input {name!r}")
        given.append(builder.input(name, shape.shape, shape.dtype))
    results = _evaluate(builder, closed.jaxpr, closed.consts, given)
    # A dictionary is flattened in the order of its sorted keys.
    by_name = dict(zip(sorted(shapes), results, strict=True))
    return builder.program({name: by_name[name] for name in shapes})


def _evaluate(builder: Builder, jaxpr: Any, constants: Sequence[Any], given: Sequence[Operand]) -> list[Operand]:
    known: dict[Any, Operand] = dict(zip(jaxpr.constvars, map(_constant, constants), strict=True))
    known |= dict(zip(jaxpr.invars, given, strict=True))

    def value(atom: Any) -> Operand:
        if not isinstance(atom, core.Literal):
            return known[atom]
        aval: Any = atom.aval
        return np.asarray(atom.val, aval.dtype)

    for equation in jaxpr.eqns:
        results = _translated(builder, equation, [value(atom) for atom in equation.invars])
        known |= dict(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _translated(builder: Builder, equation: Any, operands: list[Operand]) -> Sequence[Operand]:
    """The results of one equation: constants, or arrays of the program."""
    primitive, parameters = equation.primitive, equation.params
    if primitive.name not in LOOPS:
        for function in (parameters[name] for name in CALLS if name in parameters):
            jaxpr, constants = (function.jaxpr, function.consts) if hasattr(function, "consts") else (function, ())
            return _evaluate(builder, jaxpr, constants, operands)
    dynamic = [place for place, operand in enumerate(operands) if isinstance(operand, Array)]
    if not dynamic:
        results = primitive.bind(*operands, **parameters)
        return [_constant(x) for x in (results if primitive.multiple_results else [results])]
    for variable in equation.outvars:
        _check_dtype(variable.aval.dtype, f"the operation {primitive.name}")
    if primitive.name in IDENTITIES:
        return operands
    if primitive.name in REWRITTEN:
        closed = jax.make_jaxpr(REWRITTEN[primitive.name](**parameters))(*(_example(x) for x in operands))
        return _evaluate(builder, closed.jaxpr, closed.consts, operands)
    if _only_moves(primitive.name, dynamic):
        return moved(builder, equation, operands)
    lower = LOWERED.get(primitive.name, LOWERED["each"])
    return [lower(builder, equation, operands)]


def _constant(value: Any) -> Any:
    """A constant as an array of NumPy, but a random key, which no operation of a program may depend on."""
    return value if jax.dtypes.issubdtype(jax.numpy.result_type(value), jax.dtypes.extended) else np.asarray(value)


def _only_moves(name: str, dynamic: Collection[int]) -> bool:
    """Whether a primitive moves its dynamic operands to places that are known."""
    return name in MOVES and all(place in MOVES[name] for place in dynamic)


def _example(operand: Operand) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(operand.shape, operand.dtype)


def _check_dtype(dtype: Any, what: str) -> None:
    if np.dtype(dtype).name not in DTYPES:
        raise UnsupportedOperationError(
            f"{what} has numbers of type {np.dtype(dtype).name}; JavaScript has {', '.join(DTYPES)}"
        )
