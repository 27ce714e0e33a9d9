"""What runs and sweeps are made with: time, versions and devices; and warnings where those change."""

import datetime
import json
import platform
import re
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxrl.plan import Plan

_PACKAGES = ("jaxrl", "jax", "jaxlib", "numpy", "dm-haiku", "optax", "rlax")


def made_with(plan: Plan) -> dict[str, Any]:
    """What a plan runs on: time, versions, devices."""
    device = plan.mesh.devices.flat[0]
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "system": platform.platform(),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": plan.mesh.size,
        "block_size": plan.block_size,
        "jax_enable_x64": bool(jax.config.read("jax_enable_x64")),
    }


def warn_of_other_settings(path: Path, made: dict[str, Any], now: dict[str, Any]) -> None:
    """Warns where something goes on with other devices or versions, by `made_with` of then and now."""
    settings = ("device", "devices", "packages", "jax_enable_x64")
    changed = [name for name in settings if made.get(name) != now.get(name)]
    if changed:
        warnings.warn(
            f"{path} was begun with other {', '.join(changed)}: results go on, equal to rounding only", stacklevel=4
        )


def warn_of_local_classes(config: dict[str, Any]) -> None:
    """A class or function that other processes can't import makes a run that they can't load."""
    for name in re.findall(r'"(?:class|function)": "([^"]*(?:__main__|<locals>)[^"]*)"', json.dumps(config["agent"])):
        warnings.warn(
            f"{name} can't be imported by other processes: to load this run elsewhere, define it in a module",
            stacklevel=4,
        )
