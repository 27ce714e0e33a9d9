"""A finished sweep as one HTML page, which asks no host for anything: figures by plotly, and the table."""

import dataclasses
from html import escape
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.storage import write_file
from jaxrl.sweeps import drawing, effects, figures
from jaxrl.sweeps.page import Column, Page
from jaxrl.sweeps.scales import Trials, make_trials, plain_values, score_text, value_text

if TYPE_CHECKING:
    import pandas

_BEST, _CURVES, _PAIRS, _MOST_ROWS = 20, 5, 6, 5_000
_PAPER = '<a href="https://arxiv.org/abs/2108.13264">Agarwal et al., 2021</a>'
_MISSING = "No trial has a score: too many of their seeds diverged."


@dataclasses.dataclass(frozen=True)
class Axis:
    """A hyperparameter that a sweep varied.

    Attributes:
      path: the field's dotted path, which names its column.
      log: whether its ratios matter rather than its differences.
      categorical: whether its values are names rather than numbers.
    """

    path: str
    log: bool
    categorical: bool


def write_report(
    path: Path,
    *,
    title: str,
    facts: list[tuple[str, str]],
    results: "pandas.DataFrame",
    curves: "pandas.DataFrame",
    ranking: "pandas.DataFrame",
    axes: list[Axis],
    threshold: float | None,
) -> None:
    """Writes the page, plotly.js in it; `path` never holds half of it.

    Args:
      path: of the file.
      title: of the page.
      facts: (what, value), for its head.
      results: one row a trial and seed: `trial`, `seed`, the swept fields by their paths, `greedy_return` (NaN where
        there is none), `area_under_curve`, `steps_to_threshold` (NaN where it was never reached), `diverged`,
        `steps`, `rung` of successive halving (0 without it), `seconds`.
      curves: one row a trial, seed and log point: `trial`, `seed`, `step`, `episode_return` (NaN where no
        episode ended). Only the rows of the best five trials are read.
      ranking: one row a trial, best first: `trial`, the swept fields, `interquartile_mean` of the greedy return over
        seeds (NaN where there is none), its 95% interval `low` and `high` (NaN with one seed), `probability_best`
        (NaN where it was not computed), `seeds`, `diverged` (how many of them), `steps`.
      axes: the swept fields.
      threshold: a return that counts as solved, or None.
    """
    trials = make_trials(ranking, axes)
    page = Page(title, facts)
    _best(page, trials, threshold)
    _learning(page, trials, curves, threshold)
    shown = effects.drawn(trials)
    colours = effects.colour_range(trials) if len(shown) else (0.0, 1.0)
    _marginal(page, trials, shown)
    if len(axes) > 1:
        _pairs(page, shown, colours)
    _parallel(page, trials, shown, colours)
    _everything(page, trials, ranking, results, axes, threshold)
    write_file(path, page.html().encode())


def _best(page: Page, trials: Trials, threshold: float | None) -> None:
    page.section("best", "Best configurations")
    best = trials.take(np.flatnonzero(np.isfinite(trials.score))[:_BEST])
    if not len(best):
        page.text(_MISSING)
        return
    if np.isfinite(best.low).any():
        bar = "Its bar is the 95% bootstrap interval over seeds."
    elif best.seeds.max() == 1:
        bar = "A trial has one seed, which says nothing about how much seeds differ: there are no intervals."
    else:
        bar = "There are no intervals, for diverged seeds."
    sure = np.isfinite(best.probability).any()
    page.text(_verdict(best))
    page.text(
        f"{_first(len(best), len(trials))} A dot is the interquartile mean (IQM) over seeds of the greedy return: the "
        f"mean of the middle half of the seeds ({_PAPER}). {bar}"
        + (" Point at a dot for the probability that the trial is the best of all." if sure else "")
        + ("" if threshold is None else f" Dashed, where the scores come to it: {threshold:g}, which counts as solved.")
        + _early(best)
    )
    page.figure(figures.interval_figure(best, threshold), 376)
    if len(best) > 1:
        page.text(
            "The seeds that chose the best of many trials also gave it its score, which is therefore a little too "
            "high: train it again on other seeds before relying on it.",
            "note",
        )


