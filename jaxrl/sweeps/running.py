"""The stages of a sweep: batches that are done, kept, and gone on from."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import jax
import numpy as np

from jaxrl.blocks import concatenated
from jaxrl.progress import Bar
from jaxrl.sweeps.folder import SweepFolder, joined
from jaxrl.sweeps.plan import Batch, Rung
from jaxrl.sweeps.work import InterruptedBatch, Outcome, Task, do
from jaxrl.trainer import whole_template

if TYPE_CHECKING:
    import pyarrow as pa

Start = tuple[Any, int]
"""Parked states and logs `[members, ...]`, or None for new members; and the log point at which they stand."""


class Engine(Protocol):
    """Does tasks, here or elsewhere, and gives their outcomes in any order."""

    def run(
        self, tasks: Iterable[tuple[Task, Callable[[], Start]]], bar: Bar, interrupted: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes as they come; ends early where `interrupted` tells so."""


class LocalEngine:
    """One batch after the other, in this process."""

    def __init__(self, checkpoint: Path | None = None) -> None:
        """Begins without knowing of any lack of memory."""
        self._checkpoint = checkpoint
        self._block: dict[int, int] = {}

    def run(
        self, tasks: Iterable[tuple[Task, Callable[[], Start]]], bar: Bar, interrupted: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes in the order of the tasks."""
        for task, begin in tasks:
            if interrupted():
                return
            group, plan = task.batch.group, task.batch.plan
            # Where memory ran out once, it would do so again.
            plan = dataclasses.replace(plan, block_size=min(plan.block_size, self._block.get(group, plan.block_size)))
            start, log_point = begin()
            try:
                task = dataclasses.replace(task, batch=dataclasses.replace(task.batch, plan=plan))
                outcome = do(task, start, log_point, bar, interrupted, self._checkpoint)
            except InterruptedBatch:
                return
            self._block[group] = min(outcome.block, self._block.get(group, outcome.block))
            yield task, outcome


@dataclasses.dataclass
class Held:
    """What a sweep without a folder keeps in memory."""

    results: dict[str, "pa.Table"] = dataclasses.field(default_factory=dict)
    curves: list["pa.Table"] = dataclasses.field(default_factory=list)
    params: dict[tuple[int, int], Any] = dataclasses.field(default_factory=dict)
    parked: dict[str, Any] = dataclasses.field(default_factory=dict)


class Runner:
    """Runs stages, one after the other, and remembers what they left."""

    def __init__(
        self,
        folder: SweepFolder | None,
        engine: Engine,
        episodes: int,
        threshold: float | None,
        keep: bool,
        say: Callable[[str], None],
        progress: bool,
        interrupted: Callable[[], bool],
    ) -> None:
        self.folder = folder
        self.held = Held()
        self.compile_seconds = 0.0
        self._engine = engine
        self._episodes = episodes
        self._threshold = threshold
        self._keep = keep
        self._say = say
        self._progress = progress
        self._interrupted = interrupted

    def stage(
        self, batches: list[Batch], rung: Rung, title: str, number: int = 0, previous: list[Batch] | None = None
    ) -> "pa.Table | None":
        """Does the batches of a stage that are not done yet.

        Args:
          batches: all of the stage.
          rung: the log points to begin with and to stop before.
          title: of the progress bar.
          number: of the rung.
          previous: the batches of the rung before, whose members go on; None begins anew.

        Returns:
          The results of the stage, or None where it was interrupted.
        """
        missing = [batch for batch in batches if not self._has(batch)]
        if len(missing) < len(batches):
            self._say(f"{len(batches) - len(missing)} of {len(batches)} blocks of {title} are done already")
        bar = Bar(sum(batch.plan.blocks for batch in missing) * rung.until, title, self._progress)
        tasks = [self._task(batch, number, rung, previous) for batch in missing]
        begin, done = time.monotonic(), 0
        for task, outcome in self._engine.run(tasks, bar, self._interrupted):
            self._save(task.batch, outcome)
            self.compile_seconds += outcome.compile_seconds
            done += 1
            if done == 1 and len(missing) > 1:
                self._say(_expectation(outcome, time.monotonic() - begin, missing))
        if done < len(missing):
            return None
        if previous is not None:
            self._drop(previous)
        return joined(self._results(batch) for batch in batches)

    def _task(
        self, batch: Batch, number: int, rung: Rung, previous: list[Batch] | None
    ) -> tuple[Task, Callable[[], Start]]:
        task = Task(batch, number, rung.until, self._episodes, self._threshold, self._keep)
        return task, lambda: (None, 0) if previous is None else (self._gather(batch, previous), rung.log_point)

    def _gather(self, batch: Batch, previous: list[Batch]) -> Any:
        """The parked states of a batch's members, out of the batches of the stage before."""
        wanted = {pair: place for place, pair in enumerate(batch.members)}
        parts, places = [], []
        for older in previous:
            rows = [(row, wanted[pair]) for row, pair in enumerate(older.members) if pair in wanted]
            if rows:
                chosen = np.asarray([row for row, _ in rows])
                parts.append(jax.tree.map(lambda x, chosen=chosen: x[chosen], self._parked(older)))
                places += [place for _, place in rows]
        order = np.argsort(places)
        return jax.tree.map(lambda *leaves: concatenated(*leaves)[order], *parts)

    def _parked(self, batch: Batch) -> Any:
        if self.folder is None:
            return self.held.parked[batch.name]
        return self.folder.members(batch, "parked", whole_template(batch.plan))

    def _has(self, batch: Batch) -> bool:
        return batch.name in self.held.results if self.folder is None else self.folder.has(batch)

    def _results(self, batch: Batch) -> "pa.Table":
        return self.held.results[batch.name] if self.folder is None else self.folder.results(batch)

    def _save(self, batch: Batch, outcome: Outcome) -> None:
        if self.folder is not None:
            self.folder.save(batch, outcome)
            return
        self.held.results[batch.name] = outcome.results
        self.held.curves.append(outcome.curves)
        self.held.parked[batch.name] = outcome.parked
        if outcome.params is not None:
            for place, pair in enumerate(batch.members):
                self.held.params[pair] = jax.tree.map(lambda x, place=place: x[place], outcome.params)

    def _drop(self, batches: list[Batch]) -> None:
        for batch in batches:
            if self.folder is not None:
                self.folder.drop_parked(batch)
            self.held.parked.pop(batch.name, None)


def _expectation(outcome: Outcome, seconds: float, missing: list[Batch]) -> str:
    """How long the rest will take, judged by the first block: compiling again for every other group."""
    groups = len({batch.group for batch in missing}) - 1
    left = (seconds - outcome.compile_seconds) * (len(missing) - 1) + outcome.compile_seconds * groups
    return (
        f"the first block took {seconds:.1f} s, of which {outcome.compile_seconds:.1f} s compiling: about "
        f"{duration(left)} for the other {len(missing) - 1}"
    )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
