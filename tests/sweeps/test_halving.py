"""Successive halving: who goes on, and with what numbers."""

import numpy as np
import pandas as pd
import pytest
from small_runs import dqn
from small_sweeps import SETTINGS, sweep, timeless

import jaxrl
from jaxrl import loop
from jaxrl.progress import Bar
from jaxrl.sweeps import SweepConfig, plan_sweep
from jaxrl.sweeps.task import Start, Task, train_batch

pytestmark = pytest.mark.usefixtures("fast_compilation")


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
    assert dict(halved.summary())["saved by halving"] == "44% of all environment steps"
    pd.testing.assert_frame_equal(timeless(sweep(space, agent, trials=9, rungs=2, eta=3)), timeless(halved))


def test_the_trials_that_go_on_are_the_best_of_the_rung():
    agent = dqn(learning_starts=0)
    space = {"learning_rate": [1e-4, 1e-3, 1e-2, 1e30, 3e-3, 3e-2]}
    halved = sweep(space, agent, rungs=2, eta=3, log_points=3)
    # What they had at the end of the first rung, from a sweep that ends there but is scheduled alike.
    config = SweepConfig(agent, {"learning_rate": space["learning_rate"]}, **SETTINGS | {"log_points": 3})
    rows = pd.concat([_until(batch, 1) for batch in plan_sweep(config).batches])
    scores = rows.groupby("trial")["greedy_return"].mean()
    best = set(scores.sort_values(ascending=False, kind="stable").index[:2])
    went_on = set(halved.table().query("rung == 1")["trial"])
    assert scores[sorted(went_on)].min() >= scores.drop(sorted(went_on)).max()
    assert len(best) == len(went_on) == 2


def _until(batch, log_point):
    task = Task(batch, 0, log_point, 2, None, False)
    return train_batch(task, Start(), Bar(0, "", False), lambda: False).results.to_pandas()


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


def test_paused_members_count_as_memory_without_a_folder():
    with pytest.raises(ValueError, match="keep 24 members in memory"):
        sweep(agent=dqn(learning_starts=0), rungs=2, memory_limit=60_000)
