"""sweep() and load(): what a user calls."""

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrl import arguments
from jaxrl.agents.base import Agent
from jaxrl.config import from_config
from jaxrl.periodic_evaluation import DEFAULT_EPISODES, EvaluationPlan
from jaxrl.provenance import warn_of_local_classes
from jaxrl.storage import RunDirectoryError, exclusive
from jaxrl.sweeps.batches import Values
from jaxrl.sweeps.config import MAX_COMPILATIONS, SweepConfig
from jaxrl.sweeps.folder import SweepFolder
from jaxrl.sweeps.memory_store import MemoryStore
from jaxrl.sweeps.optuna_study import OptunaStudy
from jaxrl.sweeps.plan import SweepPlan, plan_sweep
from jaxrl.sweeps.ranking import rank_results
from jaxrl.sweeps.stages import StageRunner, make_executor
from jaxrl.sweeps.sweep import Sweep
from jaxrl.sweeps.tables import joined, last_rows
from jaxrl.training import interrupts
from jaxrl.training import load as load_run
from jaxrl.trust import Trust, checked_trust


def sweep(
    agent: Agent,
    space: dict[str, Any],
    *,
    trials: int | None = None,
    seeds: Any = 16,
    steps: int | None = None,
    iterations: int | None = None,
    out: str | os.PathLike[str] | None = None,
    sampler: Any = "sobol",
    sample_seed: int = 0,
    rungs: int = 1,
    eta: int = 3,
    keep: str = "none",
    episodes: int = 16,
    threshold: float | None = None,
    log_points: int = 100,
    evaluate_every: int | None = None,
    evaluation_episodes: int = DEFAULT_EPISODES,
    keep_best: bool = False,
    block_size: int | None = None,
    devices: int | None = None,
    memory_limit: int | None = None,
    max_compilations: int = MAX_COMPILATIONS,
    executor: str = "local",
    progress: bool = True,
) -> Sweep:
    """Trains every trial of a space with every seed, and ranks them.

    Trials that differ in leaves only (learning rate, discount, the environment's physics) share one compiled
    program and are trained side by side; every combination of static fields (widths, batch size) is compiled
    once. With `out`, every finished batch is on disk: the same call resumes where it was killed, and the table is then
    the same, but for the seconds.

    Args:
      agent: where all trials start from, such as `jaxrl.DQN(jaxrl.make("CartPole-v1"))`.
      space: values by dotted path of a field, of the agent or its environment ("env.length"). A list is a grid, of
        which every combination is tried; `jaxrl.uniform`, `log_uniform`, `integers` and `choice` are sampled.
      trials: how many samples to draw, where anything is to be sampled.
      seeds: how many seeds every trial gets, or a list of them.
      steps: environment steps of every member, or
      iterations: iterations of every member.
      out: folder of the sweep: new or empty, or of the same sweep, to resume it.
      sampler: "sobol" (scrambled), "random", or a sampler of Optuna.
      sample_seed: of the samples.
      rungs: stages of successive halving (Jamieson and Talwalkar, 2016); 1 trains all trials to the end.
      eta: one in `eta` trials goes on after each rung, which is `eta` times as long as the one before.
      keep: whose parameters to keep: "none", "all", or "best:N" for the members of the N best trials.
      episodes: greedy episodes of every member at the end of its training.
      threshold: the training return whose step is noted; by default the environment's `solved_return`.
      log_points: rows of every member's log.
      evaluate_every: environment steps of a member after which greedy episodes are played in training, as by
        `jaxrl.train`: the column "evaluation_return" of `Sweep.curves`, whose last value stands in `Sweep.table`.
      evaluation_episodes: of a member each time.
      keep_best: judge and keep every member by the parameters of its best evaluation in place of the last ones.
      block_size: members trained at once; by default what suits the devices.
      devices: how many devices to use; by default all that JAX sees here.
      memory_limit: bytes that may be used; by default what is free.
      max_compilations: refuse to compile more programs than this.
      executor: "local", or "ray" to send batches to the workers of a Ray cluster (extra `ray`).
      progress: whether to print the plan and draw a progress bar.

    Returns:
      The tables, the ranking and the members that were kept.

    Raises:
      SpaceError: a path or a value of the space is wrong, or there are too few or too many trials or programs.
      RunDirectoryError: `out` holds another sweep or something else.
      TypeError, ValueError: as `jaxrl.train`. All this comes before compiling.
    """
    config = SweepConfig(**locals())  # Every argument by its name.
    plan = plan_sweep(config)
    for what, value in plan.rows():
        config.log(f"{what}: {value}")
    with contextlib.ExitStack() as stack:
        store: SweepFolder | MemoryStore = MemoryStore()
        if config.out is not None:
            stored = plan.stored()
            warn_of_local_classes(stored)
            stack.enter_context(exclusive(config.out))
            store = SweepFolder.begin(config.out, stored)
            if store.complete:
                config.log(f"{config.out} is complete already")
                result = load_sweep(config.out)
                store.tidy(_kept_members(config, result.ranking()["trial"]))
                return result
        interrupted = stack.enter_context(interrupts())
        runner = StageRunner(config, store, make_executor(config, store.checkpoint), interrupted)
        complete = _run_rounds(plan, runner) if config.adaptive else _run_rungs(plan, runner)
        return _finish(plan, runner, complete)


