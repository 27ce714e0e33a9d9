"""What a result needs to be understood elsewhere: the machine, the versions and the code."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("jax", "jaxlib", "numpy", "dm-haiku", "optax")


def description(device: str) -> dict[str, Any]:
    """The machine without any name or path of it."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": device,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": _commit(),
        "gpu": _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
        if device == "gpu"
        else None,
    }


def _commit() -> str | None:
    """The commit, marked where code differs from it."""
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results")
    commit = _output("git", "rev-parse", "--short", "HEAD")
    return f"{commit} with changes" if changed else commit


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    wide = any("avx512f" in line for line in lines if line.startswith("flags"))
    name = names[0] if names else _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    return name + (", AVX-512" if wide else "")


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
