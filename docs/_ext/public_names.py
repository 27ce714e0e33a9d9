"""Fails the build (with `-W`) where a public name is missing from the reference."""

import importlib
import inspect
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

MODULES = (
    *("jaxrl", "jaxrl.agents", "jaxrl.agents.base", "jaxrl.agents.on_policy", "jaxrl.agents.off_policy"),
    *("jaxrl.adapters", "jaxrl.distributions", "jaxrl.envs", "jaxrl.export", "jaxrl.litert", "jaxrl.losses"),
    *("jaxrl.networks", "jaxrl.normalize", "jaxrl.optimizers", "jaxrl.presets", "jaxrl.priorities"),
    *("jaxrl.random_bits", "jaxrl.rendering", "jaxrl.replay", "jaxrl.returns", "jaxrl.rollout", "jaxrl.schedules"),
    *("jaxrl.spaces", "jaxrl.statistics", "jaxrl.sweeps", "jaxrl.wrappers"),
)
"""The public modules."""


def public_names(module_name: str) -> set[str]:
    """The public functions, classes and constants of a module: `__all__`, or those that it defines itself."""
    module = importlib.import_module(module_name)
    if hasattr(module, "__all__"):
        return {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))}
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module_name
    }


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warns of every public name without an entry."""
    entries = env.domaindata["py"]["objects"]
    for module in MODULES:
        for name in sorted(public_names(module)):
            if f"{module}.{name}" not in entries:
                logging.getLogger(__name__).warning("%s.%s is public and not in the reference", module, name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
