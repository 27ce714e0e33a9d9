"""Trained blocks of members, and the result that they make together."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import FAULT_METRICS, Mean
from jaxrl.environment import FAULTS
from jaxrl.plan import Plan
from jaxrl.result import Result


@dataclasses.dataclass(frozen=True)
class Block:
    """A block that was trained.

    Attributes:
      index: from 0.
      state: what its members keep, `[members, ...]`, the filling of the last block included.
      log: one `Mean` a metric, f32[members, log_points].
      best_params: of every member's best evaluation, `[members, ...]`; None where they are not kept.
      note: "block", "log_point" (log points done), "seconds", "evaluation_seconds", "compile_seconds".
    """

    index: int
    state: Any
    log: dict[str, Mean]
    best_params: Any
    note: dict[str, Any]


def join(plan: Plan, blocks: list[Block]) -> Result:
    """The result of the blocks that were trained, their filling taken out."""
    if not blocks:
        raise KeyboardInterrupt("interrupted before anything was trained")
    states = [jax.tree.map(lambda x, b=block: x[: plan.real(b.index)], block.state) for block in blocks]
    logs = [jax.tree.map(lambda x, b=block: x[: plan.real(b.index)], block.log) for block in blocks]
    members = np.concatenate([plan.chosen(b.index)[: plan.real(b.index)] for b in blocks])
    params = [jax.tree.map(lambda x, b=block: x[: plan.real(b.index)], block.best_params) for block in blocks]
    complete = len(blocks) == plan.blocks and all(block.note["log_point"] == plan.log_points for block in blocks)
    return Result(
        agent=plan.agent,
        vary={path: values[members] for path, values in plan.vary.items()},
        seeds=plan.seeds[members],
        iterations=plan.iterations,
        log=finished_log(jax.tree.map(lambda *parts: np.concatenate(parts), *logs)),
        state=jax.tree.map(concatenated, *states),
        best_params=jax.tree.map(concatenated, *params),
        seconds=sum(block.note["seconds"] for block in blocks),
        evaluation_seconds=sum(block.note["evaluation_seconds"] for block in blocks),
        compile_seconds=sum(block.note["compile_seconds"] for block in blocks),
        complete=complete,
    )


def finished_log(sums: dict[str, Mean]) -> dict[str, np.ndarray]:
    """Divides the sums of a log by their counts; see `Result.log`.

    A member whose environment committed a fault counts as diverged no more: what it learned from is to blame.
    """
    none = np.zeros_like(sums["steps"].total)
    counts = {name: sums[metric].total if metric in sums else none for name, metric in FAULT_METRICS.items()}
    fault = np.sum([bit * (np.asarray(counts[name]) > 0) for name, bit in FAULTS.items()], axis=0)
    faulty = np.maximum.accumulate(fault > 0, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {name: np.asarray(mean.total / mean.count, np.float32) for name, mean in sums.items()}
    for name in ("steps", *FAULT_METRICS.values()):
        means.pop(name, None)
    steps = np.cumsum(sums["steps"].total, axis=1, dtype=np.float64)
    reached = np.asarray(sums["diverged"].count) > 0
    diverged = np.asarray(sums["diverged"].total) > 0
    if "loss" in means:
        diverged |= _lost(means["loss"], np.asarray(sums["loss"].count) > 0)
    diverged &= ~faulty
    return {"step": np.where(reached, steps, np.nan), **means, "diverged": diverged, "fault": fault.astype(np.uint8)}


def _lost(loss: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Where a member learns from a loss that is finite at no log point: bool[members, log_points].

    Clipped gradients may keep its parameters finite.

    Args:
      loss: f32[members, log_points].
      counted: bool[members, log_points], where there was one.
    """
    finite = (counted & np.isfinite(loss)).any(axis=1)
    return counted & ~finite[:, None]


def host(tree: Any) -> Any:
    """The arrays of a pytree copied to NumPy; random keys stay JAX arrays."""

    def copied(x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return np.array(x)
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return x
        # Not `np.array(x)`, which makes two copies of an array that several CPU devices share.
        whole = np.empty(x.shape, x.dtype)
        for shard in x.addressable_shards:
            whole[shard.index] = shard.data
        return whole

    return jax.tree.map(copied, tree)


def concatenated(*parts: Any) -> Any:
    """Arrays or random keys `[members, ...]`, one after the other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return jax.random.wrap_key_data(jnp.concatenate([jax.random.key_data(part) for part in parts]))
