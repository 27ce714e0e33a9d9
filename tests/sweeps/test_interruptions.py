"""Sweeps that are killed or stopped at any moment, and resumed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from small_sweeps import sweep, timeless

import jaxrl
from jaxrl import checkpoints, loop
from jaxrl.storage import new_folder
from jaxrl.sweeps import SweepFolder, task

pytestmark = pytest.mark.usefixtures("fast_compilation")
TESTS = Path(__file__).parents[1] / "helpers"


def test_killed_at_any_moment_it_resumes_to_the_same_table(whole, folder, tmp_path):
    out = tmp_path / "killed"
    kills = 0
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    for moment in ("config", 1, 2, 4, "results"):
        process = subprocess.Popen([sys.executable, __file__, str(out), str(moment)], env=paths)
        process.wait(timeout=300)
        assert process.returncode == -signal.SIGKILL, moment
        kills += 1
        if moment not in ("config", "results"):
            assert len(SweepFolder.open(out).batch_names()) >= moment
            assert not jaxrl.load(out).complete
    found = sweep(out=out, keep="best:3")
    assert kills == 5
    pd.testing.assert_frame_equal(timeless(found), timeless(whole))
    pd.testing.assert_frame_equal(found.curves(), whole.curves())
    assert (out / "results.parquet").exists()
    assert not list(out.glob("**/.jaxrl-*"))
    assert {p.name for p in out.iterdir()} == {p.name for p in (folder / "whole").iterdir()}
    assert {p.name for p in out.glob("batches/*")} == {p.name for p in (folder / "whole").glob("batches/*")}
    for one, other in zip(jax.tree.leaves(found.member().params), jax.tree.leaves(whole.member().params), strict=True):
        np.testing.assert_array_equal(one, other)


def _sweep_and_die(out: Path, moment: str) -> None:
    """Runs the sweep, and kills this process by SIGKILL at a moment: after so many batches, or at a file."""
    save, finish, batches = SweepFolder.save, SweepFolder.finish, [0]

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def save_and_count(self, batch, outcome):
        if batches[0] + len(before) == int(moment):
            # In the middle of it: its folder is there in part.
            with new_folder(self.path / "batches" / batch.name) as half:
                half.mkdir()
                die()
        save(self, batch, outcome)
        batches[0] += 1

    before = SweepFolder.open(out).batch_names() if (out / "config.json").exists() else []
    if moment == "config":
        SweepFolder.begin = die
        out.mkdir(parents=True)
        (out / f".jaxrl-{32 * '0'}.part").write_text('{"format": "jaxrl')
    elif moment == "results":

        def finish_in_part(self, results):
            finish(self, results)
            die()

        SweepFolder.finish = finish_in_part
    else:
        SweepFolder.save = save_and_count
    sweep(out=out, keep="best:3")


def test_a_long_block_resumes_from_its_checkpoint(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(task, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("jaxrl.trainer.PAUSE_SECONDS", 0.0)
    saves, save = [0], checkpoints.save

    def save_and_stop(folder, tree, note):
        save(folder, tree, note)
        saves[0] += 1
        if saves[0] == 15:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            sweep(out=tmp_path / "s", keep="best:3")
    note = checkpoints.read_note(tmp_path / "s" / "checkpoint.npz")
    assert (note["batch"], note["log_point"]) == ("000-000001", 4)
    begun, run = [], loop.run
    monkeypatch.setattr(loop, "run", lambda *a, **k: begun.append(int(a[3])) or run(*a, **k))
    found = sweep(out=tmp_path / "s", keep="best:3")
    assert begun[0] == 4
    pd.testing.assert_frame_equal(timeless(found), timeless(whole))
    assert not (tmp_path / "s" / "checkpoint.npz").exists()


def test_stopped_before_any_trial_has_all_its_seeds(tmp_path, monkeypatch):
    real = task.result_rows

    def interrupt(*arguments, **columns):
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **columns)

    monkeypatch.setattr(task, "result_rows", interrupt)
    found = sweep(seeds=6, out=tmp_path / "s")
    assert len(found.table()) == 4
    assert len(found.ranking()) == 0
    assert ("trials", "0 of 12, 6 seeds each") in found.summary()
    with pytest.raises(IndexError, match="no trial is done with every seed"):
        found.best()
    found.report(tmp_path / "page.html")


def test_ctrl_c_keeps_what_is_done(tmp_path, monkeypatch):
    calls = [0]
    real = task.result_rows

    def interrupt(*arguments, **columns):
        calls[0] += 1
        if calls[0] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **columns)

    monkeypatch.setattr(task, "result_rows", interrupt)
    found = sweep(out=tmp_path / "s")
    assert not found.complete
    assert len(found.table()) == 8
    monkeypatch.undo()
    assert sweep(out=tmp_path / "s").complete


def test_a_sweep_resumes_in_the_batches_that_it_was_begun_with(tmp_path, monkeypatch, whole):
    save, saved = SweepFolder.save, []

    def save_three(self, batch, outcome):
        saved.append(batch.name)
        save(self, batch, outcome)
        if len(saved) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(SweepFolder, "save", save_three)
    with pytest.raises(OSError, match="No space"):
        sweep(out=tmp_path / "s", keep="best:3")
    monkeypatch.undo()
    found = sweep(out=tmp_path / "s", keep="best:3", block_size=16)
    pd.testing.assert_frame_equal(timeless(found), timeless(whole))


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    _sweep_and_die(Path(sys.argv[1]), sys.argv[2])
