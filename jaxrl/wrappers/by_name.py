"""Wrappers by name, as a command line names them."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from jaxrl.arguments import shown
from jaxrl.environment import Environment
from jaxrl.pytree import annotation, is_pytree_class
from jaxrl.registry import imported, nearest
from jaxrl.validation import check_values
from jaxrl.wrappers import actions, history, observations, rewards, shaping
from jaxrl.wrappers.base import Wrapper

WRAPPERS: dict[str, type[Wrapper]] = {
    kind.__name__: kind
    for kind in (
        *(observations.FlattenObservation, observations.RescaleObservation, observations.ObservationMask),
        *(observations.TransformObservation, history.FrameStack, history.TimeAware),
        *(actions.StickyAction, actions.ActionRepeat, actions.RescaleAction, actions.DiscretizeAction),
        *(rewards.ClipReward, rewards.ScaleReward, rewards.TransformReward, rewards.DelayedReward),
        shaping.PotentialShaping,
    )
}
"""The wrappers that there are, by name."""


def make_wrapper(name: str, env: Environment, **parameters: Any) -> Wrapper:
    """Wraps an environment.

    Args:
      name: such as "FrameStack", or "module:Class" for a custom wrapper.
      env: the environment.
      **parameters: fields of the wrapper; a function may be named, as "module:name".

    Raises:
      TypeError: a parameter is missing or of the wrong kind, or the wrapper can't wrap the environment.
      ValueError: an unknown name, an unknown parameter, or a value that is outside its bounds.
    """
    kind = _kind(name)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name != "env"}
    for parameter, value in parameters.items():
        if parameter not in fields:
            known = ", ".join(fields) or "none"
            raise ValueError(f"{name} has no parameter {parameter!r}{nearest(parameter, fields)}; it has: {known}")
        if "Callable" in annotation(fields[parameter]) and isinstance(value, str):
            parameters[parameter] = _function(f"{name}.{parameter}", value)
    missing = [each for each, field in fields.items() if _required(field) and each not in parameters]
    if missing:
        raise TypeError(f"{name} needs {' and '.join(missing)}, as in {name}:{missing[0]}=VALUE")
    wrapped = kind(env, **parameters)
    check_values(wrapped)
    return wrapped


def _kind(name: str) -> type[Wrapper]:
    if name in WRAPPERS:
        return WRAPPERS[name]
    if ":" not in name:
        raise ValueError(
            f'unknown wrapper {name!r}{nearest(name, WRAPPERS)}; known: {", ".join(WRAPPERS)}, or "module:Class" for a '
            "custom one"
        )
    kind = imported(f"wrapper {name!r}", name)
    if not inspect.isclass(kind) or not issubclass(kind, Wrapper) or not is_pytree_class(kind):
        raise ValueError(
            f"wrapper {name!r} is {shown(kind)}, and must be a jaxrl.pytree subclass of jaxrl.wrappers.Wrapper"
        )
    return kind


def _function(field: str, path: str) -> Callable[..., Any]:
    if ":" not in path:
        raise ValueError(f"{field} = {path!r} must name a function, as module:name")
    return imported(f"{field} = {path!r}", path)


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
