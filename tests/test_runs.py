"""Runs on disk: what they hold, that they go on bit for bit after any kill, and what they refuse.

Nothing here has a tolerance: a run that was killed and resumed gives the very numbers of the run
that never was. The killed runs end by SIGKILL in processes of their own, which this file starts by
running itself; they are resumed in the process of the tests, from whole pauses of another length.
"""

import dataclasses
import functools
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl import checkpoints, loop, reports
from jaxrl.blocks import Trainer
from jaxrl.config import from_config
from jaxrl.progress import Progress
from jaxrl.runs import RunDirectory, RunDirectoryError
from jaxrl.training import _as_begun

STEPS, SLOTS, SEEDS, BLOCK = 60, 6, [7, 3, 11], 2

# As the killed processes do.
pytestmark = pytest.mark.usefixtures("fast_compilation")


def dqn(**fields: Any) -> jaxrl.DQN:
    env = jaxrl.make("CartPole-v1", max_steps=12)
    return jaxrl.DQN(**{"env": env, "hidden": (8,), "batch_size": 4, "buffer_size": 32, "learning_starts": 8, **fields})


def train(out: Path | None, agent: Any = None, **arguments: Any) -> jaxrl.Result:
    """A run of two blocks: two members, and one with its filling."""
    common = {"steps": STEPS, "slots": SLOTS, "seeds": SEEDS, "block": BLOCK, "devices": 1, "progress": False}
    return jaxrl.train(agent or dqn(), out=out, **{**common, **arguments})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder: Path) -> jaxrl.Result:
    """The run that was never interrupted, in folder / "whole"."""
    return train(folder / "whole")


@pytest.fixture
def copy(whole: jaxrl.Result, folder: Path, tmp_path: Path) -> Path:
    """A copy of the complete run, to damage."""
    return Path(shutil.copytree(folder / "whole", tmp_path / "copy"))


@pytest.fixture
def never_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("this must not come as far as training")

    monkeypatch.setattr(loop, "run", refuse)


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


def checksums(folder: Path) -> dict[str, int]:
    return json.loads((folder / "manifest.json").read_text())["checksums"]


# What a run holds.


def test_a_run_holds_what_it_promises(whole: jaxrl.Result, folder: Path) -> None:
    import pyarrow.parquet as parquet

    run = folder / "whole"
    assert sorted(path.name for path in run.iterdir()) == [
        *("blocks", "config.json", "curves.png", "greedy_returns.npz", "metrics.parquet", "tensorboard")
    ]
    assert sorted(path.name for path in (run / "blocks").iterdir()) == ["0000", "0001"]
    config = json.loads((run / "config.json").read_text())
    assert from_config(config["agent"]) == whole.agent
    assert config["seeds"] == SEEDS
    assert config["iterations"] == STEPS
    assert config["made_with"]["block"] == BLOCK
    assert config["made_with"]["packages"]["jax"] == jax.__version__
    assert config["made_with"]["device"].startswith("cpu")
    table = parquet.read_table(run / "metrics.parquet")
    assert table.num_rows == len(SEEDS) * SLOTS
    assert {"member", "seed", "step", "episode_return", "episode_length", "loss"} <= set(table.column_names)
    np.testing.assert_array_equal(table["loss"].to_numpy(), whole.log["loss"].ravel())
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))


