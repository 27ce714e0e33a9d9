"""Sweeps from end to end: tables, groups, halving, kills, memory that runs out, and what they refuse."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_run_directories import write_config
from small_runs import cart_pole, dqn, reinforce

import jaxrl
from jaxrl import checkpoints, loop
from jaxrl.agents.base import Mean
from jaxrl.cli.sweep import print_sweep
from jaxrl.pytree import replace_at
from jaxrl.storage import new_folder
from jaxrl.sweeps import work
from jaxrl.sweeps.folder import SweepFolder
from jaxrl.sweeps.planning import plan_sweep
from jaxrl.sweeps.work import do

pytestmark = pytest.mark.usefixtures("fast_compilation")
TESTS = Path(__file__).parents[1] / "helpers"
SPACE = {"learning_rate": [1e-3, 1e-2, 3e-2], "double": [False, True], "env.length": [0.5, 1.0]}
SETTINGS = {
    "seeds": [5, 2],
    "steps": 120,
    "log_points": 12,
    "episodes": 2,
    "block_size": 4,
    "devices": 1,
    "progress": False,
}


def sweep(space=None, agent=None, **arguments):
    return jaxrl.sweep(agent or dqn(), space or SPACE, **{**SETTINGS, **arguments})


def timeless(found):
    return found.table().drop(columns="seconds")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def whole(folder):
    return sweep(out=folder / "whole", keep="best:3")


WRONG_NUMBERS = {
    "best": ({"place": 2.5}, {"place": "0"}, {"place": jax.random.split(jax.random.key(0))}),
    "trial": ({"number": ""}, {"number": ["x", 1]}, {"number": np.array(3)}, {"number": ...}, {"number": None}),
    "trial_agent": ({"number": "x"},),
    "curves": ({"trials": 0}, {"trials": 10**30}, {"trials": [0, None]}, {"trials": "ab"}),
    "member": ({"trial": {3: 1}}, {"trial": np.ones(2)}, {"trial": b"x"}, {"trial": 0, "seed": [[]]}, {"seed": True}),
    "retrain": ({"trial": 0, "seed": np.ones((2, 3))}, {"trial": lambda: 0, "seed": 5}, {"trial": 0, "seed": None}),
}


@pytest.mark.parametrize("method", WRONG_NUMBERS)
def test_trials_and_seeds_are_named_by_whole_numbers(whole, method):
    for given in WRONG_NUMBERS[method]:
        with pytest.raises(TypeError, match=r"(place|number|trials?|seed).* = .* must be (a whole number|a list of)"):
            getattr(whole, method)(**given)
    with pytest.raises(ValueError, match="trial = 9223372036854775808 must be at most"):
        whole.retrain(2**63, 5)


def test_every_row_is_what_training_that_member_alone_gives(whole):
    table = whole.table()
    assert len(table) == 12 * 2
    assert table[["trial", "seed"]].drop_duplicates().shape[0] == 24
    for row in table.iloc[::7].itertuples():
        values = {path: getattr(row, path.replace(".", "_"), None) for path in ("learning_rate", "double")}
        values["env.length"] = whole.values[row.trial]["env.length"]
        assert values == whole.values[row.trial]
        agent = dqn()
        for path, value in values.items():
            agent = replace_at(agent, path, value)
        alone = jaxrl.train(agent, 120, seeds=[row.seed], log_points=12, devices=1, progress=False)
        curve = whole.curves([row.trial])
        curve = curve[curve["seed"] == row.seed]
        np.testing.assert_allclose(curve["episode_return"], alone.log["episode_return"][0], rtol=1e-4)
        np.testing.assert_allclose(curve["loss"], alone.log["loss"][0], rtol=1e-2, atol=1e-4)
        np.testing.assert_array_equal(curve["step"], alone.log["step"][0])
        again = whole.retrain(row.trial, row.seed, devices=1, progress=False)
        np.testing.assert_array_equal(again.log["loss"], alone.log["loss"])


def test_the_columns_of_the_table_by_hand(whole):
    row = whole.table().iloc[0]
    curve = whole.curves([row.trial])
    curve = curve[curve["seed"] == row.seed]
    held = curve["episode_return"].ffill().to_numpy()
    assert row.training_return == held[-1]
    assert row.area_under_curve == pytest.approx(np.nanmean(held))
    assert row.steps == 120
    assert not row.diverged
    threshold = float(np.nanmax(held))
    noted = sweep(threshold=threshold).table().iloc[0]
    assert noted.steps_to_threshold == curve["step"].to_numpy()[int(np.argmax(held >= threshold))]
    assert np.isnan(whole.table()["steps_to_threshold"]).all()


def test_trials_with_equal_static_fields_share_a_compilation(compilations):
    sweep({"learning_rate": [1e-3, 2e-3]}, seeds=2)
    before = compilations()
    sweep({"learning_rate": [3e-3, 4e-3], "discount": [0.5, 0.6]}, seeds=2, agent=dqn(hidden=(9,)))
    one_group = compilations() - before
    before = compilations()
    sweep({"learning_rate": [3e-3, 4e-3], "discount": [0.5, 0.6], "batch_size": [5, 6, 7]}, seeds=2)
    assert compilations() - before >= 3
    assert compilations() - before <= 3 * one_group


def test_blocks_of_a_group_have_one_shape_and_their_filling_is_no_result(monkeypatch):
    sizes = []
    run = loop.run
    monkeypatch.setattr(
        loop, "run", lambda agent, state, *a, **k: sizes.append(len(state.key)) or run(agent, state, *a, **k)
    )
    found = sweep({"learning_rate": [1e-3, 2e-3, 3e-3]}, seeds=3)
    assert set(sizes) == {4}
    assert len(found.table()) == 9


def test_a_sweep_in_memory_is_the_same(whole):
    pd.testing.assert_frame_equal(timeless(sweep()), timeless(whole))


def test_a_sweep_comes_back_from_its_folder(whole, folder):
    again = jaxrl.load(folder / "whole")
    pd.testing.assert_frame_equal(again.table(), whole.table())
    pd.testing.assert_frame_equal(again.curves(), whole.curves())
    assert again.best() == whole.best()
    assert again.complete
    assert sorted(p.name for p in (folder / "whole").iterdir()) == [
        *("batches", "checksums.json", "config.json", "curves.parquet", "results.parquet")
    ]


def test_kept_members_play_and_others_say_how_to_get_them(whole):
    kept = {int(trial) for trial in whole.ranked.trials[:3]}
    for trial in kept:
        for seed in (5, 2):
            member = whole.member(trial, seed)
            assert member.agent == whole.trial(trial).agent
            alone = whole.retrain(trial, seed, devices=1, progress=False).member(0)
            for one, other in zip(*(map(np.asarray, jax.tree.leaves(m.params)) for m in (member, alone)), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)
    assert whole.member().index == whole.best().number
    lost = [trial for trial in set(range(12)) - kept if not plays(whole, trial)]
    # The 6 batches hold 2 trials each; one with a kept trial in it stays whole.
    assert len(lost) >= 6
    with pytest.raises(IndexError, match="were not kept"):
        whole.member(lost[0])


def plays(found, trial):
    with contextlib.suppress(IndexError):
        return found.member(trial) is not None
    return False


def test_reinforce_and_fields_that_may_be_none():
    found = jaxrl.sweep(
        reinforce(),
        {"max_grad_norm": [None, 0.5], "hidden": [(8,), (4, 4)]},
        **{**SETTINGS, "steps": None, "iterations": 6, "log_points": 6},
    )
    assert found.table()["hidden"].tolist() == ["8", "8", "4-4", "4-4"] * 2
    assert found.table()["max_grad_norm"].isna().sum() == 4
    assert len(set(found.table()["group"])) == 4


def test_a_member_that_diverges_costs_nothing_but_its_row():
    good = sweep({"learning_rate": [1e-3]}, seeds=2)
    found = sweep({"learning_rate": [1e-3, 1e30]}, seeds=2)
    table = found.table()
    assert table["diverged"].tolist() == [False, False, True, True]
    np.testing.assert_allclose(table["greedy_return"][:2], good.table()["greedy_return"], rtol=1e-4)
    assert found.best().number == 0
    assert ("diverged", "2 of 4 members") in found.facts()


@jaxrl.pytree
class Lossy(jaxrl.DQN):
    """An agent whose loss is infinite, but for its parameters and what it plays, where `broken` is not 0."""

    broken: float = jaxrl.leaf(default=0.0)

    def iterate(self, state, clock):
        state, metrics = super().iterate(state, clock)
        loss = metrics["loss"]
        total = jnp.where((self.broken > 0) & (loss.count > 0), jnp.inf, loss.total)
        return state, metrics | {"loss": Mean(total, loss.count)}


@pytest.mark.parametrize("out", [False, True])
def test_a_trial_whose_loss_is_never_finite_is_not_the_best(out, tmp_path, capsys):
    agent = Lossy(**{f.name: getattr(dqn(), f.name) for f in dataclasses.fields(jaxrl.DQN)})
    found = sweep({"broken": [1.0, 0.0]}, agent, seeds=2, out=tmp_path / "s" if out else None)
    table = found.table()
    np.testing.assert_array_equal(table["greedy_return"][:2], table["greedy_return"][2:])
    assert table["diverged"].tolist() == [True, True, False, False]
    assert found.ranking()["trial"].tolist() == [1, 0]
    assert found.ranking()["diverged"].tolist() == [0, 2]
    assert found.best().number == 1
    assert np.isnan(found.trial(0).score)
    assert str(found.trial(0)).endswith(", 2 diverged")
    print_sweep("lossy", found)
    assert re.search(r"│ 0 .* none .* 2 of 2 ", capsys.readouterr().out)
    found.report(tmp_path / "page.html")
    assert "2 of 2" in (tmp_path / "page.html").read_text()


@jaxrl.pytree
class Talkative(jaxrl.DQN):
    """An agent that logs more where a static field says so."""

    talks: bool = jaxrl.static(default=False)

    @property
    def metrics(self):
        return (*jaxrl.DQN.metrics, *(["extra"] if self.talks else []))

    def iterate(self, state, clock):
        state, metrics = super().iterate(state, clock)
        return state, metrics | ({"extra": metrics["loss"]} if self.talks else {})


@pytest.mark.parametrize("out", [False, True])
def test_groups_that_log_other_metrics(out, tmp_path):
    agent = Talkative(**{f.name: getattr(dqn(), f.name) for f in dataclasses.fields(jaxrl.DQN)})
    found = sweep({"talks": [False, True]}, agent, seeds=2, out=tmp_path / "s" if out else None)
    curves = found.curves()
    assert curves[curves["trial"] == 0]["extra"].isna().all()
    talked = curves[curves["trial"] == 1]
    np.testing.assert_array_equal(talked["extra"], talked["loss"])


@pytest.mark.parametrize("numbers", [[4, 1], [1, 4]])
def test_groups_of_other_iterations_are_trained_to_their_ends(numbers):
    found = sweep({"num_envs": numbers}, log_points=100)
    assert found.table()["steps"].tolist() == [120] * 4
    halved = sweep({"num_envs": numbers}, dqn(learning_starts=0), log_points=100, rungs=2)
    assert sorted(halved.table()["steps"]) == [40, 40, 120, 120]


def test_trials_that_share_all_that_is_static():
    found = sweep({"batch_size": jaxrl.choice([4, 8])}, trials=4)
    assert len(found.table()) == 8


def test_a_field_that_holds_a_function_of_no_module_is_swept_in_memory_only(tmp_path):
    agent = dqn(env=Shouting(shout=lambda: None))
    assert len(sweep({"discount": [0.5, 0.9]}, agent).table()) == 4
    with pytest.raises(TypeError, match="can't be stored"):
        sweep({"discount": [0.5, 0.9]}, agent, out=tmp_path / "s")


@jaxrl.pytree
class Shouting(type(cart_pole())):
    """An environment with a function in a static field."""

    shout: Any = jaxrl.static(default=np.sin)


def test_a_local_class_is_warned_of(tmp_path):
    @jaxrl.pytree
    class Local(jaxrl.DQN):
        """It can't be imported elsewhere."""

    agent = Local(**{f.name: getattr(dqn(), f.name) for f in dataclasses.fields(jaxrl.DQN)})
    with pytest.warns(UserWarning, match="can't be imported by other processes"):
        found = sweep({"discount": [0.5, 0.9]}, agent, out=tmp_path / "s")
    assert found.complete
    assert found.best().agent.discount in (0.5, 0.9)


