"""Checks of what an environment declares: its class, its fields and its spaces."""

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax

from jaxrl.checking.exam import Exam
from jaxrl.checking.findings import CODES
from jaxrl.checking.values import first_line
from jaxrl.checks import check_values
from jaxrl.environment import Environment
from jaxrl.pytree import concrete, is_pytree, is_static
from jaxrl.spaces import Space


def check_class(exam: Exam) -> None:
    """The environment is one, and a pytree."""
    env, name = exam.env, type(exam.env).__name__
    if not isinstance(env, Environment):
        exam.add("not-environment", f"{env!r} is of type {name}")
    elif not dataclasses.is_dataclass(env) or not is_pytree(env):
        exam.add("not-pytree", f"{name} is not registered as a pytree")


def check_max_steps(exam: Exam) -> None:
    """The time limit is a static whole number."""
    steps = getattr(exam.env, "max_steps", None)
    if type(steps) is not int or steps < 1:
        exam.add("max-steps", f"max_steps = {steps!r} is not an int of at least 1")
    elif any(field.name == "max_steps" and not is_static(field) for field in dataclasses.fields(exam.env)):
        exam.add("max-steps", f"max_steps = {steps} is a leaf, not static")


def check_fields(exam: Exam) -> None:
    """The fields hold what they were declared for; from here on their numbers are arrays, as in training."""
    try:
        check_values(exam.env)
    except (TypeError, ValueError) as error:
        exam.add("field-type" if isinstance(error, TypeError) else "field-bounds", str(error))
        return
    rebuild = functools.partial(jax.tree.map, lambda leaf: leaf)
    exam.attempt("leaf-traced", "building the environment with traced fields", jax.eval_shape, rebuild, exam.env)
    exam.env = concrete(exam.env)


def check_recompilation(exam: Exam) -> None:
    """A copy of the environment is the same to JAX, which compiles once for equal static fields."""
    with contextlib.suppress(Exception):  # a static field that can't be copied says nothing about equality
        # A function is itself wherever it is imported, and yet some of JAX's have copies.
        functions = {id(function): function for function in _functions(exam.env)}
        twin: Any = jax.tree.structure(copy.deepcopy(exam.env, functions))
        if twin != jax.tree.structure(exam.env):
            exam.add("recompiles", "methods are compiled again for a copy of the environment with the same fields")


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
      ValueError: it is none.
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


def check_spaces(exam: Exam) -> None:
    """Both spaces are spaces, and known while the environment's fields are traced."""
    _sample_space(exam, "observation_space")
    exam.action = _sample_space(exam, "action_space")


def _sample_space(exam: Exam, name: str) -> Any:
    code, doing = name.replace("_", "-"), name
    try:
        space = getattr(exam.env, name)
        if not isinstance(space, Space):
            exam.add(code, f"{name} is of type {type(space).__name__}")
            return None
        doing = f"{name}.sample(key)"
        value = (functools.partial(jax.eval_shape, space.sample) if exam.abstractly else space.sample)(exam.keys(0))
        code, doing = "leaf-traced", f"{name} with the environment's fields traced"
        jax.eval_shape(lambda env, value: getattr(env, name).contains(value), exam.env, value)
        return value
    except Exception as error:
        exam.add(code, f"{doing} raised {first_line(error)}")
        return None