def test_a_loaded_run_is_the_result(whole: jaxrl.Result, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxrl.result.evaluate", lambda *_: pytest.fail("the returns are on disk"))
    loaded = jaxrl.load(folder / "whole")
    assert_same(loaded, whole)
    np.testing.assert_array_equal(loaded.returns, whole.returns)
    assert loaded.seconds == whole.seconds
    assert loaded.best().number == whole.best().number


def test_writing_a_run_changes_no_number(whole: jaxrl.Result) -> None:
    assert_same(train(None), whole)


def test_a_complete_run_is_given_back_at_once(
    whole: jaxrl.Result, folder: Path, never_trained: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxrl.result.evaluate", lambda *_: pytest.fail("the returns are on disk"))
    before = contents(folder / "whole")
    resumed = train(folder / "whole", resume=True)
    assert_same(resumed, whole)
    np.testing.assert_array_equal(resumed.returns, whole.returns)
    assert contents(folder / "whole") == before


def test_a_new_folder_is_begun_by_resume(whole: jaxrl.Result, tmp_path: Path) -> None:
    assert_same(train(tmp_path / "deep" / "new", resume=True), whole)
    assert_same(jaxrl.load(tmp_path / "deep" / "new"), whole)


def test_reinforce_with_varied_members_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = jaxrl.Reinforce(
        jaxrl.make("CartPole-v1", max_steps=12), hidden=(8,), num_envs=2, episodes_per_update=3, baseline="value"
    )
    vary = {"learning_rate": [1e-3, 2e-3], "env.length": [0.4, 0.6]}
    arguments = {"steps": None, "iterations": 4, "seeds": [5, 5], "vary": vary, "slots": 4}
    monkeypatch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
    result = train(tmp_path / "run", agent, **arguments)
    loaded = jaxrl.load(tmp_path / "run")
    assert_same(loaded, result)
    np.testing.assert_array_equal(loaded.returns, result.returns)
    with interruption(2, monkeypatch):
        partial = train(tmp_path / "stopped", agent, **arguments, progress=True)
    assert not partial.complete
    assert_same(train(tmp_path / "stopped", agent, **arguments, resume=True), result)


class interruption:  # noqa: N801
    """Presses Ctrl-C once so many slots are done."""

    def __init__(self, slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left, self._monkeypatch = slots, monkeypatch

    def __enter__(self) -> None:
        def advance(bar: Progress, slots: int, *_: float) -> None:
            self._left -= slots
            if self._left == 0:
                signal.raise_signal(signal.SIGINT)

        self._scope = self._monkeypatch.context()
        self._scope.__enter__().setattr(Progress, "advance", advance)

    def __exit__(self, *error: Any) -> None:
        self._scope.__exit__(*error)


# Kills.
#
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
    """The moment when a half of a checkpoint's arrays is written, or all of them."""

    def install(patch: pytest.MonkeyPatch, end: End) -> None:
        real, calls = checkpoints.write_arrays, []

        def write(path: Path, arrays: Any) -> None:
            calls.append(path)
            if len(calls) == number and not done:
                path.write_bytes(b"half")
                end()
            real(path, arrays)
            if len(calls) == number and done:
                end()

        patch.setattr(checkpoints, "write_arrays", write)

    return install


def within_writing(suffix: str, number: int) -> Any:
    """The moment when half of a text is written."""

    def install(patch: pytest.MonkeyPatch, end: End) -> None:
        real, calls = Path.write_text, []

        def write_text(self: Path, text: str) -> int:
            if self.name.endswith(suffix):
                calls.append(self)
                if len(calls) == number:
                    real(self, text[: len(text) // 2])
                    end()
            return real(self, text)

        patch.setattr(Path, "write_text", write_text)

    return install


def within_removing(name: str) -> Any:
    """The moment when a folder of that name has lost one file."""

    def install(patch: pytest.MonkeyPatch, end: End) -> None:
        real, calls = shutil.rmtree, []

        def rmtree(path: Any, ignore_errors: bool = False) -> None:
            if Path(path).name == name and Path(path).exists() and not calls:
                calls.append(path)
                (Path(path) / "manifest.json").unlink()
                end()
            real(path, ignore_errors=ignore_errors)

        patch.setattr(shutil, "rmtree", rmtree)

    return install


def renamed(source: str, target: str) -> Callable[..., bool]:
    return lambda path, to: (path.name, Path(to).name) == (source, target)


def put_in_place(name: str) -> Callable[..., bool]:
    return lambda _, to: Path(to).name == name


# Every slot but a block's last one ends with a checkpoint here: five a block, then the block itself.
MOMENTS: dict[str, Any] = {
    "the configuration is not in place": before(Path, "replace", 1, put_in_place("config.json")),
    "before the first checkpoint": before(checkpoints, "save"),
    "within the arrays, first checkpoint": within_arrays(1, done=False),
    "after two checkpoints": before(checkpoints, "save", 3),
    "within the arrays, third checkpoint": within_arrays(3, done=False),
    "the arrays are done, the manifest not begun": within_arrays(2, done=True),
    "within the manifest": within_writing("manifest.json", 2),
    "before both renames": before(Path, "rename", 1, renamed("checkpoint", "checkpoint.old")),
    "between both renames": before(Path, "rename", 2, renamed("checkpoint.partial", "checkpoint")),
    "the older one is still there": before(Path, "rename", 1, renamed("checkpoint.old", "checkpoint.old.removed")),
    "while the older one is removed": within_removing("checkpoint.old.removed"),
    "within a block on disk": within_arrays(6, done=True),
    "the block is there, its checkpoint too": before(checkpoints, "discard"),
    "while the block's checkpoint is removed": within_removing("checkpoint.removed"),
    "between blocks": before(Trainer, "_begin", 2),
    "in the second block": before(checkpoints, "save", 9),
    "before the returns": before(RunDirectory, "save_returns"),
    "the returns are not in place": before(Path, "replace", 1, put_in_place("greedy_returns.npz")),
    "within the table": before(os, "replace", 1, put_in_place("metrics.parquet")),
    "within the scalars": before(reports, "_write_scalars", 3),
    "within the chart": before(os, "replace", 1, put_in_place("curves.png")),
}
KILLED = (
    *("within the chart", "before the first checkpoint", "within the arrays, third checkpoint", "between both renames"),
    "between blocks",
)


def run_and_die(folder: Path, cache: str) -> None:
    """Forks one process a moment, before JAX has started in any of them, and has each run until it is killed."""
    for slow in ("rlax", "matplotlib.figure", "pyarrow.parquet", "scipy.stats", "tensorboardX"):
        importlib.import_module(slow)
    for moment in KILLED:
        child = os.fork()
        if child == 0:
            jax.config.update("jax_compilation_cache_dir", cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
            jaxrl.blocks.PAUSE_SECONDS = 0.0
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
        patch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
        for moment, install in MOMENTS.items():
            install(patch, functools.partial(freeze, moment))
        train(folder / "going on", checkpoint_seconds=0)
    assert {path.name for path in (folder / "frozen").iterdir()} == set(MOMENTS)
    return folder / "frozen"


def goes_on(run: Path, whole: jaxrl.Result, folder: Path) -> None:
    """Resumes a run that was cut off, and compares all of it with the whole one."""
    assert not (run / "curves.png").exists()
    resumed = train(run, resume=True)
    assert_same(resumed, whole)
    np.testing.assert_array_equal(resumed.returns, whole.returns)
    assert_same(jaxrl.load(run), whole)
    for block in ("0000", "0001"):
        assert checksums(run / "blocks" / block) == checksums(folder / "whole" / "blocks" / block)
    # Nothing half done is left behind.
    names = {path.name for path in run.iterdir()} | {path.name for path in (run / "blocks").iterdir()}
    assert names == {path.name for path in (folder / "whole").iterdir()} | {"0000", "0001"}


@pytest.mark.parametrize("moment", KILLED)
def test_a_killed_run_goes_on_bit_for_bit(
    moment: str, killed: Path, frozen: Path, whole: jaxrl.Result, folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(killed / moment, tmp_path / "run"))
    # The kill left what the copy at that moment has: the same names, and the same numbers.
    for name in ("checkpoint", "checkpoint.old", "blocks/0000", "blocks/0001"):
        assert (run / name).exists() == (frozen / moment / name).exists()
        if (run / name).exists():
            assert checksums(run / name) == checksums(frozen / moment / name)
    goes_on(run, whole, folder)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_goes_on_bit_for_bit_from_every_moment(
    moment: str, frozen: Path, whole: jaxrl.Result, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if moment != "within the chart":  # half a second each
        monkeypatch.setattr(reports, "write_curves", lambda _, path, returns: path.write_text("drawn elsewhere"))
    goes_on(Path(shutil.copytree(frozen / moment, tmp_path / "run")), whole, folder)


def test_a_resumed_run_has_the_whole_state(frozen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay buffer, environments, optimizer and keys of a resumed run at a slot are those of a straight one."""
    monkeypatch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
    with interruption(4, monkeypatch):
        assert not train(tmp_path / "straight", progress=True).complete
    run = Path(shutil.copytree(frozen / "after two checkpoints", tmp_path / "run"))
    assert checkpoints.read_note(run / "checkpoint")["slot"] == 2
    with interruption(2, monkeypatch):
        assert not train(run, resume=True, progress=True).complete
    straight, resumed = tmp_path / "straight" / "checkpoint", run / "checkpoint"
    assert checkpoints.read_note(resumed)["slot"] == checkpoints.read_note(straight)["slot"] == 4
    found = checksums(resumed)
    assert found == checksums(straight)
    for part in (".replay", ".episodes", ".learner.opt_state", ".learner.target_params", ".key", "loss"):
        assert any(part in name for name in found), part


# Checkpoints by themselves: every file operation is the last one, once.


class Killed(BaseException):
    """Stands in for SIGKILL where nothing would catch it."""


def dying_at(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes the operation of that number, counted over all that change the disk, raise `Killed` instead."""
    seen: list[str] = []

    def wrap(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def wrapper(*arguments: Any, **options: Any) -> Any:
            seen.append(name)
            if len(seen) == number:
                raise Killed
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, wrapper)

    wrap(Path, "rename")
    wrap(Path, "write_text")
    wrap(Path, "mkdir")
    wrap(checkpoints.shutil, "rmtree")
    wrap(os, "fsync")
    return seen


def test_every_moment_of_a_checkpoint_leaves_a_whole_one(tmp_path: Path) -> None:
    place = tmp_path / "checkpoint"
    number, killed_moments = 0, 0
    checkpoints.save(place, {"x": np.arange(5)}, {"slot": 1})
    while number == killed_moments:
        number += 1
        with pytest.MonkeyPatch.context() as patch:
            dying_at(number, patch)
            try:
                checkpoints.save(place, {"x": np.arange(5) + 10}, {"slot": 2})
            except Killed:
                killed_moments += 1
        tree, note = checkpoints.restore(checkpoints.find(place), {"x": np.arange(5)})
        assert tree["x"].tolist() == [10 * (note["slot"] - 1) + i for i in range(5)]
        # The next one goes well, whatever was left.
        checkpoints.save(place, {"x": np.arange(5)}, {"slot": 1})
        assert checkpoints.read_note(checkpoints.find(place)) == {"slot": 1}
    assert killed_moments > 10


def test_every_moment_of_a_removal_leaves_a_whole_one_or_none(tmp_path: Path) -> None:
    place, found_nothing = tmp_path / "checkpoint", 0
    for number in range(1, 20):
        checkpoints.save(place, {"x": np.arange(5)}, {"slot": 1})
        # An older one that was removed in part, as a kill may leave it.
        (tmp_path / "checkpoint.old").mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            seen = dying_at(number, patch)
            try:
                checkpoints.discard(place)
            except Killed:
                pass
            else:
                assert len(seen) < number
                break
        found = checkpoints.find(place)
        if found is None:
            found_nothing += 1
        else:
            assert checkpoints.restore(found, {"x": np.arange(5)})[1] == {"slot": 1}
    assert found_nothing
    assert checkpoints.find(place) is None


# Damage. Nothing of it is trained over, and nothing is changed.


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


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    flips = np.frombuffer(content, np.uint8).copy()
    flips[np.linspace(0, len(content) - 1, 9).astype(int)[1:-1]] ^= 1
    return flips.tobytes()


@pytest.mark.parametrize("damage", [truncated, flipped])
def test_a_damaged_block(damage: Any, whole: jaxrl.Result, copy: Path, never_trained: None) -> None:
    block, found = copy / "blocks" / "0001", []
    for file in sorted(path for path in block.rglob("*") if path.is_file() and path.stat().st_size):
        content = file.read_bytes()
        file.write_bytes(damage(content))
        before = contents(copy)
        try:
            # Bytes of a file's directory may tell nothing that is needed: then the numbers are all there.
            assert_same(train(copy, resume=True), whole)
        except RunDirectoryError as error:
            found.append(file.name)
            assert "0001" in str(error)  # noqa: PT017
            assert "Remove" in str(error)  # noqa: PT017
        assert contents(copy) == before
        file.write_bytes(content)
    assert "manifest.json" in found
    assert "arrays.npz" in found
    assert_same(jaxrl.load(copy), whole)


def test_a_block_that_was_removed_is_computed_again(whole: jaxrl.Result, copy: Path) -> None:
    shutil.rmtree(copy / "blocks" / "0000")
    partial = jaxrl.load(copy)
    assert partial.seeds.tolist() == SEEDS[BLOCK:]
    assert not partial.complete
    assert_same(train(copy, resume=True), whole)


def test_blocks_in_the_wrong_place(copy: Path, never_trained: None) -> None:
    blocks = copy / "blocks"
    (blocks / "0000").rename(blocks / "9")
    (blocks / "0001").rename(blocks / "0000")
    (blocks / "9").rename(blocks / "0001")
    refused(copy, "0000 holds another block")


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after four slots of its first block."""
    with monkeypatch.context() as patch, interruption(4, monkeypatch):
        patch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
        train(tmp_path / "stopped", progress=True)
    return tmp_path / "stopped"


def test_a_damaged_checkpoint(stopped: Path, never_trained: None) -> None:
    manifest = stopped / "checkpoint" / "manifest.json"
    whole = manifest.read_text()
    for text in (
        "",
        "{}",
        "[1, 2]",
        "\x00garbage",
        truncated(whole.encode()).decode(),
        whole.replace('"slot": 4', '"slot": 5'),
    ):
        manifest.write_text(text)
        with pytest.raises(RunDirectoryError, match="no finished block yet"):
            jaxrl.load(stopped)
        refused(stopped, "checkpoint.*Remove", loads=True)


def test_a_checkpoint_of_other_shapes(stopped: Path, never_trained: None) -> None:
    note = checkpoints.read_note(stopped / "checkpoint")
    checkpoints.save(stopped / "checkpoint", {"x": np.zeros(3)}, note)
    refused(stopped, "not of this run", loads=True)


def test_numbers_that_the_format_does_not_know_come_back(tmp_path: Path) -> None:
    tree = {"half": np.arange(3).astype(jax.numpy.bfloat16), "key": jax.random.split(jax.random.key(0), 2)}
    checkpoints.save(tmp_path / "whole", tree, {})
    named = checkpoints.read_arrays(tmp_path / "whole" / "arrays.npz")
    for again in (checkpoints.restore(tmp_path / "whole", tree)[0], checkpoints.from_named(tree, named)):
        assert again["half"].dtype == tree["half"].dtype
        assert again["half"].tolist() == [0, 1, 2]
        np.testing.assert_array_equal(jax.random.key_data(again["key"]), jax.random.key_data(tree["key"]))


def test_arrays_of_another_checkpoint(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("two", 2.0)):
        checkpoints.save(tmp_path / name, {"x": np.full(3, value)}, {"slot": 1})
    (tmp_path / "two" / "arrays.npz").replace(tmp_path / "one" / "arrays.npz")
    with pytest.raises(checkpoints.DamagedCheckpointError, match=r"x'. is not as it was written"):
        checkpoints.restore(tmp_path / "one", {"x": np.zeros(3)})


def test_a_checkpoint_of_another_run(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
    with interruption(4, monkeypatch):
        train(tmp_path / "other", dqn(learning_rate=2e-3), progress=True)
    shutil.rmtree(stopped / "checkpoint")
    (tmp_path / "other" / "checkpoint").rename(stopped / "checkpoint")
    refused(stopped, "checkpoint is of another run", loads=True)


@pytest.mark.parametrize("damage", [truncated, flipped])
def test_damaged_returns(damage: Any, copy: Path, never_trained: None) -> None:
    file = copy / "greedy_returns.npz"
    content = file.read_bytes()
    # In the middle of the numbers, not in what the format leaves unused.
    file.write_bytes(damage(content[: content.index(b"run.npy")]) + content[content.index(b"run.npy") :])
    refused(copy, "greedy_returns.npz is damaged .*: remove it")


def test_returns_of_another_run(copy: Path, never_trained: None) -> None:
    with np.load(copy / "greedy_returns.npz") as content:
        np.savez(copy / "greedy_returns.npz", returns=content["returns"], run=content["run"] + 1)
    refused(copy, "greedy_returns.npz is damaged .* of another run")


def test_one_folder_takes_one_process_at_a_time(tmp_path: Path, never_trained: None) -> None:
    script = (
        "import sys; from jaxrl.runs import exclusive\n"
        "with exclusive(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for resume in (False, True):
            with pytest.raises(RunDirectoryError, match="run is in use: another training run writes to it"):
                train(tmp_path / "run", resume=resume)
        other.communicate("")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_class_that_only_this_script_knows_is_warned_of(tmp_path: Path) -> None:
    @jaxrl.pytree
    class Local(jaxrl.envs.CartPole):
        pass

    with pytest.warns(UserWarning, match=r"<locals>.Local can't be imported by other processes"):
        train(tmp_path / "run", dqn(env=Local(max_steps=20)))


def changed(**changes: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | changes)


CONFIGURATIONS = [
    (lambda _: "", "can't be read"),
    (lambda _: "\x00\xff garbage", "can't be read"),
    (lambda text: text[: len(text) // 2], "can't be read"),
    (lambda _: "[]", "is not of a run that this jaxrl knows"),
    (lambda _: "{}", "is not of a run that this jaxrl knows"),
    (lambda _: '{"format": "another program"}', "is not of a run that this jaxrl knows"),
    (changed(made_with=None), "made_with.block is no whole number"),
    (changed(made_with={"block": "2"}), "made_with.block is no whole number"),
    (changed(made_with={"block": -2}), "made_with.block is no whole number"),
    (changed(agent={"class": "jaxrl.agents.dqn.DQM", "fields": {}}), "another run|can't be used"),
    (changed(seeds=[7, 3, 12]), "another run"),
    (changed(seeds="x"), "another run|can't be used"),
    (changed(vary=None), "another run|can't be used"),
    (lambda text: text.replace('"learning_rate": 0.003', '"learning_rate": 0.002'), "another run"),
]


@pytest.mark.parametrize(("change", "words"), CONFIGURATIONS)
def test_a_damaged_configuration(change: Any, words: str, copy: Path, never_trained: None) -> None:
    file = copy / "config.json"
    text = change(file.read_text())
    assert text != file.read_text()
    file.write_text(text)
    refused(copy, words)


# Other runs and other folders.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"agent": dqn(learning_rate=2e-3)}, r"agent.learning_rate: 0.003 there, 0.002 here"),
        ({"agent": dqn(env=jaxrl.make("CartPole-v1", max_steps=13))}, r"max_steps: 12 there, 13 here"),
        ({"steps": 61}, "iterations: 60 there, 61 here"),
        ({"seeds": [7, 3]}, r"seeds: \(7, 3, 11\) there, \(7, 3\) here"),
        ({"slots": 5}, "slots: 6 there, 5 here"),
        ({"vary": {"discount": [0.9, 0.9, 0.9]}}, "vary.*discount"),
    ],
)
def test_another_run_is_left_alone(arguments: Any, words: str, whole: Any, folder: Path, never_trained: None) -> None:
    refused(folder / "whole", "holds another run, and is left alone: .*" + words, loads=True, **arguments)


def test_the_size_of_blocks_is_that_of_the_run_on_disk(whole: jaxrl.Result, folder: Path, never_trained: None) -> None:
    assert_same(train(folder / "whole", resume=True, block=1), whole)


def test_devices_that_cannot_share_the_blocks_on_disk() -> None:
    @dataclasses.dataclass
    class Plan:
        mesh: Any
        block: int = 0

    assert _as_begun(Plan(types.SimpleNamespace(size=3)), 6).block == 6
    with pytest.raises(RunDirectoryError, match=r"blocks of 6 members, which 4 devices can't share .* devices=3"):
        _as_begun(Plan(types.SimpleNamespace(size=4)), 6)


def test_a_folder_with_other_files(tmp_path: Path, never_trained: None) -> None:
    (tmp_path / "thesis.txt").write_text("words")
    for resume in (False, True):
        with pytest.raises(RunDirectoryError, match="holds other files: give a folder that is new or empty"):
            train(tmp_path, resume=resume)
    assert contents(tmp_path) == {"thesis.txt": b"words"}
    with pytest.raises(RunDirectoryError, match="holds no run"):
        jaxrl.load(tmp_path)
    with pytest.raises(RunDirectoryError, match="holds no run"):
        jaxrl.load(tmp_path / "nowhere")


def test_a_folder_that_is_no_folder(tmp_path: Path, never_trained: None) -> None:
    file = tmp_path / "file"
    file.write_text("words")
    for resume in (False, True):
        with pytest.raises(RunDirectoryError, match="is a file: give a folder that is new or empty"):
            train(file, resume=resume)
        with pytest.raises(RunDirectoryError, match="can't be written"):
            train(file / "inside", resume=resume)
    assert file.read_text() == "words"


def test_bad_input_makes_no_folder(tmp_path: Path, never_trained: None) -> None:
    with pytest.raises(ValueError, match="steps = -1"):
        train(tmp_path / "run", steps=-1)
    with pytest.raises(ValueError, match="resume=True needs out"):
        train(None, resume=True)
    assert not (tmp_path / "run").exists()


if __name__ == "__main__":
    run_and_die(Path(sys.argv[1]), sys.argv[2])
