"""Pytrees on disk, in NumPy's format: whole or not at all, and checked when they come back, by the checksums of zip.

Not by orbax: under `jax.distributed` it lets the first process alone write what is not one global array.
"""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.storage import from_json, new_file, to_json

_MANIFEST = "manifest"
"""The entry of a file that holds the note as JSON. Paths of leaves begin with "." or "["."""


class DamagedCheckpointError(ValueError):
    """A checkpoint is not what was written."""


def save(path: Path, tree: Any, note: dict[str, Any]) -> None:
    """Writes a pytree of arrays, replacing what is there.

    Args:
      path: of the file, which is whole at every moment; its folder is made where it is missing.
      tree: JAX or NumPy arrays, random keys included.
      note: plain data (as JSON has it) to keep with it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as file:
        write_arrays(file, {_MANIFEST: np.frombuffer(to_json(note), np.uint8), **named_arrays(tree)})


def restore(path: Path, template: Any) -> tuple[Any, dict[str, Any]]:
    """Reads a pytree that `save` wrote.

    Args:
      path: of the file.
      template: the same pytree of arrays or shapes.

    Returns:
      The pytree, of NumPy arrays and JAX random keys, and the note.

    Raises:
      DamagedCheckpointError: something is missing, differs from the template or from what was written.
    """
    arrays = _read(path)
    note = _note(path, arrays.pop(_MANIFEST, None))
    paths, treedef = jax.tree_util.tree_flatten_with_path(template)
    strange = sorted(arrays.keys() ^ {jax.tree_util.keystr(keys) for keys, _ in paths})
    if strange:
        raise DamagedCheckpointError(f"{path} is not of this run: {strange[0]} is not in both")
    leaves = []
    for keys, leaf in paths:
        name = jax.tree_util.keystr(keys)
        shape, dtype = _stored_form(leaf)
        array = _typed(arrays[name], dtype)
        if array.shape != shape or array.dtype != dtype:
            raise DamagedCheckpointError(f"{path} is damaged or not of this run: {name} is not as it was written")
        leaves.append(_as_leaf(array, leaf))
    return jax.tree_util.tree_unflatten(treedef, leaves), note


def read_note(path: Path) -> dict[str, Any]:
    """The note of a checkpoint, without its arrays.

    Raises:
      DamagedCheckpointError: it can't be read.
    """
    return _note(path, _read(path, [_MANIFEST]).get(_MANIFEST))


def _read(path: Path, names: list[str] | None = None) -> dict[str, np.ndarray]:
    if not path.is_file():  # Reading a pipe might never end.
        raise DamagedCheckpointError(f"{path} can't be read back: it is not a file")
    try:
        return read_arrays(path, names)
    except Exception as error:  # zipfile, zlib and numpy each have their own; damaged sizes give a MemoryError.
        raise DamagedCheckpointError(f"{path} can't be read back: {type(error).__name__}: {error}") from error


def _note(path: Path, stored: np.ndarray | None) -> dict[str, Any]:
    try:
        return from_json(b"" if stored is None else stored.tobytes())
    except ValueError as error:
        raise DamagedCheckpointError(f"{path} is damaged: {error}") from error


def write_arrays(file: Any, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays by name to an open file, as .npz."""
    np.savez(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: str | os.PathLike[str], names: list[str] | None = None) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote, or those of these names that are there; the file's own checksums are looked at."""
    with np.load(path) as content:
        return {name: content[name] for name in content.files if names is None or name in names}


def named_arrays(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree by their paths; random keys as their numbers."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path): np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        for path, leaf in leaves
    }


def from_named(template: Any, arrays: Any) -> Any:
    """The pytree that `named_arrays` took apart: NumPy arrays and random keys.

    Args:
      template: the same pytree of arrays or shapes, of whatever sizes.
      arrays: by name.

    Raises:
      KeyError: one is missing.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(template)
    stored = [(arrays[jax.tree_util.keystr(path)], leaf) for path, leaf in paths]
    leaves = [_as_leaf(_typed(array, _stored_form(leaf)[1]), leaf) for array, leaf in stored]
    return jax.tree_util.tree_unflatten(structure, leaves)


def _typed(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """An array as read, with the dtype that it had: NumPy's format does not know bfloat16 and its like by name."""
    lost = array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize
    return array.view(dtype) if lost else array


def _as_leaf(array: np.ndarray, like: Any) -> Any:
    """A stored array as what it was: random keys again where `like` is of keys."""
    return jax.random.wrap_key_data(jnp.asarray(array)) if is_key(like) else array


def is_key(leaf: Any) -> bool:
    """Whether an array, or its shape, is of random keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _stored_form(leaf: Any) -> tuple[tuple[int, ...], np.dtype]:
    form = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
    return tuple(form.shape), np.dtype(form.dtype)
