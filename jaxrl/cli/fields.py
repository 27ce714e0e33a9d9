"""The fields of agents as options: how tyro reads them, and their docstrings as help."""

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import tyro
from tyro.constructors import StructConstructorSpec, StructFieldSpec, StructTypeInfo

from jaxrl.agents import Agent
from jaxrl.cli.words import optional_number, specification
from jaxrl.pytree import Bounds, field_bounds


def agent_rule(defaults: dict[str, Any]) -> Callable[[StructTypeInfo], StructConstructorSpec | None]:
    """The rule by which tyro reads an agent's fields: it gives a function of the environment, which is made later.

    Args:
      defaults: by field, in place of the class's own defaults.
    """

    def rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        kind: Any = info.type
        if not (inspect.isclass(kind) and issubclass(kind, Agent)):
            return None
        hints, docs = typing.get_type_hints(kind), field_docs(kind)
        fields = []
        for field in dataclasses.fields(typing.cast(Any, kind)):
            if field.name != "env":
                bounds = field_bounds(field)
                argument = tyro.conf.arg(help_behavior_hint=functools.partial(_hint, bounds))
                option: Any = Annotated[_option_type(hints[field.name], bounds), argument]
                default = defaults.get(field.name, field.default)
                fields.append(StructFieldSpec(field.name, option, default, docs.get(field.name, "")))

        def with_fields(**values: Any) -> functools.partial[Agent]:
            return functools.partial(kind, **values)

        with_fields.__doc__ = f"Fields of jaxrl.{kind.__name__}."
        return StructConstructorSpec(with_fields, tuple(fields))

    return rule


def _hint(bounds: Bounds, default: str) -> str:
    limits = "" if bounds.choices is not None or bounds == Bounds() else f", must be {bounds}"
    return f"(default: {default}{limits})"


def _option_type(hint: Any, bounds: Bounds) -> Any:
    """The type that tyro shall parse: choices by their names, and "none" for an optional number."""
    if bounds.choices is not None and all(isinstance(choice, str) for choice in bounds.choices):
        return Literal[bounds.choices]
    if isinstance(hint, types.UnionType) and set(typing.get_args(hint)) == {float, type(None)}:
        return Annotated[hint, specification(int | float | None, "FLOAT|none", optional_number)]
    return hint


def field_docs(owner: type) -> dict[str, str]:
    """The docstrings below a class's fields, one line each, those of its base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, following in itertools.pairwise(body):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs
