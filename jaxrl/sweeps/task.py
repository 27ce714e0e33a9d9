"""What is done with one batch: trained, played, and turned into rows of tables."""

import contextlib
import dataclasses
import functools
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrl import checkpoints
from jaxrl.blocks import Block, concatenated, host, join
from jaxrl.evaluation import PLAYED_AT_ONCE, evaluate
from jaxrl.plan import Plan
from jaxrl.progress import Bar
from jaxrl.result import Result
from jaxrl.run_directory import request_of
from jaxrl.storage import checksum_of
from jaxrl.sweeps.batches import Batch
from jaxrl.sweeps.tables import curve_rows, result_rows
from jaxrl.trainer import Trainer

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_ERRORS = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "OUT_OF_MEMORY")
"""How XLA says that memory has run out."""
CHECKPOINT_SECONDS = 60.0
"""Least time between two checkpoints of a block under way."""


class InterruptedBatch(Exception):  # noqa: N818
    """A batch was stopped before its end; of it there is at most a checkpoint."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A batch with all that it takes to do it, on this machine or another.

    Attributes:
      batch: the members.
      rung: of successive halving, else 0.
      until: the log point to stop before; where that is not the last, the whole state is kept.
      episodes: greedy ones a member, at the end.
      threshold: the training return whose step is looked for, or None.
      keep: whether to keep the parameters.
    """

    batch: Batch
    rung: int
    until: int
    episodes: int
    threshold: float | None
    keep: bool


@dataclasses.dataclass(frozen=True)
class Start:
    """Where the members of a batch go on from.

    Attributes:
      state: what the rung before left, `[members, ...]`; None for new members.
      log_point: at which it stands.
    """

    state: Any = None
    log_point: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
      results: one row a member.
      curves: one row a member and log point.
      params: NumPy arrays `[members, ...]`, or None.
      paused: the whole state and the log `[members, ...]` to go on from, NumPy arrays and random keys, or None.
      seconds: of training and playing.
      compile_seconds: of compiling.
      block_size: members that were trained at once: less than the plan's where memory ran out.
    """

    results: "pa.Table"
    curves: "pa.Table"
    params: Any
    paused: Any
    seconds: float
    compile_seconds: float
    block_size: int


class BatchStore:
    """A store for `Trainer`: blocks begin where the rung before paused, and pause again, with checkpoints between."""

    def __init__(self, task: Task, plan: Plan, start: Start, checkpoint: Path | None) -> None:
        """Keeps the block under way in a file, or nowhere; `plan` has the block size that is trained at once."""
        self._task = task
        self._plan = plan
        self._start = start
        self._checkpoint = checkpoint
        self._paused: list[Any] = []

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        request = checksum_of(request_of(self._plan))
        return {"batch": self._task.batch.name, "size": self._plan.block_size, "request": request}

    def load_checkpoint(self, block: int, template: Any) -> tuple[Any, dict[str, Any]] | None:
        """The block under way, if it is this one; else its share of the paused members."""
        file = self._checkpoint
        if file is not None and file.exists():
            # A damaged one costs no more than the block's beginning, as does one of another block.
            with contextlib.suppress(checkpoints.DamagedCheckpointError):
                if checkpoints.read_note(file).items() >= {**self._identity, "block": block}.items():
                    return checkpoints.restore(file, template)
        if self._start.state is None:
            return None
        chosen = self._plan.chosen(block)
        note = {"block": block, "log_point": self._start.log_point, "seconds": 0.0, "compile_seconds": 0.0}
        return jax.tree.map(lambda x: x[chosen], self._start.state), note

    def save_checkpoint(self, tree: Any, note: dict[str, Any]) -> None:
        """Takes a block that pauses at the end of its rung, or one under way."""
        if note["log_point"] == self._task.until:
            real = self._plan.real(note["block"])
            self._paused.append(jax.tree.map(lambda x: x[:real], host(tree)))
        elif self._checkpoint is not None:
            checkpoints.save(self._checkpoint, tree, note | self._identity)

    def save_block(self, block: int, tree: Any, note: dict[str, Any]) -> None:
        """A finished block is handed on by the trainer itself."""

    def paused(self) -> Any:
        """All members' states and logs `[members, ...]`."""
        return jax.tree.map(concatenated, *self._paused)


def train_batch(
    task: Task, start: Start, bar: Bar, interrupted: Callable[[], bool], checkpoint: Path | None = None
) -> Outcome:
    """Trains a batch and plays it; in smaller blocks where memory runs out.

    Args:
      task: what to do.
      start: where to go on from.
      bar: to move on.
      interrupted: whether to stop.
      checkpoint: where a block that takes long is kept meanwhile, or None for nowhere.

    Raises:
      InterruptedBatch: `interrupted` said so.
    """
    plan = task.batch.plan
    while True:
        try:
            return _train_batch(task, plan, start, bar, interrupted, checkpoint)
        except Exception as error:
            least = plan.mesh.size
            if plan.block_size <= least or not _is_lack_of_memory(error):
                raise
            half = -(-plan.block_size // (2 * least)) * least
            print(
                f"jaxrl: a block of {plan.block_size} members runs out of memory: trying blocks of {half}", flush=True
            )
            plan = dataclasses.replace(plan, block_size=half)
        gc.collect()  # The arrays of a block that failed may hang in cycles of its frames.


def _train_batch(
    task: Task, plan: Plan, start: Start, bar: Bar, interrupted: Callable[[], bool], checkpoint: Path | None
) -> Outcome:
    until = task.until
    store = BatchStore(task, plan, start, checkpoint)
    trainer = Trainer(plan, store, CHECKPOINT_SECONDS, bar, interrupted, until)
    blocks: list[Block] = []
    for index in range(plan.blocks):
        blocks.append(trainer.train_block(index))
        if blocks[-1].note["log_point"] < until:
            raise InterruptedBatch
    result = join(plan, blocks)
    begin = time.monotonic()
    returns = _greedy_returns(result, task.episodes)
    # Those of a batch that was interrupted count from its first beginning on.
    seconds = result.seconds + result.evaluation_seconds + time.monotonic() - begin
    columns = {"trial": task.batch.trials.astype(np.int32)}
    columns |= {
        name: np.full(result.members, of, np.int32) for name, of in (("rung", task.rung), ("group", task.batch.group))
    }
    columns["seconds"] = np.full(result.members, seconds / result.members)
    return Outcome(
        results=result_rows(result, returns, until, task.threshold, **columns),
        curves=curve_rows(result, task.batch.trials, start.log_point, until),
        params=result.params if task.keep else None,
        paused=store.paused() if until < plan.log_points else None,
        seconds=seconds,
        compile_seconds=result.compile_seconds,
        block_size=plan.block_size,
    )


def _greedy_returns(result: Result, episodes: int) -> np.ndarray:
    """f32[members, episodes], played by fewer members at once where memory runs out."""
    size = min(PLAYED_AT_ONCE, result.members)
    while True:
        try:
            return evaluate(result, episodes, block_size=size)
        except Exception as error:
            if size == 1 or not _is_lack_of_memory(error):
                raise
            size = -(-size // 2)
            print(f"jaxrl: playing runs out of memory: trying {size} members at once", flush=True)


def _is_lack_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(text in str(error) for text in MEMORY_ERRORS)
