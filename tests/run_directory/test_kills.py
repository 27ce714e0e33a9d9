"""Runs go on bit for bit after any kill.

The killed runs end by SIGKILL in processes of their own, which this file starts by running itself; they
are resumed in the process of the tests, from whole pauses of another length.
"""

import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from small_run_directories import assert_same, checksums, interruption, train

import jaxrl
from jaxrl import charts, checkpoints, run_report
from jaxrl.run_directory import RunDirectory
from jaxrl.trainer import Trainer

# As the killed processes do.
pytestmark = pytest.mark.usefixtures("fast_compilation")


# What a kill leaves is what is on disk at that moment. So one run with all the moments below leaves a
# copy of its folder at each of them; some are also ends of a process by SIGKILL, which must leave the same.

End = Callable[[], None]


def before(owner: Any, name: str, number: int = 1, when: Callable[..., bool] = lambda *_: True) -> Any:
    """The moment before a function's call of that number, among those that `when` counts."""

    def install(patch: pytest.MonkeyPatch, end: End) -> None:
        real, calls = getattr(owner, name), []

        def wrapper(*arguments: Any, **options: Any) -> Any:
            if when(*arguments):
                calls.append(name)
                if len(calls) == number:
                    end()
            return real(*arguments, **options)

        patch.setattr(owner, name, wrapper)

    return install


def within_arrays(number: int, done: bool) -> Any:
    """The moment when a half of a checkpoint is written, or all of it, under its first name."""

    def install(patch: pytest.MonkeyPatch, end: End) -> None:
        real, calls = checkpoints.write_arrays, []

        def write(file: Any, arrays: Any) -> None:
            calls.append(file)
            if len(calls) == number and not done:
                file.write(b"half")
                file.flush()
                end()
                file.seek(0)
                file.truncate()
            real(file, arrays)
            if len(calls) == number and done:
                end()

        patch.setattr(checkpoints, "write_arrays", write)

    return install


def put_in_place(name: str) -> Callable[..., bool]:
    return lambda _, to: Path(to).name == name


# Every log point but a block's last one ends with a checkpoint here: five a block, then the block itself.
MOMENTS: dict[str, Any] = {
    "the configuration is not in place": before(os, "replace", 1, put_in_place("config.json")),
    "before the first checkpoint": before(checkpoints, "save"),
    "within the first checkpoint": within_arrays(1, done=False),
    "after two checkpoints": before(checkpoints, "save", 3),
    "within the third checkpoint": within_arrays(3, done=False),
    "the second checkpoint is not in place": before(os, "replace", 2, put_in_place("checkpoint.npz")),
    "within a block on disk": within_arrays(6, done=True),
    "the block is there, its checkpoint too": before(RunDirectory, "_checkpointed_block"),
    "between blocks": before(Trainer, "_begin", 2),
    "in the second block": before(checkpoints, "save", 9),
    "before the returns": before(RunDirectory, "save_returns"),
    "the returns are not in place": before(os, "replace", 1, put_in_place("greedy_returns.npz")),
    "within the table": before(os, "replace", 1, put_in_place("metrics.parquet")),
    "within the scalars": before(run_report, "_write_scalars", 3),
    "within the chart": before(os, "replace", 1, put_in_place("curves.png")),
    "before the checksums": before(RunDirectory, "note_reports"),
}
KILLED = (
    *("within the chart", "before the first checkpoint", "within the third checkpoint"),
    *("the second checkpoint is not in place", "between blocks"),
)


