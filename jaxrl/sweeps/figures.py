"""The figures of a sweep's page, for plotly.

All take `trials`: a pandas table of trials with a score, best first, as by `jaxrl.sweeps.report.trials_table`. Its
columns of hyperparameters are numbers where the space has a range, and ordered categories where it has a list.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.report import score_text
from jaxrl.report.drawing import axis_title, empty_figure, plain, wrapped
from jaxrl.report.palette import AMBER, BLUE, GREEN, GREY, ORANGE, PURPLE, SCALE, translucent
from jaxrl.statistics import forward_fill, quartiles
from jaxrl.sweeps.space import value_text

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

TREND_FROM = 20
"""Trials from which the marginal figures of ranges have a line of medians."""
_SCORE = "interquartile mean"
CURVE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, AMBER)
"""Of the learning curves: a trial each."""


def interval_figure(trials: "pd.DataFrame", threshold: float | None = None) -> "go.Figure":
    """Scores with their intervals, the best at the top: a row a trial, its settings above its dot."""
    import plotly.graph_objects as go

    names = [f"{row + 1}. trial {number}" for row, number in enumerate(trials["trial"])]
    labels = [wrapped(f"{name}: {text}") for name, text in zip(names, trials["settings"], strict=True)]
    lines = max(label.count("<br>") + 1 for label in labels)
    figure = empty_figure(76 + len(trials) * (26 + 14 * lines))
    score, low, high = (trials[name].to_numpy() for name in ("score", "low", "high"))
    bars = {"array": np.maximum(high - score, 0), "arrayminus": np.maximum(score - low, 0)}
    dots = go.Scatter(
        x=score,
        y=np.arange(len(trials)),
        mode="markers",
        marker={"color": BLUE, "size": 9, "symbol": _symbols(trials), "line": {"width": 1.5, "color": BLUE}},
        error_x={"type": "data", **bars, "color": BLUE, "thickness": 1.5, "width": 4},
        text=[_interval_text(trial) for trial in trials.itertuples()],
        hovertemplate="%{text}<extra></extra>",
    )
    figure.add_trace(dots)
    top = 0.1 + 14 * lines / (26 + 14 * lines)  # rows above a dot that its label takes
    for row, (name, label) in enumerate(zip(names, labels, strict=True)):
        text = {"text": f"<b>{name}</b>" + label.removeprefix(f"{name}:"), "font": {"size": 11, "color": "#222222"}}
        place = {"xref": "paper", "x": 0, "xanchor": "left", "xshift": 4, "y": row, "yanchor": "bottom", "yshift": 5}
        figure.add_annotation(align="left", showarrow=False, **text, **place)
        if row % 2:
            stripe: dict[str, Any] = {"fillcolor": "#F5F5F5", "line": {"width": 0}, "layer": "below"}
            figure.add_shape(x0=0, x1=1, xref="paper", y0=row - top, y1=row + 1 - top, **stripe)
    ends = np.concatenate([score, low, high])
    if threshold is not None and np.nanmin(ends) <= threshold <= np.nanmax(ends):
        figure.add_vline(x=threshold, line={"color": GREY, "dash": "dash", "width": 1})
    figure.update_xaxes(title=axis_title(f"greedy return, {_SCORE}"))
    figure.update_yaxes(range=[len(trials) - top, -top], showticklabels=False, showgrid=False)
    return figure


def _interval_text(trial: Any) -> str:
    score = f"{_SCORE} {score_text(trial.score)}"
    if np.isfinite(trial.low):
        score += f" (95% interval {score_text(trial.low)} to {score_text(trial.high)})"
    lines = [f"<b>trial {trial.trial}</b>", wrapped(trial.settings), score]
    if np.isfinite(trial.probability_best):
        lines.append(f"probability of being the best {trial.probability_best:.1%}")
    lines.append(f"seeds: {trial.seeds} of {trial.steps:,} steps each, {trial.diverged} diverged")
    return "<br>".join(lines)


def learning_bands(curves: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray, int]:
    """How one trial's seeds learn.

    Args:
      curves: the rows of one trial; see `jaxrl.sweeps.report.write_report`.

    Returns:
      f64[steps] environment steps; f64[3, steps] lower quartile, median and upper quartile over seeds of the episode
      return, carried forward where no episode ended; the number of seeds.
    """
    rows = curves.dropna(subset=["step"]).drop_duplicates(["seed", "step"], keep="last")
    table = rows.pivot(index="seed", columns="step", values="episode_return")
    returns = table.to_numpy(np.float64, na_value=np.nan)
    return table.columns.to_numpy(np.float64), quartiles(forward_fill(returns)), len(table)


def learning_figure(trials: "pd.DataFrame", curves: "pd.DataFrame", threshold: float | None = None) -> "go.Figure":
    """The median and interquartile band over seeds of the return in training, of at most as many trials as colours."""
    import plotly.graph_objects as go

    figure = empty_figure(430)
    legend_height, last = 60, 0.0
    for row, (trial, colour) in enumerate(zip(trials.itertuples(), CURVE_COLOURS, strict=False)):
        steps, (lower, median, upper), seeds = learning_bands(curves[curves["trial"] == trial.trial])
        if not np.isfinite(median).any():
            continue
        shape: dict[str, Any] = {"x": steps, "mode": "lines", "legendgroup": str(trial.trial)}
        if seeds > 1:
            edge = {**shape, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            figure.add_trace(go.Scatter(y=lower, **edge))
            figure.add_trace(go.Scatter(y=upper, fill="tonexty", fillcolor=translucent(colour), **edge))
        name = wrapped(f"{row + 1}. trial {trial.trial}: {trial.settings}")
        hover = f"%{{y:,.4~g}} at step %{{x:,}}<extra>trial {trial.trial}</extra>"
        figure.add_trace(go.Scatter(y=median, name=name, line={"color": colour}, hovertemplate=hover, **shape))
        legend_height += 15 * name.count("<br>") + 24
        last = max(last, float(steps[-1]))
    if threshold is not None and last:
        dashes = {"color": GREY, "dash": "dash", "width": 1.2}
        name = f"solved: {threshold:g}"
        figure.add_trace(go.Scatter(x=[0, last], y=[threshold] * 2, name=name, mode="lines", line=dashes))
        legend_height += 24
    legend = {"x": 0, "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 11}}
    figure.update_layout(height=430 + legend_height, margin={"b": legend_height}, showlegend=True, legend=legend)
    figure.update_xaxes(title=axis_title("environment steps a seed"), rangemode="tozero")
    figure.update_yaxes(title=axis_title("episode return in training"))
    return figure


def explained_variance(trials: "pd.DataFrame", name: str) -> float:
    """How much a hyperparameter alone moves the score: the variance of the medians of its values, or of 4 bins."""
    groups = trials["score"].groupby(_bins(trials[name], 4))
    medians, counts = groups.median().to_numpy(), groups.size().to_numpy()
    return float(np.average((medians - np.average(medians, weights=counts)) ** 2, weights=counts))


def _bins(column: "pd.Series", most: int) -> np.ndarray:
    """Which trials belong together: of a list those of one value, of a range about equally many in each bin."""
    import pandas as pd

    if is_list(column):
        return column.cat.codes.to_numpy()
    return pd.qcut(column, most, labels=False, duplicates="drop").fillna(0).to_numpy()


def marginal_figure(trials: "pd.DataFrame", name: str, log: bool) -> "go.Figure":
    """The score against one hyperparameter: a dot a trial, medians of the bins of a range, boxes of a list."""
    import plotly.graph_objects as go

    figure, column = empty_figure(310), trials[name]
    if is_list(column):
        style = {"line": {"color": "#777777", "width": 1.2}, "fillcolor": "#F2F2F2", "width": 0.6}
        for place in np.unique(column.cat.codes):
            scores = trials["score"][column.cat.codes == place]
            figure.add_trace(go.Box(x0=place, y=scores, boxpoints=False, hoverinfo="skip", **style))
    marker = {"color": BLUE, "size": 6, "opacity": 0.6 if len(trials) <= 500 else 0.25, "symbol": _symbols(trials)}
    dots = go.Scatter(
        x=_places(column, 0.2),
        y=trials["score"],
        mode="markers",
        marker=marker,
        customdata=trials["trial"],
        text=_texts(column),
        hovertemplate=f"trial %{{customdata}}<br>{plain(name)}=%{{text}}<br>%{{y:,.4~g}}<extra></extra>",
    )
    figure.add_trace(dots)
    if not is_list(column) and len(trials) >= TREND_FROM:
        bins = _bins(column, min(10, int(0.75 * np.sqrt(len(trials)))))
        medians = trials[[name, "score"]].groupby(bins).median()
        line = {"color": ORANGE, "width": 2.5}
        figure.add_trace(
            go.Scatter(x=medians[name], y=medians["score"], line=line, mode="lines+markers", hoverinfo="skip")
        )
    _set_axis(figure.layout.xaxis, column, log)
    figure.update_yaxes(title=axis_title(_SCORE))
    return figure


def pair_figure(
    trials: "pd.DataFrame", names: tuple[str, str], log: tuple[bool, bool], limits: tuple[float, float]
) -> "go.Figure":
    """The score as a colour over two hyperparameters: a dot a trial, or of two lists the median of each cell.

    Args:
      trials: to draw.
      names: of the hyperparameters, across and upwards.
      log: whether their axes are logarithmic.
      limits: the scores where the colours begin and end.
    """
    import plotly.graph_objects as go

    columns = [trials[name] for name in names]
    figure = empty_figure(350)
    if all(map(is_list, columns)):
        figure.add_trace(_cells(trials, names, limits))
    else:
        texts = [
            f"trial {trial}<br>{plain(names[0])}={first}<br>{plain(names[1])}={second}"
            for trial, first, second in zip(trials["trial"], *map(_texts, columns), strict=True)
        ]
        marker = {"colorscale": SCALE, "cmin": limits[0], "cmax": limits[1], "size": 8}
        edge = {"width": np.where(trials["early"], 2.0, 0.6)[::-1], "color": "#555555"}
        dots = go.Scatter(
            x=_places(columns[0], 0.25, 0)[::-1],  # the best last, on top
            y=_places(columns[1], 0.25, 1)[::-1],
            mode="markers",
            marker=marker | {"color": trials["score"][::-1], "symbol": _symbols(trials)[::-1], "line": edge},
            text=texts[::-1],
            hovertemplate="%{text}<br>score %{marker.color:,.4~g}<extra></extra>",
        )
        figure.add_trace(dots)
    for axis, column, is_log in zip((figure.layout.xaxis, figure.layout.yaxis), columns, log, strict=True):
        _set_axis(axis, column, is_log)
    return figure


def _cells(trials: "pd.DataFrame", names: tuple[str, str], limits: tuple[float, float]) -> "go.Heatmap":
    """Medians of the trials with the same two values of lists."""
    import plotly.graph_objects as go

    codes = {name: trials[name].cat.codes for name in names}
    cells = trials["score"].groupby([codes[names[1]], codes[names[0]]])
    medians, counts = cells.median().unstack(), cells.size().unstack(fill_value=0)
    return go.Heatmap(
        x=medians.columns,
        y=medians.index,
        z=medians,
        colorscale=SCALE,
        zmin=limits[0],
        zmax=limits[1],
        showscale=False,
        xgap=2,
        ygap=2,
        customdata=counts,
        text=[[score_text(median) for median in row] for row in medians.to_numpy()],
        texttemplate="%{text}" if medians.size <= 36 else None,
        hovertemplate="median %{text}, trials: %{customdata}<extra></extra>",
        hoverongaps=False,
    )


def parallel_figure(trials: "pd.DataFrame", log: dict[str, bool], limits: tuple[float, float]) -> "go.Figure":
    """A line a trial through the values of all hyperparameters, the keys of `log`, to its score; the best on top."""
    import plotly.graph_objects as go

    trials = trials[::-1]
    dimensions = [_dimension(trials[name], log[name], seed) for seed, name in enumerate(log)]
    dimensions.append({"label": _SCORE.replace(" ", "<br>"), "values": trials["score"]})
    for dimension in dimensions:
        least, most = np.min(dimension["values"]), np.max(dimension["values"])
        if least == most:
            dimension.setdefault("range", [least - 1, most + 1])
    line = {"color": trials["score"], "colorscale": SCALE, "cmin": limits[0], "cmax": limits[1]}
    figure = empty_figure(490, l=80, r=80, t=50, b=90)
    figure.add_trace(go.Parcoords(dimensions=dimensions, line=line, labelside="bottom", labelfont={"size": 12}))
    return figure


def _dimension(column: "pd.Series", log: bool, seed: int) -> dict[str, Any]:
    """One axis of the parallel coordinates."""
    # Broken at dots and underscores, so that it fits between two axes.
    words = str(column.name).replace(".", ". ").replace("_", "_ ")
    label = wrapped(words, 15).replace(". ", ".").replace("_ ", "_")
    dimension: dict[str, Any] = {"label": label, "values": _places(column, 0.12, seed)}
    if log:
        values = np.log10(column.to_numpy())
        powers = np.arange(np.ceil(values.min()), np.floor(values.max()) + 1)
        marks = powers if len(powers) > 1 else np.linspace(values.min(), values.max(), 5)
        return dimension | {"values": values, "tickvals": marks, "ticktext": [f"{10**mark:.2g}" for mark in marks]}
    if is_list(column):
        names = [_short(name) for name in column.cat.categories]
        dimension |= {"tickvals": np.arange(len(names)), "ticktext": names, "range": [-0.2, len(names) - 0.8]}
    return dimension


def _short(text: str) -> str:
    """Plotly neither escapes nor breaks the ticks of parallel coordinates; they would run into the next axis."""
    return text if len(text) <= 16 else text[:15] + "…"


def _set_axis(axis: Any, column: "pd.Series", log: bool) -> None:
    """Makes an axis of a figure a hyperparameter's."""
    axis.update(title=axis_title(str(column.name)), type="log" if log else "linear")
    if is_list(column):
        names = column.cat.categories
        few = len(names) <= 5  # They fit side by side; plotly turns more of them as it needs to.
        texts = [wrapped(name, 40 // len(names) if few else 16) for name in names]
        axis.update(tickvals=np.arange(len(names)), ticktext=texts, ticklabeloverflow="allow", showgrid=False)
        axis.update(range=[-0.5, len(names) - 0.5], tickangle=0 if few else None)


def is_list(column: "pd.Series") -> bool:
    """Whether the column of a hyperparameter is of a list rather than a range."""
    return column.dtype == "category"


def _places(column: "pd.Series", spread: float, seed: int = 0) -> np.ndarray:
    """Where trials lie along an axis; those of one category apart, always in the same way: f64[trials]."""
    if not is_list(column):
        return column.to_numpy()
    return column.cat.codes.to_numpy() + np.random.default_rng(seed).uniform(-spread, spread, len(column))


def _texts(column: "pd.Series") -> list[str]:
    return [plain(value_text(value)) for value in column]


def _symbols(trials: "pd.DataFrame") -> np.ndarray:
    """The markers, str[trials]: hollow for trials that were stopped early."""
    return np.where(trials["early"], "circle-open", "circle")
