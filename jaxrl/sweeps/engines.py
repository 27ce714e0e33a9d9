"""Who does the batches of a sweep."""

from jaxrl.sweeps.running import Engine, LocalEngine

ENGINES = ("local", "ray")
"""Their names: this process, or the workers of a Ray cluster."""


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises:
      ImportError: it needs something that is not installed.
    """
    if name == "local":
        return LocalEngine()
    from jaxrl.sweeps.ray_engine import RayEngine

    return RayEngine()