def _verdict(best: Trials) -> str:
    """The answer in a sentence."""
    text = (
        f"<strong>Trial {best.number[0]}</strong> ({escape(best.settings(0))}) is the best: {score_text(best.score[0])}"
    )
    if np.isfinite(best.low[0]):
        text += f", 95% interval {score_text(best.low[0])} to {score_text(best.high[0])}"
    text += f", over {_count(best.seeds[0], 'seed')}."
    if np.isfinite(best.probability[0]):
        text += (
            f" In {best.probability[0]:.0%} of the bootstrap's draws of seeds it has the highest score of all: that is "
            "the probability of its being the best."
        )
    return text + _lost(best)


def _lost(best: Trials) -> str:
    """Which of the best trials have seeds that diverged, in a sentence."""
    places = np.flatnonzero(best.diverged)
    if not len(places):
        return ""
    named = [f"{best.diverged[p]} of {_count(best.seeds[p], 'seed')} of trial {best.number[p]}" for p in places]
    return f" <strong>Diverged:</strong> {', '.join(named)}; a seed that diverged counts as less than any score."


def _learning(page: Page, trials: Trials, curves: "pandas.DataFrame", threshold: float | None) -> None:
    page.section("learning", "How the best learn")
    best = trials.take(np.arange(min(_CURVES, len(trials))))
    figure = figures.learning_figure(best, curves, threshold)
    if not figure.data:
        page.text("No episode ended in training, so there are no learning curves.")
        return
    band = (
        "A line is the median over seeds, its band the middle half of the seeds (interquartile)."
        if (best.seeds > 1).any()
        else "A line is the only seed's, so it has no band."
    )
    solved = "" if threshold is None else f" The dashed line is a return of {threshold:g}, which counts as solved."
    page.text(
        f"{_first(len(best), len(trials))} The episode return in training, where the policy still explores. {band} "
        f"A seed keeps its last return where none of its episodes ended.{solved} Click in the legend to hide a line."
    )
    page.figure(figure, 440)


def _marginal(page: Page, trials: Trials, shown: Trials) -> None:
    page.section("hyperparameters", "What each hyperparameter does")
    if not len(shown):
        page.text(_MISSING)
        return
    telling = (
        " The first panel is the hyperparameter that tells most of the score, by the variance of the medians."
        if len(shown.scales) > 1
        else ""
    )
    numbers = any(not scale.categories for scale in shown.scales)
    trend = (
        " The line goes through the medians of trials with like values (the same value, or bins of as many trials)."
        if numbers and len(shown) >= effects.TREND_FROM
        else ""
    )
    boxes = (
        " A box is the middle half of a value's trials, with their median."
        if any(scale.categories for scale in shown.scales)
        else ""
    )
    page.text(
        f"A dot is a trial: its interquartile mean over seeds against its value, whatever its other values are."
        f"{trend}{boxes}{telling}{_early(shown)}{_left_out(trials, shown)}"
    )
    page.figures([effects.marginal_figure(shown, scale) for scale in effects.by_telling(shown)])


def _pairs(page: Page, shown: Trials, colours: tuple[float, float]) -> None:
    page.section("pairs", "Two hyperparameters at a time")
    if not len(shown):
        page.text(_MISSING)
        return
    scales = effects.by_telling(shown)
    # Of the four best, every pair: six.
    pairs = list(combinations(scales[:4], 2))[:_PAIRS]
    kept = " These are the pairs of the four that tell most of the score." if len(scales) > 4 else ""
    page.text(
        "The colour is the interquartile mean over seeds. Where both hyperparameters have few values, a cell is the "
        f"median of its trials; elsewhere a dot is a trial.{kept}{_early(shown)}"
    )
    _scale(page, colours)
    page.figures([effects.pair_figure(shown, first, second, colours) for first, second in pairs])


def _parallel(page: Page, trials: Trials, shown: Trials, colours: tuple[float, float]) -> None:
    page.section("together", "All hyperparameters at once")
    if not len(shown):
        page.text(_MISSING)
        return
    page.text(
        "A line is a trial: through its value of every hyperparameter to its interquartile mean, which is also its "
        "colour. Drag along an axis to keep the lines through a part of it, click the axis to have all again, and drag "
        f"its name to move it.{_left_out(trials, shown)}"
    )
    _scale(page, colours)
    page.figure(effects.parallel_figure(shown, colours), 100 * (len(shown.scales) + 1))


