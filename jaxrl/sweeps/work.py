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
from jaxrl.periodic_evaluation import COLUMN
from jaxrl.plan import Plan
from jaxrl.progress import Bar
from jaxrl.result import Result
from jaxrl.run_directory import request_of
from jaxrl.statistics import forward_fill
from jaxrl.storage import checksum_of
from jaxrl.sweeps.plan import Batch
from jaxrl.trainer import Trainer

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "OUT_OF_MEMORY")
"""How XLA says that memory has run out."""
CHECKPOINT_SECONDS = 60.0
"""Least time between two checkpoints of a block under way."""


class InterruptedBatch(Exception):  # noqa: N818
    """A batch was stopped before its end; nothing of it is kept."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A batch with all that it takes to do it, on this machine or another.

    Attributes:
      batch: the members.
      rung: of successive halving, else 0.
      until: the log point to stop before; where that is not the last, the whole state is parked.
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
class Outcome:
    """What came of a task.

    Attributes:
      results: one row a member; see `result_rows`.
      curves: one row a member and log point.
      params: NumPy arrays `[members, ...]`, or None.
      parked: the state `[members, ...]` and the log, NumPy arrays and random keys, or None.
      seconds: of training and playing.
      compile_seconds: of compiling.
      block: members that were trained at once: less than the plan's where memory ran out.
    """

    results: "pa.Table"
    curves: "pa.Table"
    params: Any
    parked: Any
    seconds: float
    compile_seconds: float
    block: int


class Parking:
    """A store for `Trainer` that begins blocks from parked members and parks them again, with checkpoints between."""

    def __init__(self, task: Task, plan: Plan, start: Any, log_point: int, checkpoint: Path | None) -> None:
        """Takes the members' states and logs `[members, ...]` at a log point; None begins anew.

        Args:
          task: what is done.
          plan: with the block that is trained at once.
          start: states and logs, or None.
          log_point: where they stand.
          checkpoint: where a block under way is kept, or None for nowhere.
        """
        self._task = task
        self._plan = plan
        self._start = start
        self._log_point = log_point
        self._checkpoint = checkpoint
        self._parked: list[Any] = []

    def load_checkpoint(self, block: int, template: Any) -> tuple[Any, dict[str, Any]] | None:
        """The block under way, if it is this one; else its share of the parked members."""
        found = self._under_way(block, template)
        if found is not None or self._start is None:
            return found
        chosen = self._plan.chosen(block)
        note = {"block": block, "log_point": self._log_point, "seconds": 0.0, "compile_seconds": 0.0}
        return jax.tree.map(lambda x: x[chosen], self._start), note

    def _under_way(self, block: int, template: Any) -> tuple[Any, dict[str, Any]] | None:
        file = self._checkpoint
        if file is None or not file.exists():
            return None
        # A damaged one costs no more than the block's beginning, as does one of another block.
        with contextlib.suppress(checkpoints.DamagedCheckpointError):
            if checkpoints.read_note(file).items() >= {**self._mark, "block": block}.items():
                return checkpoints.restore(file, template)
        return None

    @functools.cached_property
    def _mark(self) -> dict[str, Any]:
        asked = checksum_of(request_of(self._plan))
        return {"batch": self._task.batch.name, "size": self._plan.block_size, "asked": asked}

    def save_checkpoint(self, tree: Any, note: dict[str, Any]) -> None:
        """Takes a block that stops where it should, or one under way."""
        if note["log_point"] == self._task.until:
            real = self._plan.real(note["block"])
            self._parked.append(jax.tree.map(lambda x: x[:real], host(tree)))
        elif self._checkpoint is not None:
            checkpoints.save(self._checkpoint, tree, note | self._mark)

    def save_block(self, block: int, tree: Any, note: dict[str, Any]) -> None:
        """A finished block is handed on by the trainer itself."""

    def parked(self) -> Any:
        """All members' states and logs `[members, ...]`."""
        return jax.tree.map(concatenated, *self._parked)


def do(
    task: Task, start: Any, log_point: int, bar: Bar, interrupted: Callable[[], bool], checkpoint: Path | None = None
) -> Outcome:
    """Trains a batch, from parked members or anew, and plays it; in smaller blocks where memory runs out.

    Args:
      task: what to do.
      start: states and logs `[members, ...]` to go on from, or None.
      log_point: of the log, where `start` stands.
      bar: to move on.
      interrupted: tells whether to stop.
      checkpoint: where a block that takes long is kept meanwhile, or None for nowhere.

    Raises:
      InterruptedBatch: `interrupted` told so.
    """
    plan = task.batch.plan
    while True:
        try:
            return _do(task, plan, Parking(task, plan, start, log_point, checkpoint), log_point, bar, interrupted)
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


