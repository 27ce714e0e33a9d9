"""The chart of a run: its learning curves, and how its members ended."""

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl import registry
from jaxrl.config import to_config
from jaxrl.environment import name_of
from jaxrl.periodic_evaluation import COLUMN
from jaxrl.report.palette import BLUE, GREY, ORANGE
from jaxrl.result import Result
from jaxrl.run_report import median_steps, solved_return
from jaxrl.statistics import bootstrap_interval, forward_fill, interquartile_mean, quartiles
from jaxrl.storage import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TWO_COLUMNS: Any = {"ncols": 2, "borderpad": 0, "columnspacing": 1, "handlelength": 1.5}
_CURVE_RESAMPLES = 999
"""Of each point of a curve: enough for its ends on paper, and there may be a hundred points."""


def write_curves(result: Result, path: str | os.PathLike[str], returns: np.ndarray | None = None) -> None:
    """Writes the learning curves as a PNG, 300 dots an inch.

    The first panel is the episode return over environment steps: median and interquartile band over
    members, unsmoothed; a member that ended no episode in a log point keeps its last value there. Where members
    were evaluated in training, the interquartile mean over members of their mean greedy return stands beside
    it, with its 95% bootstrap interval. Where the length of episodes is not the return itself, a panel shows
    it in the same way as the return in training. The last panel is the distribution of the final return over
    members, with its interquartile mean and 95% bootstrap interval; of a single member, over its greedy
    episodes. An environment may have `solved_return` (float, drawn as a line) and `shorter_is_better` (bool,
    said on the length's axis).

    Args:
      result: of `train`.
      path: the file, replaced only by a whole new one.
      returns: f32[members, episodes], final greedy returns; without them, each member's last
        return in training.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    length = _shows_length(result)
    widths = (3.4, 3.4, 2.0) if length else (4.4, 2.4)  # inches
    figure = Figure(figsize=(sum(widths), 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(result), fontsize=10, fontweight="bold", x=0.01, ha="left")
    panels = list(figure.subplots(1, len(widths), width_ratios=widths))
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GREY)
        axes.tick_params(labelsize=8, color=GREY)
    _draw_curve(panels[0], result, "episode_return", "Episode return")
    if length:
        better = "\n(lower is better)" if getattr(result.agent.env, "shorter_is_better", False) else ""
        _draw_curve(panels[1], result, "episode_length", f"Episode length in steps{better}")
    _draw_distribution(panels[-1], panels[0], result, returns)
    solved = solved_return(result)
    if solved is not None:
        for axes in (panels[0], panels[-1]):
            axes.axhline(solved, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        style: Any = {"fontsize": 7.5, "color": GREY, "xytext": (2, 2), "textcoords": "offset points"}
        panels[0].annotate(f"solved: {solved:g}", (0, solved), xycoords=("axes fraction", "data"), **style)
    with new_file(path) as file:
        figure.savefig(file, dpi=300, format="png", facecolor="white")


def _title(result: Result) -> str:
    """Algorithm, environment (by its registered name, if it has one) and the number of members."""
    env, members = result.agent.env, len(result.seeds)
    name = name_of(env)
    for known in registry.names():
        with contextlib.suppress(TypeError, ValueError):
            name = known if to_config(registry.make(known)) == to_config(env) else name
    title = f"{type(result.agent).__name__} on {name}, {members:,} "
    if not result.vary:
        return title + ("seed" if members == 1 else "seeds")
    settings = len({tuple(np.asarray(v[member]).tobytes() for v in result.vary.values()) for member in range(members)})
    seeds = len(np.unique(result.seeds))
    return title + f"members: {settings:,} settings" + (f" x {seeds:,} seeds" if settings * seeds == members else "")


def _shows_length(result: Result) -> bool:
    if "episode_length" not in result.log:
        return False
    lengths, returns = np.asarray(result.log["episode_length"]), np.asarray(result.log["episode_return"])
    return bool(np.isfinite(lengths).any()) and not np.allclose(lengths, returns, equal_nan=True)


def _draw_curve(axes: "Axes", result: Result, name: str, label: str) -> None:
    """One metric's median and quartiles over members against environment steps."""
    from matplotlib.ticker import MaxNLocator

    (x, million), members = _steps_drawn(result), len(result.seeds)
    lower, median, upper = quartiles(forward_fill(result.log[name]))
    evaluated = name == "episode_return" and COLUMN in result.log
    named = ("training, median", "training") if evaluated else ("median over members", None)
    line = named[0] if members > 1 else named[1]
    axes.plot(x, median, color=BLUE, linewidth=1.4, label=line, zorder=3)
    if members > 1:
        axes.fill_between(x, lower, upper, color=BLUE, alpha=0.22, linewidth=0, label="interquartile band", zorder=2)
    if evaluated:
        _draw_evaluations(axes, result, x)
    if evaluated:  # Four entries would cover the curves.
        axes.legend(frameon=False, fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 1), **_TWO_COLUMNS)
    elif line:
        axes.legend(frameon=False, fontsize=7.5, loc="best")
    axes.set_xlim(0, max(float(np.nanmax(x, initial=0)), 1e-9))
    axes.set_xlabel("Environment steps per member" + (" (millions)" if million else ""), fontsize=8.5)
    axes.set_ylabel(label, fontsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if million else f"{value:,.0f}")
    axes.yaxis.set_major_formatter(_thousands)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)


