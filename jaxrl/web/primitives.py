"""What the primitives of JAX are in JavaScript."""

from collections.abc import Container
from typing import Any

import numpy as np

INTEGERS = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
DTYPES = ("float32", "bool", *INTEGERS)
"""The types of numbers that JavaScript has arrays of."""

IDENTITIES = ("copy", "copy_p", "optimization_barrier", "stop_gradient")
"""Primitives that change no number."""

CALLS = ("jaxpr", "call_jaxpr", "call", "fun_jaxpr")
"""The parameters by which a primitive holds the function that it calls."""

LOOPS = ("scan", "while", "cond")
"""Primitives that hold functions which they do not call exactly once."""

_ALL = range(2**31)
MOVES: dict[str, Container[int]] = {
    "broadcast_in_dim": _ALL,
    "concatenate": _ALL,
    "expand_dims": _ALL,
    "pad": _ALL,
    "reshape": _ALL,
    "rev": _ALL,
    "slice": _ALL,
    "split": _ALL,
    "squeeze": _ALL,
    "stack": _ALL,
    "tile": _ALL,
    "transpose": _ALL,
    "dynamic_slice": (0,),
    "dynamic_update_slice": (0, 1),
    "gather": (0,),
}
"""Primitives that only move numbers, and which of their operands hold these; the others are indices."""

REDUCTIONS = {
    "reduce_sum": ("0", "a + b"),
    "reduce_prod": ("1", "a * b"),
    "reduce_max": ("-Infinity", "Math.max(a, b)"),
    "reduce_min": ("Infinity", "Math.min(a, b)"),
    "reduce_and": ("1", "a & b"),
    "reduce_or": ("0", "a | b"),
}
"""Reductions: what each begins with, and how an element b joins what a holds."""

_EXPRESSIONS = {
    "abs": "Math.abs(a)",
    "acos": "Math.acos(a)",
    "acosh": "Math.acosh(a)",
    "add": "a + b",
    "add_any": "a + b",
    "asin": "Math.asin(a)",
    "asinh": "Math.asinh(a)",
    "atan": "Math.atan(a)",
    "atan2": "Math.atan2(a, b)",
    "atanh": "Math.atanh(a)",
    "cbrt": "Math.cbrt(a)",
    "ceil": "Math.ceil(a)",
    "clamp": "Math.min(Math.max(b, a), c)",
    "cos": "Math.cos(a)",
    "cosh": "Math.cosh(a)",
    "eq": "a === b",
    "exp": "Math.exp(a)",
    "exp2": "2 ** a",
    "expm1": "Math.expm1(a)",
    "floor": "Math.floor(a)",
    "ge": "a >= b",
    "gt": "a > b",
    "is_finite": "Number.isFinite(a)",
    "le": "a <= b",
    "log": "Math.log(a)",
    "log1p": "Math.log1p(a)",
    "logistic": "1 / (1 + Math.exp(-a))",
    "lt": "a < b",
    "max": "Math.max(a, b)",
    "min": "Math.min(a, b)",
    "ne": "a !== b",
    "neg": "-a",
    "pow": "a ** b",
    "rem": "a % b",
    "rsqrt": "1 / Math.sqrt(a)",
    "select_n": "a ? c : b",
    "sign": "Math.sign(a)",
    "sin": "Math.sin(a)",
    "sinh": "Math.sinh(a)",
    "sqrt": "Math.sqrt(a)",
    "sub": "a - b",
    "tan": "Math.tan(a)",
    "tanh": "Math.tanh(a)",
}
_OF_INTEGERS = {
    "and": "a & b",
    "mul": "Math.imul(a, b)",
    "div": "Math.trunc(a / b)",
    "not": "~a",
    "or": "a | b",
    "shift_left": "b > 31 ? 0 : a << b",
    "shift_right_arithmetic": "a >> Math.min(b, 31)",
    "shift_right_logical": "b > 31 ? 0 : a >>> b",
    "xor": "a ^ b",
}
_OF_FLOATS = {"mul": "a * b", "div": "a / b"}
_OF_FLAGS = {"and": "a & b", "not": "!a", "or": "a | b", "xor": "a ^ b"}
_HALF_TO_EVEN = "Math.round(a) - (Math.round(a) - a === 0.5 && Math.round(a) % 2 !== 0)"
_HALF_AWAY_FROM_ZERO = "Math.sign(a) * Math.round(Math.abs(a))"


def expression(name: str, dtypes: tuple[np.dtype, ...], result: np.dtype, parameters: dict[str, Any]) -> str | None:
    """A primitive of one element each of a, b and c in JavaScript; None where there is none.

    Args:
      name: of the primitive.
      dtypes: of the operands.
      result: of the result, which its array rounds to, or wraps around.
      parameters: of the primitive.
    """
    if name == "integer_pow":
        return f"a ** {parameters['y']}" if dtypes[0].kind == "f" else None
    if name == "square":
        return "a * a" if dtypes[0].kind == "f" else "Math.imul(a, a)"
    if name == "round":
        return _HALF_TO_EVEN if int(parameters["rounding_method"]) == 1 else _HALF_AWAY_FROM_ZERO
    if name == "convert_element_type":
        return _conversion(dtypes[0], result)
    if name == "select_n" and (len(dtypes) != 3 or dtypes[0].kind != "b"):
        return None
    by_kind = {"f": _OF_FLOATS, "b": _OF_FLAGS}.get(dtypes[-1].kind, _OF_INTEGERS)
    return by_kind.get(name) or _EXPRESSIONS.get(name)


def _conversion(source: np.dtype, target: np.dtype) -> str:
    """Whole numbers wrap around in their arrays; XLA cuts floats off at the ends of the range, and takes NaN as 0."""
    if target.kind == "b":
        return "a !== 0"
    if source.kind == "f" and target.kind in "iu":
        bounds = np.iinfo(target)
        return f"Math.max({bounds.min}, Math.min({bounds.max}, Math.trunc(a)))"
    return "a"
