"""The stages of a sweep: batches that are trained, stored, and gone on from."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrl.blocks import concatenated
from jaxrl.progress import Bar
from jaxrl.sweeps.batches import Batch
from jaxrl.sweeps.config import SweepConfig
from jaxrl.sweeps.executor import Executor, LocalExecutor
from jaxrl.sweeps.folder import SweepFolder
from jaxrl.sweeps.memory_store import MemoryStore
from jaxrl.sweeps.plan import Rung
from jaxrl.sweeps.tables import joined
from jaxrl.sweeps.task import Outcome, Start, Task
from jaxrl.trainer import whole_template

if TYPE_CHECKING:
    import pyarrow as pa


def make_executor(config: SweepConfig, checkpoint: Path | None) -> Executor:
    """The executor that a sweep asks for.

    Raises:
      ImportError: it needs something that is not installed.
    """
    if config.executor == "local":
        return LocalExecutor(checkpoint)
    from jaxrl.sweeps.ray_executor import RayExecutor

    return RayExecutor()


class StageRunner:
    """Runs the stages of a sweep, one after the other; a stage is a rung, or a round of an adaptive sampler."""

    def __init__(
        self,
        config: SweepConfig,
        store: SweepFolder | MemoryStore,
        executor: Executor,
        interrupted: Callable[[], bool],
    ) -> None:
        self.store = store
        self.compile_seconds = 0.0
        self._config = config
        self._executor = executor
        self._interrupted = interrupted

    def run(
        self, batches: list[Batch], rung: Rung, title: str, index: int = 0, previous: list[Batch] | None = None
    ) -> "pa.Table | None":
        """Does the batches of a stage that are not stored yet.

        Args:
          batches: all of the stage.
          rung: the log points to begin with and to stop before.
          title: of the progress bar.
          index: of the rung.
          previous: the batches of the rung before, whose members go on; None begins anew.

        Returns:
          The results of the stage, or None where it was interrupted.
        """
        config, log = self._config, self._config.log
        missing = [batch for batch in batches if not self.store.has(batch)]
        if len(missing) < len(batches):
            log(f"{len(batches) - len(missing)} of {len(batches)} batches of {title} are done already")
        bar = Bar(sum(batch.plan.blocks for batch in missing) * rung.until, title, config.progress)
        of_all = (index, rung.until, config.episodes, config.threshold, config.keep != "none")
        tasks = [(Task(batch, *of_all), self._start(batch, rung, previous)) for batch in missing]
        begin, done = time.monotonic(), 0
        for task, outcome in self._executor.run(tasks, bar, self._interrupted):
            self.store.save(task.batch, outcome)
            self.compile_seconds += outcome.compile_seconds
            done += 1
            if done == 1 and len(missing) > 1:
                log(_expectation(outcome, time.monotonic() - begin, missing))
        if done < len(missing):
            return None
        for batch in previous or []:
            self.store.drop_paused(batch)
        return joined(self.store.results(batch) for batch in batches)

    def _start(self, batch: Batch, rung: Rung, previous: list[Batch] | None) -> Callable[[], Start]:
        return lambda: Start() if previous is None else Start(self._gather(batch, previous), rung.first)

    def _gather(self, batch: Batch, previous: list[Batch]) -> Any:
        """The paused states of a batch's members, out of the batches of the stage before."""
        place_of = {member: place for place, member in enumerate(batch.members)}
        parts, places = [], []
        for older in previous:
            rows = [(row, place_of[member]) for row, member in enumerate(older.members) if member in place_of]
            if rows:
                chosen = np.asarray([row for row, _ in rows])
                states = self.store.paused(older, whole_template(older.plan))
                parts.append(jax.tree.map(lambda x, chosen=chosen: x[chosen], states))
                places += [place for _, place in rows]
        order = np.argsort(places)
        return jax.tree.map(lambda *leaves: concatenated(*leaves)[order], *parts)


def _expectation(outcome: Outcome, seconds: float, missing: list[Batch]) -> str:
    """How long the rest will take, judged by the first batch: compiling again for every other group."""
    groups = len({batch.group for batch in missing}) - 1
    left = (seconds - outcome.compile_seconds) * (len(missing) - 1) + outcome.compile_seconds * groups
    text = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min" if left < 7200 else f"{left / 3600:.1f} h"
    return (
        f"the first batch took {seconds:.1f} s, of which {outcome.compile_seconds:.1f} s compiling: about {text} for "
        f"the other {len(missing) - 1}"
    )
