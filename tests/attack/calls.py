"""Calls of the Python API with random objects: each works, or raises a ValueError or TypeError that says why."""

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl
from tests.attack.jobs import prepare
from tests.attack.workers import Fall, Verdict, attacked, captured

_WILD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2.5, -0.0, float("nan"), float("inf"), 1e-320, 2**31, 2**64, 10**30, "", "x", b"x"),
    *((), [], {}, {3: 1}, [None], [-1], [1, 2, 3], [[1], [2, 3]], "\x1b[2J", object, object(), np.zeros((2, 2))),
    *(np.float64("nan"), np.array([1, 2]), np.array("x"), lambda: 3, complex(1, 1), range(3), Ellipsis),
)
_ENV = jaxrl.make("CartPole-v1", max_steps=20)
_FIELDS = ("hidden", "batch_size", "buffer_size", "learning_rate", "discount", "double", "optimizer", "max_grad_norm")
_ARGUMENTS = (
    "steps",
    "seeds",
    "vary",
    "log_points",
    "block_size",
    "devices",
    "memory_limit",
    "checkpoint_seconds",
    "out",
)
_SWEEPING = (
    "space",
    "trials",
    "seeds",
    "steps",
    "keep",
    "rungs",
    "eta",
    "sampler",
    "episodes",
    "threshold",
    "block_size",
)


def _agent(**fields: Any) -> Any:
    return jaxrl.DQN(
        **{"env": _ENV, "hidden": (8,), "batch_size": 4, "buffer_size": 64, "learning_starts": 8, **fields}
    )


def _train(**arguments: Any) -> Any:
    return jaxrl.train(
        _agent(), **{"steps": 120, "seeds": 2, "log_points": 6, "devices": 1, "progress": False, **arguments}
    )


def _sweep(**arguments: Any) -> Any:
    common = {"seeds": 2, "steps": 120, "log_points": 6, "episodes": 2, "devices": 1, "progress": False}
    return jaxrl.sweep(_agent(), **{"space": {"discount": [0.9, 0.99]}, **common, **arguments})


@functools.cache
def _result() -> Any:
    return _train()


_CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "agent": (lambda **fields: jaxrl.train(_agent(**fields), 40, progress=False, devices=1), _FIELDS),
    "train": (_train, _ARGUMENTS),
    "sweep": (_sweep, _SWEEPING),
    "evaluate": (
        lambda **a: jaxrl.evaluate(**{"result": _result(), "episodes": 2, **a}),
        ("result", "episodes", "seed"),
    ),
    "make": (lambda **a: jaxrl.make(**{"name": "CartPole-v1", **a}), ("name", "length", "max_steps", "gravity")),
    "policy": (lambda **a: _result().best().policy(**{"obs": np.zeros(4), **a}), ("obs", "mask", "key")),
    "load": (lambda **a: jaxrl.load(**a), ("path",)),
    "check_env": (lambda **a: jaxrl.check_env(**{"env": _ENV, "steps": 50, **a}), ("env", "seed", "steps")),
    "log_uniform": (lambda **a: jaxrl.log_uniform(**{"low": 0.1, "high": 1.0, **a}), ("low", "high")),
    "integers": (lambda **a: jaxrl.integers(**{"low": 1, "high": 2, **a}), ("low", "high")),
}


def calls(count: int, rng: random.Random, folder: Path, watched: Path) -> Iterator[Verdict]:
    """Tries so many calls; objects are named by their place among all wild ones."""
    cases = []
    for _ in range(count):
        name = rng.choice(list(_CALLS))
        argument = rng.choice(_CALLS[name][1])
        cases.append((name, argument, rng.randrange(len(_WILD))))
    yield from attacked("calls", cases, functools.partial(_call, folder), watched)


def _call(folder: Path, case: tuple[str, str, int]) -> str:
    name, argument, place = case
    if jax.config.jax_compilation_cache_dir is None:
        prepare(folder / "cache")
    shown = f"{name}({argument}={_WILD[place]!r})"
    try:
        captured(lambda: _CALLS[name][0](**{argument: _WILD[place]}))
    except (ValueError, TypeError, ImportError, OSError) as error:
        if not str(error):
            raise Fall("traceback", f"{shown}: {type(error).__name__} without a word") from error
        if isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
            raise Fall("traceback", f"{shown}: {type(error).__name__}: {str(error)[:200]}") from error
        return f"{shown}: {type(error).__name__}"
    except Exception as error:
        raise Fall("traceback", f"{shown}: {type(error).__name__}: {str(error)[:200]}") from error
    return shown
