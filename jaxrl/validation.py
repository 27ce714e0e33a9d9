"""Validation of the fields of pytree dataclasses: kinds, bounds and finiteness."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrl.arguments import array_of, shown
from jaxrl.pytree import annotation, field_at, field_bounds, get_at, is_static

_KINDS = {
    "float": "one number",
    "int": "a whole number",
    "bool": "True or False",
    "str": "a string",
    "tuple[int, ...]": "a tuple of whole numbers",
    "None": "None",
}
"""The annotations that are validated, as error messages name them; fields with other annotations are not checked."""
_LARGEST = 2**31 - 1
"""The largest whole number of a field: what it sets is counted in 32 bits."""


def check_static(node: Any) -> None:
    """Checks a pytree dataclass's own static fields: hashable, of the annotated kind, inside their bounds.

    Raises:
      TypeError: a static field is not hashable, or of another kind.
      ValueError: a static field lies outside its bounds.
    """
    for field in dataclasses.fields(node):
        if is_static(field):
            name, value = f"{type(node).__name__}.{field.name}", getattr(node, field.name)
            try:
                hash(value)
            except TypeError:
                raise TypeError(
                    f"{name} = {shown(value)} must be hashable, as a static field: "
                    "pass a tuple instead of a list, or a number instead of an array"
                ) from None
            _check_kind(name, field, value)
            _check_bounds(name, field, value)


def check_values(node: Any) -> None:
    """Checks every concrete field of a pytree dataclass and of the pytree dataclasses inside it.

    Raises:
      TypeError: a field is of another kind than it is annotated with, or no number at all.
      ValueError: a field lies outside its bounds, or is not finite.
    """
    check_static(node)
    for field in dataclasses.fields(node):
        name, value = f"{type(node).__name__}.{field.name}", getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            check_values(value)
        elif not is_static(field):
            if value is not None and array_of(value) is None:
                raise TypeError(f"{name} = {shown(value)} must be a number or an array of numbers")
            _check_kind(name, field, value)
            _check_bounds(name, field, value)
            if value is not None and not is_finite(value):
                raise ValueError(f"{name} = {shown(value)} must be finite, as a float32 too: give an ordinary number")


def check_at(node: Any, path: str, value: Any) -> None:
    """Checks values for the field at a dotted path against its bounds.

    Raises:
      ValueError: one of them lies outside.
    """
    parent, _, name = path.rpartition(".")
    owner = get_at(node, parent) if parent else node
    _check_bounds(f"{type(owner).__name__}.{name}", field_at(owner, name), value)


def is_finite(values: Any) -> bool:
    """Whether all numbers are finite, and stay so as float32."""
    array = array_of(values)
    with np.errstate(over="ignore"):
        return array is not None and bool(np.all(np.isfinite(array.astype(np.float32))))


def _check_kind(name: str, field: dataclasses.Field, value: Any) -> None:
    kinds = annotation(field).split(" | ")
    if any(kind not in _KINDS for kind in kinds) or any(_fits(value, kind, is_static(field)) for kind in kinds):
        return
    many = np.ndim(value) and not is_static(field)
    raise TypeError(
        f"{name} = {shown(value)} must be {' or '.join(_KINDS[kind] for kind in kinds)}"
        + (": give values that differ between members to vary" if many else "")
    )


def _fits(value: Any, kind: str, fixed: bool) -> bool:
    if kind == "None" or value is None:
        return kind == "None" and value is None
    if kind == "str":
        return isinstance(value, str)
    if kind == "tuple[int, ...]":
        return isinstance(value, tuple) and all(_fits(item, "int", fixed) for item in value)
    if kind == "int" and type(value) is int:  # However large: its bounds say so.
        return True
    array = array_of(value)
    # A whole leaf may be written as a float: its bounds ask for a whole number, and it becomes one.
    dtype: Any = np.integer if kind == "int" and fixed else np.number
    dtype = np.bool_ if kind == "bool" else dtype
    return array is not None and array.ndim == 0 and jnp.issubdtype(array.dtype, dtype)


def _check_bounds(name: str, field: dataclasses.Field, value: Any) -> None:
    bounds = field_bounds(field)
    whole = "int" in annotation(field) and bounds.choices is None
    if value is None or not (whole or str(bounds)):
        return
    for item in value if isinstance(value, tuple) else (value,):
        array = array_of(item)
        if whole and array is not None and np.any(array.astype(np.float64) > _LARGEST):
            raise ValueError(f"{name} = {shown(value)} must be at most {_LARGEST:,}, as 32 bits count no further")
        fractional = whole and (array is None or not np.all(array == np.trunc(array)))
        if fractional or not (bounds.accept(item) if str(bounds) else is_finite(item)):
            least = f"{'a whole number ' if fractional else ''}{bounds}".strip()
            finite = "" if is_finite(item) or bounds.choices is not None else "finite"
            raise ValueError(f"{name} = {shown(value)} must be {' and '.join(filter(None, (least, finite)))}")
