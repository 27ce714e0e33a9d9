"""Words of a command line turned into values: one place for what every whole number, number and path must be."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec

from jaxrl import arguments

_LONGEST = 100
"""No number that fits 64 bits is written in more characters."""


class WordError(Exception):
    """A word can't be read as what its option takes. No ValueError, which tyro would replace by a page of its help."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(f"{arguments.shown(word)} {reason}")
        self.word = word

    def in_words(self, words: Sequence[str]) -> str:
        """The message, with the option before the word in the command line."""
        option = ""
        for each in words:
            name, equals, value = each.partition("=")
            if name.startswith("--"):
                option = name
            if self.word in ([value] if name.startswith("--") and equals else [each]):
                return f"{option} {self}".strip()
        return str(self)


def _refuse(word: str, reason: str) -> NoReturn:
    raise WordError(word, reason) from None


def whole_number(word: str) -> int:
    """A whole number that fits 64 bits.

    Raises:
      WordError: it is not.
    """
    if re.fullmatch(r"[+-]?[0-9]+(_[0-9]+)*", word) is None:
        _refuse(word, "must be a whole number")
    # Python refuses to read integers of thousands of digits.
    if len(word) > _LONGEST or abs(int(word)) > arguments.LARGEST_COUNT:
        _refuse(word, f"must fit 64 bits: give at most {arguments.LARGEST_COUNT}")
    return int(word)


def real_number(word: str) -> float:
    """A number.

    Raises:
      WordError: it is not.
    """
    try:
        return float(word)
    except ValueError:
        _refuse(word, "must be a number")


def optional_number(word: str) -> float | None:
    """A number, or None for "none".

    Raises:
      WordError: it is neither.
    """
    if word.lower() == "none":
        return None
    try:
        return float(word)
    except ValueError:
        _refuse(word, "must be a number, or none")


def path(word: str) -> Path:
    """The name of a file or a folder.

    Raises:
      WordError: it is not.
    """
    try:
        return arguments.path("path", word)
    except ValueError as error:
        _refuse(word, "must" + str(error).partition("must")[2] if "must" in str(error) else str(error))


def specification(kind: Any, metavar: str, read: Callable[[str], Any]) -> PrimitiveConstructorSpec[Any]:
    """How tyro reads one word, and writes a default in the help text."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: isinstance(value, kind) and not isinstance(value, bool),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


_RULES = {
    int: specification(int, "INT", whole_number),
    float: specification(int | float, "FLOAT", real_number),
    Path: specification(Path, "PATH", path),
}
"""The rules for whole numbers, numbers and paths, in every command."""


def values_registry() -> ConstructorRegistry:
    """A new registry with the rules for numbers and paths."""
    registry = ConstructorRegistry()
    registry.primitive_rule(lambda info: _RULES.get(info.type))
    return registry
