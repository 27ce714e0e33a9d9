"""Pytrees on disk, in NumPy's format: whole or not at all, and checked when they come back.

Not by orbax: under `jax.distributed` it lets the first process alone write what is not one global array.
"""

import json
import os
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_ARRAYS = "arrays.npz"
_MANIFEST = "manifest.json"


class DamagedCheckpointError(ValueError):
    """A checkpoint is not what was written."""


def save(folder: Path, tree: Any, note: dict[str, Any]) -> None:
    """Writes a pytree of arrays, replacing what is there, so that `find` gives a whole one at every moment.

    Args:
      folder: where; written beside under another name first, then renamed.
      tree: JAX or NumPy arrays, random keys included.
      note: plain data (as JSON has it) to keep with it.
    """
    arrays = named_arrays(tree)
    beside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    write_arrays(beside / _ARRAYS, arrays)
    manifest = {"note": note, "checksums": {name: _checksum(array) for name, array in arrays.items()}}
    (beside / _MANIFEST).write_text(json.dumps(manifest | {"checksum": checksum_of(manifest)}))
    for path in [*beside.rglob("*"), beside]:
        sync(path)
    old = _old(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    beside.rename(folder)
    sync(folder.parent)
    _remove(old)


def find(folder: Path) -> Path | None:
    """Where what `save` wrote to `folder` lies, or None; a kill between two renames leaves it under another name."""
    return next((path for path in (folder, _old(folder)) if path.exists()), None)


def discard(folder: Path) -> None:
    """Removes what `save` wrote to `folder`, so that `find` never gives a part of it."""
    # The older one may be there in part, and would be found once the newer one is gone.
    _remove(_old(folder))
    _remove(folder)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk, so that no later rename gets there before."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def restore(folder: Path, template: Any) -> tuple[Any, dict[str, Any]]:
    """Reads a pytree that `save` wrote.

    Args:
      folder: where.
      template: the same pytree of arrays or shapes.

    Returns:
      The pytree, of NumPy arrays and JAX random keys, and the note.

    Raises:
      DamagedCheckpointError: something is missing, differs from the template or from what was written.
    """
    note, checksums = _read_manifest(folder)
    paths, treedef = jax.tree_util.tree_flatten_with_path(template)
    strange = sorted(checksums.keys() ^ {jax.tree_util.keystr(path) for path, _ in paths})
    if strange:
        raise DamagedCheckpointError(f"{folder} is not of this run: {strange[0]} is not in both")
    try:
        arrays = read_arrays(folder / _ARRAYS)
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedCheckpointError(f"{folder} can't be read back: {type(error).__name__}: {error}") from error
    leaves = []
    for path, leaf in paths:
        name = jax.tree_util.keystr(path)
        shape, dtype = _stored_form(leaf)
        array = _typed(arrays[name], dtype) if name in arrays else None
        if array is None or array.shape != shape or array.dtype != dtype or checksums.get(name) != _checksum(array):
            raise DamagedCheckpointError(f"{folder} is damaged or not of this run: {name} is not as it was written")
        leaves.append(_as_leaf(array, leaf))
    return jax.tree_util.tree_unflatten(treedef, leaves), note


def read_note(folder: Path) -> dict[str, Any]:
    """The note of a checkpoint, without its arrays.

    Raises:
      DamagedCheckpointError: it can't be read.
    """
    return _read_manifest(folder)[0]


def _read_manifest(folder: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        checksum = manifest.pop("checksum")
        note, checksums = manifest["note"], manifest["checksums"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DamagedCheckpointError(f"{folder} can't be read back: {type(error).__name__}: {error}") from error
    if checksum != checksum_of(manifest):
        raise DamagedCheckpointError(f"{folder} is damaged: {_MANIFEST} is not as it was written")
    return note, checksums


def _old(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")


def _remove(folder: Path) -> None:
    """Removes a folder under another name, so that it never stands there in part."""
    if folder.exists():
        away = folder.with_name(folder.name + ".removed")
        shutil.rmtree(away, ignore_errors=True)
        folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays by name to an .npz file."""
    np.savez(path, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote; the file's own checksums are looked at."""
    with np.load(path) as content:
        return dict(content)


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
    found = [(arrays[jax.tree_util.keystr(path)], leaf) for path, leaf in paths]
    leaves = [_as_leaf(_typed(array, _stored_form(leaf)[1]), leaf) for array, leaf in found]
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


def checksum_of(data: Any) -> int:
    """The checksum of plain data (as JSON has it)."""
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