def _do(task: Task, plan: Plan, store: Parking, log_point: int, bar: Bar, interrupted: Callable[[], bool]) -> Outcome:
    begin = time.monotonic()
    trainer = Trainer(plan, store, CHECKPOINT_SECONDS, bar, interrupted, task.until)
    blocks: list[Block] = []
    for number in range(plan.blocks):
        blocks.append(trainer.train_block(number))
        if blocks[-1].note["log_point"] < task.until:
            raise InterruptedBatch
    result = join(plan, blocks)
    returns = _played(result, task.episodes)
    seconds = time.monotonic() - begin - result.compile_seconds
    results = result_rows(task, result, returns, seconds)
    parked = store.parked() if task.until < plan.log_points else None
    params = result.params if task.keep else None
    curves = curve_rows(task, result, log_point)
    return Outcome(results, curves, params, parked, seconds, result.compile_seconds, plan.block_size)


def _played(result: Result, episodes: int) -> np.ndarray:
    """Greedy returns f32[members, episodes], played by fewer members at once where memory runs out."""
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
    return isinstance(error, MemoryError) or any(word in str(error) for word in MEMORY_WORDS)


def result_rows(task: Task, result: Result, returns: np.ndarray, seconds: float) -> "pa.Table":
    """One row a member: trial, seed, returns, area under the curve, steps, divergence, faults, seconds, rung.

    The area under the curve is the mean training return over environment steps, each log point standing for its
    own. The steps to a threshold are those at the end of the first log point that reaches it. A member that diverged
    keeps the returns that it reached here; the ranking counts it as less than any. Where members are evaluated in
    training, their last evaluation has a column too.
    """
    import pyarrow as pa

    members, log_points = result.members, slice(0, task.until)
    step = result.log["step"][:, log_points]
    curve = forward_fill(result.log["episode_return"][:, log_points])
    widths = np.diff(step, axis=1, prepend=0.0)
    counted = np.isfinite(curve)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.sum(np.where(counted, curve * widths, 0), axis=1) / np.sum(np.where(counted, widths, 0), axis=1)
    fault = np.bitwise_or.reduce(result.log["fault"][:, log_points], axis=1)
    diverged = result.log["diverged"][:, log_points].any(axis=1)
    columns = {
        "trial": pa.array(task.batch.trials.astype(np.int32)),
        "seed": pa.array(result.seeds),
        "greedy_return": pa.array(returns.mean(axis=1).astype(np.float32)),
        "training_return": pa.array(curve[:, -1].astype(np.float32)),
        "area_under_curve": pa.array(area),
        "steps_to_threshold": pa.array(_steps_to(task.threshold, curve, step)),
        "diverged": pa.array(diverged),
        "fault": pa.array(fault),
        "steps": pa.array(step[:, -1].astype(np.int64)),
        "rung": pa.array(np.full(members, task.rung, np.int32)),
        "group": pa.array(np.full(members, task.batch.group, np.int32)),
        "seconds": pa.array(np.full(members, seconds / members)),
    }
    if COLUMN in result.log:
        columns[COLUMN] = pa.array(forward_fill(result.log[COLUMN][:, log_points])[:, -1].astype(np.float32))
    return pa.table(columns)


def _steps_to(threshold: float | None, curve: np.ndarray, step: np.ndarray) -> np.ndarray:
    """f64[members], NaN where the training return never came to it."""
    if threshold is None:
        return np.full(len(curve), np.nan)
    with np.errstate(invalid="ignore"):
        reached = curve >= threshold
    first = np.argmax(reached, axis=1)
    return np.where(reached.any(axis=1), np.take_along_axis(step, first[:, None], axis=1)[:, 0], np.nan)


def curve_rows(task: Task, result: Result, log_point: int) -> "pa.Table":
    """One row a member and log point since `log_point`: trial, seed, step, diverged, fault, every metric of the log."""
    import pyarrow as pa

    log_points = slice(log_point, task.until)
    rows = task.until - log_point
    metrics = {
        name: pa.array(values[:, log_points].reshape(-1))
        for name, values in result.log.items()
        if name not in ("step", "diverged", "fault")
    }
    return pa.table(
        {
            "trial": pa.array(np.repeat(task.batch.trials.astype(np.int32), rows)),
            "seed": pa.array(np.repeat(result.seeds, rows)),
            "step": pa.array(result.log["step"][:, log_points].reshape(-1).astype(np.int64)),
            **metrics,
            "diverged": pa.array(result.log["diverged"][:, log_points].reshape(-1)),
            "fault": pa.array(result.log["fault"][:, log_points].reshape(-1)),
        }
    )
