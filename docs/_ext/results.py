"""Measured results (`python -m benchmarks.learning`) as tables and curves."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from tables import table

from benchmarks.learning import FIRST_SEED, WORKS

Results = dict[str, dict[str, Any]]
"""What `benchmarks.learning` wrote, by the name of the preset."""
_INK, _LINE = "#80868f", "#2f7fd1"  # They can be read on white and on black.


def read_results(folder: Path) -> Results:
    """All results that are committed, in the order of the presets."""
    return {
        name: json.loads((folder / f"{name}.json").read_text()) for name in WORKS if (folder / f"{name}.json").exists()
    }


def chosen(results: Results, **fields: str) -> Results:
    """Those of an algorithm, or of an environment."""
    return {name: r for name, r in results.items() if all(r[field] == value for field, value in fields.items())}


def scores_table(results: Results, first: str) -> str:
    """A row a result; `first` is what the rows differ in: "env" or "algorithm"."""
    rows = []
    for name, r in results.items():
        mean, solved = r["interquartile_mean"], r["solved"]
        seeds = str(len(r["seeds"]))
        share = "no threshold"
        if solved:
            share = f"{solved['seeds']} of {len(r['seeds'])} ({solved['low']:.0%} to {solved['high']:.0%})"
        score = f"{mean['value']:.2f} ({mean['low']:.2f} to {mean['high']:.2f})"
        rows.append((_link(first, r[first]), f"`{name}`", f"{r['steps']:,.0f}", seeds, score, share))
    names = {"env": "environment", "algorithm": "algorithm"}
    return table((names[first], "preset", "steps a seed", "seeds", "greedy return", "solved"), rows)


EXPLANATION = """\
*Greedy return*: interquartile mean over seeds of the mean of {episodes} greedy episodes each, with a 95% bootstrap
interval. *Solved*: seeds whose mean greedy return reaches the environment's `solved_return`, with the exact 95%
interval of that share (Clopper and Pearson). Seeds count from {first_seed}; none was used to tune the preset.
"""


def explanation(results: Results) -> str:
    """What the columns of the table of scores mean."""
    episodes = max(r["episodes"] for r in results.values())
    return EXPLANATION.format(episodes=episodes, first_seed=FIRST_SEED)


def scores(results: Results, first: str, unmeasured: list[str], picture: str) -> str:
    """A table, what it means, and the curves, whose picture lies at `picture`; what is not measured is named."""
    text = ""
    if results:
        text += scores_table(results, first) + "\n" + explanation(results)
        text += f"\n```{{image}} {picture}\n:alt: Learning curves: {', '.join(results)}\n:class: curves\n```\n"
        text += "\nTraining return (of the exploring policy): median and quartiles over seeds, by environment steps.\n"
    if unmeasured:
        names = ", ".join(f"`{name}`" for name in unmeasured)
        text += f"\nNot measured yet in this way: {names}. `python -m benchmarks.learning PRESET` does it.\n"
    return text


def draw_curves(results: Results, path: Path) -> None:
    """Draws a small picture a result, side by side, as one SVG without a background."""
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    with mpl.rc_context({"text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "svg.hashsalt": "jaxrl"}):
        fig, axes = plt.subplots(
            rows, columns, figsize=(3.4 * columns, 2.3 * rows), squeeze=False, layout="constrained"
        )
        for axis, (name, r) in zip(axes.flat, results.items(), strict=False):
            steps, low, middle, high = zip(*r["curve"], strict=True)
            axis.fill_between(steps, low, high, color=_LINE, alpha=0.25, linewidth=0)
            axis.plot(steps, middle, color=_LINE, linewidth=1.5)
            if r["solved_return"] is not None:
                axis.axhline(r["solved_return"], color=_INK, linewidth=0.8, linestyle=":")
            axis.set_title(name, fontsize=9)
            axis.tick_params(colors=_INK, labelsize=8)
            axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}M" if x >= 1e6 else f"{x / 1e3:g}k" if x else "0")
            axis.spines[["top", "right"]].set_visible(False)
        for axis in list(axes.flat)[len(results) :]:
            axis.axis("off")
        path.parent.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(fig)


def _link(kind: str, name: str) -> str:
    return f"[{name}](/generated/environments/{name}.md)" if kind == "env" else f"[{name}](/algorithms/{name}.md)"