def _everything(
    page: Page,
    trials: Trials,
    ranking: "pandas.DataFrame",
    results: "pandas.DataFrame",
    axes: list[Axis],
    threshold: float | None,
) -> None:
    page.section("trials", "All trials")
    cut = f" These are the best {_MOST_ROWS:,} of {len(trials):,}." if len(trials) > _MOST_ROWS else ""
    reached = "" if threshold is None else f"; steps to a training return of {threshold:g}, their median"
    marked = " Coloured rows: seeds diverged, which count as less than any score." if trials.diverged.any() else ""
    page.text(
        "Best first; click a head to sort by it, and again to turn it round. Score, low and high are the interquartile "
        "mean over seeds of the greedy return, and the ends of its 95% bootstrap interval. The area under the curve, "
        f"which is the mean training return, is the mean over seeds{reached}.{marked}{cut}"
    )
    ranking = ranking.head(_MOST_ROWS)
    trials = trials.take(np.arange(len(ranking)))
    page.table(_columns(trials, ranking, results, axes, threshold), trials.diverged > 0)


def _columns(
    trials: Trials,
    ranking: "pandas.DataFrame",
    results: "pandas.DataFrame",
    axes: list[Axis],
    threshold: float | None,
) -> list[Column]:
    """The table's columns, a row a trial."""
    columns = [_numbers("rank", np.arange(1, len(trials) + 1)), _numbers("trial", trials.number)]
    for axis in axes:
        values = plain_values(ranking[axis.path])
        columns.append(Column(axis.path, [value_text(value) for value in values], _sort_keys(values)))
    for head, numbers in (("score", trials.score), ("low", trials.low), ("high", trials.high)):
        if head == "score" or np.isfinite(numbers).any():
            columns.append(Column(head, [score_text(number) for number in numbers], numbers))
    if np.isfinite(trials.probability).any():
        texts = ["" if np.isnan(share) else f"{share:.1%}" for share in trials.probability]
        columns.append(Column("probability best", texts, trials.probability))
    results = results[results["trial"].isin(trials.number)]
    groups = results.groupby("trial")
    area = groups["area_under_curve"].mean().reindex(trials.number).to_numpy(np.float64)
    columns.append(Column("area under curve", [score_text(number) for number in area], area))
    if threshold is not None:
        reached = results["steps_to_threshold"].fillna(np.inf).groupby(results["trial"]).median()
        steps = reached.reindex(trials.number).to_numpy(np.float64)
        texts = [f"{number:,.0f}" if np.isfinite(number) else "never" for number in steps]
        columns.append(Column(f"steps to {threshold:g}", texts, steps))
    diverged = [f"{bad} of {seeds}" if bad else "0" for bad, seeds in zip(trials.diverged, trials.seeds, strict=True)]
    columns += [_numbers("seeds", trials.seeds), Column("diverged", diverged, trials.diverged)]
    columns.append(_numbers("steps a seed", trials.steps))
    if trials.early.any() or (results["rung"] > 0).any():
        columns.append(_numbers("rung", groups["rung"].max().reindex(trials.number, fill_value=0).to_numpy()))
    seconds = groups["seconds"].sum().reindex(trials.number).to_numpy(np.float64)
    columns.append(Column("seconds", [f"{number:,.1f}" if np.isfinite(number) else "" for number in seconds], seconds))
    return columns


def _numbers(head: str, numbers: np.ndarray) -> Column:
    return Column(head, [f"{number:,}" for number in numbers], numbers)


def _sort_keys(values: list[Any]) -> np.ndarray | None:
    """Numbers where all values are, f64[rows]; None is NaN."""
    if not all(value is None or isinstance(value, int | float | np.number) for value in values):
        return None
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def _first(count: int, trials: int) -> str:
    if count == trials:
        return "The trial." if trials == 1 else f"All {trials:,} trials."
    return f"The best {count} of {trials:,} trials." if count > 1 else f"The best of {trials:,} trials."


def _scale(page: Page, colours: tuple[float, float]) -> None:
    page.colours(drawing.COLOURS, f"score {score_text(colours[0])} or less", score_text(colours[1]))


def _early(trials: Trials) -> str:
    if not trials.early.any():
        return ""
    return " Hollow dots: stopped early by successive halving, with the score of that time."


def _left_out(trials: Trials, shown: Trials) -> str:
    """What a figure of all trials does not show."""
    scored = int(np.isfinite(trials.score).sum())
    text = (
        f" {_count(len(trials) - scored, 'trial')} without a score, for diverged seeds, are not drawn."
        if scored < len(trials)
        else ""
    )
    if len(shown) < scored:
        text += f" Of {scored:,} trials with a score {len(shown):,} are drawn, evenly from the best to the worst."
    return text
