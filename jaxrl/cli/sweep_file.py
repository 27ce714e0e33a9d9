"""Sweeps that a TOML file describes: its values, as TOML has them, are the defaults of the command's options."""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from jaxrl.agents import ALGORITHMS
from jaxrl.arguments import LARGEST_COUNT, flag, number, path, shown, whole
from jaxrl.registry import nearest


@dataclasses.dataclass(frozen=True)
class SweepFile:
    """What a file says.

    Attributes:
      algorithm: such as "dqn".
      options: of the command, by the names of their fields.
      fields: of the agent.
      environment: parameters of the environment.
      space: by dotted path, the text that --space takes, or a list of values.
    """

    algorithm: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    space: dict[str, Any] = dataclasses.field(default_factory=dict)


def read_sweep_file(name: str, options: type) -> SweepFile:
    """Reads a file with the options by their names, "agent" for the algorithm, and tables [space] and [environment].

    Args:
      name: of the file.
      options: the dataclass of the command's options; fields of the agent stand beside them.

    Raises:
      ValueError: the file can't be read, or holds something else.
      TypeError: an option is of the wrong kind.
    """
    try:
        content = tomllib.loads(Path(name).read_text())
    except OSError as error:
        raise ValueError(f"{name} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} is no TOML: {error}") from error
    algorithm = content.pop("agent", None)
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ValueError(f"{name}: agent = {shown(algorithm)} must be one of {', '.join(ALGORITHMS)}")
    space, environment = (_table(name, content, table) for table in ("space", "environment"))
    file = SweepFile(algorithm, environment={key: _value(value) for key, value in environment.items()}, space=space)
    hints = typing.get_type_hints(options)
    own = {field.name for field in dataclasses.fields(typing.cast(Any, ALGORITHMS[algorithm]))} - {"env"}
    for written, value in content.items():
        key = written.replace("-", "_")
        if isinstance(value, dict):
            raise ValueError(f"{name}: [{written}] is no table that a sweep knows: [space] and [environment] are")
        if key in hints:
            file.options[key] = _option(f"{name}: {key}", value, hints[key])
        elif key in own:
            file.fields[key] = _value(value)
        else:
            known = sorted(own | set(hints))
            raise ValueError(f"{name}: {written} is no option of a sweep of {algorithm}{nearest(key, known)}")
    return file


def _table(file: str, content: dict[str, Any], name: str) -> dict[str, Any]:
    table = content.pop(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{file}: {name} = {table!r} must be a table, [{name}]")
    # "env.length" is a table in a table to TOML, unless it is quoted.
    inner = {f"{key}.{path}": v for key, value in table.items() if isinstance(value, dict) for path, v in value.items()}
    return {key: value for key, value in table.items() if not isinstance(value, dict)} | inner


def _value(value: Any) -> Any:
    """The value of a field: a tuple for a list, and None for "none", which TOML lacks."""
    if isinstance(value, list):
        return tuple(map(_value, value))
    return None if isinstance(value, str) and value.lower() == "none" else value


def _option(name: str, value: Any, hint: Any) -> Any:
    """The value of an option of the command, of the kind that it is annotated with."""
    if isinstance(hint, types.UnionType):  # Of a kind and None, which is what leaving it out means.
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(hint) is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_option(name, item, typing.get_args(hint)[0]) for item in items)
    if hint is int:
        return whole(name, value, least=-LARGEST_COUNT)
    if hint is float:
        return number(name, value)
    if hint is bool:
        return flag(name, value)
    if not isinstance(value, str):
        raise ValueError(f"{name} = {shown(value)} must be text, in quotes")
    return path(name, value) if hint is Path else value
