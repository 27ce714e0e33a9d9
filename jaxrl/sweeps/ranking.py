"""Which trials are best, and how sure that is."""

from typing import TYPE_CHECKING

import numpy as np

from jaxrl.statistics import interquartile_mean

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

RESAMPLES = 2_000
"""Draws of seeds with replacement, the same for all trials: seeds are what trials have in common."""
_NUMBERS_AT_ONCE = 4_000_000


def rank(
    trials: np.ndarray, returns: np.ndarray, rungs: np.ndarray | None = None, diverged: np.ndarray | None = None
) -> "pd.DataFrame":
    """Ranks trials by the interquartile mean of their greedy returns; of equals by how few seeds diverged.

    Args:
      trials: i64[trials].
      returns: [trials, seeds]; NaN, which is no return, counts as less than any.
      rungs: i64[trials], how far successive halving let each come: those that came further rank before the
        others, and only the furthest can be the best. None where all came as far.
      diverged: bool[trials, seeds], which count as less than any return too. None where none did.

    Returns:
      One row a trial, best first: trial; score, the interquartile mean over seeds; low and high, its 95% percentile
      bootstrap interval over seeds; probability_best, the share of those resamples in which the trial has the best
      score (where no trial has any, none is the best); diverged, how many seeds did. All but the first and the last are
      NaN where they are not defined: the interval and the probability with one seed.
    """
    import pandas as pd

    rungs = np.zeros(len(trials), int) if rungs is None else rungs
    diverged = np.zeros(returns.shape, bool) if diverged is None else diverged
    values = np.where(np.isfinite(returns) & ~diverged, returns, -np.inf)
    lost = diverged.sum(axis=1)
    score, low, high, best = np.full((4, len(trials)), np.nan)
    if len(trials):
        score = _score(values)
        low, high, best = _resampled(values, rungs == rungs.max(), lost)
    order = np.lexsort((trials, lost, -score, -rungs))
    score = np.where(np.isneginf(score), np.nan, score)
    columns = {"trial": trials, "score": score, "low": low, "high": high, "probability_best": best, "diverged": lost}
    return pd.DataFrame({name: column[order] for name, column in columns.items()})


def rank_results(results: "pa.Table", seeds: np.ndarray) -> "pd.DataFrame":
    """Ranks the trials of a table of results that have a row for every seed, as by `rank`.

    Returns:
      With three columns more: seeds (how many), steps of each, and the rung to which the trial came.
    """
    frame = results.select(["trial", "seed", "greedy_return", "diverged", "rung", "steps"]).to_pandas()
    # Where a sweep was interrupted, a trial is as far as its last seed.
    totals = frame.groupby("trial").agg(seeds=("seed", "count"), steps=("steps", "max"), rung=("rung", "min"))
    totals = totals[totals["seeds"] == len(seeds)]
    frame = frame[frame["trial"].isin(totals.index)]
    returns, diverged = (
        frame.pivot(index="trial", columns="seed", values=name) for name in ("greedy_return", "diverged")
    )
    trials = totals.index.to_numpy()
    ranked = rank(trials, returns.to_numpy(), totals["rung"].to_numpy(), diverged.to_numpy().astype(bool))
    return ranked.join(totals, on="trial")


def _score(values: np.ndarray) -> np.ndarray:
    """interquartile_mean, minus infinity where that is among the middle half."""
    with np.errstate(invalid="ignore"):
        score = interquartile_mean(values)
    return np.where(np.isnan(score), -np.inf, score)


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
    leads = [(part >= leader) & (part > -np.inf) for part in kept]
    counts = [lost[first : first + step, None] for first in range(0, trials, step)]
    fewest = np.full(RESAMPLES, np.inf)
    for count, ahead in zip(counts, leads, strict=True):
        fewest = np.minimum(fewest, np.where(ahead, count, np.inf).min(axis=0))
    leads = [ahead & (count == fewest) for count, ahead in zip(counts, leads, strict=True)]
    equals = np.sum([part.sum(axis=0) for part in leads], axis=0)
    share = np.concatenate([(part / np.maximum(equals, 1)).mean(axis=1) for part in leads])
    if not equals.any():  # No trial has a score in any resample.
        share = np.full(trials, np.nan)
    blank = np.isneginf(low) | np.isneginf(high)
    return np.where(blank, np.nan, low), np.where(blank, np.nan, high), share
