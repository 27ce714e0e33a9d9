"""What a run on disk holds, and that it comes back as the result that it was."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from small_run_directories import BLOCK, LOG_POINTS, SEEDS, STEPS, assert_same, contents, interruption, train

import jaxrl
from jaxrl.config import from_config

pytestmark = pytest.mark.usefixtures("fast_compilation")


def test_a_run_holds_what_it_promises(whole: jaxrl.Result, folder: Path) -> None:
    import pyarrow.parquet as parquet

    run = folder / "whole"
    assert sorted(path.name for path in run.iterdir()) == [
        *("blocks", "checksums.json", "config.json"),
        *("curves.png", "greedy_returns.npz", "metrics.parquet", "tensorboard"),
    ]
    assert sorted(path.name for path in (run / "blocks").iterdir()) == ["0000.npz", "0001.npz"]
    config = json.loads((run / "config.json").read_text())
    assert from_config(config["agent"]) == whole.agent
    assert config["seeds"] == SEEDS
    assert config["iterations"] == STEPS
    assert config["made_with"]["block_size"] == BLOCK
    assert config["made_with"]["packages"]["jax"] == jax.__version__
    assert config["made_with"]["device"].startswith("cpu")
    table = parquet.read_table(run / "metrics.parquet")
    assert table.num_rows == len(SEEDS) * LOG_POINTS
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
    assert loaded.best().index == whole.best().index


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
    arguments = {"steps": None, "iterations": 4, "seeds": [5, 5], "vary": vary, "log_points": 4}
    monkeypatch.setattr("jaxrl.trainer.PAUSE_SECONDS", 0.0)
    result = train(tmp_path / "run", agent, **arguments)
    loaded = jaxrl.load(tmp_path / "run")
    assert_same(loaded, result)
    np.testing.assert_array_equal(loaded.returns, result.returns)
    with interruption(2, monkeypatch):
        partial = train(tmp_path / "stopped", agent, **arguments, progress=True)
    assert not partial.complete
    assert_same(train(tmp_path / "stopped", agent, **arguments, resume=True), result)
