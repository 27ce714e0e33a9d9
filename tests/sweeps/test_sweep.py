"""Sweeps from end to end: their tables, their groups, and members that are kept."""

import contextlib
import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from small_runs import cart_pole, dqn, reinforce
from small_sweeps import SETTINGS, sweep, timeless

import jaxrl
from jaxrl import loop
from jaxrl.agents.base import Mean
from jaxrl.cli.sweep import print_sweep
from jaxrl.pytree import replace_at

pytestmark = pytest.mark.usefixtures("fast_compilation")


WRONG_NUMBERS = {
    "best": ({"place": 2.5}, {"place": "0"}, {"place": jax.random.split(jax.random.key(0))}),
    "trial": ({"index": ""}, {"index": ["x", 1]}, {"index": np.array(3)}, {"index": ...}, {"index": None}),
    "trial_agent": ({"index": "x"},),
    "curves": ({"trials": 0}, {"trials": 10**30}, {"trials": [0, None]}, {"trials": "ab"}),
    "member": ({"trial": {3: 1}}, {"trial": np.ones(2)}, {"trial": b"x"}, {"trial": 0, "seed": [[]]}, {"seed": True}),
    "retrain": ({"trial": 0, "seed": np.ones((2, 3))}, {"trial": lambda: 0, "seed": 5}, {"trial": 0, "seed": None}),
}


@pytest.mark.parametrize("method", WRONG_NUMBERS)
def test_trials_and_seeds_are_named_by_whole_numbers(whole, method):
    for given in WRONG_NUMBERS[method]:
        with pytest.raises(TypeError, match=r"(place|index|trials?|seed).* = .* must be (a whole number|a list of)"):
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
    kept = {int(trial) for trial in whole.ranking()["trial"][:3]}
    for trial in kept:
        for seed in (5, 2):
            member = whole.member(trial, seed)
            assert member.agent == whole.trial(trial).agent
            alone = whole.retrain(trial, seed, devices=1, progress=False).member(0)
            for one, other in zip(*(map(np.asarray, jax.tree.leaves(m.params)) for m in (member, alone)), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)
    assert whole.member().index == whole.best().index
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
    assert found.best().index == 0
    assert ("diverged", "2 of 4 members") in found.summary()


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
    assert found.best().index == 1
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


def test_a_custom_environment_is_swept_by_its_fields():
    found = sweep({"env.max_steps": [10, 20]}, agent=dqn(env=cart_pole()), seeds=2)
    assert found.table()["env.max_steps"].tolist() == [10, 10, 20, 20]
    assert found.table()["greedy_return"].max() <= 20
    assert found.curves([0])["episode_length"].max() <= 10


def test_retraining_evaluates_and_keeps_the_best_as_the_sweep_did():
    agent = jaxrl.QLearning(jaxrl.make("FrozenLake-v1"), num_envs=2)
    evaluated = {"evaluate_every": 100, "keep_best": True, "progress": False}
    swept = jaxrl.sweep(agent, {"learning_rate": [0.1, 0.5]}, steps=400, seeds=2, keep="all", **evaluated)
    again = swept.retrain(1, 1, progress=False)
    assert np.isfinite(again.log["evaluation_return"]).any()
    params = (jax.tree.leaves(member.params) for member in (swept.member(1, 1), again.member(0)))
    for one, other in zip(*params, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