# Successive halving.


def test_halving_gives_the_survivors_what_they_would_have_had(tmp_path):
    # Enough trials that survivors are packed anew, next to others than before.
    space = {"learning_rate": jaxrl.log_uniform(1e-4, 1e-1), "double": [False, True]}
    # Learning begins at once, so that the first rung tells something.
    agent = dqn(learning_starts=0)
    everything = sweep(space, agent, trials=9)
    halved = sweep(space, agent, trials=9, rungs=2, eta=3, out=tmp_path / "halved", keep="all")
    table, reference = halved.table(), everything.table()
    through = table[table["rung"] == 1]
    assert len(through) == 3 * 2
    assert (through["steps"] == 120).all()
    assert (table[table["rung"] == 0]["steps"] == 40).all()
    joined = through.merge(reference, on=["trial", "seed"], suffixes=("", "_whole"))
    np.testing.assert_allclose(joined["greedy_return"], joined["greedy_return_whole"], rtol=1e-3)
    np.testing.assert_allclose(joined["area_under_curve"], joined["area_under_curve_whole"], rtol=1e-3)
    curves = halved.curves(through["trial"])
    assert len(curves) == 3 * 2 * 12
    # The first rung ranks by the returns at its end, and the third of all that are best go on.
    at_rung = pd.concat([halved.curves([t]) for t in range(9)])
    assert at_rung.groupby("trial").size().value_counts().to_dict() == {2 * 4: 6, 2 * 12: 3}
    assert halved.member().params is not None
    assert dict(halved.facts())["saved by halving"] == "44% of all environment steps"
    pd.testing.assert_frame_equal(timeless(sweep(space, agent, trials=9, rungs=2, eta=3)), timeless(halved))


