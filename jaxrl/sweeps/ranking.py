"""Which trials are best, and how sure that is."""

import dataclasses

import numpy as np

from jaxrl.statistics import interquartile_mean

RESAMPLES = 2_000
"""Draws of seeds with replacement, the same for all trials: seeds are what trials have in common."""
_NUMBERS_AT_ONCE = 4_000_000


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Trials from best to worst, arrays `[trials]`.

    Attributes:
      trials: their numbers.
      score: interquartile mean over seeds of the greedy return.
      low, high: the 95% percentile bootstrap interval of it over seeds; NaN for one seed.
      probability_best: the share of those resamples in which the trial has the best score; NaN for one seed.
      diverged: how many seeds diverged.
    """

    trials: np.ndarray
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    probability_best: np.ndarray
    diverged: np.ndarray


def rank(
    trials: np.ndarray, returns: np.ndarray, rungs: np.ndarray | None = None, diverged: np.ndarray | None = None
) -> Ranking:
    """Ranks trials by the interquartile mean of their greedy returns; of equals by how few seeds diverged.

    Args:
      trials: i64[trials].
      returns: [trials, seeds]; NaN, which is no return, counts as less than any.
      rungs: i64[trials], how far successive halving let each come: those that came further rank before the
        others, and only the furthest can be the best. None where all came as far.
      diverged: bool[trials, seeds], which count as less than any return too. None where none did.
    """
    rungs = np.zeros(len(trials), int) if rungs is None else rungs
    diverged = np.zeros(returns.shape, bool) if diverged is None else diverged
    if not len(trials):
        return Ranking(trials, *(np.zeros(0) for _ in range(5)))
    values = np.where(np.isfinite(returns) & ~diverged, returns, -np.inf)
    score, lost = _score(values), diverged.sum(axis=1)
    order = np.lexsort((trials, lost, -score, -rungs))
    low, high, best = _resampled(values, rungs == rungs.max(), lost)
    score = np.where(np.isneginf(score), np.nan, score)
    return Ranking(trials[order], score[order], low[order], high[order], best[order], lost[order])


def _score(values: np.ndarray) -> np.ndarray:
    """interquartile_mean, minus infinity where that is among the middle half."""
    with np.errstate(invalid="ignore"):
        found = interquartile_mean(values)
    return np.where(np.isnan(found), -np.inf, found)


def _resampled(values: np.ndarray, able: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interval ends and the share of resamples in which each trial is the best: f64[trials] each.

    Args:
      values: [trials, seeds].
      able: bool[trials], which may be the best.
      lost: i64[trials], how many seeds of each diverged: of equals those with the fewest are the best.
    """
    trials, seeds = values.shape
    if seeds < 2:
        return tuple(np.full(trials, np.nan) for _ in range(3))  # type: ignore[return-value]
    draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    low, high = np.empty(trials), np.empty(trials)
    leader = np.full(RESAMPLES, -np.inf)
    kept: list[np.ndarray] = []
    step = max(1, _NUMBERS_AT_ONCE // draws.size)
    for first in range(0, trials, step):
        part = slice(first, first + step)
        scores = _score(values[part][:, draws])
        low[part], high[part] = np.percentile(scores, (2.5, 97.5), axis=1, method="inverted_cdf")
        kept.append(np.where(able[part, None], scores, -np.inf).astype(np.float32))
        leader = np.maximum(leader, kept[-1].max(axis=0))
    # Of equals each has its share of a resample: the greatest return that there is is often reached by many.
    leads = [part >= leader for part in kept]
    counts = [lost[first : first + step, None] for first in range(0, trials, step)]
    fewest = np.full(RESAMPLES, np.inf)
    for count, ahead in zip(counts, leads, strict=True):
        fewest = np.minimum(fewest, np.where(ahead, count, np.inf).min(axis=0))
    leads = [ahead & (count == fewest) for count, ahead in zip(counts, leads, strict=True)]
    equals = sum(part.sum(axis=0) for part in leads)
    share = np.concatenate([(part / equals).mean(axis=1) for part in leads])
    blank = np.isneginf(low) | np.isneginf(high)
    return np.where(blank, np.nan, low), np.where(blank, np.nan, high), share
