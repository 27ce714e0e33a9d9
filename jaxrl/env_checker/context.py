"""What the checks of one environment share: the findings so far, results to compare, and side effects to detect."""

import collections
import functools
import inspect
import random
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.env_checker.report import CODES, ERROR, Finding

# Nothing here runs long enough to pay for optimised code: compiling takes a third of the time.
COMPILER_OPTIONS: dict[str, Any] = {"xla_backend_optimization_level": 0}
compiled = functools.partial(jax.jit, compiler_options=COMPILER_OPTIONS)


class CheckContext:
    """What the checks share.

    Attributes:
      env: the environment under test.
      steps: environment steps of the random rollout.
      abstractly: whether methods are only traced, which takes a moment, and nothing is played.
      keys: gives a random key for a number.
      findings, skipped: what becomes the report.
      action: an action from the environment's action space.
      abstract: what each method returns, by its name: shapes, dtypes and weak types.
      results: what each method returned.
    """

    def __init__(self, env: Any, seed: int, steps: int, abstractly: bool = False):
        self.env, self.steps, self.abstractly = env, steps, abstractly
        self.keys = functools.partial(jax.random.fold_in, jax.random.key(seed))
        self.findings: list[Finding] = []
        self.skipped: list[str] = []
        self.action: Any = None
        self.abstract: dict[str, Any] = {}
        self.results: dict[str, Any] = {}

    @property
    def error_count(self) -> int:
        """How many errors were found so far."""
        return sum(finding.severity == ERROR for finding in self.findings)

    def add(self, code: str, seen: str) -> None:
        """Adds a finding, once for each code and thing seen; the remedy comes from `CODES`."""
        severity, remedy = CODES[code]
        finding = Finding(code, severity, f"{seen}: {remedy}")
        if finding not in self.findings:
            self.findings.append(finding)

    def attempt(self, code: str, doing: str, function: Callable, *arguments: Any) -> Any:
        """Calls a function that may run the user's code; its exception becomes a finding, and None comes back."""
        try:
            return jax.block_until_ready(function(*arguments))
        except Exception as error:
            self.add(code, f"{doing} raised {first_line(error)}")
            return None


NUMBERS = bool | int | float | np.bool_ | np.number | np.ndarray | jax.Array


def arrays(tree: Any) -> list[np.ndarray]:
    """The leaves of a tree as numpy arrays, random keys as their bits."""
    leaves = map(jnp.asarray, jax.tree.leaves(tree))
    keyed = (jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf for leaf in leaves)
    return [np.asarray(leaf) for leaf in keyed]


def same(first: Any, second: Any, tolerance: float = 0.0) -> bool:
    """Whether two results hold the same numbers; only floating-point ones get the tolerance."""
    firsts, seconds = arrays(first), arrays(second)
    if [leaf.shape for leaf in firsts] != [leaf.shape for leaf in seconds]:
        return False
    for one, other in zip(firsts, seconds, strict=True):
        slack = tolerance if jnp.issubdtype(one.dtype, jnp.floating) else 0.0
        if not np.allclose(one.astype(np.float64), other.astype(np.float64), slack, slack, equal_nan=True):
            return False
    return True


def describe(value: Any) -> str:
    """A value in a few words: an array's dtype and shape, a number itself, a container's structure."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, int | float | str | None):
        return repr(value)
    return f"a {type(value).__name__} of {len(jax.tree.leaves(value))} leaves ({jax.tree.structure(value)})"


def first_line(error: Exception) -> str:
    """An exception's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else ''}"


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
