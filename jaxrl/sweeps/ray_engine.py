"""Batches as tasks of a Ray cluster; Ray is imported here only, and only when called.

A worker gets a batch as plain data and arrays, and sends its tables back; the process that sweeps writes
them. A worker that dies is replaced, and its batch done again: the table does not tell.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from jaxrl import checkpoints
from jaxrl.config import from_config, named_modules, to_config
from jaxrl.devices import member_mesh
from jaxrl.plan import Plan
from jaxrl.progress import Bar
from jaxrl.sweeps.running import Start
from jaxrl.sweeps.work import Outcome, Task, do
from jaxrl.trainer import whole_template
from jaxrl.trust import Trust

RETRIES = 10
"""How often a batch is begun again after its worker died."""


@dataclasses.dataclass(frozen=True)
class Parcel:
    """A task on its way: without devices, classes and random keys, which do not travel.

    Attributes:
      task: whose plan has neither agent nor mesh.
      agent: as by `to_config`.
      start: the parked arrays by name, or None.
      log_point: where they stand.
    """

    task: Task
    agent: Any
    start: dict[str, np.ndarray] | None
    log_point: int


class RayEngine:
    """Every batch a task, with one device of its worker; to the cluster that Ray finds, or a local one."""

    def __init__(self) -> None:
        """Connects.

        Raises:
          ImportError: Ray is not installed.
        """
        try:
            import ray
        except ImportError as error:
            raise ImportError(f"engine='ray' needs Ray ({error}): pip install 'jaxrl[ray]'") from error
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.WARNING)
        self._ray = ray

    def run(
        self, tasks: Iterable[tuple[Task, Callable[[], Start]]], bar: Bar, interrupted: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes as they come; no more tasks are under way than two for each CPU of the cluster."""
        ray = self._ray
        work = ray.remote(num_cpus=1, max_retries=RETRIES)(_work)
        most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: dict[Any, Task] = {}
        left = iter(tasks)
        exhausted = False
        while not interrupted():
            while not exhausted and len(waiting) < most:
                following = next(left, None)
                if following is None:
                    exhausted = True
                    break
                task, begin = following
                waiting[work.remote(packed(task, begin()))] = task
            if not waiting:
                return
            ready, _ = ray.wait(list(waiting), timeout=1.0)
            for reference in ready:
                task = waiting.pop(reference)
                outcome = unpacked(task, ray.get(reference))
                _show(bar, task, outcome)
                yield task, outcome
        for reference in waiting:
            ray.cancel(reference, force=True)


def packed(task: Task, start: Start) -> Parcel:
    """A task as it travels."""
    plan = task.batch.plan
    bare = dataclasses.replace(plan, agent=None, mesh=None)  # type: ignore[arg-type]
    state, log_point = start
    arrays = None if state is None else checkpoints.named_arrays(state)
    sent = dataclasses.replace(task, batch=dataclasses.replace(task.batch, plan=bare))
    return Parcel(sent, to_config(plan.agent), arrays, log_point)


def _work(parcel: Parcel) -> Outcome:
    """Does a task on a worker."""
    bare = parcel.task.batch.plan
    # The process that sweeps sent it, and has all its classes itself.
    agent = from_config(parcel.agent, Trust(tuple(named_modules(parcel.agent))))
    plan = Plan(**{**vars(bare), "agent": agent, "mesh": member_mesh(1, 1)})
    task = dataclasses.replace(parcel.task, batch=dataclasses.replace(parcel.task.batch, plan=plan))
    start = None if parcel.start is None else checkpoints.from_named(whole_template(plan), parcel.start)
    outcome = do(task, start, parcel.log_point, Bar(0, "", False), lambda: False)
    parked = None if outcome.parked is None else checkpoints.named_arrays(outcome.parked)
    return dataclasses.replace(outcome, parked=parked)


def unpacked(task: Task, outcome: Outcome) -> Outcome:
    """An outcome as it came."""
    if outcome.parked is None:
        return outcome
    return dataclasses.replace(outcome, parked=checkpoints.from_named(whole_template(task.batch.plan), outcome.parked))


def _show(bar: Bar, task: Task, outcome: Outcome) -> None:
    rows = outcome.results
    steps, mean = (np.asarray(rows[name], float) for name in ("steps", "training_return"))
    bar.advance(task.batch.plan.blocks * task.until, float(steps.sum()), outcome.seconds, float(np.nanmean(mean)))
