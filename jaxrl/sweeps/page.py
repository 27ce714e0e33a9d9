"""One HTML page of text, figures by plotly and a sortable table, which asks no host for anything."""

import dataclasses
import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The browser itself refuses every request: plotly.js knows hosts of maps, and has a button that uploads the figure.
# Parallel coordinates compile functions, hence unsafe-eval.
_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
_CONFIG = {"responsive": True, "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}
_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; color: #222; background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial,
  sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 24px clamp(10px, 3vw, 20px) 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 4px; padding-top: 14px; border-top: 1px solid #ddd; }
p { margin: 6px 0 10px; max-width: 88ch; overflow-wrap: anywhere; }
.note { color: #555; }
a { color: #0072b2; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 10px 24px; margin: 0 0 14px; }
dt { color: #555; font-size: 13px; }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; }
.wide { overflow-x: auto; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 370px), 1fr)); gap: 8px 20px; }
.panels > div { min-width: 0; }
.colours { display: flex; align-items: center; gap: 10px; font-size: 13px; color: #555; margin: 4px 0 8px; }
.colours i { height: 12px; width: 200px; }
.rows { overflow: auto; max-height: 85vh; border: 1px solid #ddd; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 4px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid #eee; }
th { position: sticky; top: 0; background: #f4f4f4; padding: 0; vertical-align: bottom; }
th button { font: inherit; font-weight: 600; border: 0; background: none; padding: 6px 8px; cursor: pointer;
  width: 100%; text-align: right; white-space: nowrap; }
th button:hover { background: #e6e6e6; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tr.marked { background: #fbe9df; }
"""
_SCRIPT = """
const drawings = JSON.parse(document.getElementById("drawings").textContent);
for (const [name, drawing] of Object.entries(drawings.figures)) {
  const place = document.getElementById(name);
  try {
    Plotly.newPlot(place, drawing.data, drawing.layout, drawings.config);
  } catch (error) {
    place.textContent = "This figure could not be drawn: " + error;
  }
}
const key = cell => cell.dataset.v ?? cell.textContent;
const compare = (a, b) => (isNaN(a) || isNaN(b)) ? a.localeCompare(b, "en", { numeric: true }) : a - b;
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    head.parentElement.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].map(row => [key(row.cells[head.cellIndex]), row]);
    rows.sort(([a], [b]) => (a === "") - (b === "") || sign * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  });
}
"""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      head: its name.
      texts: what the cells say, not yet escaped.
      keys: numbers to sort by, NaN for last; without them, the texts are sorted.
    """

    head: str
    texts: Sequence[str]
    keys: Sequence[float] | np.ndarray | None = None


class Page:
    """A page, from the top down. Its texts are HTML: what comes from the user is escaped before."""

    def __init__(self, title: str, facts: Sequence[tuple[str, str]]) -> None:
        self._title = escape(title)
        self._facts = "".join(f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for what, value in facts)
        self._parts: list[str] = []
        self._links: list[str] = []
        self._figures: dict[str, Any] = {}

    def section(self, name: str, heading: str) -> None:
        """Begins a section, which a link at the top of the page leads to."""
        self._links.append(f'<a href="#{name}">{heading}</a>')
        self._parts.append(f'<h2 id="{name}">{heading}</h2>')

    def text(self, text: str, style: str = "") -> None:
        """A paragraph, of class `style`."""
        self._parts.append(f'<p class="{style}">{text}</p>' if style else f"<p>{text}</p>")

    def colours(self, scale: str, least: str, most: str) -> None:
        """The bar of a plotly colour scale, with what its ends mean."""
        from plotly.colors import get_colorscale

        stops = ", ".join(f"{colour} {place:.0%}" for place, colour in get_colorscale(scale))
        bar = f'<i style="background: linear-gradient(to right, {stops})"></i>'
        self._parts.append(f'<div class="colours"><span>{least}</span>{bar}<span>{most}</span></div>')

    def figure(self, figure: "go.Figure", width: int = 0) -> None:
        """A figure as wide as the page, which scrolls sideways on screens of less than `width` pixels."""
        self._parts.append(f'<div class="wide">{self._place(figure, f"min-width: {width}px; ")}</div>')

    def figures(self, figures: "Sequence[go.Figure]") -> None:
        """Small figures, as many side by side as there is room for."""
        self._parts.append(f'<div class="panels">{"".join(self._place(figure) for figure in figures)}</div>')

    def table(self, columns: Sequence[Column], marked: Sequence[bool] | np.ndarray) -> None:
        """A table that a click on a head sorts; `marked`, one a row, says which rows have a colour."""
        heads = "".join(f'<th scope="col"><button>{escape(column.head)}</button></th>' for column in columns)
        rows = [
            f"{'<tr class=marked>' if mark else '<tr>'}{''.join(_cell(column, row) for column in columns)}</tr>"
            for row, mark in enumerate(marked)
        ]
        body = "\n".join(rows)
        self._parts.append(
            f'<div class="rows"><table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
        )

    def html(self) -> str:
        """The whole page."""
        from plotly.offline import get_plotlyjs

        drawings = json.dumps({"config": _CONFIG, "figures": self._figures}).replace("<", "\\u003c")
        return "\n".join(
            [
                '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
                f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{self._title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
                f"<h1>{self._title}</h1>\n<dl>{self._facts}</dl>\n<nav>{''.join(self._links)}</nav>",
                *self._parts,
                "</main>",
                f'<script type="application/json" id="drawings">{drawings}</script>',
                f"<script>{get_plotlyjs()}</script>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n",
            ]
        )

    def _place(self, figure: "go.Figure", style: str = "") -> str:
        """Keeps a figure for the script; gives the element that it is drawn in, already as high."""
        name = f"figure-{len(self._figures)}"
        self._figures[name] = json.loads(figure.to_json())
        return f'<div id="{name}" style="{style}height: {figure.layout.height}px"></div>'


def _cell(column: Column, row: int) -> str:
    text = column.texts[row]
    if column.keys is None:
        return f"<td>{escape(text)}</td>"
    key = float(column.keys[row])
    exact = repr(key).removesuffix(".0") if np.isfinite(key) else ""
    return f"<td>{text}</td>" if text == exact else f'<td data-v="{exact}">{escape(text)}</td>'
