"""What a sweep tries: values for the fields of an agent and its environment, as grids or distributions."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.arguments import shown
from jaxrl.pytree import annotation, field_at, get_at, is_static, pytree, replace_at, static
from jaxrl.registry import nearest
from jaxrl.validation import check_values, is_finite


class SpaceError(ValueError):
    """A space of hyperparameters can't be swept."""


class Distribution:
    """Values to draw from."""

    def at(self, share: float) -> Any:
        """The value below which a share in [0, 1) of all draws lies."""
        raise NotImplementedError

    def values_to_check(self) -> list[Any]:
        """Values to check: the ends of a range, or all."""
        raise NotImplementedError


@pytree
class Uniform(Distribution):
    """A number between `low` and `high`, each as likely; with `log`, each ratio as likely."""

    low: float = static()
    high: float = static()
    log: bool = static(default=False)

    def __post_init__(self) -> None:
        _make_plain(self, "low", "high")
        name = "log_uniform" if self.log else "uniform"
        _require_ends(name, self.low, self.high, int | float)
        if self.log and self.low <= 0:
            raise SpaceError(f"log_uniform({self.low}, {self.high}): low must be above 0")

    def at(self, share: float) -> float:
        """Float."""
        if self.log:
            exponent = np.log(self.low) + share * (np.log(self.high) - np.log(self.low))
            return float(np.clip(np.exp(exponent), self.low, self.high))
        return float(self.low + share * (self.high - self.low))

    def values_to_check(self) -> list[float]:
        """Both ends."""
        return [float(self.low), float(self.high)]


@pytree
class Integers(Distribution):
    """A whole number from `low` to `high`, both included, each as likely."""

    low: int = static()
    high: int = static()

    def __post_init__(self) -> None:
        _make_plain(self, "low", "high")
        _require_ends("integers", self.low, self.high, int)

    def at(self, share: float) -> int:
        """Int."""
        return self.low + min(int(share * (self.high - self.low + 1)), self.high - self.low)

    def values_to_check(self) -> list[int]:
        """Both ends."""
        return [self.low, self.high]


@pytree
class Choice(Distribution):
    """One of some values, each as likely."""

    values: tuple[Any, ...] = static()

    def __post_init__(self) -> None:
        _make_plain(self, "values")
        if not self.values:
            raise SpaceError("choice needs at least one value")

    def at(self, share: float) -> Any:
        """One of the values."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def values_to_check(self) -> list[Any]:
        """All of them."""
        return list(self.values)


def uniform(low: float, high: float) -> Uniform:
    """Numbers between `low` and `high`, to be sampled. Raises a SpaceError where those are no range."""
    return Uniform(low, high)


def log_uniform(low: float, high: float) -> Uniform:
    """Positive numbers whose logarithm is uniform, to be sampled. Raises a SpaceError where those are no range.

    >>> round(log_uniform(1e-4, 1e-2).at(0.5), 6)
    0.001
    """
    return Uniform(low, high, log=True)


def integers(low: int, high: int) -> Integers:
    """Whole numbers from `low` to `high`, both included, to be sampled. Raises a SpaceError for no range."""
    return Integers(low, high)


def choice(values: Sequence[Any]) -> Choice:
    """Any of some values, to be sampled; a plain list is a grid, of which each value is tried."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise SpaceError(f"choice({shown(values)}) must have a list of values, such as choice([0.9, 0.99])")
    return Choice(tuple(values))


def _make_plain(node: Any, *names: str) -> None:
    for name in names:
        object.__setattr__(node, name, as_python(getattr(node, name)))


def _require_ends(name: str, low: Any, high: Any, kind: Any) -> None:
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, kind) or not is_finite(end):
            raise SpaceError(
                f"{name}({shown(low)}, {shown(high)}): both ends must be {'whole' if kind is int else 'finite'} "
                "numbers, as float32 too"
            )
    if not low < high:
        raise SpaceError(f"{name}({low!r}, {high!r}): low must be less than high")


Space = dict[str, list[Any] | Distribution]


def value_text(value: Any, digits: int = 4) -> str:
    """A swept value as people write it: 64-64, none, 0.001."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    if value is None:
        return "none"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def checked_space(agent: Agent, space: Any) -> Space:
    """A space whose paths and values the agent takes, as plain Python values.

    Raises:
      SpaceError: it is empty, or a path or a value is wrong; or the agent's own ValueError or TypeError for a value.
    """
    if not isinstance(space, Mapping):
        raise SpaceError(
            f"space = {shown(space)} must be a dict from fields to values, such as {{'discount': [0.9, 0.99]}}"
        )
    if not space:
        raise SpaceError("space is empty: name a field and its values, such as {'discount': [0.9, 0.99]}")
    known = field_paths(agent)
    checked: Space = {}
    for path, values in space.items():
        if not isinstance(path, str):
            raise SpaceError(f"space has the field {path!r}, and fields are named by text, such as 'discount'")
        if path not in known:
            raise SpaceError(
                f"space has no field {path!r}{nearest(path, known)}; {type(agent).__name__} has: {', '.join(known)}"
            )
        _require_number(agent, path, values)
        entry = checked[path] = values if isinstance(values, Distribution) else _grid(path, values)
        for value in entry.values_to_check() if isinstance(entry, Distribution) else entry:
            _check_value(agent, path, value)
    return checked


def _require_number(agent: Agent, path: str, values: Any) -> None:
    field, value = field_at(agent, path), get_at(agent, path)
    if not is_static(field) and value is not None and np.ndim(value):
        raise SpaceError(
            f"space[{path!r}]: {path} is an array of shape {np.shape(value)}, and a sweep varies single numbers: "
            "jaxrl.train(vary=...) takes one array a member"
        )
    if annotation(field) == "int" and isinstance(values, Uniform):
        raise SpaceError(f"space[{path!r}] = {values!r}, and {path} is a whole number: use jaxrl.integers")


def field_paths(node: Any) -> list[str]:
    """The dotted paths of all fields, static ones and those that hold None included."""
    paths = []
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        inside = field_paths(value) if dataclasses.is_dataclass(value) else None
        paths += [field.name] if inside is None else [f"{field.name}.{path}" for path in inside]
    return paths


def _grid(path: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise SpaceError(
            f"space[{path!r}] = {shown(values)} must be a list of values, or a distribution such as jaxrl.uniform(0, 1)"
        )
    plain = [as_python(value) for value in values]
    if not plain:
        raise SpaceError(f"space[{path!r}] is an empty list: give at least one value")
    for place, value in enumerate(plain):
        if value in plain[:place]:
            raise SpaceError(f"space[{path!r}] has {value!r} twice: give each value once")
    return plain


def as_python(value: Any) -> Any:
    """NumPy's numbers as Python's, lists as tuples."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(as_python, value)) if isinstance(value, list | tuple | np.ndarray) else value


def _check_value(agent: Agent, path: str, value: Any) -> None:
    field = field_at(agent, path)
    if value is None and not {"None", "Optional"} & set(re.findall(r"\w+", annotation(field))):
        raise SpaceError(f"space[{path!r}] has None, and {field.name} must be {annotation(field)}")
    if not is_static(field) and isinstance(value, int) and not -(2**31) <= value < 2**31:
        raise SpaceError(f"space[{path!r}] has {shown(value)}, which is more than the 32 bits of a leaf hold")
    check_values(replace_at(agent, path, value))
