"""What a run leaves for people: the table of metrics, TensorBoard's files, the chart, the summary.

Every function reads a `Result` by `train`: `agent`, `vary`, `seeds`, `log`, `seconds` (without
compiling) and `compile_seconds`.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl import registry
from jaxrl.config import to_config
from jaxrl.statistics import bootstrap_interval, held, interquartile_mean, quartiles

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST = ("episode_return", "episode_length", "loss")
_MEMBERS_SHOWN = 8
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#4D4D4D"  # Okabe and Ito, safe for the colour-blind


def metrics_table(result: Any) -> "pa.Table":
    """The log as a table: one row a member and slot, the member's slots one after the other.

    Columns: member i32, seed i64, one a swept field (named by its path; "agent.<path>" where a
    metric has that name too), step i64 (null in slots that a stopped run did not reach), one a
    metric f32 (NaN where nothing was counted) and diverged bool.
    """
    import pyarrow as pa

    members, slots = result.log["step"].shape
    columns = {"member": pa.array(np.repeat(np.arange(members, dtype=np.int32), slots))}
    columns["seed"] = pa.array(np.repeat(np.asarray(result.seeds, np.int64), slots))
    metrics = _metrics(result)
    for path, values in result.vary.items():
        taken = path in columns or path in metrics or path in ("step", "diverged")
        rows = np.repeat(np.asarray(values), slots, axis=0)
        plain = rows.ndim == 1 and rows.dtype != object
        columns[f"agent.{path}" if taken else path] = pa.array(rows if plain else rows.tolist())
    step = np.asarray(result.log["step"], np.float64).ravel()
    reached = np.isfinite(step)
    columns["step"] = pa.array(np.where(reached, step, 0).astype(np.int64), mask=~reached)
    for name in metrics:
        columns[name] = pa.array(np.asarray(result.log[name], np.float32).ravel())
    if "diverged" in result.log:
        columns["diverged"] = pa.array(np.asarray(result.log["diverged"], bool).ravel())
    return pa.table(columns)


def write_metrics(result: Any, path: str | os.PathLike[str]) -> None:
    """Writes `metrics_table(result)` as a Parquet file; `path` never holds half a file."""
    import pyarrow.parquet as pq

    with _whole_file(path) as temporary:
        pq.write_table(metrics_table(result), temporary, compression="zstd")


def write_tensorboard(result: Any, folder: str | os.PathLike[str]) -> None:
    """Writes the log as TensorBoard scalars against environment steps, in place of earlier ones.

    `folder` itself holds each metric's median over members, `lower_quartile` and `upper_quartile`
    lie beside it, and so do up to 8 members' own curves, taken evenly from the worst to the best
    last return. `game_length` is the mean episode length under the name that the published Plane
    Strike recipe logs; `diverged` the share of members that have diverged.
    """
    root, metrics = Path(folder), _metrics(result)
    curves: dict[Path, dict[str, np.ndarray]] = {root: {}, root / "lower_quartile": {}, root / "upper_quartile": {}}
    steps = dict.fromkeys(curves, _steps(result))
    for name in metrics:
        lower, median, upper = quartiles(result.log[name])
        for path, curve in zip(curves, (median, lower, upper), strict=True):
            curves[path][name] = curve
    if "diverged" in result.log:
        curves[root]["diverged"] = np.asarray(result.log["diverged"], np.float64).mean(0)
    for member in _members_shown(result):
        path = root / f"member-{member:05d}-seed-{result.seeds[member]}"
        steps[path] = np.asarray(result.log["step"][member], np.float64)
        curves[path] = {name: np.asarray(result.log[name][member], np.float64) for name in metrics}
    for old in [root, *root.glob("*_quartile"), *root.glob("member-*-seed-*")]:
        for file in old.glob("events.out.tfevents.*"):
            file.unlink()
    for path, scalars in curves.items():
        if "episode_length" in scalars:
            scalars["game_length"] = scalars["episode_length"]
        _write_scalars(path, steps[path], scalars)


def write_curves(result: Any, path: str | os.PathLike[str], returns: Any = None) -> None:
    """Writes the learning curves as a PNG, 300 dots an inch.

    The first panel is the episode return over environment steps: median and interquartile band over
    members, unsmoothed; a member that ended no episode in a slot keeps its last value there. Where
    the length of episodes is not the return itself, a panel shows it in the same way. The last panel
    is the distribution of the final return over members, with its interquartile mean and 95%
    bootstrap interval; of a single member, over its greedy episodes. An environment may have
    `solved_return` (float, drawn as a line) and `shorter_is_better` (bool, said on the length's axis).

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
        axes.spines[["left", "bottom"]].set_color(_GREY)
        axes.tick_params(labelsize=8, color=_GREY)
    _draw_curve(panels[0], result, "episode_return", "Episode return")
    if length:
        better = "\n(lower is better)" if getattr(result.agent.env, "shorter_is_better", False) else ""
        _draw_curve(panels[1], result, "episode_length", f"Episode length in steps{better}")
    _draw_distribution(panels[-1], panels[0], result, returns)
    solved = _solved_return(result)
    if solved is not None:
        for axes in (panels[0], panels[-1]):
            axes.axhline(solved, color=_GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        style: Any = {"fontsize": 7.5, "color": _GREY, "xytext": (2, 2), "textcoords": "offset points"}
        panels[0].annotate(f"solved: {solved:g}", (0, solved), xycoords=("axes fraction", "data"), **style)
    with _whole_file(path) as temporary:
        figure.savefig(temporary, dpi=300, format="png", facecolor="white")


def summary_rows(result: Any, returns: Any = None) -> list[tuple[str, str]]:
    """The table at the end of training, as (what, value).

    Args:
      result: of `train`.
      returns: f32[members, episodes], final greedy returns; without them, nothing is said of them.

    Returns:
      Members, environment steps, steps a second, compile seconds; median and interquartile mean
      over members of each member's mean return, with the 95% bootstrap interval; the share of
      members solved where the environment has `solved_return`; diverged members if there are any.
    """
    steps = np.nan_to_num(np.asarray(result.log["step"], np.float64)).max(1, initial=0)
    members, total = len(steps), steps.sum()
    rows = [("members", f"{members:,}")]
    each = f"{steps.min(initial=total):,.0f} to " if np.ptp(steps) else ""
    rows.append(("environment steps", f"{total:,.0f} ({each}{steps.max(initial=0):,.0f} a member)"))
    if result.seconds > 0:
        rows.append(("steps per second", f"{total / result.seconds:,.0f}"))
    rows.append(("compile seconds", f"{result.compile_seconds:.1f}"))
    if returns is not None:
        rows += return_rows(result, returns)
    return rows + diverged_rows(result)


def return_rows(result: Any, returns: np.ndarray) -> list[tuple[str, str]]:
    """What greedy returns f32[members, episodes] say of the members, as (what, value); see `summary_rows`."""
    means = np.asarray(returns, np.float64).mean(1)
    low, high = bootstrap_interval(means)
    interval = f" (95% interval {low:.2f} to {high:.2f})" if np.isfinite([low, high]).all() else ""
    rows = [("greedy return, median", f"{np.median(means):.2f}")]
    rows.append(("greedy return, interquartile mean", f"{interquartile_mean(means):.2f}{interval}"))
    solved = _solved_return(result)
    if solved is not None:
        count, members = int((means >= solved).sum()), len(means)
        rows.append((f"solved (mean return >= {solved:g})", f"{count / members:.1%} ({count:,} of {members:,})"))
    return rows


def diverged_rows(result: Any) -> list[tuple[str, str]]:
    """How many members have diverged, as (what, value); nothing where none has."""
    diverged: np.ndarray = np.any(result.log["diverged"], axis=1)
    return [("diverged", f"{diverged.sum():,} of {len(diverged):,}")] if diverged.any() else []


@contextlib.contextmanager
def _whole_file(path: str | os.PathLike[str]) -> Iterator[str]:
    """Gives a name beside `path` to write to, and moves what was written to `path` at the end."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's files are the owner's alone
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _metrics(result: Any) -> list[str]:
    """The names of the log's means, the well-known ones first."""
    names = [name for name in result.log if name not in ("step", "diverged")]
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def _steps(result: Any) -> np.ndarray:
    """Environment steps at the end of every slot, the median over members: f64[slots]."""
    return quartiles(result.log["step"])[1]


def _members_shown(result: Any) -> np.ndarray:
    ranked = np.argsort(np.nan_to_num(held(result.log["episode_return"])[:, -1], nan=-np.inf), kind="stable")
    places = np.linspace(0, len(ranked) - 1, min(_MEMBERS_SHOWN, len(ranked)))
    return np.sort(ranked[places.round().astype(int)])


def _write_scalars(folder: Path, steps: np.ndarray, scalars: dict[str, np.ndarray]) -> None:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for name, curve in scalars.items():
            for step, value in zip(steps, curve, strict=True):
                if np.isfinite(step) and np.isfinite(value):
                    writer.add_scalar(name, float(value), int(step))


def _solved_return(result: Any) -> float | None:
    solved = getattr(result.agent.env, "solved_return", None)
    return None if solved is None else float(solved)


def _title(result: Any) -> str:
    """Algorithm, environment (by its registered name, if it has one) and the number of members."""
    env, members = result.agent.env, len(result.seeds)
    name = type(env).__name__
    for known in registry.names():
        with contextlib.suppress(TypeError, ValueError):
            name = known if to_config(registry.make(known)) == to_config(env) else name
    title = f"{type(result.agent).__name__} on {name}, {members:,} "
    if not result.vary:
        return title + ("seed" if members == 1 else "seeds")
    settings = len({tuple(np.asarray(v[member]).tobytes() for v in result.vary.values()) for member in range(members)})
    seeds = len(np.unique(result.seeds))
    return title + f"members: {settings:,} settings" + (f" x {seeds:,} seeds" if settings * seeds == members else "")


def _shows_length(result: Any) -> bool:
    if "episode_length" not in result.log:
        return False
    lengths, returns = np.asarray(result.log["episode_length"]), np.asarray(result.log["episode_return"])
    return bool(np.isfinite(lengths).any()) and not np.allclose(lengths, returns, equal_nan=True)


def _draw_curve(axes: Any, result: Any, name: str, label: str) -> None:
    """One metric's median and quartiles over members against environment steps."""
    from matplotlib.ticker import MaxNLocator

    steps, (lower, median, upper) = _steps(result), quartiles(held(result.log[name]))
    million = np.nanmax(steps, initial=0) >= 2e6
    x = steps / 1e6 if million else steps
    members = len(result.seeds)
    axes.plot(x, median, color=_BLUE, linewidth=1.4, label="median over members" if members > 1 else None, zorder=3)
    if members > 1:
        axes.fill_between(x, lower, upper, color=_BLUE, alpha=0.22, linewidth=0, label="interquartile band", zorder=2)
        axes.legend(frameon=False, fontsize=7.5, loc="best")
    axes.set_xlim(0, max(float(np.nanmax(x, initial=0)), 1e-9))
    axes.set_xlabel("Environment steps per member" + (" (millions)" if million else ""), fontsize=8.5)
    axes.set_ylabel(label, fontsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if million else f"{value:,.0f}")
    axes.yaxis.set_major_formatter(_thousands)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_distribution(axes: Any, beside: Any, result: Any, returns: Any) -> None:
    """A histogram on its side of the final returns, a tick a member, the interquartile mean and its interval."""
    from matplotlib.ticker import MaxNLocator

    values = np.asarray(held(result.log["episode_return"])[:, -1] if returns is None else returns, np.float64)
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
    counts, *_ = axes.hist(values, edges, orientation="horizontal", color=_BLUE, alpha=0.35, ec="white", lw=0.4)
    full = float(np.max(counts))
    axes.plot(np.full(values.size, -0.05 * full), values, "_", color=_BLUE, ms=5, mew=0.6, alpha=0.6)
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
        fmt="D", ms=3.5, lw=1.2, capsize=2.5, color=_ORANGE, label=label, clip_on=False,
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=7.5, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)


def _thousands(value: float, _: Any = None) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:g}"
