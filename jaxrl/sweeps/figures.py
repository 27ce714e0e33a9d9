"""The figures of a sweep's page about the best trials, for plotly."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.statistics import forward_fill, quartiles
from jaxrl.sweeps import drawing
from jaxrl.sweeps.drawing import AMBER, BLUE, GREEN, GREY, ORANGE, PURPLE, SCORE, axis_title, wrapped
from jaxrl.sweeps.scales import Trials, score_text

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go


def interval_figure(trials: Trials, threshold: float | None = None) -> "go.Figure":
    """Scores with their intervals, the best at the top: a row a trial, its settings above its dot.

    Args:
      trials: those to draw, all with a score.
      threshold: a dashed line, where the scores come to it.
    """
    import plotly.graph_objects as go

    rows = range(len(trials))
    names = [f"{row + 1}. trial {number}" for row, number in enumerate(trials.number)]
    labels = [wrapped(f"{name}: {trials.settings(row)}") for row, name in enumerate(names)]
    lines = max(label.count("<br>") + 1 for label in labels)
    figure = drawing.empty_figure(76 + len(trials) * (26 + 14 * lines))
    bars = {
        "array": np.maximum(trials.high - trials.score, 0),
        "arrayminus": np.maximum(trials.score - trials.low, 0),
    }
    dots = go.Scatter(
        x=trials.score,
        y=list(rows),
        mode="markers",
        marker={"color": BLUE, "size": 9, "symbol": drawing.symbols(trials), "line": {"width": 1.5, "color": BLUE}},
        error_x={"type": "data", **bars, "color": BLUE, "thickness": 1.5, "width": 4},
        text=[_interval_text(trials, row) for row in rows],
        hovertemplate="%{text}<extra></extra>",
    )
    figure.add_trace(dots)
    top = 0.1 + 14 * lines / (26 + 14 * lines)  # rows above a dot that its label takes
    for row, (name, label) in enumerate(zip(names, labels, strict=True)):
        figure.add_annotation(
            text=f"<b>{name}</b>" + label.removeprefix(f"{name}:"),
            font={"size": 11, "color": "#222222"},
            align="left",
            showarrow=False,
            xref="paper",
            x=0,
            xanchor="left",
            xshift=4,
            y=row,
            yanchor="bottom",
            yshift=5,
        )
        if row % 2:
            stripe = {"fillcolor": "#F5F5F5", "line": {"width": 0}, "layer": "below"}
            figure.add_shape(x0=0, x1=1, xref="paper", y0=row - top, y1=row + 1 - top, **stripe)
    ends = np.concatenate([trials.score, trials.low, trials.high])
    if threshold is not None and np.nanmin(ends) <= threshold <= np.nanmax(ends):
        figure.add_vline(x=threshold, line={"color": GREY, "dash": "dash", "width": 1})
    figure.update_xaxes(title=axis_title(f"greedy return, {SCORE}"))
    figure.update_yaxes(range=[len(trials) - top, -top], showticklabels=False, showgrid=False)
    return figure


def _interval_text(trials: Trials, row: int) -> str:
    score = f"{SCORE} {score_text(trials.score[row])}"
    if np.isfinite(trials.low[row]):
        score += f" (95% interval {score_text(trials.low[row])} to {score_text(trials.high[row])})"
    lines = [f"<b>trial {trials.number[row]}</b>", wrapped(trials.settings(row)), score]
    if np.isfinite(trials.probability[row]):
        lines.append(f"probability of being the best {trials.probability[row]:.1%}")
    seeds = trials.seeds[row]
    lines.append(f"seeds: {seeds} of {trials.steps[row]:,} steps each, {trials.diverged[row]} diverged")
    return "<br>".join(lines)


def bands(curves: "pandas.DataFrame") -> tuple[np.ndarray, np.ndarray, int]:
    """How one trial's seeds learn.

    Args:
      curves: the rows of one trial; see `jaxrl.sweeps.report.write_report`.

    Returns:
      f64[log_points] steps; f64[3, log_points] lower quartile, median and upper quartile over seeds of the episode
      return, held over log points where no episode ended; the number of seeds.
    """
    rows = curves.dropna(subset=["step"]).drop_duplicates(["seed", "step"], keep="last")
    table = rows.pivot(index="seed", columns="step", values="episode_return")
    returns = table.to_numpy(np.float64, na_value=np.nan)
    return table.columns.to_numpy(np.float64), quartiles(forward_fill(returns)), len(table)


def learning_figure(trials: Trials, curves: "pandas.DataFrame", threshold: float | None = None) -> "go.Figure":
    """The median and interquartile band over seeds of the return in training; without data where there is none.

    Args:
      trials: those to draw, at most five.
      curves: of all trials.
      threshold: a dashed line.
    """
    import plotly.graph_objects as go

    figure = drawing.empty_figure(430)
    room, last = 60, 0.0  # below the axis, for the legend
    for row, colour in zip(range(len(trials)), (BLUE, ORANGE, GREEN, PURPLE, AMBER), strict=False):
        number = int(trials.number[row])
        steps, (lower, median, upper), seeds = bands(curves[curves["trial"] == number])
        if not np.isfinite(median).any():
            continue
        shape: dict[str, Any] = {"x": steps, "mode": "lines", "legendgroup": str(number)}
        if seeds > 1:
            edge = {**shape, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            figure.add_trace(go.Scatter(y=lower, **edge))
            figure.add_trace(go.Scatter(y=upper, fill="tonexty", fillcolor=drawing.see_through(colour), **edge))
        name = wrapped(f"{row + 1}. trial {number}: {trials.settings(row)}")
        hover = f"%{{y:,.4~g}} at step %{{x:,}}<extra>trial {number}</extra>"
        figure.add_trace(go.Scatter(y=median, name=name, line={"color": colour}, hovertemplate=hover, **shape))
        room += 15 * name.count("<br>") + 24
        last = max(last, float(steps[-1]))
    if threshold is not None and last:
        dashes = {"color": GREY, "dash": "dash", "width": 1.2}
        name = f"solved: {threshold:g}"
        figure.add_trace(go.Scatter(x=[0, last], y=[threshold] * 2, name=name, mode="lines", line=dashes))
        room += 24
    legend = {"x": 0, "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 11}}
    figure.update_layout(height=430 + room, margin={"b": room}, showlegend=True, legend=legend)
    figure.update_xaxes(title=axis_title("environment steps a seed"), rangemode="tozero")
    figure.update_yaxes(title=axis_title("episode return in training"))
    return figure
