"""Agents and environments as plain data: written to a run's folder, read back, compared.

A configuration is what JSON holds. A pytree dataclass is `{"class": import path, "fields": {...}}`,
a tuple is a list, `None`, strings, whole numbers and finite floats are themselves. All else is an
object with one telling key: `{"float": "inf"}`, `{"list": [...]}`, `{"dict": {...}}`,
`{"dtype": ...}`, `{"array": ...}` and `{"function": "module:name"}`. Every value comes back as it was, arrays as
NumPy's: an agent's leaves become arrays of definite dtypes before anything is traced with them.

A class whose fields hold something else, such as an adapted environment with its library's own parameters, says what
is stored in their place: `to_fields()` gives a dict by names of fields, and the classmethod `from_fields(dict)` builds
it again.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.pytree import is_pytree_class
from jaxrl.registry import nearest
from jaxrl.trust import Trust, function_path, load_class, load_function

_JAX_DTYPES = (
    jnp.bool_,
    *(jnp.int8, jnp.int16, jnp.int32, jnp.int64),
    *(jnp.uint8, jnp.uint16, jnp.uint32, jnp.uint64),
    *(jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64),
)
_DTYPES: dict[str, dict[str, Any]] = {
    "jax": {scalar.dtype.name: scalar for scalar in _JAX_DTYPES},
    "numpy": {scalar.dtype.name: scalar.dtype.type for scalar in _JAX_DTYPES},
    "numpy.dtype": {scalar.dtype.name: scalar.dtype for scalar in _JAX_DTYPES},
    "python": {scalar.__name__: scalar for scalar in (bool, int, float)},
}
_NOTHING = Trust()
_SHORT = 60
_MISSING = object()


def to_config(value: Any) -> Any:
    """Turns a pytree dataclass, with all that is inside it, into plain data.

    Args:
      value: a pytree dataclass (an agent with its environment inside), or any value of its fields:
        numbers, strings, None, tuples, lists, dicts, dtypes, NumPy and JAX numbers and arrays.

    Returns:
      A dict (for a pytree dataclass) that `json` writes without loss; `from_config` inverts it.

    Raises:
      TypeError: a field holds something that is not plain data, such as a function that no module has by its name.
    """
    return _store(value, type(value).__name__)


def from_config(config: Any, trust: Trust = _NOTHING, kind: type | None = None) -> Any:
    """Builds again what `to_config` stored.

    Only classes made by `jaxrl.pytree` are built, and only functions of trusted modules taken. A field that the
    configuration leaves out takes its default.

    Args:
      config: as by `to_config`.
      trust: the modules that may be imported, because that runs them; jaxrl's own may always, and others must be
        imported already.
      kind: what the class of the whole must be a subclass of, if it is one.

    Raises:
      ValueError: a class can't be imported, is of a module that is not trusted, or not made by `jaxrl.pytree`; a
        field is unknown or missing, or the data is not what `to_config` writes.
    """
    if kind is not None:
        path = config.get("class") if isinstance(config, dict) else None
        if not issubclass(load_class(str(path), trust), kind):
            raise ValueError(f"{path} is no {kind.__name__}")
    return _load(config, "the configuration", trust)


def named_modules(config: Any) -> set[str]:
    """The modules of the classes and functions in a configuration."""
    if isinstance(config, dict):
        if config.keys() == {"function"}:
            return {str(config["function"]).partition(":")[0]}
        own = {config["class"].rpartition(".")[0]} if config.keys() == {"class", "fields"} else set()
        return own.union(*map(named_modules, config.values()))
    return set().union(*map(named_modules, config)) if isinstance(config, list) else set()


def differences(there: Any, here: Any) -> list[str]:
    """What differs between two configurations, one line each; empty where they are equal.

    Args:
      there: a configuration by `to_config` (say, the stored one), or a dict that holds some.
      here: another.

    Returns:
      Lines such as "DQN.learning_rate: 0.001 there, 0.002 here".
    """
    return list(_compare(there, here, ""))


def _store(value: Any, path: str) -> Any:
    # np.float64 is a float: NumPy's numbers are arrays here, before Python's are looked at.
    if isinstance(value, (np.generic, np.ndarray, jax.Array)):
        return _store_array(value, path)
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is tuple:
        return [_store(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if type(value) is list:
        return {"list": [_store(item, f"{path}[{index}]") for index, item in enumerate(value)]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: _store(item, f"{path}[{key!r}]") for key, item in value.items()}}
    if is_pytree_class(type(value)):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        own = value.to_fields() if hasattr(value, "to_fields") else {name: getattr(value, name) for name in names}
        fields = {name: _store(item, f"{path}.{name}") for name, item in own.items()}
        return {"class": f"{type(value).__module__}.{type(value).__qualname__}", "fields": fields}
    for kind, known in _DTYPES.items():
        for name, dtype in known.items():
            if value is dtype or (kind == "numpy.dtype" and isinstance(value, np.dtype) and value == dtype):
                return {"dtype": name, "of": kind}
    if callable(value) and not isinstance(value, type):
        return {"function": function_path(value, path)}
    raise TypeError(
        f"{path} = {value!r} can't be stored: a field holds numbers, strings, None, tuples, lists, dicts, dtypes, "
        "arrays, pytree dataclasses or functions of modules"
    )


def _store_array(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, jax.core.Tracer) or value.dtype.name not in _DTYPES["jax"]:
        raise TypeError(f"{path} = {value!r} can't be stored: pass concrete numbers of a real dtype")
    array = np.asarray(value)
    name = array.dtype.name
    wide = array.astype(np.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array
    # JSON knows no infinity and no NaN.
    items = [
        item if not isinstance(item, float) or math.isfinite(item) else repr(item) for item in wide.ravel().tolist()
    ]
    return {"array": items, "shape": list(array.shape), "dtype": name}


def _load(config: Any, path: str, trust: Trust) -> Any:
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    if isinstance(config, list):
        return tuple(_load(item, f"{path}[{index}]", trust) for index, item in enumerate(config))
    if isinstance(config, dict):
        if config.keys() == {"class", "fields"} and isinstance(config["fields"], dict):
            return _load_node(str(config["class"]), config["fields"], trust)
        with contextlib.suppress(KeyError, TypeError, OverflowError, StopIteration):
            return _load_tagged(config, path, trust)
    raise ValueError(f"{path} holds {_short(config)}, which is no configuration by jaxrl: was the file changed?")


def _load_tagged(config: dict[str, Any], path: str, trust: Trust) -> Any:
    tag: str = next(iter(config))
    content: Any = config[tag]
    if tag == "float":
        return float(content)
    if tag == "list":
        return [_load(item, f"{path}[{index}]", trust) for index, item in enumerate(content)]
    if tag == "dict" and isinstance(content, dict):
        return {key: _load(item, f"{path}[{key!r}]", trust) for key, item in content.items()}
    if tag == "dtype":
        return _DTYPES[config["of"]][content]
    if tag == "array":
        return _load_array(config)
    if tag == "function":
        return load_function(str(content), trust)
    raise KeyError(tag)


def _load_array(config: dict[str, Any]) -> np.ndarray | np.generic:
    dtype = _DTYPES["numpy.dtype"][config["dtype"]]
    numbers = [float(item) if isinstance(item, str) else item for item in config["array"]]
    return np.array(numbers, dtype).reshape(config["shape"])[()]  # Scalars for static fields, which must be hashable.


def _load_node(class_path: str, stored: dict[str, Any], trust: Trust) -> Any:
    cls: Any = load_class(class_path, trust)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for name in stored:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise ValueError(f"{cls.__name__} has no field {name!r}{nearest(name, fields)}; it has: {known}")
    for name, field in fields.items():
        optional = (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if name not in stored and not optional:
            raise ValueError(f"the configuration of {cls.__name__} lacks the field {name!r}, which has no default")
    loaded = {name: _load(value, f"{cls.__name__}.{name}", trust) for name, value in stored.items()}
    return cls.from_fields(loaded) if hasattr(cls, "from_fields") else cls(**loaded)


def _compare(there: Any, here: Any, path: str) -> Iterator[str]:
    classes = [side.get("class") if isinstance(side, dict) else None for side in (there, here)]
    if classes[0] != classes[1] or not (isinstance(there, dict) and isinstance(here, dict)):
        if not _same(there, here):
            yield f"{path or 'the configuration'}: {_short(there)} there, {_short(here)} here"
        return
    if classes[0] is not None and "fields" in there and "fields" in here:
        path = path or classes[0].rpartition(".")[2]
        there, here = there["fields"], here["fields"]
    elif {"array", "float", "list", "dtype"} & there.keys() & here.keys():
        if not _same(there, here):
            yield f"{path}: {_short(there)} there, {_short(here)} here"
        return
    elif there.keys() == here.keys() == {"dict"}:
        there, here = there["dict"], here["dict"]
    for key in dict.fromkeys([*there, *here]):
        inner = f"{path}.{key}" if path else str(key)
        yield from _compare(there.get(key, _MISSING), here.get(key, _MISSING), inner)


def _same(there: Any, here: Any) -> bool:
    if isinstance(there, list) and isinstance(here, list):
        return len(there) == len(here) and all(map(_same, there, here))
    if isinstance(there, dict) and isinstance(here, dict):
        return there.keys() == here.keys() and all(_same(there[key], here[key]) for key in there)
    # 1, 1.0 and True are equal in Python, but not the same program.
    return type(there) is type(here) and there == here


def _short(value: Any) -> str:
    if value is _MISSING:
        return "missing"
    text = repr(value)
    if isinstance(value, dict):
        if "class" in value:
            return str(value["class"])
        if len(value) == 1 and "float" in value:
            return str(value["float"])
        if "dtype" in value:
            text = f"{value['dtype']} {value['array']}" if "array" in value else str(value["dtype"])
    elif isinstance(value, list):
        text = "(" + ", ".join(_short(item) for item in value) + ("," if len(value) == 1 else "") + ")"
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."
