"""The small runs and sweeps that are attacked, and their numbers as one checksum."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxrl


def _agent() -> jaxrl.DQN:
    env = jaxrl.make("CartPole-v1", max_steps=20)
    return jaxrl.DQN(env, hidden=(8,), batch_size=4, buffer_size=64, learning_starts=8)


_SWEEP: dict[str, Any] = {
    "seeds": 2,
    "steps": 120,
    "log_points": 6,
    "episodes": 2,
    "block_size": 4,
    "devices": 1,
    "progress": False,
    "keep": "all",
}
_SPACE: dict[str, Any] = {"learning_rate": jaxrl.log_uniform(1e-4, 1e-1), "env.length": jaxrl.uniform(0.25, 1.0)}


def _train(out: Path) -> Any:
    return jaxrl.train(
        *(_agent(), 240),
        seeds=[7, 3, 11],
        log_points=12,
        block_size=2,
        devices=1,
        progress=False,
        checkpoint_seconds=0,
        out=out,
        resume=True,
    )


def _sweep(out: Path) -> Any:
    return jaxrl.sweep(_agent(), {**_SPACE, "double": [True, False]}, trials=8, out=out, **_SWEEP)


def _halving(out: Path) -> Any:
    return jaxrl.sweep(_agent(), _SPACE, trials=8, rungs=3, eta=2, out=out, **_SWEEP)


def _tpe(out: Path) -> Any:
    return jaxrl.sweep(_agent(), _SPACE, trials=8, sampler="tpe", out=out, **_SWEEP)


JOBS: dict[str, Callable[[Path], Any]] = {"train": _train, "sweep": _sweep, "halving": _halving, "tpe": _tpe}
"""Each begins or resumes its run or sweep in a folder, and returns the result."""


def prepare(cache: Path) -> None:
    """Makes a process write checkpoints at every log point and share compiled programs; before JAX starts in it."""
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jaxrl.trainer.PAUSE_SECONDS = 0.0
    jaxrl.sweeps.task.CHECKPOINT_SECONDS = 0.0


def checksum(result: Any) -> str:
    """Of all numbers of a result, but for the times."""
    digest = hashlib.sha256()
    if isinstance(result, jaxrl.Result):
        for leaf in jax.tree.leaves((result.seeds, result.vary, result.log, result.params, result.returns)):
            digest.update(np.asarray(leaf).tobytes())
    else:
        digest.update(result.table().drop(columns="seconds").to_csv().encode())
        digest.update(result.curves().to_csv().encode())
        for trial, seed in result.table()[["trial", "seed"]].to_numpy().tolist():
            for leaf in jax.tree.leaves(result.member(trial, seed).params):
                digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
