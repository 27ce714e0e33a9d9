"""A sweep in a TOML file, as the options that it stands for."""

import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrl.agents import ALGORITHMS
from jaxrl.arguments import shown

_FLAGS = ("yes", "dry-run", "keep-best")
_TEXTS = ("env", "preset", "out", "sampler", "keep", "executor")


def expand_file(words: Sequence[str]) -> list[str]:
    """The words of `jaxrl sweep`, with those that a TOML file stands for in its place.

    The file has the options by their names, "agent" for the algorithm, and the tables [space] and
    [environment]; options of the agent stand beside the others.

    Raises:
      ValueError: the file can't be read, or holds something else.
    """
    if not words or not words[0].endswith(".toml"):
        return list(words)
    try:
        content = tomllib.loads(Path(words[0]).read_text())
    except OSError as error:
        raise ValueError(f"{words[0]} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{words[0]} is no TOML: {error}") from error
    algorithm = content.pop("agent", None)
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ValueError(f"{words[0]}: agent = {shown(algorithm)} must be one of {', '.join(ALGORITHMS)}")
    options = [algorithm]
    # The command line overrides the file.
    overridden = {
        word.partition("=")[0] for flag, word in itertools.pairwise(words) if flag in ("--space", "--env-parameter")
    }
    for path, values in _table(words[0], content, "space").items():
        if path not in overridden:
            options += ["--space", f"{path}={_text_of_values(values)}"]
    for name, value in _table(words[0], content, "environment").items():
        if name not in overridden:
            options += ["--env-parameter", f"{name}={tuple(value) if isinstance(value, list) else value}"]
    options += [word for wrap in _wraps(words[0], content) for word in ("--wrap", wrap)]
    for name, value in content.items():
        options += _option(words[0], name.replace("_", "-"), value)
    return [*options, *words[1:]]


def _wraps(file: str, content: dict[str, Any]) -> list[str]:
    """The wrappers, one text or a list of them, from the inside out."""
    wraps = content.pop("wrap", [])
    wraps = [wraps] if isinstance(wraps, str) else wraps
    if not isinstance(wraps, list) or not all(isinstance(wrap, str) for wrap in wraps):
        raise ValueError(
            f"{file}: wrap = {shown(wraps)} must be a list of texts, such as ['FrameStack:k=4', 'TimeAware']"
        )
    return wraps


def _table(file: str, content: dict[str, Any], name: str) -> dict[str, Any]:
    table = content.pop(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{file}: {name} = {table!r} must be a table, [{name}]")
    # "env.length" is a table in a table to TOML, unless it is quoted.
    inner = {f"{key}.{path}": v for key, value in table.items() if isinstance(value, dict) for path, v in value.items()}
    return {key: value for key, value in table.items() if not isinstance(value, dict)} | inner


def _text_of_values(values: Any) -> str:
    return values if isinstance(values, str) else ",".join(map(_text, values if isinstance(values, list) else [values]))


def _text(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _option(file: str, name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        raise ValueError(f"{file}: [{name}] is no table that a sweep knows: [space] and [environment] are")
    if name in _TEXTS and not isinstance(value, str):
        raise ValueError(f"{file}: {name} = {shown(value)} must be text, in quotes")
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float):
            raise ValueError(f"{file}: {name} = {shown(value)} must be text, numbers, true or false, or a list of them")
    if isinstance(value, bool):
        absent = [] if name in _FLAGS else [f"--no-{name}"]
        return [f"--{name}"] if value else absent
    return [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