def test_the_trials_that_go_on_are_the_best_of_the_rung():
    agent = dqn(learning_starts=0)
    space = {"learning_rate": [1e-4, 1e-3, 1e-2, 1e30, 3e-3, 3e-2]}
    halved = sweep(space, agent, rungs=2, eta=3, log_points=3)
    # What they had at the end of the first rung, from a sweep that ends there but is scheduled alike.
    plan = plan_sweep(agent, {"learning_rate": space["learning_rate"]}, **_plan_arguments(log_points=3))
    rows = pd.concat([_until(batch, 1) for batch in plan.batches])
    scores = rows.groupby("trial")["greedy_return"].mean()
    best = set(scores.sort_values(ascending=False, kind="stable").index[:2])
    went_on = set(halved.table().query("rung == 1")["trial"])
    assert scores[sorted(went_on)].min() >= scores.drop(sorted(went_on)).max()
    assert len(best) == len(went_on) == 2


def _plan_arguments(**changes):
    return {name: value for name, value in {**SETTINGS, **changes}.items() if name != "progress"}


def _until(batch, log_point):
    task = work.Task(batch, 0, log_point, 2, None, False)
    return do(task, None, 0, work.Bar(0, "", False), lambda: False).results.to_pandas()


# Interruptions.


def test_killed_at_any_moment_it_goes_on_to_the_same_table(whole, folder, tmp_path):
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


