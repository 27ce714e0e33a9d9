"""Batches as tasks of a Ray cluster; Ray is imported here only, and only when called.

A worker gets a batch as plain data and arrays, and sends its tables back; the process that sweeps writes
them. A worker that dies is replaced, and its batch done again: the table is the same.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxrl import checkpoints
from jaxrl.config import from_config, named_modules, to_config
from jaxrl.devices import member_mesh
from jaxrl.plan import Plan
from jaxrl.progress import Bar
from jaxrl.sweeps.executor import Tasks
from jaxrl.sweeps.task import Outcome, Start, Task, train_batch
from jaxrl.trainer import whole_template
from jaxrl.trust import Trust

RETRIES = 10
"""How often a batch is begun again after its worker died."""


@dataclasses.dataclass(frozen=True)
class SerializedTask:
    """A task without devices, classes and random keys, which can't be sent.

    Attributes:
      task: whose plan has neither agent nor mesh.
      agent: as by `to_config`.
      start: whose state is arrays by name, or None.
    """

    task: Task
    agent: Any
    start: Start


class RayExecutor:
    """Every batch a task, with one device of its worker; to the cluster that Ray finds, or a local one."""

    def __init__(self) -> None:
        """Connects.

        Raises:
          ImportError: Ray is not installed.
        """
        try:
            import ray
        except ImportError as error:
            raise ImportError(f"executor='ray' needs Ray ({error}): pip install 'jaxrl[ray]'") from error
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.WARNING)
        self._ray = ray

    def run(self, tasks: Tasks, bar: Bar, interrupted: Callable[[], bool]) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes as they come; no more tasks are under way than two for each CPU of the cluster."""
        ray = self._ray
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_train_batch)
        most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: dict[Any, Task] = {}
        left = iter(tasks)
        while not interrupted():
            while len(waiting) < most and (following := next(left, None)) is not None:
                task, start = following
                waiting[remote.remote(serialized(task, start()))] = task
            if not waiting:
                return
            ready, _ = ray.wait(list(waiting), timeout=1.0)
            for reference in ready:
                task = waiting.pop(reference)
                outcome = _with_keys(task, ray.get(reference))
                _advance(bar, task, outcome)
                yield task, outcome
        for reference in waiting:
            ray.cancel(reference, force=True)


def serialized(task: Task, start: Start) -> SerializedTask:
    """A task as it is sent."""
    plan = task.batch.plan
    bare = dataclasses.replace(plan, agent=None, mesh=None)  # type: ignore[arg-type]
    arrays = None if start.state is None else checkpoints.named_arrays(start.state)
    return SerializedTask(_with_plan(task, bare), to_config(plan.agent), dataclasses.replace(start, state=arrays))


def _with_plan(task: Task, plan: Plan) -> Task:
    return dataclasses.replace(task, batch=dataclasses.replace(task.batch, plan=plan))


def _train_batch(sent: SerializedTask) -> Outcome:
    """Does a task on a worker."""
    # The process that sweeps sent it, and has all its classes itself.
    agent = from_config(sent.agent, Trust(tuple(named_modules(sent.agent))))
    plan = Plan(**{**vars(sent.task.batch.plan), "agent": agent, "mesh": member_mesh(1, 1)})
    start = sent.start
    if start.state is not None:
        start = dataclasses.replace(start, state=checkpoints.from_named(whole_template(plan), start.state))
    outcome = train_batch(_with_plan(sent.task, plan), start, Bar(0, "", False), lambda: False)
    paused = None if outcome.paused is None else checkpoints.named_arrays(outcome.paused)
    return dataclasses.replace(outcome, paused=paused)


def _with_keys(task: Task, outcome: Outcome) -> Outcome:
    """An outcome as it was before it was sent."""
    if outcome.paused is None:
        return outcome
    return dataclasses.replace(outcome, paused=checkpoints.from_named(whole_template(task.batch.plan), outcome.paused))


def _advance(bar: Bar, task: Task, outcome: Outcome) -> None:
    rows = outcome.results
    steps, mean = (np.asarray(rows[name], float) for name in ("steps", "training_return"))
    bar.advance(task.batch.plan.blocks * task.until, float(steps.sum()), outcome.seconds, float(np.nanmean(mean)))
