"""train() and load(): what a user calls."""

import dataclasses
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from jaxrl import arguments, charts, run_report
from jaxrl.agents.base import Agent
from jaxrl.blocks import Block, join
from jaxrl.devices import member_mesh
from jaxrl.periodic_evaluation import DEFAULT_EPISODES, checked_evaluation
from jaxrl.plan import Plan, make_plan
from jaxrl.progress import Bar
from jaxrl.result import Result
from jaxrl.run_directory import RunDirectory
from jaxrl.storage import RunDirectoryError, exclusive
from jaxrl.train_config import TrainConfig
from jaxrl.trainer import Trainer, final_template
from jaxrl.trust import checked_trust


def train(
    agent: Agent,
    steps: int | None = None,
    *,
    iterations: int | None = None,
    seeds: Any = 1,
    vary: dict[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    log_points: int = 100,
    evaluate_every: int | None = None,
    evaluation_episodes: int = DEFAULT_EPISODES,
    keep_best: bool = False,
    block_size: int | None = None,
    devices: int | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = True,
    memory_limit: int | None = None,
) -> Result:
    """Trains many members of one agent at once.

    Ctrl-C ends the run at the next log point and gives back what is done; a second one stops
    at once. With `out`, a run that was stopped or killed goes on with `resume=True`, to bit for bit the
    numbers that it would have had.

    Args:
      agent: the agent with its environment, such as `jaxrl.DQN(jaxrl.make("CartPole-v1"))`.
      steps: environment steps of every member (give this or `iterations`); rounded down to whole
        iterations. Where an iteration's steps vary, no more than this many are taken.
      iterations: iterations of every member.
      seeds: the number of members, or a list of distinct seeds between 0 and 2^32 - 2. A seed gives the
        same numbers alone as among a thousand.
      vary: values [members, ...] for leaves in which members differ, by dotted path
        ("learning_rate", "env.length"). Seeds may then repeat.
      out: folder of the run; new or empty.
      resume: go on with the run in `out`, or start it if it is not there yet.
      log_points: rows of the log, at least one for every 2^24 steps.
      evaluate_every: environment steps of a member after which greedy episodes are played on the device, at the end
        of the log's row in which a multiple of it is reached, and at the end of the run. Their mean return is the
        log's "evaluation_return". All members begin them with the same keys every time. It changes no number of
        the training. None never evaluates.
      evaluation_episodes: greedy episodes of a member each time.
      keep_best: act with the parameters of every member's best evaluation (of equal ones the earlier; one of
        parameters or returns that are not finite never counts) in place of the last ones: `Result.params`.
      block_size: members trained at once; by default what suits the devices. A run that goes on keeps its own.
      devices: how many devices to use; by default all that JAX sees here.
      checkpoint_seconds: least time between two checkpoints of a run with `out`.
      progress: whether to draw a progress bar.
      memory_limit: bytes that may be used; by default what is free.

    Returns:
      The trained members, in the host's memory. Where the environment gave rewards or observations that are not
      finite, or masks that allow no action, a warning says so, and the log's "fault" in which row.

    Raises:
      TypeError: an argument or a field is of the wrong kind, or the agent does not fit the
        environment's spaces.
      ValueError: a field or an argument is out of range, the environment fails its contract, the run
        needs more memory than there is, or `out` can't be used. All this comes before compiling.
    """
    out = None if out is None else arguments.path("out", out)
    if arguments.flag("resume", resume) and out is None:
        raise ValueError("resume=True (--resume) needs out, the folder of the run to go on with")
    arguments.flag("progress", progress)
    checkpoint_seconds = arguments.number("checkpoint_seconds", checkpoint_seconds, least=0)
    stored = RunDirectory.stored_block_size(out) if resume and out is not None else None
    config = TrainConfig(
        steps=steps,
        iterations=iterations,
        seeds=seeds,
        vary=vary,
        log_points=log_points,
        evaluation=checked_evaluation(evaluate_every, evaluation_episodes, keep_best),
        block_size=stored or block_size,
        devices=devices,
        memory_limit=memory_limit,
        stored=out is not None,
    )
    plan = make_plan(agent, config)
    if stored is not None:
        plan = _as_begun(plan, stored)
    with exclusive(out) if out is not None else nullcontext():
        run = None
        if out is not None:
            run = RunDirectory.resume(out, plan) if resume else RunDirectory.create(out, plan)
        bar = Bar(plan.blocks * plan.log_points, f"{type(agent).__name__}, {plan.members} members", progress)
        with interrupts() as interrupted:
            trainer = Trainer(plan, run, checkpoint_seconds, bar, interrupted)
            result = _run_blocks(plan, run, trainer, bar, interrupted)
        if run is not None and result.complete:
            result = _report(run, result)
    for text in run_report.fault_texts(result):
        warnings.warn(text, stacklevel=2)
    return result


def _as_begun(plan: Plan, block_size: int) -> Plan:
    """The plan with the block size of the run on disk, which also fits where members do not fill whole blocks."""
    if block_size % plan.mesh.size:
        fitting = max(count for count in range(1, plan.mesh.size) if block_size % count == 0)
        raise RunDirectoryError(
            f"the run was begun with blocks of {block_size} members, which {plan.mesh.size} devices can't share "
            f"evenly: pass devices={fitting}"
        )
    return dataclasses.replace(plan, block_size=block_size)


def _run_blocks(
    plan: Plan, run: RunDirectory | None, trainer: Trainer, bar: Bar, interrupted: Callable[[], bool]
) -> Result:
    blocks: list[Block] = []
    template: Any = None
    for index in range(plan.blocks):
        if run is not None and run.has_block(index):
            # Made once, because tracing the agent for every block would take longer than reading them.
            template = template or final_template(plan)
            blocks.append(_read_block(run, template, index))
            bar.skip(plan.log_points)
        elif not interrupted():
            blocks.append(trainer.train_block(index))
    return join(plan, blocks)


def _read_block(run: RunDirectory, template: Any, index: int) -> Block:
    (state, log, params), note = run.load_block(index, template)
    return Block(index, state, log, params, {"evaluation_seconds": 0.0, **note})


def load(path: str | os.PathLike[str], trust: Sequence[str] = ()) -> Result:
    """The result of a run on disk; of an unfinished one, its finished blocks.

    Args:
      path: of its folder.
      trust: modules that may be imported for the run's classes; see `jaxrl.load`.

    Raises:
      RunDirectoryError: there is no run, nothing of it is finished, it is damaged, or names a class of a module that
        is not trusted.
      TypeError: `trust` is no list of names.
    """
    place = arguments.path("path", path)
    trusted = checked_trust(trust, place)
    run = RunDirectory.open(place)
    plan = Plan(**run.request(trusted), block_size=run.block_size(), mesh=member_mesh(1))
    finished = [index for index in range(plan.blocks) if run.has_block(index)]
    if not finished:
        raise RunDirectoryError(f"{path} has no finished block yet: train with resume=True (--resume) to go on")
    template = final_template(plan)
    result = join(plan, [_read_block(run, template, index) for index in finished])
    if result.complete and run.has_reports() and (damaged := run.damaged_reports()):
        warnings.warn(f"{path}: {_names(damaged)}: train with resume=True (--resume) to write it again", stacklevel=3)
    returns = run.load_returns(result.members) if result.complete else None
    return dataclasses.replace(result, greedy_returns=returns)


def _report(run: RunDirectory, result: Result) -> Result:
    """Writes the report files of a run; everything that they are made from is on disk already."""
    stored = run.load_returns(result.members)
    if stored is None:
        run.save_returns(result.returns)
    result = dataclasses.replace(result, greedy_returns=result.returns if stored is None else stored)
    damaged = run.damaged_reports()
    if damaged and run.has_reports():
        warnings.warn(f"{run.path}: {_names(damaged)}, and is written again", stacklevel=3)
    if damaged:
        run_report.write_metrics(result, run.path / "metrics.parquet")
        run_report.write_tensorboard(result, run.path / "tensorboard")
        charts.write_curves(result, run.path / "curves.png", result.returns)
        run.note_reports()
    run.tidy()
    return result


def _names(damaged: list[str]) -> str:
    more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    return f"{damaged[0]}{more} is not as it was written"


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into a flag, so that nothing half done is lost; the second one is as ever."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return
    previous = signal.getsignal(signal.SIGINT)

    def interrupt(signal_number: int, frame: Any) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield flag.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
