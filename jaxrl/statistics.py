"""Statistics over seeds that few runs and outliers do not fool.

Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", 2021.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

RESAMPLES = 9_999
"""Draws of the members, with replacement, behind an interval."""
_NUMBERS_AT_ONCE = 2_000_000


def interquartile_mean(values: Any, axis: int = -1) -> np.ndarray:
    """The mean of the middle half: a quarter of the values, rounded down, is cut off at each end.

    A member that diverged is not left out: it counts with the return that it reached. NaN is no
    return, and gives NaN rather than being cut off as if it were the largest value.

    >>> float(interquartile_mean([0.0, 4.0, 6.0, 1000.0]))
    5.0

    Args:
      values: numbers, one a seed along `axis`; average over a seed's episodes before.
      axis: the axis that goes.

    Returns:
      f64, the shape of `values` without `axis`.

    Raises:
      ValueError: there is no value along `axis`.
    """
    from scipy.stats import trim_mean

    array = np.asarray(values, np.float64)
    if array.ndim == 0 or array.shape[axis] == 0:
        raise ValueError(f"interquartile_mean needs at least one value along axis {axis}, not shape {array.shape}")
    return np.where(np.isnan(array).any(axis), np.nan, trim_mean(array, 0.25, axis))


def bootstrap_interval(
    values: Any,
    statistic: Callable[..., Any] = interquartile_mean,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """The percentile bootstrap interval of a statistic over seeds, as the paper computes it.

    Args:
      values: [seeds], one number a seed.
      statistic: called as `statistic(values, axis=-1)`, such as `numpy.median`.
      confidence: the share of such intervals that should hold the true value, between 0 and 1.
      seed: of the draws with replacement; the same seed gives the same interval.
      resamples: how many draws.

    Returns:
      (low, high). Equal values give an interval of no width. One value says nothing about its
      spread, and neither does NaN: both ends are NaN.

    Raises:
      ValueError: `values` is empty or not one-dimensional, or `confidence` is out of its range.
    """
    from scipy.stats import bootstrap

    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"bootstrap_interval needs one number a seed, [seeds], not shape {array.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence!r} must be > 0 and < 1")
    if array.size == 1 or np.isnan(array).any():
        return np.nan, np.nan
    interval = bootstrap(
        (array,),
        statistic,
        n_resamples=resamples,
        batch=max(1, _NUMBERS_AT_ONCE // array.size),
        vectorized=True,
        axis=-1,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def quartiles(values: Any) -> np.ndarray:
    """Lower quartile, median and upper quartile over members.

    Args:
      values: [members, log_points]; what is not finite is left out.

    Returns:
      f64[3, log_points], NaN in log points without a finite value.
    """
    array = _finite(values)
    result = np.full((3, array.shape[1]), np.nan)
    counted = ~np.isnan(array).all(0)
    if counted.any():
        result[:, counted] = np.nanpercentile(array[:, counted], (25, 50, 75), axis=0)
    return result


def forward_fill(values: Any) -> np.ndarray:
    """Fills gaps along log points with the last finite value before them, so that no member leaves a curve.

    Without it, a log point's median is over the members whose episodes happened to end there, which are
    mostly those with short episodes.

    Args:
      values: [members, log_points].

    Returns:
      f64[members, log_points], NaN only before a member's first finite value.
    """
    array = _finite(values)
    last = np.maximum.accumulate(np.where(np.isnan(array), -1, np.arange(array.shape[1])), axis=1)
    return np.where(last >= 0, np.take_along_axis(array, np.maximum(last, 0), axis=1), np.nan)


def _finite(values: Any) -> np.ndarray:
    array = np.asarray(values, np.float64)
    return np.where(np.isfinite(array), array, np.nan)
