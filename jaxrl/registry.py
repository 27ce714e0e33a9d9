"""Environments by name."""

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from jaxrl.environment import Environment

_factories: dict[str, tuple[Callable[..., Environment], dict[str, Any]]] = {}


def register(name: str, factory: Callable[..., Environment], **defaults: Any) -> None:
    """Makes `jaxrl.make(name)` build `factory(**defaults)`.

    Raises:
      ValueError: the name is taken by another factory or by other defaults.
    """
    if _factories.get(name, (factory, defaults)) != (factory, defaults):
        raise ValueError(f"the environment name {name!r} is taken: register under another name")
    _factories[name] = (factory, defaults)


def names() -> list[str]:
    """The names that `jaxrl.make` knows, sorted."""
    importlib.import_module("jaxrl.envs")
    return sorted(_factories)


def make(name: str, **parameters: Any) -> Environment:
    """Builds an environment.

    Args:
      name: a registered name ("CartPole-v1"), or "module:Class" for one that is not registered.
      **parameters: fields of the environment, in place of their defaults.

    Raises:
      ValueError: an unknown name, an unknown parameter, or a static value outside its bounds.
    """
    known = names()
    if name in _factories:
        factory, defaults = _factories[name]
    elif ":" in name:
        factory, defaults = _import(name), {}
    else:
        raise ValueError(
            f"unknown environment {name!r}{nearest(name, known)}; known: {', '.join(known)}, "
            'or "module:Class" for one of your own'
        )
    if not callable(factory):
        raise ValueError(f"environment {name!r} is {factory!r}, and must be a subclass of jaxrl.Environment")
    accepted = inspect.signature(factory).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for parameter in parameters:
        if parameter not in accepted and not open_ended:
            raise ValueError(
                f"{name} has no parameter {parameter!r}{nearest(parameter, accepted)}; it has: {', '.join(accepted)}"
            )
    env = factory(**{**defaults, **parameters})
    if not isinstance(env, Environment):
        raise ValueError(f"environment {name!r} made {env!r}, and must make a jaxrl.Environment")
    return env


def nearest(word: str, known: Any) -> str:
    """A ready hint, " (did you mean ...?)", or nothing where no known word is near."""
    by_lower = {str(k).lower(): str(k) for k in known}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f" (did you mean {by_lower[matches[0]]!r}?)" if matches else ""


def _import(path: str) -> Callable[..., Environment]:
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"environment {path!r} can't be imported: {error}") from error
