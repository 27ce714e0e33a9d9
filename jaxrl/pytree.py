"""Frozen dataclasses that are pytrees: the one building block of jaxrl.

Their leaves are numbers that may be traced, batched over members and swept; their static
fields decide shapes, trip counts and Python branches, and are part of a compiled program's
identity.
"""

import contextlib
import contextvars
import dataclasses
import functools
import inspect
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

from jaxrl.arguments import array_of

_T = TypeVar("_T")
_R = TypeVar("_R")
_STATIC = "static"
_BOUNDS = "bounds"
_NUMBERS = bool | int | float | np.ndarray | np.generic | jax.Array
_placeholders = contextvars.ContextVar("placeholders", default=False)
_classes: "weakref.WeakSet[type]" = weakref.WeakSet()
_DTYPES = {"float": np.float32, "float | None": np.float32, "int": np.int32, "bool": np.bool_}
"""The dtypes of leaves by annotation."""


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The values that a field accepts; `None` leaves a side open."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] | None = None

    def __str__(self) -> str:
        if self.choices is not None:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        sides = {">=": self.minimum, ">": self.above, "<=": self.maximum, "<": self.below}
        return " and ".join(f"{sign} {limit:g}" for sign, limit in sides.items() if limit is not None)

    def accept(self, value: Any) -> bool:
        """Whether every number in `value` lies inside."""
        if self.choices is not None:
            return value in self.choices
        array = array_of(value)
        if array is None:
            return False
        values = array.astype(np.float64)
        return bool(
            np.all(np.isfinite(values))
            and (self.minimum is None or np.all(values >= self.minimum))
            and (self.above is None or np.all(values > self.above))
            and (self.maximum is None or np.all(values <= self.maximum))
            and (self.below is None or np.all(values < self.below))
        )


