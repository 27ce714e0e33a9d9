"""Checks of what an environment declares: its class, its fields and its spaces."""

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax

from jaxrl.env_checker.context import CheckContext, first_line
from jaxrl.env_checker.report import CODES
from jaxrl.environment import Environment
from jaxrl.pytree import is_pytree, is_static, with_array_leaves
from jaxrl.spaces import Space
from jaxrl.validation import check_values


def check_class(context: CheckContext) -> None:
    """The environment is one, and a pytree."""
    env, name = context.env, type(context.env).__name__
    if not isinstance(env, Environment):
        context.add("not-environment", f"{env!r} is of type {name}")
    elif not dataclasses.is_dataclass(env) or not is_pytree(env):
        context.add("not-pytree", f"{name} is not registered as a pytree")


def check_max_steps(context: CheckContext) -> None:
    """The time limit is a static whole number."""
    steps = getattr(context.env, "max_steps", None)
    if type(steps) is not int or steps < 1:
        context.add("max-steps", f"max_steps = {steps!r} is not an int of at least 1")
    elif any(field.name == "max_steps" and not is_static(field) for field in dataclasses.fields(context.env)):
        context.add("max-steps", f"max_steps = {steps} is a leaf, not static")


def check_fields(context: CheckContext) -> None:
    """The fields hold what they were declared for; from here on their numbers are arrays, as in training."""
    try:
        check_values(context.env)
    except (TypeError, ValueError) as error:
        context.add("field-type" if isinstance(error, TypeError) else "field-bounds", str(error))
        return
    rebuild = functools.partial(jax.tree.map, lambda leaf: leaf)
    context.attempt("leaf-traced", "building the environment with traced fields", jax.eval_shape, rebuild, context.env)
    context.env = with_array_leaves(context.env)


def check_recompilation(context: CheckContext) -> None:
    """A copy of the environment is the same to JAX, which compiles once for equal static fields."""
    with contextlib.suppress(Exception):  # a static field that can't be copied says nothing about equality
        # A function is itself wherever it is imported, and yet some of JAX's have copies.
        functions = {id(function): function for function in _functions(context.env)}
        twin: Any = jax.tree.structure(copy.deepcopy(context.env, functions))
        if twin != jax.tree.structure(context.env):
            context.add("recompiles", "methods are compiled again for a copy of the environment with the same fields")


def _functions(node: Any) -> Iterator[Any]:
    """The functions in the static fields of a pytree dataclass and of those inside it."""
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            yield from _functions(value)
        elif is_static(field) and callable(value):
            yield value


def require_space(env: Any, name: str) -> Space:
    """The "observation_space" or "action_space" of an environment.

    Raises:
      ValueError: it is not.
    """
    try:
        space = getattr(env, name)
    except Exception as error:
        seen = f"raised {first_line(error)}"
    else:
        if isinstance(space, Space):
            return space
        seen = f"is of type {type(space).__name__}"
    raise ValueError(f"{type(env).__name__}.{name} {seen}: {CODES[name.replace('_', '-')][1]}")


def check_spaces(context: CheckContext) -> None:
    """Both spaces are spaces, and known while the environment's fields are traced."""
    _sample_space(context, "observation_space")
    context.action = _sample_space(context, "action_space")


def _sample_space(context: CheckContext, name: str) -> Any:
    code, doing = name.replace("_", "-"), name
    try:
        space = getattr(context.env, name)
        if not isinstance(space, Space):
            context.add(code, f"{name} is of type {type(space).__name__}")
            return None
        doing = f"{name}.sample(key)"
        sample = functools.partial(jax.eval_shape, space.sample) if context.abstractly else space.sample
        value = sample(context.keys(0))
        code, doing = "leaf-traced", f"{name} with the environment's fields traced"
        jax.eval_shape(lambda env, value: getattr(env, name).contains(value), context.env, value)
        return value
    except Exception as error:
        context.add(code, f"{doing} raised {first_line(error)}")
        return None
