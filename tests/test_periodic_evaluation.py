"""Greedy episodes between rows of the log: what they measure, what they keep, and that they change nothing.

What an evaluation must give is computed by hand: `Scripted` learns nothing, it acts as its script says, and an
episode of `Pay` pays what was done and where it started. What must not change, or go on, is compared bit for bit.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run_directories import assert_same, interruption
from small_run_directories import dqn as tiny_dqn
from small_run_directories import train as train_blocks
from small_runs import SEEDS, dqn, reinforce, train

import jaxrl
from jaxrl import loop, trainer
from jaxrl.agents.base import EPISODE_METRICS, Mean
from jaxrl.cli import main
from jaxrl.devices import member_keys
from jaxrl.memory import NotEnoughMemoryError, member_bytes
from jaxrl.periodic_evaluation import EvaluationPlan, starts_key
from jaxrl.plan import make_plan
from jaxrl.run_directory import RunDirectory, RunDirectoryError
from jaxrl.sweeps import SweepConfig, plan_sweep
from jaxrl.train_config import TrainConfig

pytestmark = pytest.mark.usefixtures("fast_compilation")

EPISODES = 4
NOT_A_NUMBER, DIVERGED = -1.0, 13.0
"""What stands for NaN in a script, whose numbers must be finite, and for NaN in a parameter that no return shows."""


@jaxrl.pytree
class Pay(jaxrl.Environment):
    """Episodes of two steps, each of which pays the action and the start, a number in [0, 1)."""

    max_steps: int = jaxrl.static(default=2, minimum=2)

    @property
    def observation_space(self) -> Any:
        return jaxrl.Box(0.0, 1.0, ())

    @property
    def action_space(self) -> Any:
        return jaxrl.Box(-1e6, 1e6, ())

    def reset(self, key: jax.Array) -> Any:
        start = jax.random.uniform(key)
        return start, start

    def step(self, state: Any, action: Any, key: jax.Array) -> Any:
        del key
        return state, jaxrl.TimeStep(state, action + state, jnp.zeros((), bool))


@jaxrl.pytree
class Scripted(jaxrl.Agent):
    """Acts, after iteration i, as `script[i]` says."""

    env: jaxrl.Environment
    script: Any = jaxrl.leaf(default=0.0)

    metrics = EPISODE_METRICS
    steps_per_iteration = 10
    action_spaces = (jaxrl.Box,)
    action_bits = 0

    def init(self, key: jax.Array) -> Any:
        del key
        return {"action": jnp.float32(0), "idle": jnp.zeros(2), "when": jnp.int32(-1), "unused": jnp.zeros(3)}

    def iterate(self, state: Any, clock: Any) -> Any:
        action = self.script[clock.iteration]
        action = jnp.where(action == NOT_A_NUMBER, jnp.nan, action)
        nothing = Mean(jnp.float32(0), jnp.float32(0))
        metrics = {"steps": Mean(jnp.float32(10), jnp.float32(1)), "episode_return": nothing, "episode_length": nothing}
        idle = jnp.where(action == DIVERGED, jnp.nan, jnp.zeros(2)).at[0].set(0)
        return {**state, "action": action, "idle": idle, "when": clock.iteration}, metrics

    def params(self, state: Any) -> Any:
        return {name: state[name] for name in ("action", "idle", "when")}

    def initial_carry(self, batch: int) -> Any:
        del batch
        return ()

    def act(self, params: Any, carry: Any, obs: Any, mask: Any, bits: Any = None) -> Any:
        del mask, bits
        return jnp.broadcast_to(params["action"], obs.shape), carry, ()


def scripted(scripts: Any, **arguments: Any) -> jaxrl.Result:
    """Trains a member for every script, one iteration a row of the log."""
    scripts = np.asarray(scripts, np.float32)
    agent = Scripted(Pay(), scripts[0])
    run = {"seeds": len(scripts), "vary": {"script": scripts}, "progress": False, "devices": 1, "log_points": 100}
    return jaxrl.train(agent, iterations=scripts.shape[1], **{**run, "evaluation_episodes": EPISODES, **arguments})


def starts_paid(result: jaxrl.Result, scripts: Any) -> np.ndarray:
    """What an evaluation gave beyond what the actions were paid."""
    return result.log["evaluation_return"] - 2 * np.asarray(scripts, np.float32)


# What is evaluated, and when.


@pytest.mark.parametrize(
    ("every", "log_points", "due"),
    [
        (10, 100, [0, 1, 2, 3, 4, 5, 6]),
        (1, 100, [0, 1, 2, 3, 4, 5, 6]),
        (20, 100, [1, 3, 5, 6]),
        (25, 100, [2, 4, 6]),
        (70, 100, [6]),
        # Rows of 7 iterations end after 2, 4 and 7 of them: 20, 40 and 70 steps.
        (30, 3, [1, 2]),
        (20, 3, [0, 1, 2]),
    ],
)
def test_evaluations_are_at_the_rows_where_a_multiple_is_reached_and_at_the_end(
    every: int, log_points: int, due: list[int]
) -> None:
    result = scripted([[1, 2, 3, 4, 5, 6, 7]], evaluate_every=every, log_points=log_points)
    assert np.flatnonzero(np.isfinite(result.log["evaluation_return"][0])).tolist() == due
    ends = result.log["step"][0, due]
    assert ends[-1] == 70
    assert len(ends) <= 70 // every + 1


def test_an_evaluation_is_the_mean_return_of_the_parameters_of_that_moment() -> None:
    scripts = [[1, 2, 3, 4], [50, 7, 7, 0]]
    result = scripted(scripts, evaluate_every=10)
    paid = starts_paid(result, scripts)
    # The starts of all episodes, drawn from [0, 1), are paid twice; they are the same every time and for every member.
    assert 0 < paid[0, 0] < 2
    np.testing.assert_allclose(paid, paid[0, 0], atol=2e-5)
    assert result.log["evaluation_return"].dtype == np.float32


def test_the_episodes_begin_where_no_training_and_no_later_evaluation_does() -> None:
    one, many = (scripted([[0.0]], evaluate_every=10, evaluation_episodes=episodes) for episodes in (1, 64))
    # Twice the mean of 64 numbers in [0, 1), with a standard deviation of 0.07.
    assert abs(many.log["evaluation_return"][0, 0] - 1) < 0.3
    start = one.log["evaluation_return"][0, 0] / 2
    assert not np.isclose(jaxrl.evaluate(one, episodes=64) / 2, start, atol=1e-6).any()
    ours = jax.random.key_data(starts_key()).tolist()
    seeds = np.r_[0:1000, 2**32 - 2]
    assert ours not in jax.random.key_data(member_keys(jax.random.key(loop.BASE_SEED), seeds)).tolist()


# Nothing else changes.


def numbers(result: jaxrl.Result) -> dict[str, Any]:
    log = {name: values for name, values in result.log.items() if name != "evaluation_return"}
    state = jax.tree.map(
        lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x, result.state
    )
    return {jax.tree_util.keystr(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path((log, state))}


@pytest.mark.parametrize("agent", [dqn, reinforce])
def test_no_number_of_the_training_changes(agent: Callable[..., Any]) -> None:
    run: dict[str, Any] = {"steps": None, "iterations": 12, "log_points": 6, "seeds": SEEDS, "block_size": 2}
    run["vary"] = {"learning_rate": [1e-3, 2e-3, 5e-3], "env.length": [0.4, 0.5, 0.7]}
    plain, evaluated = train(agent(), **run), train(agent(), **run, evaluate_every=1, keep_best=True)
    ours, theirs = numbers(evaluated), numbers(plain)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    assert np.isfinite(evaluated.log["evaluation_return"]).all()
    assert "evaluation_return" not in plain.log
    assert plain.best_params is None
    assert evaluated.evaluation_seconds > 0 == plain.evaluation_seconds


# The best parameters.


def test_the_best_parameters_are_acted_with() -> None:
    big = 3e38  # Finite, and its double is not.
    scripts = np.asarray(
        [
            [1, 9, 2, 3],  # the best in between
            [1, 2, 3, 4],  # the last
            [5, 6, 6, 6],  # of equal ones the first
            [4, NOT_A_NUMBER, 2, 1],  # NaN never counts
            [DIVERGED, 12, 4, DIVERGED],  # not even where the return is a number
            [-7, big, -8, -9],  # nor does an infinite return
            [NOT_A_NUMBER] * 4,  # the last, where none counts
        ],
        np.float32,
    )
    result = scripted(scripts, evaluate_every=10, keep_best=True)
    assert result.params["when"].tolist() == [1, 3, 1, 0, 1, 0, 3]
    np.testing.assert_array_equal(result.params["action"], np.float32([9, 4, 6, 4, 12, -7, np.nan]))
    np.testing.assert_array_equal(result.state["when"], 3)
    assert float(result.member(0).policy(0.0)) == 9
    returns = jaxrl.evaluate(result, episodes=64)[:6].mean(axis=1)
    np.testing.assert_allclose(returns, 2 * result.params["action"][:6] + 1, atol=0.3)
    assert scripted(scripts, evaluate_every=10).params["when"].tolist() == [3] * 7


def test_only_what_was_evaluated_is_kept() -> None:
    result = scripted([[1, 100, 2, 3, 50, 4]], evaluate_every=30, keep_best=True)
    assert np.isfinite(result.log["evaluation_return"][0]).tolist() == [False, False, True, False, False, True]
    assert result.params["when"].tolist() == [5]


# Runs on disk.


EVALUATED = {"evaluate_every": 20, "evaluation_episodes": 2, "keep_best": True}


@pytest.fixture(scope="module")
def whole() -> jaxrl.Result:
    return train_blocks(None, **EVALUATED)


def test_a_run_goes_on_with_its_evaluations_after_any_kill(
    whole: jaxrl.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, copies = RunDirectory.save_checkpoint, []

    def save(run: RunDirectory, tree: Any, note: dict[str, Any]) -> None:
        real(run, tree, note)
        copies.append((note["log_point"], Path(shutil.copytree(run.path, tmp_path / f"killed-{len(copies)}"))))

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "save_checkpoint", save)
        patch.setattr(trainer, "PAUSE_SECONDS", 0.0)  # One log point a call.
        assert_same(train_blocks(tmp_path / "whole", checkpoint_seconds=0, **EVALUATED), whole)
    # Evaluated at the end of the log points 1, 3 and 5, in two blocks.
    assert [log_point for log_point, _ in copies] == [1, 2, 3, 4, 5] * 2
    for _, folder in copies[:6]:
        assert_same(train_blocks(folder, resume=True, **EVALUATED), whole)
        assert_same(jaxrl.load(folder), whole)


def test_a_run_that_was_interrupted_acts_with_what_it_has(
    whole: jaxrl.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = {"progress": True}
    with interruption(1, monkeypatch):
        early = train_blocks(tmp_path / "early", **EVALUATED, **bars)
    assert not early.complete
    assert np.isnan(early.log["evaluation_return"]).all()
    latest_params = early.agent.params(early.state)
    for ours, latest in zip(jax.tree.leaves(early.params), jax.tree.leaves(latest_params), strict=True):
        np.testing.assert_array_equal(ours, latest)
    assert_same(train_blocks(tmp_path / "early", resume=True, **EVALUATED), whole)


def test_what_is_evaluated_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with_evaluations = train_blocks(run, **EVALUATED)
    for other in ({}, {**EVALUATED, "keep_best": False}, {**EVALUATED, "evaluate_every": 30}):
        with pytest.raises(RunDirectoryError, match=r"holds another run.*evaluation"):
            train_blocks(run, resume=True, **other)
    again = jaxrl.load(run)
    assert_same(again, with_evaluations)
    np.testing.assert_array_equal(again.returns, jaxrl.evaluate(with_evaluations))
    assert (run / "curves.png").exists()


# Memory.


@pytest.mark.parametrize("keep_best", [False, True])
def test_the_memory_of_evaluations_is_planned(keep_best: bool) -> None:
    evaluation = EvaluationPlan(20, 2, keep_best)
    sizes: dict[str, Any] = {"iterations": None, "vary": None, "log_points": 6, "block_size": 4, "devices": 1}
    plan = make_plan(tiny_dqn(), TrainConfig(steps=60, seeds=4, memory_limit=None, evaluation=evaluation, **sizes))
    planned = member_bytes(plan.agent, plan.log_points, plan.evaluation)
    kept = sum(x.size * 4 for x in jax.tree.leaves(trainer.whole_template(plan)[2]))
    params = sum(x.size * 4 for x in jax.tree.leaves(train_blocks(None).member(0).params))
    before = member_bytes(plan.agent, plan.log_points)
    assert planned.log - before.log == 2 * 4 * plan.log_points
    assert planned.state - before.state == planned.kept - before.kept == keep_best * params
    # All that a block keeps of evaluations, but for a score of 4 bytes.
    assert 4 * (planned.state + planned.log - before.state - before.log) == kept - keep_best * 4 * 4
    with pytest.raises(NotEnoughMemoryError, match="not even one member fits"):
        make_plan(
            tiny_dqn(),
            TrainConfig(steps=60, seeds=1, memory_limit=2**16, evaluation=EvaluationPlan(20, 2000, keep_best), **sizes),
        )


# Sweeps.


def test_sweeps_evaluate_every_member_and_keep_its_best(tmp_path: Path) -> None:
    space = {"learning_rate": [1e-3, 3e-2]}
    run: dict[str, Any] = {
        "steps": 120,
        "log_points": 12,
        "seeds": [5, 2],
        "episodes": 2,
        "devices": 1,
        "rungs": 2,
        "eta": 2,
    }
    evaluated = {"evaluate_every": 30, "evaluation_episodes": 2, "keep_best": True}
    kept = {"keep": "all", "out": tmp_path / "sweep", "progress": False}
    result = jaxrl.sweep(dqn(), space, **run, **kept, **evaluated)
    table, curves = result.table(), result.curves()
    assert sorted(table["rung"]) == [0, 0, 1, 1]
    alone = train(seeds=[5] * 2, vary={"learning_rate": space["learning_rate"]}, **evaluated)
    for trial, seed, rung, last in table[["trial", "seed", "rung", "evaluation_return"]].itertuples(index=False):
        curve = curves[(curves["trial"] == trial) & (curves["seed"] == seed)]["evaluation_return"].to_numpy()
        assert np.flatnonzero(np.isfinite(curve)).tolist() == [[2, 5], [2, 5, 8, 11]][rung]
        assert last == curve[~np.isnan(curve)][-1]
        if seed == 5:
            np.testing.assert_allclose(curve, alone.log["evaluation_return"][trial, : len(curve)], rtol=1e-5)
        if seed == 5 and rung == 1:
            ours, theirs = result.member(trial, seed).params, alone.member(trial).params
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)
    with pytest.raises(RunDirectoryError, match=r"another sweep.*evaluation"):
        jaxrl.sweep(dqn(), space, **run, **kept, **{**evaluated, "evaluate_every": 60})
    rows = dict(plan_sweep(SweepConfig(dqn(), space, **run, **evaluated)).rows())
    assert rows["evaluations a member"] == "4, of 2 greedy episodes each"


# The command line.


def test_the_commands_take_what_train_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    run = ["--env", "CartPole-v1", "--steps", "60"]
    tiny = ["--hidden", "8", "--batch-size", "4", "--buffer-size", "64", "--learning-starts", "16", "--devices", "1"]
    evaluated = ["--evaluate-every", "20", "--evaluation-episodes", "2", "--keep-best"]
    folder = ["--seeds", "2", "--no-progress", "--out", str(tmp_path / "run")]
    assert main(["train", "dqn", *run, *tiny, *evaluated, *folder]) == 0
    assert re.search(r"evaluations in training.*3, .* s \(.*% of the time without compiling\)", capsys.readouterr().out)
    result = jaxrl.load(tmp_path / "run")
    assert np.isfinite(result.log["evaluation_return"]).sum() == 2 * 3
    assert result.best_params is not None
    sweep = tmp_path / "sweep.toml"
    sweep.write_text('agent = "dqn"\nkeep_best = true\nevaluate_every = 20\n[space]\nlearning_rate = [1e-3, 1e-2]\n')
    assert main(["sweep", str(sweep), *run, *tiny, "--dry-run"]) == 0
    assert re.search("evaluations a member.*3, of 8 greedy episodes each", capsys.readouterr().out)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"evaluate_every": 0}, ValueError, "evaluate_every = 0 must be at least 1"),
        ({"evaluate_every": 10.0}, TypeError, r"evaluate_every = 10\.0 must be a whole number"),
        ({"evaluate_every": True}, TypeError, "evaluate_every = True must be a whole number"),
        (
            {"evaluate_every": 121},
            ValueError,
            "evaluate_every = 121 is more than the 120 environment steps of the whole run: give at most that many",
        ),
        ({"evaluate_every": 20, "evaluation_episodes": 0}, ValueError, "evaluation_episodes = 0 must be at least 1"),
        ({"evaluation_episodes": "8"}, TypeError, "evaluation_episodes = '8' must be a whole number"),
        ({"evaluate_every": 20, "keep_best": 1}, TypeError, "keep_best = 1 must be True or False"),
        ({"keep_best": True}, ValueError, "keep_best=True needs evaluate_every"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_compiled(
    arguments: dict[str, Any], error: type[Exception], words: str, tmp_path: Path, compilations: Callable[[], int]
) -> None:
    agent = dqn()
    with pytest.raises(error, match=words):
        train(agent, out=tmp_path / "run", **arguments)
    with pytest.raises(error, match=words):
        jaxrl.sweep(agent, {"discount": [0.9]}, steps=120, devices=1, progress=False, **arguments)
    assert not compilations()
    assert not (tmp_path / "run").exists()
