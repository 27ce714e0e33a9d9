"""What a process with JAX reports of itself, without importing jaxrl."""

import importlib.metadata
import resource
import sys
from typing import Any

import jax


def jax_info() -> dict[str, Any]:
    """Versions and the devices in use."""
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib")}
    devices = jax.local_devices()
    return {"versions": versions, "devices": f"{len(devices)} x {devices[0].device_kind}", "differs": []}


def peak_bytes() -> int:
    """The most memory that this process has held: the device's where JAX reports it, else the host's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
