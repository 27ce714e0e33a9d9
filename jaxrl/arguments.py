"""Validation of the arguments of public functions, with errors that name the argument, the value and the remedy."""

import contextlib
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LARGEST_COUNT = 2**63 - 1
"""The largest whole number that any argument may be: what 64 bits hold."""
LARGEST_SEED = 2**32 - 1
"""The largest seed of episodes and samples: what 32 bits hold, as random keys are made from."""
_SHOWN = 60


def shown(value: Any) -> str:
    """A value as an error message shows it: short, on one line, and without fail."""
    try:
        text = repr(value)
    except Exception:  # Python refuses to write out integers of thousands of digits, and objects may raise anything.
        text = f"an int of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    text = " ".join(text.split()) if len(text) > _SHOWN or "\n" in text else text
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def whole(name: str, value: Any, least: int = 0, most: int = LARGEST_COUNT) -> int:
    """An argument that must be a whole number.

    Raises:
      TypeError: it is not.
      ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} = {shown(value)} must be a whole number")
    if value < least:
        raise ValueError(f"{name} = {shown(value)} must be at least {least}")
    if value > most:
        raise ValueError(f"{name} = {shown(value)} must be at most {most}")
    return int(value)


def positive(name: str, value: Any, most: int = LARGEST_COUNT) -> int:
    """An argument that must be a positive whole number.

    Raises:
      TypeError: it is not a whole number.
      ValueError: it is out of range.
    """
    return whole(name, value, 1, most)


def number(name: str, value: Any, least: float | None = None) -> float:
    """An argument that must be one finite number.

    Raises:
      TypeError: it is not.
      ValueError: it is less than `least`, or not finite.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} = {shown(value)} must be a number")
    real = _float(value) if isinstance(value, int) else float(value)
    if least is not None and not real >= least:
        raise ValueError(f"{name} = {shown(value)} must be at least {least:g}")
    if not np.isfinite(real):
        raise ValueError(f"{name} = {shown(value)} must be a finite number")
    return real


def flag(name: str, value: Any) -> bool:
    """An argument that must be True or False.

    Raises:
      TypeError: it is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} = {shown(value)} must be True or False")
    return bool(value)


def path(name: str, value: Any) -> Path:
    """An argument that must name a file or a folder.

    Raises:
      TypeError: it is neither text nor a path.
      ValueError: it is empty, or no name that a file can have.
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name} = {shown(value)} must be a path: text such as 'runs/first', or a pathlib.Path")
    text = os.fspath(value)
    if not text or "\0" in text:
        raise ValueError(f"{name} = {shown(text)} must name a file or a folder, such as 'runs/first'")
    if any(len(os.fsencode(part)) > 255 for part in Path(text).parts):
        raise ValueError(f"{name} = {shown(text)} must be shorter: a name has at most 255 bytes")
    return Path(text)


def writable_file(name: str, value: Any) -> Path:
    """An argument that must name a file which can be written.

    Raises:
      TypeError: it is neither text nor a path.
      ValueError: it is not a name of a file, it is a folder, or its folder is missing or can't be written to.
    """
    file = path(name, value)
    if file.is_dir():
        raise ValueError(f"{name} = {file} is a folder: give the name of a file")
    if not file.absolute().parent.is_dir():
        raise ValueError(f"{name} = {file} can't be written: the folder does not exist")
    if not os.access(file.absolute().parent, os.W_OK):
        raise ValueError(f"{name} = {file} can't be written: the folder is not writable")
    return file


def random_key(name: str, value: Any) -> jax.Array:
    """An argument that must be one random key, as of `jax.random.key` or the older `jax.random.PRNGKey`.

    Raises:
      TypeError: it is not.
      ValueError: it is several.
    """
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        if value.shape:
            raise ValueError(f"{name} has shape {value.shape}, and must be one key: give one of them, such as keys[0]")
        return value
    if dtype == np.uint32 and value.ndim == 1:
        with contextlib.suppress(TypeError, ValueError):
            return jax.random.wrap_key_data(value)
    raise TypeError(f"{name} = {shown(value)} must be a random key, such as jax.random.key(0)")


def mask(name: str, value: Any, counts: tuple[int, ...]) -> np.ndarray:
    """An argument that must say which actions of each choice are allowed: bool[sum(counts)].

    Raises:
      TypeError: it is not an array of flags.
      ValueError: it is of another length, or allows no action of some choice.
    """
    array, actions = array_of(value), sum(counts)
    if array is None or not np.all(np.isin(array, (0, 1))):
        raise TypeError(f"{name} = {shown(value)} must be True or False for each of the {actions} actions")
    if array.shape != (actions,):
        raise ValueError(f"{name} has shape {array.shape}, and must have one flag for each of the {actions} actions")
    if not all(part.any() for part in np.split(array, np.cumsum(counts)[:-1])):
        of_each = " of each choice" if len(counts) > 1 else ""
        raise ValueError(f"{name} allows no action: at least one of its flags{of_each} must be True")
    return array.astype(bool)


def observation(name: str, value: Any, space: Any) -> Any:
    """An argument that must be one observation of a space (`jaxrl.spaces.Space`): its arrays by name in a dictionary,
    or in a tuple, where it has several.

    Raises:
      TypeError: it is of another structure, or an array of it does not hold numbers.
      ValueError: an array is of another shape, or not finite.
    """
    parts = getattr(space, "spaces", None)
    if parts is None:
        return _observed_array(name, value, space.shape, space.dtype)
    if isinstance(parts, dict):
        if not isinstance(value, dict) or set(value) != set(parts):
            raise TypeError(f"{name} = {shown(value)} must be a dict with the keys {', '.join(sorted(parts))}")
        return {key: observation(f"{name}[{key!r}]", value[key], part) for key, part in parts.items()}
    if not isinstance(value, tuple) or len(value) != len(parts):
        raise TypeError(f"{name} = {shown(value)} must be a tuple of {len(parts)} parts")
    return tuple(observation(f"{name}[{i}]", value[i], part) for i, part in enumerate(parts))


def _observed_array(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    array = array_of(value)
    if array is None:
        raise TypeError(f"{name} = {shown(value)} must be an array or nested lists of numbers")
    if array.shape != tuple(shape):
        raise ValueError(f"{name} has shape {array.shape}, and one observation has shape {tuple(shape)}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype)
    if not (np.isfinite(array).all() and np.isfinite(cast).all()):
        raise ValueError(f"{name} = {shown(value)} must be finite: no policy acts on NaN or infinity")
    return cast


def array_of(value: Any) -> np.ndarray | None:
    """A real array out of an array, a number or nested lists of them; None where it is anything else.

    Python's integers beyond 64 bits become f64, infinite where that has no such number.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # Nested lists of unequal lengths, and JAX's placeholders for numbers.
        return None
    if array.dtype == object and array.size and all(type(item) is int for item in array.ravel().tolist()):
        array = np.asarray([_float(item) for item in array.ravel().tolist()]).reshape(array.shape)
    real = array.dtype.kind in "fiub" or jnp.issubdtype(array.dtype, np.floating)
    return array if real else None


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