def _run_rungs(plan: SweepPlan, runner: StageRunner) -> bool:
    """Runs all rungs of successive halving, or the only stage; False where it was interrupted."""
    config, batches, previous, name = plan.config, plan.batches, None, type(plan.config.agent).__name__
    for index, rung in enumerate(plan.rungs):
        members = sum(len(batch.trials) for batch in batches)
        results = runner.run(batches, rung, f"{name}, {members:,} members", index, previous)
        if results is None:
            return False
        if index + 1 < len(plan.rungs):
            count = plan.rungs[index + 1].trials
            best = rank_results(results, config.seeds)["trial"][:count]
            config.log(f"rung {index + 1}: {len(best):,} of {rung.trials:,} trials go on")
            previous, batches = batches, plan.grouping.make_batches(sorted(best.tolist()), plan.values, index + 1)
    return True


def _run_rounds(plan: SweepPlan, runner: StageRunner) -> bool:
    """Runs rounds of trials that a sampler of Optuna proposes; False where it was interrupted."""
    config, values = plan.config, plan.values
    study = OptunaStudy(config.space, config.sampler, runner.store)
    index = 0
    while len(values) < plan.trials:
        first = len(values)
        values += study.ask(min(plan.round_size, plan.trials - first))
        batches = plan.grouping.make_batches(range(first, len(values)), values, index)
        results = runner.run(batches, plan.rungs[0], f"round {index + 1}, {len(values):,} of {plan.trials:,} trials")
        if results is None:
            return False
        ranked = rank_results(results, config.seeds)
        scores = dict(zip(ranked["trial"].tolist(), ranked["score"].tolist(), strict=True))
        study.tell([scores[trial] for trial in range(first, len(values))])
        index += 1
    return True


def _kept_members(config: SweepConfig, ranked: Sequence[int]) -> set[tuple[int, int]] | None:
    """(trial, seed) of the members whose parameters are kept, by the trials from the best on; None for all."""
    count, seeds = config.kept_trials, config.seeds.tolist()
    return None if count is None else {(trial, seed) for trial in list(ranked)[:count] for seed in seeds}


def _finish(plan: SweepPlan, runner: StageRunner, complete: bool) -> Sweep:
    config, store = plan.config, runner.store
    tables = list(store.tables("results"))
    if not tables:
        raise KeyboardInterrupt("interrupted before the first batch was done")
    sweep = Sweep(
        agent=config.agent,
        space=config.space,
        values=plan.values,
        seeds=config.seeds,
        iterations=[group.plan.iterations for group in plan.grouping.groups],
        log_points=plan.log_points,
        threshold=config.threshold,
        evaluation=config.evaluation,
        results=last_rows(joined(tables)),
        compile_seconds=runner.compile_seconds,
        complete=complete,
        store=store,
    )
    if not complete:
        more = "the same call goes on" if config.out is not None else "nothing of it is on disk, for want of out="
        config.log(f"interrupted: {len(sweep.ranking()):,} of {len(plan.values):,} trials are done; {more}")
    if complete:
        store.finish(sweep.results)
        store.tidy(_kept_members(config, sweep.ranking()["trial"]))
        if config.out is not None:
            config.log(f"{config.out}: results.parquet, curves.parquet")
    return sweep


def load_sweep(path: str | os.PathLike[str], trust: Sequence[str] = ()) -> Sweep:
    """A sweep on disk; of an unfinished one, what is done.

    Args:
      path: of its folder.
      trust: modules that may be imported for the sweep's classes; see `load`.

    Raises:
      RunDirectoryError: there is none, nothing of it is done, it is damaged, or names a class of a module that is not
        trusted.
      TypeError: `trust` is no list of names.
    """
    place = arguments.path("path", path)
    trusted = checked_trust(trust, place)
    folder = SweepFolder.open(place)
    config = folder.config
    tables = list(folder.tables("results"))
    if not tables:
        raise RunDirectoryError(f"{path} has no finished batch yet: run the same sweep again to resume it")
    try:
        return Sweep(
            agent=from_config(config["agent"], trusted, Agent),
            space=from_config(config["space"], trusted),
            values=_values_of(folder, trusted),
            seeds=np.asarray(config["seeds"], np.int64),
            iterations=config["iterations"],
            log_points=config["log_points"],
            threshold=config["threshold"],
            evaluation=None if config["evaluation"] is None else EvaluationPlan(**config["evaluation"]),
            results=last_rows(joined(tables)),
            compile_seconds=float("nan"),
            complete=folder.complete,
            store=folder,
        )
    except RunDirectoryError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RunDirectoryError(f"{folder.path / 'config.json'} can't be used: {error}") from error


def _values_of(folder: SweepFolder, trust: Trust) -> list[Values]:
    stored = folder.config["trials"]
    if isinstance(stored, int):
        return [values for trials in folder.rounds() for values in trials]
    return from_config(stored, trust)


def load(path: str | os.PathLike[str], trust: Sequence[str] = ()) -> Any:
    """What is in a folder: the `Result` of a run, or the `Sweep` of a sweep; as far as they are finished.

    Args:
      path: of the folder.
      trust: names of modules that may be imported, such as `["my_package"]`, where the run has agents or environments
        that are not jaxrl's own. Importing a module runs its code, and the folder, which a stranger may have made,
        says which. Modules that are imported already need no mention; one that lies in the folder is never used.

    Raises:
      RunDirectoryError: there is neither, nothing of it is finished, it is damaged, or names a class of a module that
        is not trusted.
      TypeError: `trust` is no list of names.
    """
    place = arguments.path("path", path)
    return load_sweep(place, trust) if SweepFolder.is_sweep(place) else load_run(place, trust)
