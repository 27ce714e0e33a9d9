"""Devices, and the members' place on them."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from jax.sharding import Mesh

from jaxrl import arguments
from jaxrl.arguments import positive

MOST_CORES = 65_536
"""As many devices as a CPU may be divided into."""
USABLE_MEMORY = 0.9
"""Share of the free memory that may be planned for."""
AXIS = "members"
"""The one axis of every mesh, and the leading axis of every batched array."""


def use_cpu_cores(cores: int | None = None) -> None:
    """Makes every CPU core a separate device, so that blocks of members run on all of them.

    Call it before anything else that uses JAX: it changes the setting `jax_num_cpu_devices` of the whole
    process. Without a CPU backend in use it has no effect.

    Args:
      cores: how many; by default all that this process may use.

    Raises:
      TypeError: `cores` is no whole number.
      ValueError: `cores` is not positive, or more than any machine has.
      RuntimeError: JAX has started its backend already.
    """
    if cores is None:
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    cores = positive("cores", cores, MOST_CORES)
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError as error:
        raise RuntimeError("use_cpu_cores must come before anything that starts JAX's backend") from error


def use_compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path:
    """Keeps compiled programs on disk, so that another process need not compile them again.

    A program is found again where JAX, the machine, the agent's and the environment's code and static fields,
    and the number of members trained at once are the same; other leaves, seeds and lengths make no difference.
    It changes JAX's settings `jax_compilation_cache_dir` and `jax_persistent_cache_*` of the whole process.

    Args:
      folder: where; by default the user's own folder for caches. Machines with other processors or drivers
        should not share one. Nothing in it is ever deleted; a program takes some 100 KiB.

    Returns:
      The folder.

    Raises:
      OSError: the folder can't be made.
    """
    path = user_caches() / "jaxrl" / "programs" if folder is None else arguments.path("folder", folder)
    path.mkdir(parents=True, exist_ok=True)
    reset_cache()  # JAX keeps to the folder that it used first otherwise.
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return path


def user_caches() -> Path:
    """The user's folder for caches: macOS's, or that of the XDG base directory specification."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def member_mesh(members: int, devices: int | None = None) -> Mesh:
    """A mesh over the local devices, no more of them than there are members.

    Raises:
      ValueError: there are not as many devices as asked for.
    """
    available = jax.local_devices()
    if devices is not None and not 1 <= devices <= len(available):
        raise ValueError(f"devices = {devices} must be between 1 and {len(available)}, the devices that JAX sees here")
    count = min(members, devices or len(available))
    return Mesh(np.asarray(available[:count]), (AXIS,))


def member_keys(base: jax.Array, seeds: jax.Array | np.ndarray) -> jax.Array:
    """One key a member, from its seed alone: keys[members]."""
    return jax.vmap(lambda seed: jax.random.fold_in(base, seed))(seeds.astype(np.uint32))


class NotEnoughMemoryError(ValueError):
    """Something needs more memory than there is."""


def bytes_of(shapes: Any) -> int:
    """Bytes of the arrays of a pytree, or of what their shapes describe."""
    return sum(
        x.size * np.dtype(np.uint64 if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype).itemsize
        for x in jax.tree.leaves(shapes)
    )


def mebibytes(count: int) -> str:
    """Bytes as text, in MiB."""
    return f"{count / 2**20:,.3f} MiB"


def free_device_memory(mesh: Mesh) -> int:
    """Bytes that are free on the mesh's devices in all; the host's where they do not report it."""
    total = 0
    for device in mesh.devices.flat:
        stats = device.memory_stats()
        if stats is None or "bytes_limit" not in stats:
            return free_host_memory()
        total += stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return total


def free_host_memory() -> int:
    """Bytes that this process may still use: of the machine, or of its container where that has less."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError, KeyError):  # No Linux, no limit ("max"), or an older hierarchy.
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        kinds = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(kinds["inactive_file"]))
    return free