def test_a_long_block_is_gone_on_with_from_its_checkpoint(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(work, "CHECKPOINT_SECONDS", 0.0)
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
    real = work.result_rows

    def interrupt(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(work, "result_rows", interrupt)
    found = sweep(seeds=6, out=tmp_path / "s")
    assert len(found.table()) == 4
    assert len(found.ranking()) == 0
    assert ("trials", "0 of 12, 6 seeds each") in found.facts()
    with pytest.raises(IndexError, match="no trial is done with every seed"):
        found.best()
    found.report(tmp_path / "page.html")


def test_ctrl_c_keeps_what_is_done(tmp_path, monkeypatch):
    calls = [0]
    real = work.result_rows

    def interrupt(*arguments):
        calls[0] += 1
        if calls[0] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(work, "result_rows", interrupt)
    found = sweep(out=tmp_path / "s")
    assert not found.complete
    assert len(found.table()) == 8
    monkeypatch.undo()
    assert sweep(out=tmp_path / "s").complete


def test_a_sweep_goes_on_in_the_batches_that_it_was_begun_with(tmp_path, monkeypatch, whole):
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


def test_another_sweep_in_the_folder_is_refused_with_the_difference(whole, folder, tmp_path):
    out = shutil.copytree(folder / "whole", tmp_path / "copy")
    content = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    for change, words in [
        ({"space": {**SPACE, "double": [True, False]}}, "space.double"),
        ({"agent": dqn(discount=0.5)}, "discount: 0.99 there, 0.5 here"),
        ({"seeds": 3}, "seeds"),
        ({"keep": "all"}, "keep"),
        ({"steps": 240}, "iterations"),
    ]:
        with pytest.raises(jaxrl.RunDirectoryError, match=f"another sweep.*{words}"):
            sweep(**{"out": out, "keep": "best:3", **change})
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == content
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(jaxrl.RunDirectoryError, match="holds other files"):
        sweep(out=tmp_path / "other")
    jaxrl.train(dqn(), 120, out=tmp_path / "run", progress=False)
    with pytest.raises(jaxrl.RunDirectoryError, match="is not of a sweep that this jaxrl knows"):
        sweep(out=tmp_path / "run")


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("name", ["results.parquet", "curves.parquet", "config.json", "checksums.json"])
def test_no_flipped_byte_gives_other_numbers(name, whole, folder, tmp_path):
    out = shutil.copytree(folder / "whole", tmp_path / "copy")
    content, found = (out / name).read_bytes(), []
    places = np.random.default_rng(0).integers(len(content), size=40)
    for place in places:
        (out / name).write_bytes(flipped(content, place))
        try:
            again = jaxrl.load(out)
            pd.testing.assert_frame_equal(again.table(), whole.table())
            pd.testing.assert_frame_equal(again.curves(), whole.curves())
            pd.testing.assert_frame_equal(again.ranking(), whole.ranking())
        except jaxrl.RunDirectoryError as error:
            found.append(str(error))
    # In JSON a space between two values may be another, and the spelling of a number.
    assert len(found) == 40 if name.endswith("parquet") else len(found) >= 20
    assert all(name in text for text in found)


@pytest.fixture(scope="module")
def under_way(folder):
    """The folder of a sweep of which three batches are done."""
    save, saved = SweepFolder.save, []

    def save_three(self, batch, outcome):
        save(self, batch, outcome)
        saved.append(batch.name)
        if len(saved) == 3:
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SweepFolder, "save", save_three)
        with pytest.raises(OSError, match="No space"):
            sweep(out=folder / "under way", keep="best:3")
    return folder / "under way"


@pytest.mark.parametrize("name", ["results.parquet", "curves.parquet", "params.npz", "checksums.json"])
def test_no_flipped_byte_of_a_batch_gives_other_numbers(name, under_way, tmp_path):
    out = shutil.copytree(under_way, tmp_path / "copy")
    batch = sorted((out / "batches").iterdir())[1]
    trial = int(pq.read_table(batch / "results.parquet")["trial"][0].as_py())
    content = (batch / name).read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=10):
        (batch / name).write_bytes(flipped(content, place))
        with pytest.raises(jaxrl.RunDirectoryError, match=rf"{batch}/{name} .*: remove {batch}, and run"):
            jaxrl.load(out).member(trial)  # Which also reads its curve.


