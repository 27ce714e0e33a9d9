"""Policies and games in JavaScript, for a browser without a network.

A policy is a function of JAX that is traced, reduced to a few kinds of operations on flat arrays (`program.py`), and
written down in JavaScript (`source.py`); so is the step of an environment. A page (`pages.py`) adds what people see.
"""

from jaxrl.web.lowering import UnsupportedOperationError
from jaxrl.web.pages import page_source, require_page
from jaxrl.web.source import module_source
from jaxrl.web.tracing import traced

__all__ = ["UnsupportedOperationError", "module_source", "page_source", "require_page", "traced"]
