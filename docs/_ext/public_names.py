"""The reference: fails the build (with `-W`) where a public name is missing, and reads docstrings as we write them."""

import re
from typing import Any

from reference import homes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warns of every public name without an entry."""
    entries = env.domaindata["py"]["objects"]
    for name, place in homes().items():
        if place not in entries:
            logging.getLogger(__name__).warning("%s is public and not in the reference", name)


def read_docstring(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Links `jaxrl.name`, and keeps the asterisk in shapes such as f32[*shape, n] from being taken for emphasis."""
    for place, line in enumerate(lines):
        shapes = re.sub(r"(?<=\[)\*(?=\w)|(?<=, )\*(?=\w)", r"\\*", line)
        lines[place] = re.sub(r"(?<![`:])`(jaxrl\.[\w.]+)`(?!`)", r":py:obj:`\1`", shapes)


_fields: dict[str, list[str]] = {}
"""Docstrings of fields and properties as they are, by name."""


def keep_fields(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Before napoleon, which takes what stands before a colon there for a type."""
    if what in ("attribute", "data", "property") and "Raises:" not in lines:
        _fields[name] = list(lines)


def restore_fields(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """After napoleon."""
    lines[:] = _fields.pop(name, lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("env-check-consistency", check)
    app.connect("autodoc-process-docstring", keep_fields, priority=400)
    app.connect("autodoc-process-docstring", restore_fields, priority=600)
    app.connect("autodoc-process-docstring", read_docstring, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
