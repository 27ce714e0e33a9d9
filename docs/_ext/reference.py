"""Pages of the reference: every public name once, where it is public first, and a link elsewhere."""

import ast
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jaxrl

PAGES = {
    "core": ("Train, evaluate, sweep", "jaxrl"),
    "environments": (
        "Environments and wrappers",
        "jaxrl.envs jaxrl.wrappers jaxrl.adapters jaxrl.registry jaxrl.spaces jaxrl.masks jaxrl.rendering",
    ),
    "agents": (
        "Agents",
        "jaxrl.agents jaxrl.agents.base jaxrl.agents.on_policy jaxrl.agents.off_policy jaxrl.presets",
    ),
    "layers": (
        "Layers of algorithms",
        "jaxrl.actors jaxrl.rollout jaxrl.distributions jaxrl.networks jaxrl.returns jaxrl.losses jaxrl.replay "
        "jaxrl.priorities jaxrl.normalize jaxrl.optimizers jaxrl.schedules jaxrl.random_bits",
    ),
    "results": (
        "Sweeps, exports, statistics",
        "jaxrl.sweeps jaxrl.export jaxrl.statistics",
    ),
}
"""The pages: the title of each, and the public modules on it."""


def modules_of(page: str) -> list[str]:
    """The public modules of a page."""
    return PAGES[page][1].split()


def public_names(module: ModuleType) -> list[str]:
    """The public functions, classes and constants of a module: `__all__`, or those that it defines itself."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and _is_defined(value) and value.__module__ == module.__name__
    ]


def homes() -> dict[str, str]:
    """Where every public name is documented: "jaxrl.agents.PPO" -> "jaxrl.PPO"; constants where they are public."""
    first: dict[int, str] = {}
    found = {}
    for module_name in itertools.chain.from_iterable(map(modules_of, PAGES)):
        module = importlib.import_module(module_name)
        for name in public_names(module):
            value, full_name = getattr(module, name), f"{module_name}.{name}"
            found[full_name] = first.setdefault(id(value), full_name) if _is_defined(value) else full_name
    return found


def write_reference(folder: Path, write: Callable[[Path, str], None]) -> None:
    """Writes the pages to `folder/reference`."""
    places, constants = homes(), _constants()
    for page, (title, _) in PAGES.items():
        text = f"# {title}\n"
        for module_name in modules_of(page):
            module = importlib.import_module(module_name)
            text += f"\n## {module_name}\n\n```{{eval-rst}}\n.. automodule:: {module_name}\n   :no-members:\n\n"
            elsewhere = []
            for name in public_names(module):
                full_name = f"{module_name}.{name}"
                if places[full_name] == full_name:
                    text += _entry(module_name, name, getattr(module, name), constants.get(name, ""))
                else:
                    elsewhere.append(f"{name} (:py:obj:`{places[full_name]}`)")
            if elsewhere:
                text += f"\nAlso here: {', '.join(elsewhere)}.\n"
            text += "```\n"
        write(folder / "reference" / f"{page}.md", text)


def _entry(module: str, name: str, value: Any, doc: str) -> str:
    if inspect.isclass(value):
        return f".. autoclass:: {module}.{name}\n   :members:\n   :show-inheritance:\n\n"
    if callable(value):
        return f".. autofunction:: {module}.{name}\n\n"
    return f".. py:data:: {name}\n   :module: {module}\n\n   {doc or 'A constant.'}\n\n"


def _is_defined(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def _constants() -> dict[str, str]:
    """The docstrings below constants of all modules, on one line each, by name."""
    docs = {}
    for info in pkgutil.walk_packages(jaxrl.__path__, "jaxrl."):
        source = Path(getattr(info.module_finder, "path", "")) / f"{info.name.rpartition('.')[2]}.py"
        if not source.exists():
            continue
        for statement, following in itertools.pairwise(ast.parse(source.read_text()).body):
            target = getattr(statement, "target", None) or next(iter(getattr(statement, "targets", [])), None)
            doc = following.value if isinstance(following, ast.Expr) else None
            if isinstance(target, ast.Name) and isinstance(doc, ast.Constant) and isinstance(doc.value, str):
                docs[target.id] = " ".join(doc.value.split())
    return docs
