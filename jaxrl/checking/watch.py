"""What lies outside of an environment that its methods could change: globals, class attributes, random generators."""

import collections
import inspect
import random
import types
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

_DEEP = 4
_ITEMS = 100
_LIBRARIES = ("jaxrl", "jax", "jaxlib", "numpy", "builtins", "typing", "functools")
"""Packages whose own objects are none of an environment's business."""


def watched(env: Any) -> dict[str, Any]:
    """A fingerprint of everything that the environment's methods refer to by name, by that name.

    Objects that compare by identity alone count as they are; what a library keeps for itself stays unseen.
    """
    prints: dict[str, Any] = {
        "random": hash(random.getstate()),
        "numpy.random": _fingerprint(np.random.get_state(legacy=False), 0),
    }
    for cls in type(env).__mro__:
        if _own(cls):
            prints |= {f"{cls.__name__}.{name}": value for name, value in _class_prints(cls, 0).items()}
            for function in _functions(cls):
                prints |= {name: _fingerprint(value, 0) for name, value in _names(function, set())}
    return prints


def _own(thing: Any) -> bool:
    return (getattr(thing, "__module__", None) or "").partition(".")[0] not in _LIBRARIES


def _functions(cls: type) -> Iterator[types.FunctionType]:
    for member in vars(cls).values():
        plain = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(plain):
            yield plain


def _names(function: types.FunctionType, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """The globals and the variables of enclosing functions that a function, and those that it calls, refers to."""
    if function.__code__ in seen:
        return
    seen.add(function.__code__)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    outside = {name: cell.cell_contents for name, cell in cells.items() if _filled(cell)}
    outside |= {name: function.__globals__[name] for name in _referred(function.__code__) & set(function.__globals__)}
    for name, value in outside.items():
        if isinstance(value, types.FunctionType):
            if _own(value):
                yield from _names(value, seen)
        elif not isinstance(value, types.ModuleType):
            yield name, value


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _referred(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_referred, inner))


def _class_prints(cls: type, depth: int) -> dict[str, Any]:
    values = {name: value for name, value in vars(cls).items() if not name.startswith("__")}
    return {
        name: _fingerprint(value, depth + 1)
        for name, value in values.items()
        if not callable(value) and not isinstance(value, property | classmethod | staticmethod)
    }


def _fingerprint(value: Any, depth: int) -> Any:
    """Something that compares equal as long as nothing of the value changes."""
    if depth > _DEEP or isinstance(value, jax.core.Tracer):
        return id(value)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return (type(value).__name__, repr(value))
    if isinstance(value, np.ndarray | np.generic):
        return hash(value.tobytes()) if value.size <= 10_000 and value.dtype != object else id(value)
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return repr(value.__getstate__())
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, dict):
        return [len(value), *((repr(k), _fingerprint(v, depth + 1)) for k, v in list(value.items())[:_ITEMS])]
    if isinstance(value, list | tuple | set | frozenset | collections.deque):
        return [type(value).__name__, len(value), *(_fingerprint(item, depth + 1) for item in list(value)[:_ITEMS])]
    if isinstance(value, type):
        return _class_prints(value, depth) if _own(value) else id(value)
    if type(value).__module__ == "itertools":
        return repr(value)
    if hasattr(value, "__dict__") and _own(type(value)):
        return [id(value), _fingerprint(dict(vars(value)), depth + 1)]
    return id(value)
