"""What the figures of a sweep's page have in common."""

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.sweeps.scales import Scale, Trials

if TYPE_CHECKING:
    import plotly.graph_objects as go

BLUE, ORANGE, GREEN, PURPLE, AMBER = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
"""Okabe and Ito's colours, safe for the colour-blind."""

COLOURS = "Viridis"
"""The colours of scores from the worst to the best, safe for the colour-blind."""

GREY = "#4D4D4D"
SCORE = "interquartile mean"

_LETTERS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_LABEL = 56  # characters in a line, which then fits in 360 pixels


def empty_figure(height: int, **margin: int) -> "go.Figure":
    """A figure without data, as wide as its place; plotly's buttons lie above it."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 12, "r": 12, "t": 30, "b": 46} | margin,
        font={"family": _LETTERS, "size": 12, "color": GREY},
        hoverlabel={"bgcolor": "white", "align": "left"},
        showlegend=False,
    )
    figure.update_xaxes(gridcolor="#E6E6E6", linecolor="#999999", zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor="#E6E6E6", linecolor="#999999", zeroline=False, automargin=True)
    return figure


def set_scale(axis: Any, scale: Scale) -> None:
    """Makes an axis of a figure a hyperparameter's."""
    axis.update(title=axis_title(scale.path), type="log" if scale.log else "linear")
    if scale.log or scale.named or scale.missing.any():  # else plotly's own ticks, which follow its zoom
        set_ticks(axis, *scale.ticks())
    if scale.categories:
        axis.update(range=[-0.6, len(scale.categories) - 0.4], showgrid=False)


def set_ticks(axis: Any, places: Sequence[float] | np.ndarray, texts: Sequence[str]) -> None:
    """Marks those places of a figure's axis, and no others."""
    axis.update(tickvals=list(places), ticklabeloverflow="allow")
    if len(texts) <= 5:  # they fit side by side; plotly turns more of them as it needs to
        axis.update(ticktext=[wrapped(text, 40 // max(1, len(texts))) for text in texts], tickangle=0)
    else:
        axis.update(ticktext=[wrapped(text, 16) for text in texts])


def axis_title(text: str) -> dict[str, Any]:
    """The title of a figure's axis."""
    return {"text": plain(text), "standoff": 8, "font": {"size": 12}}


def symbols(trials: Trials) -> np.ndarray:
    """The markers, str[trials]: hollow for trials that were stopped early."""
    return np.where(trials.early, "circle-open", "circle")


def spread(count: int, width: float, seed: int = 0) -> np.ndarray:
    """Moves what lies in one category apart, always in the same way: f64[count] from -width to width."""
    return np.random.default_rng(seed).uniform(-width, width, count)


def plain(text: str) -> str:
    """Text for plotly, which reads a little HTML."""
    return html.escape(text, quote=False)


def wrapped(text: str, width: int = _LABEL) -> str:
    """Text for plotly in lines of at most so many characters, broken between words where there are any."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    return "<br>".join(plain(line) for line in lines)


def see_through(colour: str) -> str:
    """A colour such as #0072B2, for bands that lie on each other."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.16)"
