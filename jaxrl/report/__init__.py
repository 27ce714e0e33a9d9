"""Pages that open in any browser without a network: one template, figures by plotly, tables that a click sorts."""

from jaxrl.report.page import Column, render, score_text

__all__ = ["Column", "render", "score_text"]