def test_a_damaged_batch_is_trained_again_once_it_is_removed(under_way, tmp_path, whole):
    out = shutil.copytree(under_way, tmp_path / "copy")
    batch = sorted((out / "batches").iterdir())[1]
    (batch / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(jaxrl.RunDirectoryError, match=f"remove {batch}, and run the sweep again"):
        sweep(out=out, keep="best:3")
    shutil.rmtree(batch)
    pd.testing.assert_frame_equal(timeless(sweep(out=out, keep="best:3")), timeless(whole))


def test_batches_and_checkpoints_of_another_sweep_are_not_taken(under_way, tmp_path):
    out = shutil.copytree(under_way, tmp_path / "copy")
    other = tmp_path / "other"
    sweep(out=other, keep="best:1", agent=dqn(discount=0.5), space={"learning_rate": [1e-3]})
    (name,) = (path.name for path in (other / "batches").iterdir())
    shutil.rmtree(out / "batches" / name)
    shutil.copytree(other / "batches" / name, out / "batches" / name)
    with pytest.raises(jaxrl.RunDirectoryError, match="is of another run or sweep: remove"):
        jaxrl.load(out)


def test_a_changed_value_is_refused(whole, folder, tmp_path):
    out = shutil.copytree(folder / "whole", tmp_path / "copy")
    text = (out / "config.json").read_text()
    (out / "config.json").write_text(text.replace("0.03", "0.04"))
    for read in (lambda: jaxrl.load(out), lambda: sweep(out=out, keep="best:3")):
        with pytest.raises(jaxrl.RunDirectoryError, match=r"config\.json is damaged or was changed"):
            read()
    # Even with the right checksum, nothing on disk is of the other sweep.
    write_config(out, json.loads(text.replace("0.03", "0.04")))
    with pytest.raises(jaxrl.RunDirectoryError, match=r"checksums\.json is of another run or sweep: remove"):
        jaxrl.load(out)
    config = json.loads(text)
    for version in (3, 9):
        write_config(out, {**config, "format": f"jaxrl sweep, version {version}"})
        with pytest.raises(jaxrl.RunDirectoryError, match="not of a sweep that this jaxrl knows"):
            jaxrl.load(out)


# Memory.


def test_out_of_memory_halves_the_block(monkeypatch, capsys, whole):
    run, sizes = loop.run, []

    def refuse(agent, state, *arguments, **more):
        sizes.append(len(state.key))
        if len(state.key) > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes")
        return run(agent, state, *arguments, **more)

    monkeypatch.setattr(loop, "run", refuse)
    found = sweep()
    said = capsys.readouterr().out
    assert "a block of 4 members runs out of memory: trying blocks of 2" in said
    assert said.count("trying") == 2 * 2  # Once for each group and size: later batches begin small.
    table = timeless(found)
    np.testing.assert_allclose(table["greedy_return"], timeless(whole)["greedy_return"], rtol=1e-3)
    assert table[["trial", "seed"]].equals(timeless(whole)[["trial", "seed"]])


def test_other_errors_are_not_taken_for_lack_of_memory(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("something else")

    monkeypatch.setattr(loop, "run", fail)
    with pytest.raises(RuntimeError, match="something else"):
        sweep()


def test_memory_that_runs_out_while_playing(monkeypatch, capsys, whole):
    real, sizes = work.evaluate, []

    def refuse(result, episodes, block_size):
        sizes.append(block_size)
        if block_size > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED")
        return real(result, episodes, block_size=block_size)

    monkeypatch.setattr(work, "evaluate", refuse)
    pd.testing.assert_frame_equal(timeless(sweep()), timeless(whole), rtol=1e-4)
    assert sizes[:3] == [4, 2, 1]
    assert "playing runs out of memory" in capsys.readouterr().out


def test_memory_that_runs_out_in_a_later_rung_with_a_bar(monkeypatch, capsys):
    run, calls = loop.run, [0]

    def refuse(agent, state, log, first, *arguments, **more):
        calls[0] += 1
        if int(first) >= 4 and len(state.key) > 1:
            raise MemoryError
        return run(agent, state, log, first, *arguments, **more)

    monkeypatch.setattr(loop, "run", refuse)
    agent = dqn(learning_starts=0)
    found = sweep({"learning_rate": [1e-3, 2e-3, 3e-3]}, agent, rungs=2, eta=3, seeds=4, progress=True)
    assert found.complete
    assert "trying blocks of 1" in capsys.readouterr().out


def test_parked_members_count_as_memory_without_a_folder():
    with pytest.raises(ValueError, match="park 24 members in memory"):
        sweep(agent=dqn(learning_starts=0), rungs=2, memory_limit=60_000)


# Refused before anything is compiled.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"space": {"learning_rat": [1]}}, "no field"),
        ({"sampler": "grid"}, "sampler = 'grid' must be one of sobol, random"),
        ({"sampler": "optuna"}, "sampler = 'optuna' must be one of sobol, random"),
        ({"threshold": "195"}, "threshold = '195' must be a number"),
        ({"threshold": float("nan")}, "threshold = nan must be a finite number"),
        ({"seeds": [[1], [2, 3]]}, "seeds"),
        ({"keep": "best"}, "keep = 'best' must be"),
        ({"engine": "slurm"}, "engine = 'slurm' must be one of local, ray"),
        ({"rungs": 5, "log_points": 12}, "rungs = 5 with eta = 3 would end the first rung"),
        ({"rungs": 2, "eta": 1}, "eta = 1 must be at least 2"),
        ({"rungs": 3, "log_points": 12, "agent": dqn(learning_starts=50)}, "first of the rungs ends too early"),
        ({"seeds": [1, 1]}, "seeds repeat"),
        ({"seeds": 0}, "seeds = 0 must be at least 1"),
        ({"steps": None}, "give either steps"),
        ({"episodes": 0}, "episodes = 0"),
        ({"sample_seed": -1}, "sample_seed = -1"),
        ({"space": {"batch_size": [4, 5, 6], "double": [False, True]}, "max_compilations": 5}, "compiles 6 programs"),
        ({"space": {"buffer_size": [10**9]}, "memory_limit": 10**6}, "memory"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled(arguments, words, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("this must not come as far as training")

    monkeypatch.setattr(loop, "run", refuse)
    with pytest.raises((ValueError, TypeError), match=words):
        sweep(**{"out": tmp_path / "s", **arguments})
    assert not (tmp_path / "s" / "config.json").exists()


def test_an_environment_of_ones_own_is_swept_by_its_fields():
    found = sweep({"env.max_steps": [10, 20]}, agent=dqn(env=cart_pole()), seeds=2)
    assert found.table()["env.max_steps"].tolist() == [10, 10, 20, 20]
    assert found.table()["greedy_return"].max() <= 20
    assert found.curves([0])["episode_length"].max() <= 10


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    _sweep_and_die(Path(sys.argv[1]), sys.argv[2])
