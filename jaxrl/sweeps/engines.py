"""Who does the batches of a sweep."""

from pathlib import Path

from jaxrl.sweeps.running import Engine, LocalEngine

ENGINES = ("local", "ray")
"""Their names: this process, or the workers of a Ray cluster."""


def engine_named(name: str, checkpoint: Path | None) -> Engine:
    """The engine of that name.

    Args:
      name: one of `ENGINES`.
      checkpoint: where a block under way may be kept, or None.

    Raises:
      ImportError: it needs something that is not installed.
    """
    if name == "local":
        return LocalEngine(checkpoint)
    from jaxrl.sweeps.ray_engine import RayEngine

    return RayEngine()