def run_and_die(folder: Path, cache: str) -> None:
    """Forks one process a moment, before JAX has started in any of them, and has each run until it is killed."""
    for slow in ("matplotlib.figure", "pyarrow.parquet", "scipy.stats", "tensorboardX"):
        importlib.import_module(slow)
    for moment in KILLED:
        child = os.fork()
        if child == 0:
            jax.config.update("jax_compilation_cache_dir", cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
            jaxrl.trainer.PAUSE_SECONDS = 0.0
            MOMENTS[moment](pytest.MonkeyPatch(), lambda: os.kill(os.getpid(), signal.SIGKILL))
            train(folder / moment, checkpoint_seconds=0)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"not killed: {moment}"
        assert os.WTERMSIG(status) == signal.SIGKILL, f"ended otherwise: {moment}"


@pytest.fixture(scope="module")
def killed(folder: Path) -> Path:
    """The folder of the killed runs, each called by its moment."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parents[1] / "helpers"), os.environ.get("PYTHONPATH", "")]
    )
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"  # one line of features for every program from the cache
    (folder / "killed").mkdir()
    command = [sys.executable, __file__, str(folder / "killed"), str(folder / "cache")]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert child.returncode == 0, child.stderr[-3000:]
    return folder / "killed"


@pytest.fixture(scope="module")
def frozen(whole: jaxrl.Result, folder: Path) -> Path:
    """The folder of copies of one run that was still going on, each called by its moment."""

    def freeze(moment: str) -> None:
        assert not (folder / "frozen" / moment).exists()
        shutil.copytree(folder / "going on", folder / "frozen" / moment)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxrl.trainer.PAUSE_SECONDS", 0.0)
        for moment, install in MOMENTS.items():
            install(patch, functools.partial(freeze, moment))
        train(folder / "going on", checkpoint_seconds=0)
    assert {path.name for path in (folder / "frozen").iterdir()} == set(MOMENTS)
    return folder / "frozen"


def goes_on(run: Path, whole: jaxrl.Result, folder: Path) -> None:
    """Resumes a run that was cut off, and compares all of it with the whole one."""
    assert not (run / "checksums.json").exists()
    resumed = train(run, resume=True)
    assert_same(resumed, whole)
    np.testing.assert_array_equal(resumed.returns, whole.returns)
    assert_same(jaxrl.load(run), whole)
    for block in ("0000.npz", "0001.npz"):
        assert checksums(run / "blocks" / block) == checksums(folder / "whole" / "blocks" / block)
    # Nothing half done is left behind.
    names = {path.name for path in run.iterdir()} | {path.name for path in (run / "blocks").iterdir()}
    assert names == {path.name for path in (folder / "whole").iterdir()} | {"0000.npz", "0001.npz"}


@pytest.mark.parametrize("moment", KILLED)
def test_a_killed_run_goes_on_bit_for_bit(
    moment: str, killed: Path, frozen: Path, whole: jaxrl.Result, folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(killed / moment, tmp_path / "run"))
    # The kill left what the copy at that moment has: the same names, and the same numbers.
    for name in ("checkpoint.npz", "blocks/0000.npz", "blocks/0001.npz"):
        assert (run / name).exists() == (frozen / moment / name).exists()
        if (run / name).exists():
            assert checksums(run / name) == checksums(frozen / moment / name)
    goes_on(run, whole, folder)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_goes_on_bit_for_bit_from_every_moment(
    moment: str, frozen: Path, whole: jaxrl.Result, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if moment != "within the chart":  # half a second each
        monkeypatch.setattr(charts, "write_curves", lambda _, path, returns: path.write_text("drawn elsewhere"))
    goes_on(Path(shutil.copytree(frozen / moment, tmp_path / "run")), whole, folder)


def test_a_resumed_run_has_the_whole_state(frozen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay buffer, environments, optimizer and keys of a resumed run at a log point are those of a straight one."""
    monkeypatch.setattr("jaxrl.trainer.PAUSE_SECONDS", 0.0)
    with interruption(4, monkeypatch):
        assert not train(tmp_path / "straight", progress=True).complete
    run = Path(shutil.copytree(frozen / "after two checkpoints", tmp_path / "run"))
    assert checkpoints.read_note(run / "checkpoint.npz")["log_point"] == 2
    with interruption(2, monkeypatch):
        assert not train(run, resume=True, progress=True).complete
    straight, resumed = tmp_path / "straight" / "checkpoint.npz", run / "checkpoint.npz"
    assert checkpoints.read_note(resumed)["log_point"] == checkpoints.read_note(straight)["log_point"] == 4
    result = checksums(resumed)
    assert result == checksums(straight)
    for part in (".replay", ".episodes", ".learner.opt_state", ".learner.target_params", ".key", "loss"):
        assert any(part in name for name in result), part


if __name__ == "__main__":
    run_and_die(Path(sys.argv[1]), sys.argv[2])
