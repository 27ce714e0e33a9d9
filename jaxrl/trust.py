"""Which classes and functions a configuration may name: reading a folder, perhaps a stranger's, runs none of its code.

Importing a module runs it. So only jaxrl's own modules are imported, and those that the user names; others must be
imported already. None may lie in the folder that is read. Classes must be made by `jaxrl.pytree`; no mark says that a
function is harmless, so functions are taken from jaxrl's own modules, JAX's numerical ones, and those that the user
names, imported already or not.
"""

import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxrl.arguments import shown
from jaxrl.pytree import is_pytree_class
from jaxrl.registry import nearest
from jaxrl.text import printable


@dataclasses.dataclass(frozen=True)
class Trust:
    """What may be imported.

    Attributes:
      modules: by name, with all that is in them, if they are packages.
      folder: that is read; no module may lie in it.
    """

    modules: tuple[str, ...] = ()
    folder: Path | None = None

    def imports(self, name: str) -> bool:
        """Whether a module may be imported: it is trusted, or lies in a package that is, or is one's parent."""
        return self.names(name) or any(known.startswith(f"{name}.") for known in self.modules)

    def names(self, name: str) -> bool:
        """Whether a module is trusted itself, or lies in a package that is."""
        return any(name == known or name.startswith(f"{known}.") for known in ("jaxrl", *self.modules))

    def holds(self, places: Iterable[str | None]) -> bool:
        """Whether the folder has one of these files or folders in it, by its name or by where it really is."""
        if self.folder is None:
            return False
        folder = self.folder.resolve()
        paths = [Path(place).absolute() for place in places if place]
        return any(path.is_relative_to(folder) or path.resolve().is_relative_to(folder) for path in paths)


def checked_trust(modules: Any, folder: Path) -> Trust:
    """What a user trusts, for a folder that is read.

    Raises:
      TypeError: it is not a list of names of modules.
    """
    if isinstance(modules, str) or not isinstance(modules, Iterable):
        raise TypeError(f"trust = {modules!r} must be a list of names of modules, such as trust=['my_package']")
    names = tuple(modules)
    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise TypeError(f"trust has {name!r}, which is no name of a module: give one such as 'my_package.envs'")
    return Trust(names, folder)


def load_class(path: str, trust: Trust) -> type:
    """The class at an import path, which must be one made by `jaxrl.pytree`.

    Raises:
      ValueError: it can't be imported, its module is not trusted, or it is not a such class.
    """
    parts, shown = path.split("."), printable(path)
    if "<locals>" in parts or not all(part.isidentifier() for part in parts) or len(parts) < 2:
        raise ValueError(f"class {shown} can't be imported: define it in a module, outside of any function")
    module, rest = _module_of(path, parts, trust)
    target: Any = module
    for name in rest:
        scope = vars(target)
        if name not in scope:
            known = [key for key, value in scope.items() if is_pytree_class(value)]
            advice = ": define it in a module" if module.__name__ == "__main__" else nearest(name, known)
            raise ValueError(f"class {path} can't be imported: {target.__name__} has no class {name!r}{advice}")
        target = scope[name]
        if not inspect.isclass(target):
            break
    if not is_pytree_class(target):
        raise ValueError(f"{path} is no class made by jaxrl.pytree, so it is not built from a configuration")
    return target


_NUMERICAL = ("jax.numpy", "jax.nn")
"""Modules of others whose functions may be named: they compute."""


def function_path(function: Any, what: str) -> str:
    """Where a function can be imported from: "module:name".

    Raises:
      TypeError: no module has it by its name; the message begins with `what`.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    public = [place for place in _NUMERICAL if getattr(sys.modules.get(place), str(name), None) is function]
    if not public and getattr(sys.modules.get(str(module)), str(name), None) is not function:
        raise TypeError(
            f"{what} = {shown(function)} can't be stored: give a function that is defined at the top of a module, "
            "under its own name, where other processes can import it (no lambda, method, partial or inner function)"
        )
    return f"{public[0] if public else module}:{name}"


def load_function(path: str, trust: Trust) -> Callable[..., Any]:
    """The function at "module:name".

    Raises:
      ValueError: it can't be imported, its module is not trusted, or it is not a function.
    """
    module_name, _, name = path.partition(":")
    parts = module_name.split(".")
    if not all(part.isidentifier() for part in (*parts, name)):
        raise ValueError(f"function {printable(path)} can't be imported: it must be of the form module:name")
    if not (trust.names(module_name) or module_name in _NUMERICAL):
        raise ValueError(
            f"function {path} is not loaded: its module is not jaxrl's, and calling it runs its code. If you trust it, "
            f"add trust=[{module_name!r}] (--trust {module_name})"
        )
    module: ModuleType | None = None
    for count in range(1, len(parts) + 1):
        module = _module(".".join(parts[:count]), module, f"function {path}", trust)
    function = vars(module).get(name)
    if not callable(function) or inspect.isclass(function):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise ValueError(f"function {path} can't be imported: {module_name} has no such function{nearest(name, known)}")
    return function


def _module_of(path: str, parts: list[str], trust: Trust) -> tuple[ModuleType, list[str]]:
    """The longest leading part of `path` that is a module, imported if it may be; and the rest."""
    module: ModuleType | None = None
    for count in range(1, len(parts)):
        name = parts[count - 1]
        if module is not None and inspect.isclass(vars(module).get(name)):
            return module, parts[count - 1 :]
        module = _module(".".join(parts[:count]), module, f"class {path}", trust)
    assert module is not None
    return module, parts[-1:]


def _module(name: str, parent: ModuleType | None, what: str, trust: Trust) -> ModuleType:
    """A module that is imported already, or may be."""
    known = sys.modules.get(name)
    if known is not None:
        if not _is_own(name):
            _require_outside(what, name, [vars(known).get("__file__"), *vars(known).get("__path__", ())], trust)
        return known
    if parent is not None and "__path__" not in vars(parent):
        raise ValueError(f"{what} can't be imported: {parent.__name__} has no class {name.rpartition('.')[2]!r}")
    if not trust.imports(name):
        module = what.rpartition(" ")[2].rpartition(".")[0]
        raise ValueError(
            f"{what} is not loaded: its module is neither jaxrl's nor imported, and importing it runs its code. "
            f"If you trust it, add trust=[{module!r}] (--trust {module})"
        )
    try:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"there is no module {name!r}", name=name)
        if not _is_own(name):
            _require_outside(what, name, [spec.origin, *(spec.submodule_search_locations or ())], trust)
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise ValueError(f"{what} can't be imported: {error}") from error
        hint = nearest(name.rpartition(".")[2], _submodules(parent))
        raise ValueError(
            f"{what} can't be imported: there is no module {name!r}{hint}; define the class in a module that "
            "Python finds (see sys.path)"
        ) from error
    except ModuleInFolderError:
        raise
    except Exception as error:
        raise ValueError(f"{what} can't be imported: {type(error).__name__}: {error}") from error


class ModuleInFolderError(ValueError):
    """A module lies in the folder that is read."""


def _require_outside(what: str, name: str, places: Iterable[str | None], trust: Trust) -> None:
    if trust.holds(places):
        raise ModuleInFolderError(
            f"{what} is not loaded: its module {name} lies in {trust.folder}, the folder that is read, of which "
            "nothing is ever run: put the module elsewhere"
        )


def _is_own(name: str) -> bool:
    return name.partition(".")[0] == "jaxrl"


def _submodules(package: ModuleType | None) -> list[str]:
    places = [] if package is None else vars(package).get("__path__", [])
    return [module.name for module in pkgutil.iter_modules(places)]
