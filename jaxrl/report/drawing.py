"""What all figures of pages have in common, for plotly."""

import html
import textwrap
from typing import TYPE_CHECKING, Any

from jaxrl.report.palette import GREY

if TYPE_CHECKING:
    import plotly.graph_objects as go

_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def empty_figure(height: int, **margin: int) -> "go.Figure":
    """A figure without data, as wide as its place; plotly's buttons lie above it."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 12, "r": 12, "t": 30, "b": 46} | margin,
        font={"family": _FONT, "size": 12, "color": GREY},
        hoverlabel={"bgcolor": "white", "align": "left"},
        showlegend=False,
    )
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(gridcolor="#E6E6E6", linecolor="#999999", zeroline=False, automargin=True, exponentformat="e")
    return figure


def axis_title(text: str) -> dict[str, Any]:
    """The title of a figure's axis."""
    return {"text": plain(text), "standoff": 8, "font": {"size": 12}}


def plain(text: str) -> str:
    """Text for plotly, which reads a little HTML."""
    return html.escape(text, quote=False)


def wrapped(text: str, width: int = 56) -> str:
    """Text for plotly in lines of at most so many characters: 56 fit in 360 pixels."""
    return "<br>".join(plain(line) for line in textwrap.wrap(text, width, break_on_hyphens=False) or [""])
