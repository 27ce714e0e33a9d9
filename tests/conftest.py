"""What all tests share."""

import os

# Before JAX starts: most of a test's time is XLA optimising a program that runs for a moment. The
# benchmarks and the wheel's smoke test run programs as users get them, fully optimised.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest

MANY_MAPS = 30_000
"""Memory maps from which on compiled programs are dropped."""
_tests = itertools.count()
_COMPILE = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations() -> Iterator[Callable[[], int]]:
    """Counts the programs that XLA compiled since the test began."""
    count = [0]

    def listen(event: str, duration: float, **_: object) -> None:
        count[0] += event == _COMPILE

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield lambda: count[0]
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="module")
def fast_compilation() -> Iterator[None]:
    """Compiles in half the time, for modules where nothing depends on it."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def never_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test whose bad input comes as far as a training program."""
    # Only here: jaxrl is not imported before the environment that it starts in is set.
    from jaxrl import loop

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("bad input came as far as the training program")

    for name in ("run", "init"):
        monkeypatch.setattr(loop, name, refuse)


@pytest.fixture(autouse=True, scope="module")
def _dropped_programs() -> Iterator[None]:
    """Drops compiled programs after every module: each is some memory maps, of which a process has 65,530 on Linux."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def _few_memory_maps() -> Iterator[None]:
    """Drops them within long modules too, before XLA crashes for want of memory maps."""
    yield
    if next(_tests) % 4 == 0 and _memory_maps() > MANY_MAPS:
        jax.clear_caches()


def _memory_maps() -> int:
    """How many memory maps this process has; 0 where the system does not say."""
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return 0
