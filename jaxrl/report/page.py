"""Renders the template of a page, with its figures and plotly.js inside the file."""

import base64
import dataclasses
import functools
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CONFIG = {"responsive": True, "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      head: its name.
      texts: of its cells.
      keys: numbers to sort by, NaN last; without them the texts are sorted.
    """

    head: str
    texts: Sequence[str]
    keys: Sequence[float] | np.ndarray | None = None

    def key(self, row: int) -> str | None:
        """What a cell is sorted by, where that is not its text."""
        if self.keys is None:
            return None
        value = float(self.keys[row])
        exact = repr(value).removesuffix(".0") if np.isfinite(value) else ""
        return None if exact == self.texts[row] else exact


def render(template: Path, *, figures: "Mapping[str, go.Figure]", **context: Any) -> str:
    """A page as HTML, in which everything is escaped that is not the template's own.

    Args:
      template: a Jinja template that extends `page.html`, which lies beside this module.
      figures: by the names under which the template places them.
      **context: "title", "summary" (what, value), and what else the template has.
    """
    import jinja2
    from plotly.colors import get_colorscale

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([Path(__file__).parent, template.parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["score"] = score_text
    environment.tests["finite"] = math.isfinite
    environment.globals["gradient"] = lambda scale: ", ".join(f"{c} {x:.0%}" for x, c in get_colorscale(scale))
    drawings = {"config": _CONFIG, "figures": {name: json.loads(figure.to_json()) for name, figure in figures.items()}}
    heights = {name: figure.layout.height for name, figure in figures.items()}
    content = {"drawings": drawings, "heights": heights, "plotly": compressed_plotly(), **context}
    return environment.get_template(template.name).render(content).lstrip()


def score_text(value: float) -> str:
    """A return as people read it; empty where there is none."""
    if not np.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


@functools.cache
def compressed_plotly() -> str:
    """plotly.js, which is 4.8 MB, in 2.0 MB of text: base64 of gzip, which browsers unpack themselves."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
