"""Tables in Markdown."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from jaxrl.cli.fields import field_docs
from jaxrl.environment import Environment
from jaxrl.pytree import Bounds, field_bounds, is_static


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, of cells without line breaks."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def shown(value: Any) -> str:
    """A default as people write it."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"`{value:g}`"
    text = repr(value)
    return f"`{text}`" if len(text) <= 40 else f"`{text[:36]} ...`"


def fields_table(kind: type, values: dict[str, Any]) -> str:
    """The fields of a dataclass: default, leaf or static, bounds and meaning; "" where it has none.

    Args:
      kind: the class.
      values: the default of every field to show, by name.
    """
    docs = field_docs(kind)
    rows = []
    for field in dataclasses.fields(kind):
        if field.name in values:
            bounds = field_bounds(field)
            limits = "" if bounds == Bounds() else f"`{bounds}`"
            what = "static" if is_static(field) else "leaf"
            rows.append((f"`{field.name}`", shown(values[field.name]), what, limits, docs.get(field.name, "")))
    return table(("field", "default", "kind", "must be", "meaning"), rows) if rows else ""


def agent_fields(kind: type) -> str:
    """The hyperparameters of an algorithm."""
    fields = [field for field in dataclasses.fields(kind) if field.name != "env"]
    return fields_table(kind, {field.name: field.default for field in fields})


def environment_fields(env: Environment) -> str:
    """The constants of an environment, with the values of this one."""
    fields: Any = dataclasses.fields(env)  # type: ignore[arg-type]
    return fields_table(type(env), {field.name: getattr(env, field.name) for field in fields})
