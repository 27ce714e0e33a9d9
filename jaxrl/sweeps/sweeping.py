"""sweep(): what a user calls."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl import arguments
from jaxrl.agents.base import Agent
from jaxrl.arguments import LARGEST_SEED, flag, shown, whole
from jaxrl.config import from_config
from jaxrl.devices import USABLE_MEMORY, NotEnoughMemoryError, free_host_memory
from jaxrl.periodic_evaluation import DEFAULT_EPISODES, checked_evaluation
from jaxrl.provenance import made_with, warn_of_local_classes
from jaxrl.storage import RunDirectoryError, exclusive
from jaxrl.sweeps.adaptive import Advisor, adapt
from jaxrl.sweeps.engines import ENGINES, engine_named
from jaxrl.sweeps.folder import FORMAT, SweepFolder, joined
from jaxrl.sweeps.plan import Batch, make_batches
from jaxrl.sweeps.planning import MAX_COMPILATIONS, SweepPlan, checked_sampler, plan_sweep
from jaxrl.sweeps.result import Sweep, rank_rows
from jaxrl.sweeps.running import Runner
from jaxrl.sweeps.space import SpaceError
from jaxrl.training import interrupts
from jaxrl.training import load as load_run
from jaxrl.trust import Trust, checked_trust

if TYPE_CHECKING:
    import pyarrow as pa


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
    engine: str = "local",
    progress: bool = True,
) -> Sweep:
    """Trains every trial of a space with every seed, and tells which is best.

    Trials that differ in leaves only (learning rate, discount, the environment's physics) share one compiled
    program and are trained side by side; every combination of static fields (widths, batch size) is compiled
    once. With `out`, every finished block is on disk: the same call goes on where it was killed, and the table
    is then the same, but for the seconds.

    Args:
      agent: where all trials start from, such as `jaxrl.DQN(jaxrl.make("CartPole-v1"))`.
      space: values by dotted path of a field, of the agent or its environment ("env.length"). A list is a grid, of
        which every combination is tried; `jaxrl.uniform`, `log_uniform`, `integers` and `choice` are sampled.
      trials: how many samples to draw, where anything is to be sampled.
      seeds: how many seeds every trial gets, or a list of them.
      steps: environment steps of every member, or
      iterations: iterations of every member.
      out: folder of the sweep: new or empty, or of the same sweep, to go on with it.
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
      engine: "local", or "ray" to send blocks to the workers of a Ray cluster (extra `ray`).
      progress: whether to print the plan and draw a progress bar.

    Returns:
      The tables, the ranking and the members that were kept.

    Raises:
      SpaceError: a path or a value of the space is wrong, or there are too few or too many trials or programs.
      RunDirectoryError: `out` holds another sweep or something else.
      TypeError, ValueError: as `jaxrl.train`. All this comes before compiling.
    """
    check_words(keep, engine)
    flag("progress", progress)
    name, advising = checked_sampler(sampler, whole("sample_seed", sample_seed, 0, LARGEST_SEED))
    path = None if out is None else arguments.path("out", out)
    stored = SweepFolder.open(path) if path is not None and (path / "config.json").exists() else None
    plan = plan_sweep(
        agent,
        space,
        trials=trials,
        seeds=seeds,
        steps=steps,
        iterations=iterations,
        sampler=name,
        sample_seed=sample_seed,
        rungs=rungs,
        eta=eta,
        episodes=episodes,
        threshold=threshold,
        log_points=log_points,
        block_size=block_size,
        devices=devices,
        memory_limit=memory_limit,
        evaluation=checked_evaluation(evaluate_every, evaluation_episodes, keep_best),
        max_compilations=max_compilations,
        blocks=None if stored is None else stored.blocks(),
    )
    check_destination(plan, keep, path)
    if path is None and len(plan.rungs) > 1:
        _require_memory_to_park(plan, memory_limit)
    say = _speaker(progress)
    for what, value in plan.rows():
        say(f"{what}: {value}")
    with contextlib.ExitStack() as stack:
        folder = None
        if path is not None:
            config = _config(plan, keep)
            stack.enter_context(exclusive(path))
            folder = SweepFolder.begin(path, config)
            if folder.complete:
                say(f"{path} is complete already")
                found = load_sweep(path)
                folder.tidy(_kept(found.results, found.seeds, _to_keep(keep)))
                return found
        interrupted = stack.enter_context(interrupts())
        doer = engine_named(engine, None if folder is None else folder.checkpoint)
        runner = Runner(folder, doer, plan.episodes, plan.threshold, keep != "none", say, progress, interrupted)
        if advising is None:
            tables = _halve(plan, runner, say)
        else:
            tables = _adapt(plan, Advisor(plan.space, advising, folder), runner)
        return _finished(plan, runner, tables, keep, say)


def check_words(keep: Any, engine: Any) -> None:
    """Raises a ValueError where `keep` or `engine` is none that `sweep` knows."""
    _to_keep(keep)
    if not isinstance(engine, str) or engine not in ENGINES:
        raise ValueError(f"engine = {shown(engine)} must be one of {', '.join(ENGINES)}")


def check_destination(plan: SweepPlan, keep: str, path: Path | None) -> None:
    """Checks that a plan can be begun, or gone on with, in a folder; nothing is written.

    Raises:
      SpaceError: more trials are to be kept than there are.
      RunDirectoryError: the folder holds another sweep, or something else.
    """
    best = _to_keep(keep)
    if best is not None and best > plan.trials:
        raise SpaceError(f"keep = {keep!r} is more than the {plan.trials} trials of the sweep: 'all' keeps every one")
    if path is not None:
        SweepFolder.check(path, _config(plan, keep))


def _require_memory_to_park(plan: SweepPlan, limit: int | None) -> None:
    """Checks that the members that a sweep without a folder parks between rungs fit into memory."""
    needed, free = plan.members * plan.member_bytes, int((limit or free_host_memory()) * USABLE_MEMORY)
    if needed > free:
        raise NotEnoughMemoryError(
            f"rungs = {len(plan.rungs)} park {plan.members:,} members in memory, {needed / 2**20:,.0f} MiB, and "
            f"{free / 2**20:,.0f} MiB may be used: with out= they are parked on disk"
        )


def _speaker(progress: bool) -> Callable[[str], None]:
    return (lambda text: print(f"jaxrl: {text}", flush=True)) if progress else (lambda text: None)


def _to_keep(keep: Any) -> int | None:
    """How many of the best trials to keep; 0 for none, None for all."""
    if isinstance(keep, str) and keep in ("none", "all"):
        return 0 if keep == "none" else None
    name, _, count = str(keep).partition(":")
    if name != "best" or not count.isdecimal() or len(count) > 18 or int(count) < 1:
        raise ValueError(f"keep = {shown(keep)} must be 'none', 'all', or 'best:N' such as 'best:5'")
    return int(count)


def _config(plan: SweepPlan, keep: str) -> dict[str, Any]:
    first = plan.grouping.groups[0].plan
    blocks = [group.size for group in plan.grouping.groups]
    config = {"format": FORMAT, **plan.request(), "keep": keep, "made_with": made_with(first) | {"blocks": blocks}}
    warn_of_local_classes(config)
    return config


def _halve(plan: SweepPlan, runner: Runner, say: Callable[[str], None]) -> "list[pa.Table] | None":
    """Runs all rungs: their results, or None where it was interrupted."""
    seeds, batches = plan.settings.seeds, plan.batches
    previous: list[Batch] | None = None
    tables: list[pa.Table] = []
    for number, rung in enumerate(plan.rungs):
        title = f"{type(plan.settings.agent).__name__}, {plan.members:,} members"
        if previous is not None:
            going = rank_rows(tables[-1], seeds).trials[: rung.trials]
            batches = make_batches(plan.grouping, sorted(going.tolist()), plan.values, seeds, number)
            say(f"rung {number + 1}: {len(going):,} of {plan.rungs[number - 1].trials:,} trials go on")
            title = f"{type(plan.settings.agent).__name__}, {len(going) * len(seeds):,} members"
        found = runner.stage(batches, rung, title, number, previous)
        if found is None:
            return None
        tables.append(found)
        previous = batches
    return tables


def _adapt(plan: SweepPlan, advisor: Advisor, runner: Runner) -> "list[pa.Table] | None":
    """Runs rounds of trials that the advisor asks for: their results, or None where it was interrupted."""
    seeds = plan.settings.seeds
    tables: list[pa.Table] = []

    def train(number: int, values: list[dict[str, Any]]) -> list[float] | None:
        begin = len(plan.values)
        plan.values.extend(values)
        batches = make_batches(plan.grouping, range(begin, len(plan.values)), plan.values, seeds, number)
        title = f"round {number + 1}, {len(plan.values):,} of {plan.trials:,} trials"
        found = runner.stage(batches, plan.rungs[0], title)
        if found is None:
            return None
        tables.append(found)
        ranked = rank_rows(found, seeds)
        scores = dict(zip(ranked.trials.tolist(), ranked.score.tolist(), strict=True))
        return [scores[begin + place] for place in range(len(values))]

    done = adapt(advisor, plan.trials, plan.trials_at_once, train)
    return tables if done else None


def _kept(results: "pa.Table", seeds: np.ndarray, best: int | None) -> set[tuple[int, int]] | None:
    if best is None:
        return None
    trials = rank_rows(results, seeds).trials[:best].tolist()
    return {(trial, seed) for trial in trials for seed in seeds.tolist()}


def last_rows(results: "pa.Table") -> "pa.Table":
    """Of every trial and seed the row of its last rung, with the seconds of all; by trial and seed."""
    import pyarrow as pa

    frame = results.to_pandas().sort_values(["trial", "seed", "rung"])
    seconds = frame.groupby(["trial", "seed"])["seconds"].transform("sum")
    frame = frame.assign(seconds=seconds).drop_duplicates(["trial", "seed"], keep="last")
    return pa.Table.from_pandas(frame, schema=results.schema, preserve_index=False)


def _finished(
    plan: SweepPlan, runner: Runner, tables: "list[pa.Table] | None", keep: str, say: Callable[[str], None]
) -> Sweep:
    folder, held = runner.folder, runner.held
    done = tables
    if done is None:  # Of the stage under way there may be some too.
        done = list(held.results.values()) if folder is None else list(folder.tables("results"))
    if not done:
        raise KeyboardInterrupt("interrupted before the first block was done")
    results = last_rows(joined(done))
    if folder is not None and tables is not None:
        folder.finish(results)
        folder.tidy(_kept(results, plan.settings.seeds, _to_keep(keep)))
        say(f"{folder.path}: results.parquet, curves.parquet")
    return Sweep(
        agent=plan.settings.agent,
        values=plan.values,
        seeds=plan.settings.seeds,
        iterations={group.number: group.plan.iterations for group in plan.grouping.groups},
        log_points=plan.log_points,
        threshold=plan.threshold,
        results=results,
        compile_seconds=runner.compile_seconds,
        complete=tables is not None,
        folder=folder,
        held_curves=None if folder is not None else joined(held.curves),
        held_params=held.params,
    )


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
        raise RunDirectoryError(f"{path} has no finished block yet: run the same sweep again to go on")
    results = last_rows(joined(tables))
    try:
        return Sweep(
            agent=from_config(config["agent"], trusted, Agent),
            values=_values_of(folder, trusted),
            seeds=np.asarray(config["seeds"], np.int64),
            iterations=dict(enumerate(config["iterations"])),
            log_points=config["log_points"],
            threshold=config["threshold"],
            results=results,
            compile_seconds=float("nan"),
            complete=folder.complete,
            folder=folder,
        )
    except RunDirectoryError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RunDirectoryError(f"{folder.path / 'config.json'} can't be used: {error}") from error


def _values_of(folder: SweepFolder, trust: Trust) -> list[dict[str, Any]]:
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