def _steps_drawn(result: Result) -> tuple[np.ndarray, bool]:
    """Environment steps at the end of every log point, f64[log_points], and whether they are in millions."""
    steps = median_steps(result)
    million = bool(np.nanmax(steps, initial=0) >= 2e6)
    return steps / 1e6 if million else steps, million


def _draw_evaluations(axes: "Axes", result: Result, x: np.ndarray) -> None:
    """The interquartile mean over members of the greedy return, and its interval, at every evaluation."""
    returns = np.asarray(result.log[COLUMN], np.float64)
    log_points = np.flatnonzero(np.isfinite(returns).any(0) & np.isfinite(x))
    columns = [returns[np.isfinite(returns[:, log_point]), log_point] for log_point in log_points]
    members = len(result.seeds)
    label = "greedy, interquartile mean" if members > 1 else "greedy"
    means = [float(interquartile_mean(column)) for column in columns]
    axes.plot(x[log_points], means, "o-", color=ORANGE, lw=1.2, ms=2.5, label=label, zorder=4, clip_on=False)
    if members > 1:
        ends = np.asarray([bootstrap_interval(column, resamples=_CURVE_RESAMPLES) for column in columns])
        band: Any = {"color": ORANGE, "alpha": 0.25, "linewidth": 0, "zorder": 3}
        axes.fill_between(x[log_points], *ends.reshape(-1, 2).T, label="95% interval", **band)


def _draw_distribution(axes: "Axes", beside: "Axes", result: Result, returns: np.ndarray | None) -> None:
    """A histogram on its side of the final returns, a tick a member, the interquartile mean and its interval."""
    from matplotlib.ticker import MaxNLocator

    values = np.asarray(forward_fill(result.log["episode_return"])[:, -1] if returns is None else returns, np.float64)
    unit = "members" if len(values) > 1 or returns is None else "episodes"
    if values.ndim == 2:
        values = values.mean(1) if unit == "members" else values[0]
    values = values[np.isfinite(values)]
    axes.set_xlabel(f"Number of {unit}", fontsize=8.5)
    axes.set_ylabel("Last return in training" if returns is None else "Final greedy return", fontsize=8.5)
    axes.yaxis.set_major_formatter(_thousands)
    if not values.size:
        return
    # At least a tenth of what learning spans, so that small differences look small.
    least, most = values.min(), values.max()
    room = max(0.0, 0.1 * float(np.ptp(beside.get_ylim())) - (most - least)) / 2
    edges = np.linspace(least - room, most + room, 2 * int(np.clip(np.sqrt(values.size), 4, 20)) + 2)
    counts, *_ = axes.hist(values, edges.tolist(), orientation="horizontal", color=BLUE, alpha=0.35, ec="white", lw=0.4)
    full = float(np.max(counts))
    axes.plot(np.full(values.size, -0.05 * full), values, "_", color=BLUE, ms=5, mew=0.6, alpha=0.6)
    margin = 0.05 * (edges[-1] - edges[0])
    axes.set(xlim=(-0.1 * full, 1.25 * full), ylim=(edges[0] - margin, edges[-1] + margin))
    ticks = MaxNLocator(4, integer=True).tick_values(0, full)
    axes.set_xticks([tick for tick in ticks if 0 <= tick <= full])
    if unit == "episodes" or values.size == 1:
        return
    mean, (low, high) = float(interquartile_mean(values)), bootstrap_interval(values)
    label = f"interquartile mean {mean:,.4g}\n95% interval {low:,.4g} to {high:,.4g}"
    axes.errorbar(
        [1.13 * full], [mean], [[max(mean - low, 0)], [max(high - mean, 0)]],
        fmt="D", ms=3.5, lw=1.2, capsize=2.5, color=ORANGE, label=label, clip_on=False,
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=7.5, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)


def _thousands(value: float, _: float | None = None) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:g}"
