"""What a training learned, in the same statistics for every contender; only NumPy is needed here."""

from typing import Any

import numpy as np


def learned(returns: np.ndarray, steps: int, solved: float | None = None) -> dict[str, Any]:
    """Summarises the returns of members over a training.

    Args:
      returns: f32[members, log_points], the mean return of the episodes that ended in each equal part of the training
        (or of the evaluation at its end); NaN where none did.
      steps: environment steps of one member.
      solved: the return from which on a member counts as having solved the task.

    Returns:
      `curve`, pairs of steps and the mean over members (None where no episode ended); `final_return`, the mean over
      members of each one's mean in the last tenth; `solved`, the share of members whose mean there is at least
      `solved` (a member without any episode there has not solved it).
    """
    log_points = returns.shape[1]
    means = [_mean(column) for column in returns.T]
    last = [_mean(row) for row in returns[:, -max(log_points // 10, 1) :]]
    finals = [final for final in last if final is not None]
    result: dict[str, Any] = {
        "final_return": sum(finals) / len(finals) if finals else None,
        "curve": [[(log_point + 1) * steps / log_points, mean] for log_point, mean in enumerate(means)],
    }
    if solved is not None:
        result["solved"] = sum(final >= solved for final in finals) / len(last)
    return result


def by_log_point(ended: np.ndarray, returns: np.ndarray, log_points: int) -> np.ndarray:
    """The mean return of the episodes that ended in each part of a training.

    Args:
      ended: bool[members, time, ...], where an episode ended.
      returns: f32[members, time, ...], the returns of those that did.
      log_points: equal parts that the time is divided into.

    Returns:
      f64[members, log_points], NaN where no episode ended.
    """
    edges = np.arange(log_points) * ended.shape[1] // log_points
    axes = tuple(range(2, ended.ndim))
    sums = np.add.reduceat(np.where(ended, returns, 0.0).sum(axes, dtype=np.float64), edges, axis=1)
    counts = np.add.reduceat(ended.sum(axes), edges, axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
