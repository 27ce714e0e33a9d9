"""Sweeps that a sampler of Optuna leads: the study, rounds, kills, and what a sampler is told."""

import json

import numpy as np
import pandas as pd
import pytest
from small_runs import dqn

import jaxrl
from jaxrl.sweeps import running
from jaxrl.sweeps.adaptive import STUDY

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("fast_compilation")
SPACE = {
    "learning_rate": jaxrl.log_uniform(1e-4, 1e-1),
    "max_grad_norm": [None, 1.0],
    "hidden": jaxrl.choice([(8,), (4, 4)]),
    "env.length": jaxrl.uniform(0.25, 1.0),
}
SETTINGS = {"seeds": 2, "steps": 120, "slots": 6, "episodes": 2, "block": 4, "devices": 1, "progress": False}


def sweep(**arguments):
    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=4)
    return jaxrl.sweep(dqn(), SPACE, **{**SETTINGS, "sampler": sampler, "trials": 7, **arguments})


def test_the_study_holds_what_the_table_holds(tmp_path):
    found = sweep(out=tmp_path / "s")
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{tmp_path}/s/optuna.db")
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.COMPLETE] * 7
    ranking = found.ranking().set_index("trial")
    for trial in study.trials:
        assert trial.value == pytest.approx(ranking["interquartile_mean"][trial.number])
        values = found.values[trial.number]
        assert trial.params["learning_rate"] == values["learning_rate"]
        assert trial.params["hidden"] == str(values["hidden"])
        assert trial.params["max_grad_norm"] == str(values["max_grad_norm"])
    assert study.best_trial.value == found.best().score
    assert (found.table()["rung"] == 0).all()
    assert len(found.table()) == 14
    pd.testing.assert_frame_equal(jaxrl.load(tmp_path / "s").table(), found.table())
    assert found.best().agent.env.length == found.best().values["env.length"]


def test_a_sampler_is_told_before_it_is_asked_again():
    told = []

    class Greedy(optuna.samplers.RandomSampler):
        def before_trial(self, study, trial):
            told.append(sum(t.state.is_finished() for t in study.get_trials(deepcopy=False)))

    found = sweep(sampler=Greedy(seed=0))
    assert found.complete
    # Blocks of 4 members hold 2 trials of 2 seeds, and a round is no more than a tenth of all.
    assert told == [0, 1, 2, 3, 4, 5, 6]
    told.clear()
    assert sweep(sampler=Greedy(seed=0), trials=14).complete
    assert told == sorted(2 * list(range(0, 14, 2)))


def test_another_sampler_is_another_sweep(tmp_path):
    sweep(out=tmp_path / "s")
    with pytest.raises(jaxrl.RunDirectoryError, match="sampler"):
        sweep(out=tmp_path / "s", sampler=optuna.samplers.RandomSampler(seed=0))


def test_static_fields_alone():
    assert len(jaxrl.sweep(dqn(), {"batch_size": [4, 8]}, **SETTINGS, sampler="tpe", trials=4).table()) == 8


def test_stopped_between_rounds_it_goes_on_to_the_same_table(tmp_path, monkeypatch):
    straight = sweep(out=tmp_path / "straight")
    rounds = [0]
    real = running.Runner.stage

    def stop(self, *arguments, **more):
        rounds[0] += 1
        return None if rounds[0] == 3 else real(self, *arguments, **more)

    monkeypatch.setattr(running.Runner, "stage", stop)
    first = sweep(out=tmp_path / "s")
    assert not first.complete
    assert len(first.table()) == 4
    asked = json.loads((tmp_path / "s" / "rounds.json").read_text())
    assert len(asked) == 3
    monkeypatch.undo()
    found = sweep(out=tmp_path / "s")
    assert found.complete
    again = json.loads((tmp_path / "s" / "rounds.json").read_text())[:3]
    assert [entry["values"] for entry in again] == [entry["values"] for entry in asked]
    both = found.table().merge(first.table(), on=["trial", "seed"])
    np.testing.assert_array_equal(both["greedy_return_x"], both["greedy_return_y"])
    pd.testing.assert_frame_equal(found.table().drop(columns="seconds"), straight.table().drop(columns="seconds"))
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{tmp_path}/s/optuna.db")
    assert len([t for t in study.trials if t.state.is_finished()]) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"trials": None}, "needs trials"),
        ({"rungs": 2}, "decides without rungs"),
        ({"max_compilations": 3}, "compiles 4 programs"),
    ],
)
def test_what_an_adaptive_sweep_refuses(arguments, words):
    with pytest.raises(jaxrl.SpaceError, match=words):
        sweep(**arguments)
