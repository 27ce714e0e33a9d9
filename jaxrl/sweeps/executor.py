"""Who trains the batches of a sweep."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from jaxrl.progress import Bar
from jaxrl.sweeps.task import InterruptedBatch, Outcome, Start, Task, train_batch

Tasks = Iterable[tuple[Task, Callable[[], Start]]]
"""Tasks, each with what gives its start when its turn has come."""


class Executor(Protocol):
    """Does tasks, here or elsewhere, and gives their outcomes in any order."""

    def run(self, tasks: Tasks, bar: Bar, interrupted: Callable[[], bool]) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes as they come; ends early where `interrupted` says so."""


class LocalExecutor:
    """One batch after the other, in this process."""

    def __init__(self, checkpoint: Path | None = None) -> None:
        """Begins without knowing of any lack of memory; `checkpoint` is where a block under way may be kept."""
        self._checkpoint = checkpoint
        self._block_sizes: dict[int, int] = {}

    def run(self, tasks: Tasks, bar: Bar, interrupted: Callable[[], bool]) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes in the order of the tasks."""
        for task, start in tasks:
            if interrupted():
                return
            # Where memory ran out once, it would do so again.
            group, plan = task.batch.group, task.batch.plan
            plan = dataclasses.replace(
                plan, block_size=min(plan.block_size, self._block_sizes.get(group, plan.block_size))
            )
            task = dataclasses.replace(task, batch=dataclasses.replace(task.batch, plan=plan))
            try:
                outcome = train_batch(task, start(), bar, interrupted, self._checkpoint)
            except InterruptedBatch:
                return
            self._block_sizes[group] = outcome.block_size
            yield task, outcome