def static(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """Declares a static field: hashable, compared by value, part of the compiled program.

    Args:
      default: the field's default; required when left out. Pass it by name: type checkers know it so.
      **bounds: the fields of `Bounds` (`minimum`, `maximum`, `above`, `below`, `choices`).
    """
    return dataclasses.field(default=default, metadata={_STATIC: True, _BOUNDS: Bounds(**bounds)})


def leaf(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """Declares a leaf with bounds: a number that may be traced, batched and swept.

    A field without any declaration is a leaf too. `None` as a leaf's value switches the feature
    off: it is part of the program's identity, and any number switches it on.

    Args:
      default: the field's default; required when left out. Pass it by name: type checkers know it so.
      **bounds: the fields of `Bounds` (`minimum`, `maximum`, `above`, `below`, `choices`).
    """
    return dataclasses.field(default=default, metadata={_BOUNDS: Bounds(**bounds)})


@dataclass_transform(frozen_default=True, field_specifiers=(static, leaf, dataclasses.field))
def pytree(cls: type[_T]) -> type[_T]:
    """Makes a class a frozen dataclass and registers it as a pytree node.

    JAX rebuilds such objects through their constructor with tracers in the leaves, so
    `__post_init__` may look at static fields only.

    >>> @pytree
    ... class Spring:
    ...     stiffness: float = leaf(default=2.0, above=0)
    ...     links: int = static(default=3, minimum=1)
    >>> jax.tree.map(lambda x: 10 * x, Spring(links=5))
    Spring(stiffness=20.0, links=5)
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    meta = [field.name for field in fields if is_static(field)]
    data = [field.name for field in fields if not is_static(field)]
    names = (*data, *meta)

    def flatten(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(node, name) for name in data), tuple(getattr(node, name) for name in meta)

    def flatten_with_keys(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        leaves, fixed = flatten(node)
        return tuple(zip(keys, leaves, strict=True)), fixed

    def unflatten(fixed: tuple[Any, ...], leaves: Any) -> Any:
        return cls(**dict(zip(names, (*leaves, *fixed), strict=True)))

    # Not `register_dataclass`: its structures compare equal for two classes with equal fields, so that a
    # program compiled for one environment may run for another (JAX 0.10.1; their hashes differ, which
    # makes it rare, and worse).
    keys = tuple(map(jax.tree_util.GetAttrKey, data))
    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    _classes.add(cls)
    return cls


def is_pytree_class(value: Any) -> bool:
    """Whether something is a class that `pytree` made; its code does not run."""
    return inspect.isclass(value) and value in _classes


def is_pytree(value: Any) -> bool:
    """Whether JAX knows an object's very class as a pytree: a subclass needs `pytree` again."""
    return not jax.tree_util.all_leaves([value])


def is_static(field: dataclasses.Field) -> bool:
    """Whether a dataclass field was declared with `static`."""
    return bool(field.metadata.get(_STATIC, False))


def annotation(field: dataclasses.Field) -> str:
    """A field's annotation as text."""
    return field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)


def field_bounds(field: dataclasses.Field) -> Bounds:
    """The bounds that a field was declared with; all open where it has none."""
    return field.metadata.get(_BOUNDS, Bounds())


@contextlib.contextmanager
def placeholders() -> Iterator[None]:
    """Marks that pytrees are built with other things in place of numbers, such as axes: `has_numbers` is then False."""
    token = _placeholders.set(True)
    try:
        yield
    finally:
        _placeholders.reset(token)


def has_numbers(node: Any) -> bool:
    """Whether the leaf fields of a pytree dataclass hold concrete numbers, and no placeholders."""
    if _placeholders.get():
        return False
    fields = [field for field in dataclasses.fields(node) if not is_static(field)]
    optional = [field.name for field in fields if field.default is None or "None" in annotation(field)]
    values = [getattr(node, field.name) for field in fields if field.name not in optional]
    return all(
        has_numbers(value)
        if dataclasses.is_dataclass(value)
        else all(isinstance(x, _NUMBERS) and not isinstance(x, jax.core.Tracer) for x in _parts(value))
        for value in values
    )


def _parts(value: Any) -> list[Any]:
    """The arrays inside a field's value, `None` as one of them."""
    return jax.tree.leaves(value, is_leaf=lambda x: x is None)


def leaf_paths(node: Any) -> list[str]:
    """The dotted paths of all leaves that hold a value, such as "learning_rate" or "env.length"."""
    paths = []
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if is_static(field) or value is None:
            continue
        inside = leaf_paths(value) if dataclasses.is_dataclass(value) else None
        paths += [field.name] if inside is None else [f"{field.name}.{path}" for path in inside]
    return paths


def replace_at(node: Any, path: str, value: Any) -> Any:
    """A copy of a pytree dataclass with another value at a dotted path."""
    name, _, rest = path.partition(".")
    return dataclasses.replace(node, **{name: replace_at(getattr(node, name), rest, value) if rest else value})


def field_at(node: Any, path: str) -> dataclasses.Field:
    """The field at a dotted path."""
    parent, _, name = path.rpartition(".")
    owner = get_at(node, parent) if parent else node
    return next(field for field in dataclasses.fields(owner) if field.name == name)


def get_at(node: Any, path: str) -> Any:
    """The value at a dotted path."""
    return functools.reduce(getattr, path.split("."), node)


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A pytree dataclass, equal to every other one of its structure, shapes and dtypes."""

    structure: Any
    shapes: tuple[Any, ...]
    node: Any = dataclasses.field(compare=False)


def cache_by_structure(function: Callable[[Any], _R]) -> Callable[[Any], _R]:
    """Caches a function of a pytree dataclass `with_array_leaves` by structure, shapes and dtypes, not by values."""
    known = functools.lru_cache(maxsize=64)(lambda seen: function(seen.node))

    @functools.wraps(function)
    def call(node: Any) -> _R:
        node = with_array_leaves(node)
        leaves, structure = jax.tree.flatten(node)
        return known(_Seen(structure, tuple(map(jax.typeof, leaves)), node))

    return call


def with_array_leaves(node: Any) -> Any:
    """The same pytree dataclass with arrays of definite dtypes in place of numbers.

    One number becomes f32, i32 or bool as its field is annotated: the dtype never depends on how the number
    was written, so that no other spelling means another compilation. Where the annotation says nothing of
    it, a Python number becomes f32, and an array keeps its dtype.
    """
    changes = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if is_static(field) or value is None:
            continue
        if dataclasses.is_dataclass(value):
            changes[field.name] = with_array_leaves(value)
        elif isinstance(value, bool | int | float) or (np.ndim(value) == 0 and annotation(field) in _DTYPES):
            changes[field.name] = np.asarray(value, _DTYPES.get(annotation(field), np.float32))
        else:
            changes[field.name] = jax.tree.map(
                lambda x: np.asarray(x, jax.dtypes.canonicalize_dtype(np.asarray(x).dtype)), value
            )
    return dataclasses.replace(node, **changes)
