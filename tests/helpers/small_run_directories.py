"""Runs of a moment in folders, and what must hold of them; nothing here has a tolerance."""

import json
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxrl
from jaxrl import checkpoints
from jaxrl.progress import Progress
from jaxrl.storage import RunDirectoryError, checksum_of

STEPS, LOG_POINTS, SEEDS, BLOCK = 60, 6, [7, 3, 11], 2


def dqn(**fields: Any) -> jaxrl.DQN:
    env = jaxrl.make("CartPole-v1", max_steps=12)
    return jaxrl.DQN(**{"env": env, "hidden": (8,), "batch_size": 4, "buffer_size": 32, "learning_starts": 8, **fields})


def train(out: Path | None, agent: Any = None, **arguments: Any) -> jaxrl.Result:
    """A run of two blocks: two members, and one with its filling."""
    common = {
        "steps": STEPS,
        "log_points": LOG_POINTS,
        "seeds": SEEDS,
        "block_size": BLOCK,
        "devices": 1,
        "progress": False,
    }
    return jaxrl.train(agent or dqn(), out=out, **{**common, **arguments})


def arrays(tree: Any) -> dict[str, np.ndarray]:
    return checkpoints.named_arrays(tree)


def assert_same(one: jaxrl.Result, other: jaxrl.Result) -> None:
    """Equal in all but the times."""
    assert one.complete == other.complete
    assert one.agent == other.agent
    assert one.iterations == other.iterations
    for name in ("seeds", "vary", "log", "state", "params"):
        ours, theirs = arrays(getattr(one, name)), arrays(getattr(other, name))
        assert ours.keys() == theirs.keys()
        for path, values in ours.items():
            assert values.dtype == theirs[path].dtype, path
            np.testing.assert_array_equal(values, theirs[path], err_msg=path)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def checksums(file: Path) -> dict[str, int]:
    """Those of the arrays in a checkpoint, by name."""
    with zipfile.ZipFile(file) as content:
        return {entry.filename: entry.CRC for entry in content.infolist() if entry.filename != "manifest.npy"}


def write_config(run: Path, config: dict[str, Any]) -> None:
    """Puts a configuration in a run, as one that was written so, its checksum included."""
    config = {name: value for name, value in config.items() if name != "checksum"}
    (run / "config.json").write_text(json.dumps(config | {"checksum": checksum_of(config)}))


class interruption:  # noqa: N801
    """Presses Ctrl-C once so many log points are done."""

    def __init__(self, log_points: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left, self._monkeypatch = log_points, monkeypatch

    def __enter__(self) -> None:
        def advance(bar: Progress, log_points: int, *_: float) -> None:
            self._left -= log_points
            if self._left == 0:
                signal.raise_signal(signal.SIGINT)

        self._scope = self._monkeypatch.context()
        self._scope.__enter__().setattr(Progress, "advance", advance)

    def __exit__(self, *error: Any) -> None:
        self._scope.__exit__(*error)


def refused(run: Path, words: str, loads: bool = False, **arguments: Any) -> None:
    """Neither resume nor load takes the run, and both leave it as it is."""
    before = contents(run)
    with pytest.raises(RunDirectoryError, match=words):
        train(run, resume=True, **arguments)
    if not loads:
        with pytest.raises(RunDirectoryError, match=words):
            jaxrl.load(run)
    with pytest.raises(RunDirectoryError, match=r"holds a run: pass resume=True|other files"):
        train(run, **arguments)
    assert contents(run) == before
