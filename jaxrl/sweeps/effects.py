"""The figures of a sweep's page about what hyperparameters do, for plotly."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.sweeps import drawing
from jaxrl.sweeps.drawing import BLUE, COLOURS, ORANGE, SCORE, axis_title, plain
from jaxrl.sweeps.scales import Scale, Trials, binned_medians, explained, linear_ruler, score_text, value_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_DRAWN = 2_000
"""Trials in a figure: more are slow to draw, and hide each other."""

TREND_FROM = 20
"""Trials from which the marginal figures have a line of medians."""


def drawn(trials: Trials) -> Trials:
    """The trials with a score, at most 2,000: evenly from the best to the worst."""
    scored = np.flatnonzero(np.isfinite(trials.score))
    if len(scored) > MOST_DRAWN:
        scored = scored[np.linspace(0, len(scored) - 1, MOST_DRAWN).round().astype(int)]
    return trials.take(scored)


def colour_range(trials: Trials) -> tuple[float, float]:
    """The scores where the colours begin and end: a few very bad trials do not use them up.

    Args:
      trials: at least one with a score.

    Returns:
      The 5th percentile of the scores, and the best.
    """
    scores = trials.score[np.isfinite(trials.score)]
    return float(np.percentile(scores, 5)), float(scores.max())


def by_telling(trials: Trials) -> list[Scale]:
    """The hyperparameters of scored trials, from the one whose binned medians vary most."""
    return sorted(trials.scales, key=lambda scale: -explained(scale, trials.score))


def marginal_figure(trials: Trials, scale: Scale) -> "go.Figure":
    """The score against one hyperparameter: a dot a trial, medians of bins, boxes of categories.

    Args:
      trials: with scores.
      scale: one of theirs.
    """
    import plotly.graph_objects as go

    figure = drawing.empty_figure(310)
    places = scale.positions
    if scale.categories:
        style = {"line": {"color": "#777777", "width": 1.2}, "fillcolor": "#F2F2F2", "width": 0.6}
        for place in scale.levels()[0]:
            scores = trials.score[places == place]
            figure.add_trace(go.Box(x0=place, y=scores, boxpoints=False, hoverinfo="skip", **style))
        places = places + drawing.spread(len(trials), 0.2)
    dots = go.Scatter(
        x=places,
        y=trials.score,
        mode="markers",
        marker={
            "color": BLUE,
            "size": 6,
            "opacity": 0.6 if len(trials) <= 500 else 0.25,
            "symbol": drawing.symbols(trials),
        },
        customdata=trials.number,
        text=[plain(text) for text in scale.texts],
        hovertemplate=f"trial %{{customdata}}<br>{plain(scale.path)}=%{{text}}<br>%{{y:,.4~g}}<extra></extra>",
    )
    figure.add_trace(dots)
    if not scale.categories and len(trials) >= TREND_FROM:
        x, medians, _ = binned_medians(scale, trials.score, min(10, int(0.75 * np.sqrt(len(trials)))))
        if scale.missing.any():  # no line to there from the numbers
            x, medians = np.insert(x, 1, np.nan), np.insert(medians, 1, np.nan)
        line = {"color": ORANGE, "width": 2.5}
        figure.add_trace(go.Scatter(x=x, y=medians, line=line, mode="lines+markers", hoverinfo="skip"))
    drawing.set_scale(figure.layout.xaxis, scale)
    figure.update_yaxes(title=axis_title(SCORE))
    return figure


def pair_figure(trials: Trials, first: Scale, second: Scale, colours: tuple[float, float]) -> "go.Figure":
    """The score as a colour over two hyperparameters: a dot a trial, or a cell's median where both are lists.

    Args:
      trials: with scores, best first.
      first: across.
      second: upwards.
      colours: the scores where the colours begin and end.
    """
    import plotly.graph_objects as go

    if first.few and second.few:
        return _cells(trials, first, second, colours)
    figure = drawing.empty_figure(350)
    places = [
        scale.positions + (drawing.spread(len(trials), 0.25, seed) if scale.categories else 0)
        for seed, scale in enumerate((first, second))
    ]
    texts = [
        "<br>".join(
            [f"trial {trials.number[row]}", *(plain(f"{scale.path}={scale.texts[row]}") for scale in (first, second))]
        )
        for row in range(len(trials))
    ]
    order = np.arange(len(trials))[::-1]  # the best on top
    dots = go.Scatter(
        x=places[0][order],
        y=places[1][order],
        mode="markers",
        marker={
            "color": trials.score[order],
            "colorscale": COLOURS,
            "cmin": colours[0],
            "cmax": colours[1],
            "size": 8,
            "symbol": drawing.symbols(trials)[order],
            "line": {"width": np.where(trials.early, 2.0, 0.6)[order], "color": "#555555"},
        },
        text=[texts[row] for row in order],
        hovertemplate="%{text}<br>score %{marker.color:,.4~g}<extra></extra>",
    )
    figure.add_trace(dots)
    drawing.set_scale(figure.layout.xaxis, first)
    drawing.set_scale(figure.layout.yaxis, second)
    return figure


def _cells(trials: Trials, first: Scale, second: Scale, colours: tuple[float, float]) -> "go.Figure":
    """Medians of the trials with the same two values."""
    import plotly.graph_objects as go

    (across, across_texts), (upwards, upwards_texts) = first.levels(), second.levels()
    medians = np.full((len(upwards), len(across)), np.nan)
    counts = np.zeros(medians.shape, int)
    for row, column in np.ndindex(medians.shape):
        scores = trials.score[(second.positions == upwards[row]) & (first.positions == across[column])]
        counts[row, column] = len(scores)
        medians[row, column] = np.median(scores) if len(scores) else np.nan
    cells = go.Heatmap(
        z=medians,
        colorscale=COLOURS,
        zmin=colours[0],
        zmax=colours[1],
        showscale=False,
        xgap=2,
        ygap=2,
        customdata=counts,
        text=[[score_text(median) for median in row] for row in medians],
        texttemplate="%{text}" if medians.size <= 36 else None,
        hovertemplate="median %{text}, trials: %{customdata}<extra></extra>",
        hoverongaps=False,
    )
    figure = drawing.empty_figure(350)
    figure.add_trace(cells)
    for axis, scale, texts in (
        (figure.layout.xaxis, first, across_texts),
        (figure.layout.yaxis, second, upwards_texts),
    ):
        axis.update(title=axis_title(scale.path), showgrid=False)
        drawing.set_ticks(axis, range(len(texts)), texts)
    return figure


def parallel_figure(trials: Trials, colours: tuple[float, float]) -> "go.Figure":
    """A line a trial through the values of all hyperparameters to its score; the best lie on top.

    Args:
      trials: with scores, best first.
      colours: the scores where the colours begin and end.
    """
    import plotly.graph_objects as go

    order = np.arange(len(trials))[::-1]
    dimensions = [_dimension(scale, order, seed) for seed, scale in enumerate(trials.scales)]
    scores = trials.score[order]
    ruler = linear_ruler(float(scores.min()), float(scores.max()))
    texts = [value_text(float(mark)) for mark in ruler]
    dimensions.append({"label": SCORE.replace(" ", "<br>"), "values": scores, "tickvals": ruler, "ticktext": texts})
    for dimension in dimensions:
        values = dimension["values"]
        if "range" not in dimension and values.min() == values.max():
            dimension["range"] = [values[0] - 1, values[0] + 1]
    line = {"color": scores, "colorscale": COLOURS, "cmin": colours[0], "cmax": colours[1]}
    figure = drawing.empty_figure(490, l=80, r=80, t=50, b=90)
    figure.add_trace(go.Parcoords(dimensions=dimensions, line=line, labelside="bottom", labelfont={"size": 12}))
    return figure


def _dimension(scale: Scale, order: np.ndarray, seed: int) -> dict[str, Any]:
    """One axis of the parallel coordinates, of the trials i64[trials] in their order."""
    marks, texts = scale.ticks()
    dimension: dict[str, Any] = {
        "label": _label(scale.path),
        "values": scale.linear[order],
        "tickvals": np.log10(marks) if scale.log else marks,
        # Plotly neither escapes nor breaks these; they would run into the next axis.
        "ticktext": [text if len(text) <= 16 else text[:15] + "…" for text in texts],
    }
    if scale.categories:  # spread, so that lines through the same value can be told apart
        dimension["values"] = dimension["values"] + drawing.spread(len(order), 0.12, seed)
        dimension["range"] = [-0.2, len(scale.categories) - 0.8]
    return dimension


def _label(path: str) -> str:
    """A path in lines that fit between two axes, broken at dots and underscores."""
    parts = path.replace(".", ".\0").replace("_", "_\0").split("\0")
    lines = [""]
    for part in parts:
        if len(lines[-1] + part) > 15 and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "<br>".join(plain(line) for line in lines)
