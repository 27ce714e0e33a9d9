"""A sweep as one HTML page that opens without a network: its best trials, figures, and a table of all."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.report import Column, render, score_text
from jaxrl.report.palette import SCALE
from jaxrl.storage import write_file
from jaxrl.sweeps import figures
from jaxrl.sweeps.space import Choice, Distribution, Space, Uniform, value_text
from jaxrl.sweeps.tables import column_of

if TYPE_CHECKING:
    import pandas as pd

CURVES = len(figures.CURVE_COLOURS)
"""Trials, the best ones, whose learning curves are drawn."""
_BEST, _MOST_ROWS = 20, 5_000
_MOST_DRAWN = 2_000
"""Trials in a figure: more are slow to draw, and hide each other."""
_IN_PAIRS = 4
"""Hyperparameters, the most explaining ones, of which every pair has a figure."""


def write_report(
    path: Path,
    *,
    title: str,
    summary: list[tuple[str, str]],
    space: Space,
    values: Sequence[dict[str, Any]],
    ranking: "pd.DataFrame",
    results: "pd.DataFrame",
    curves: "pd.DataFrame",
    threshold: float | None,
) -> None:
    """Writes the page, plotly.js in it; `path` never holds half of it.

    Args:
      path: of the file.
      title: of the page.
      summary: (what, value), for its head.
      space: of the sweep.
      values: of every trial, by path.
      ranking: as of `Sweep.ranking`.
      results: one row a trial and seed, as of `Sweep.table`.
      curves: one row a trial, seed and log point, as of `Sweep.curves`; of the best `CURVES` trials at least.
      threshold: a return that counts as solved, or None.
    """
    trials = trials_table(ranking, space, values)
    scored = trials[np.isfinite(trials["score"])]
    drawn = scored
    if len(scored) > _MOST_DRAWN:
        drawn = scored.iloc[np.linspace(0, len(scored) - 1, _MOST_DRAWN).round().astype(int)]
    log = {column_of(field): isinstance(entry, Uniform) and entry.log for field, entry in space.items()}
    limits = colour_limits(drawn)
    charts = {}
    if len(scored):
        charts["intervals"] = figures.interval_figure(scored.head(_BEST), threshold)
    learning = figures.learning_figure(trials.head(CURVES), curves, threshold)
    if learning.data:
        charts["learning"] = learning
    names = by_explained_variance(drawn, list(log))
    marginals = {f"marginal-{name}": figures.marginal_figure(drawn, name, log[name]) for name in names}
    pairs = {
        f"pair-{first}-{second}": figures.pair_figure(drawn, (first, second), (log[first], log[second]), limits)
        for first, second in itertools.combinations(names[:_IN_PAIRS], 2)
    }
    charts |= marginals | pairs
    if len(drawn):
        charts["parallel"] = figures.parallel_figure(drawn, log, limits)
    listed = trials.head(_MOST_ROWS)
    lists = [name for name in names if figures.is_list(drawn[name])]
    page = render(
        Path(__file__).with_name("report.html"),
        title=title,
        summary=summary,
        figures=charts,
        threshold=threshold,
        best=list(scored.head(_BEST).itertuples()),
        total=len(trials),
        scored=len(scored),
        drawn=len(drawn),
        early=bool(trials["early"].any()),
        learning=min(CURVES, len(trials)),
        several_seeds=bool((trials["seeds"].head(CURVES) > 1).any()),
        several=len(space) > 1,
        lists=lists,
        trend=len(lists) < len(names) and len(drawn) >= figures.TREND_FROM,
        marginals=list(marginals),
        pairs=list(pairs),
        scale=SCALE,
        limits=limits,
        columns=table_columns(listed, list(log), results, threshold),
        marked=(listed["diverged"] > 0).to_numpy(),
    )
    write_file(path, page.encode())


def trials_table(ranking: "pd.DataFrame", space: Space, values: Sequence[dict[str, Any]]) -> "pd.DataFrame":
    """The ranking for figures: swept fields as floats where the space has a range, and ordered categories for lists.

    Besides, "early" says whether successive halving stopped a trial before others, and "settings" all values as text.
    """
    import pandas as pd

    trials = ranking.copy()
    chosen = [values[trial] for trial in ranking["trial"]]
    texts = []
    for field, entry in space.items():
        column = [each[field] for each in chosen]
        if isinstance(entry, Distribution) and not isinstance(entry, Choice):
            trials[column_of(field)] = np.asarray(column, float)
            texts.append([f"{field}={value_text(value)}" for value in column])
        else:
            options = list(dict.fromkeys(entry.values if isinstance(entry, Choice) else entry))
            names = [value_text(option, 6) for option in options]
            if len(set(names)) < len(names):
                names = [f"{name} ({place})" for place, name in enumerate(names)]
            codes = [options.index(value) for value in column]
            trials[column_of(field)] = pd.Categorical.from_codes(codes, names, ordered=True)
            texts.append([f"{field}={names[code]}" for code in codes])
    trials["settings"] = [", ".join(parts) for parts in zip(*texts, strict=True)]
    trials["early"] = trials["rung"] < trials["rung"].max()
    return trials


def colour_limits(trials: "pd.DataFrame") -> tuple[float, float]:
    """The scores where colours begin and end: the 5th percentile, so that a few bad trials don't use them up, and the
    best.
    """
    scores = trials["score"]
    return (float(np.percentile(scores, 5)), float(scores.max())) if len(scores) else (0.0, 1.0)


def by_explained_variance(trials: "pd.DataFrame", names: list[str]) -> list[str]:
    """The hyperparameters, from the one that alone moves the score most; none without trials."""
    if trials.empty:
        return []
    return sorted(names, key=lambda name: -figures.explained_variance(trials, name))


def table_columns(
    trials: "pd.DataFrame", names: list[str], results: "pd.DataFrame", threshold: float | None
) -> list[Column]:
    """The columns of the page's table: a row a trial."""

    def whole(head: str, numbers: Any) -> Column:
        return Column(head, [f"{number:,}" for number in numbers], np.asarray(numbers))

    def scores(head: str, numbers: Any) -> Column:
        return Column(head, [score_text(number) for number in numbers], np.asarray(numbers))

    groups = results[results["trial"].isin(trials["trial"])].groupby("trial")

    def of_seeds(name: str, statistic: str) -> np.ndarray:
        return groups[name].agg(statistic).reindex(trials["trial"]).to_numpy()

    columns = [whole("rank", np.arange(1, len(trials) + 1)), whole("trial", trials["trial"])]
    for name in names:
        column = trials[name]
        keys = column.cat.codes if figures.is_list(column) else column
        columns.append(Column(name, [value_text(value) for value in column], np.asarray(keys)))
    shown = [name for name in ("score", "low", "high") if name == "score" or np.isfinite(trials[name]).any()]
    columns += [scores(name, trials[name]) for name in shown]
    if np.isfinite(trials["probability_best"]).any():
        texts = ["" if np.isnan(share) else f"{share:.1%}" for share in trials["probability_best"]]
        columns.append(Column("probability best", texts, trials["probability_best"].to_numpy()))
    columns.append(scores("area under curve", of_seeds("area_under_curve", "mean")))
    if threshold is not None:
        reached = results["steps_to_threshold"].fillna(np.inf).groupby(results["trial"]).median()
        steps = reached.reindex(trials["trial"]).to_numpy()
        texts = [f"{number:,.0f}" if np.isfinite(number) else "never" for number in steps]
        columns.append(Column(f"steps to {threshold:g}", texts, steps))
    lost = [f"{bad} of {seeds}" if bad else "0" for bad, seeds in zip(trials["diverged"], trials["seeds"], strict=True)]
    columns += [whole("seeds", trials["seeds"]), Column("diverged", lost, trials["diverged"].to_numpy())]
    columns.append(whole("steps a seed", trials["steps"]))
    if trials["rung"].any() or (results["rung"] > 0).any():
        columns.append(whole("rung", trials["rung"]))
    seconds = of_seeds("seconds", "sum")
    columns.append(Column("seconds", [f"{number:,.1f}" if np.isfinite(number) else "" for number in seconds], seconds))
    return columns
