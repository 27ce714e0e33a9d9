"""Environments by name."""

import contextlib
import dataclasses
import difflib
import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import jax

from jaxrl.arguments import shown
from jaxrl.environment import Environment
from jaxrl.validation import check_values

LIBRARIES = ("brax", "gymnasium", "gymnax", "jumanji", "pgx", "playground")
"""The libraries whose environments go by "library:name"; `jaxrl.adapters` has a module of that name for each."""
_factories: dict[str, tuple[Callable[..., Environment], dict[str, Any]]] = {}


def register(name: str, factory: Callable[..., Environment], **defaults: Any) -> None:
    """Makes `jaxrl.make(name)` build `factory(**defaults)`.

    Raises:
      TypeError: the name is no text, or the factory can't be called, or is a class of something else.
      ValueError: the name is empty or has a colon, it is taken by another factory or by other defaults, or the
        factory has no such parameter.
    """
    if not isinstance(name, str):
        raise TypeError(f"name = {shown(name)} must be text, such as 'MyEnvironment-v0'")
    if not name.strip() or ":" in name:
        raise ValueError(f"name = {name!r} must be text without a colon, such as 'MyEnvironment-v0'")
    if not callable(factory) or (inspect.isclass(factory) and not issubclass(factory, Environment)):
        raise TypeError(
            f"factory = {shown(factory)} must be a subclass of jaxrl.Environment, or a function that makes one"
        )
    _check_parameters(name, factory, defaults)
    names()  # So that a name of jaxrl's own is seen to be taken.
    if _factories.get(name, (factory, defaults)) != (factory, defaults):
        raise ValueError(f"the environment name {name!r} is taken: register under another name")
    _factories[name] = (factory, defaults)


def names() -> list[str]:
    """The names that `jaxrl.make` knows, sorted."""
    importlib.import_module("jaxrl.envs")
    return sorted(_factories)


def make(name: str, **parameters: Any) -> Environment:
    """Builds an environment.

    >>> make("CartPole-v1", length=0.7).length
    0.7

    Args:
      name: a registered name ("CartPole-v1"), "library:name" for one of another library ("gymnax:Catch-bsuite"; see
        `jaxrl.adapters`), or "module:Class" for one that is not registered.
      **parameters: fields of the environment, in place of their defaults.

    Raises:
      ImportError: the library is not installed.
      TypeError: a parameter is of the wrong kind.
      ValueError: an unknown name, an unknown parameter, or a value that is outside its bounds or not finite.
    """
    if not isinstance(name, str):
        raise TypeError(f"name = {shown(name)} must be the name of an environment, such as 'CartPole-v1'")
    known = names()
    if name in _factories:
        factory, defaults = _factories[name]
    elif name.partition(":")[0] in LIBRARIES and ":" in name:
        factory, defaults = _of_library(*name.split(":", 1)), {}
    elif ":" in name:
        factory, defaults = imported(f"environment {name!r}", name), {}
    else:
        raise ValueError(
            f"unknown environment {name!r}{nearest(name, known)}; known: {', '.join(known)}, "
            'or "module:Class" for a custom one, or "library:name" for one of ' + ", ".join(LIBRARIES)
        )
    if not callable(factory) or (inspect.isclass(factory) and not issubclass(factory, Environment)):
        raise ValueError(f"environment {name!r} is {shown(factory)}, and must be a subclass of jaxrl.Environment")
    _check_parameters(name, factory, parameters)
    _check_complete(name, factory, {**defaults, **parameters})
    env = factory(**{**defaults, **parameters})
    if not isinstance(env, Environment):
        raise ValueError(f"environment {name!r} made {shown(env)}, and must make a jaxrl.Environment")
    if dataclasses.is_dataclass(env) and not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(env)):
        check_values(env)
    return env


def _check_parameters(name: str, factory: Callable[..., Environment], parameters: dict[str, Any]) -> None:
    try:
        accepted = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # Some callables written in C do not describe their parameters.
        return
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for parameter in parameters:
        if parameter not in accepted and not open_ended:
            raise ValueError(
                f"{name} has no parameter {parameter!r}{nearest(parameter, accepted)}; it has: {', '.join(accepted)}"
            )


def _check_complete(name: str, factory: Callable[..., Environment], parameters: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):  # Some callables written in C do not describe their parameters.
        try:
            inspect.signature(factory).bind(**parameters)
        except TypeError as error:
            raise TypeError(
                f"environment {name!r} can't be made by {shown(factory)}: {error}; that must be a subclass of "
                "jaxrl.Environment, or a function that makes one, and all its parameters given"
            ) from None


def nearest(word: Any, known: Any) -> str:
    """A hint for a message, " (did you mean ...?)"; "" where no known word is near."""
    by_lower = {str(k).lower(): str(k) for k in known}
    matches = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.5)
    return f" (did you mean {by_lower[matches[0]]!r}?)" if matches else ""


def _of_library(library: str, name: str) -> Callable[..., Environment]:
    return functools.partial(importlib.import_module(f"jaxrl.adapters.{library}").make, name)


def imported(what: str, path: str) -> Any:
    """What a module has under a name, for "module:name".

    Args:
      what: it is, for the message.
      path: where it is.

    Raises:
      ValueError: it can't be imported.
    """
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"{what} can't be imported: {error}") from error
