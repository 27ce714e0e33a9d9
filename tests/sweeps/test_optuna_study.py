"""Sweeps that a sampler of Optuna leads: the study, rounds, kills, and what a sampler is told."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_runs import dqn

import jaxrl
from jaxrl.storage import checksum_of
from jaxrl.sweeps import SweepFolder, stages
from jaxrl.sweeps.memory_store import MemoryStore
from jaxrl.sweeps.optuna_study import STUDY, OptunaStudy
from jaxrl.sweeps.samplers import tpe_sampler

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("fast_compilation")
SPACE = {
    "learning_rate": jaxrl.log_uniform(1e-4, 1e-1),
    "max_grad_norm": [None, 1.0],
    "hidden": jaxrl.choice([(8,), (4, 4)]),
    "env.length": jaxrl.uniform(0.25, 1.0),
}
SETTINGS = {"seeds": 2, "steps": 120, "log_points": 6, "episodes": 2, "block_size": 4, "devices": 1, "progress": False}


def sweep(**arguments):
    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=4)
    return jaxrl.sweep(dqn(), SPACE, **{**SETTINGS, "sampler": sampler, "trials": 7, **arguments})


def test_the_study_holds_what_the_table_holds(tmp_path):
    found = sweep(out=tmp_path / "s")
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{tmp_path}/s/optuna.db")
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.COMPLETE] * 7
    ranking = found.ranking().set_index("trial")
    for trial in study.trials:
        assert trial.value == pytest.approx(ranking["score"][trial.number])
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
    real = stages.StageRunner.run

    def stop(self, *arguments, **more):
        rounds[0] += 1
        return None if rounds[0] == 3 else real(self, *arguments, **more)

    monkeypatch.setattr(stages.StageRunner, "run", stop)
    first = sweep(out=tmp_path / "s")
    assert not first.complete
    assert len(first.table()) == 4
    asked = SweepFolder.open(tmp_path / "s").rounds()
    assert len(asked) == 3
    monkeypatch.undo()
    found = sweep(out=tmp_path / "s")
    assert found.complete
    assert SweepFolder.open(tmp_path / "s").rounds()[:3] == asked
    both = found.table().merge(first.table(), on=["trial", "seed"])
    np.testing.assert_array_equal(both["greedy_return_x"], both["greedy_return_y"])
    pd.testing.assert_frame_equal(found.table().drop(columns="seconds"), straight.table().drop(columns="seconds"))
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{tmp_path}/s/optuna.db")
    assert len([t for t in study.trials if t.state.is_finished()]) == 7


def rounds_of(sampler, rounds, folder=None, size=3):
    """What a study asks for in so many rounds, whose scores are the rates; one in five failed."""
    study = OptunaStudy(STUDY_SPACE, sampler, folder or MemoryStore())
    asked = []
    for _ in range(rounds):
        asked.append(study.ask(size))
        scores = [trial["rate"] for trial in asked[-1]]
        study.tell([float("nan") if int(1e6 * score) % 5 == 0 else score for score in scores])
    return asked, study


STUDY_SPACE = {"rate": jaxrl.uniform(0.0, 1.0), "kind": [(8,), (4, 4), None], "count": jaxrl.integers(1, 9)}
SAMPLERS = {
    "tpe": lambda: tpe_sampler(3),
    "tpe, one by one": lambda: optuna.samplers.TPESampler(seed=0, n_startup_trials=3),
    "random": lambda: optuna.samplers.RandomSampler(seed=0),
    "quasi-random": lambda: optuna.samplers.QMCSampler(seed=0, warn_asynchronous_seeding=False),
    "genetic": lambda: optuna.samplers.NSGAIISampler(seed=0, population_size=4),
}


@pytest.fixture
def place(tmp_path):
    return SweepFolder(tmp_path, {"asked": 1})


@pytest.fixture
def no_database(monkeypatch):
    """Without the copy for the dashboard, which takes a second to make."""
    monkeypatch.setattr("jaxrl.sweeps.optuna_study._database", lambda *_: None)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_that_goes_on_proposes_what_it_would_have(name, place, no_database):
    straight, _ = rounds_of(SAMPLERS[name](), 8)
    assert rounds_of(SAMPLERS[name](), 4, place)[0] == straight[:4]
    # Killed between writing the fifth round and its end.
    OptunaStudy(STUDY_SPACE, SAMPLERS[name](), place)
    again, study = rounds_of(SAMPLERS[name](), 4, place)
    assert again == straight[:4]
    assert study.ask(3) == straight[4]
    assert place.rounds() == straight[:5]
    found, study = rounds_of(SAMPLERS[name](), 8, place)
    assert found == straight
    assert study.reproducible


def test_the_copy_for_the_dashboard_holds_the_whole_study(place):
    rounds_of(SAMPLERS["tpe"](), 2, place)
    straight, _ = rounds_of(SAMPLERS["tpe"](), 4, place)
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{place.path}/optuna.db")
    assert [trial.params["rate"] for trial in study.trials] == [trial["rate"] for part in straight for trial in part]
    assert all(trial.state.is_finished() for trial in study.trials)
    assert {float("-inf")} < {trial.value for trial in study.trials}


def test_a_sampler_keeps_away_from_where_trials_diverge():
    """The best rate is the greatest below 0.5; above it everything diverges."""
    study = OptunaStudy({"rate": jaxrl.uniform(0.0, 1.0)}, tpe_sampler(0), MemoryStore())
    asked = []
    for _ in range(20):
        rates = [trial["rate"] for trial in study.ask(3)]
        study.tell([float("nan") if rate > 0.5 else rate for rate in rates])
        asked += rates
    # Where samplers are told of failures, all but 4 of the last 40 diverge.
    assert np.mean(np.asarray(asked[20:]) > 0.5) < 0.6


def test_the_sampler_that_the_user_has_stays_as_it_is():
    sampler = SAMPLERS["random"]()
    assert rounds_of(sampler, 2)[0] == rounds_of(sampler, 2)[0]


def test_a_sampler_without_a_seed_keeps_its_trials_and_their_results(place, no_database):
    first, _ = rounds_of(optuna.samplers.TPESampler(), 4, place)
    found, study = rounds_of(optuna.samplers.TPESampler(), 6, place)
    assert found[:4] == first
    assert place.rounds() == found
    assert not study.reproducible
    trials = study._study.trials
    assert [trial.params["rate"] for trial in trials] == [trial["rate"] for part in found for trial in part]
    values = {trial.value for trial in trials if trial.value is not None}
    assert values - {float("-inf")} <= {trial["rate"] for part in found for trial in part}
    assert [trial.params["kind"] for trial in trials[:3]] == [str(trial["kind"]) for trial in first[0]]


def test_nothing_of_a_sampler_is_on_disk_and_the_database_is_never_read(place):
    rounds_of(SAMPLERS["tpe"](), 2, place)
    noted = json.loads((place.path / "rounds.json").read_text())
    assert noted.keys() == {"of", "rounds", "checksum"}
    (place.path / "optuna.db").write_bytes(b"no database")
    assert rounds_of(SAMPLERS["tpe"](), 4, place)[0] == rounds_of(SAMPLERS["tpe"](), 4)[0]
    source = Path(jaxrl.__file__).parent
    for file in source.rglob("*.py"):
        assert not re.search(r"\bpickle\b|\bmarshal\b|\bshelve\b|\beval\(|\bexec\(", file.read_text()), file


def test_a_copy_that_cannot_be_written_ends_no_sweep(place):
    (place.path / "optuna.db-journal").mkdir()
    (place.path / "optuna.db").symlink_to(place.path / "none" / "file")
    with pytest.warns(UserWarning, match=r"optuna\.db can't be written, and the sweep continues without it"):
        found, _ = rounds_of(SAMPLERS["random"](), 2, place)
    assert len(found) == 2


@pytest.mark.parametrize("damage", ["", "[]", "{}", "[[", '{"of": 1}', "flip", "other"])
def test_damaged_rounds(damage, place, no_database):
    rounds_of(SAMPLERS["random"](), 2, place)
    file = place.path / "rounds.json"
    text = file.read_text()
    if damage == "other":
        noted = json.loads(text) | {"of": 5}
        del noted["checksum"]
        damage = json.dumps(noted | {"checksum": checksum_of(noted)})
    digit = text.index("0.") + 4
    file.write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :] if damage == "flip" else damage)
    with pytest.raises(jaxrl.RunDirectoryError, match=r"rounds\.json is damaged .*: remove "):
        OptunaStudy(STUDY_SPACE, SAMPLERS["random"](), place)


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
