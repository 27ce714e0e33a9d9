"""What a run leaves for people: the table of metrics, TensorBoard's files, the summary."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxrl.env_checker import CODES
from jaxrl.environment import FAULTS
from jaxrl.evaluation import exact_scores
from jaxrl.periodic_evaluation import COLUMN
from jaxrl.result import Result
from jaxrl.statistics import bootstrap_interval, forward_fill, interquartile_mean, quartiles
from jaxrl.storage import new_file

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST = ("episode_return", COLUMN, "episode_length", "loss")
_MEMBERS_SHOWN = 8
_FAULTS = {
    "reward": ("rewards that are not finite", "reward-not-finite"),
    "observation": ("observations that are not finite", "obs-not-finite"),
    "mask": ("masks that allow no action", "mask-empty"),
}
"""The faults of environments as messages, and the findings of `check_env` with their remedies."""


def metrics_table(result: Result) -> "pa.Table":
    """The log as a table: one row a member and log point, the member's log points one after the other.

    Columns: member i32, seed i64, one a swept field (named by its path; "agent.<path>" where a
    metric has that name too), step i64 (null in log points that a stopped run did not reach), one a
    metric f32 (NaN where nothing was counted), diverged bool and fault u8 (see `Result.log`).
    """
    import pyarrow as pa

    members, log_points = result.log["step"].shape
    columns = {"member": pa.array(np.repeat(np.arange(members, dtype=np.int32), log_points))}
    columns["seed"] = pa.array(np.repeat(np.asarray(result.seeds, np.int64), log_points))
    metrics = _metrics(result)
    for path, values in result.vary.items():
        taken = path in columns or path in metrics or path in ("step", "diverged", "fault")
        rows = np.repeat(np.asarray(values), log_points, axis=0)
        plain = rows.ndim == 1 and rows.dtype != object
        columns[f"agent.{path}" if taken else path] = pa.array(rows if plain else rows.tolist())
    step = np.asarray(result.log["step"], np.float64).ravel()
    reached = np.isfinite(step)
    columns["step"] = pa.array(np.where(reached, step, 0).astype(np.int64), mask=~reached)
    for name in metrics:
        columns[name] = pa.array(np.asarray(result.log[name], np.float32).ravel())
    if "diverged" in result.log:
        columns["diverged"] = pa.array(np.asarray(result.log["diverged"], bool).ravel())
    if "fault" in result.log:
        columns["fault"] = pa.array(np.asarray(result.log["fault"], np.uint8).ravel())
    return pa.table(columns)


def write_metrics(result: Result, path: str | os.PathLike[str]) -> None:
    """Writes `metrics_table(result)` as a Parquet file; `path` never holds half a file."""
    import pyarrow.parquet as pq

    with new_file(path) as file:
        pq.write_table(metrics_table(result), file, compression="zstd")


def write_tensorboard(result: Result, folder: str | os.PathLike[str]) -> None:
    """Writes the log as TensorBoard scalars against environment steps, in place of earlier ones.

    `folder` itself holds each metric's median over members, `lower_quartile` and `upper_quartile`
    lie beside it, and so do up to 8 members' own curves, taken evenly from the worst to the best
    last return. `diverged` is the share of members that have diverged.
    """
    root, metrics = Path(folder), _metrics(result)
    curves: dict[Path, dict[str, np.ndarray]] = {root: {}, root / "lower_quartile": {}, root / "upper_quartile": {}}
    steps = dict.fromkeys(curves, median_steps(result))
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
        _write_scalars(path, steps[path], scalars)


def summary_rows(result: Result, returns: np.ndarray | None = None) -> list[tuple[str, str]]:
    """The table at the end of training, as (what, value).

    Args:
      result: of `train`.
      returns: f32[members, episodes], final greedy returns; None leaves their rows out.

    Returns:
      Members, environment steps, steps a second, compile seconds, evaluations in training if there are any and
      what they cost; median and interquartile mean over members of each member's mean return, with the 95%
      bootstrap interval; the share of members solved where the environment has `solved_return`; diverged members
      if there are any.
    """
    steps = np.nan_to_num(np.asarray(result.log["step"], np.float64)).max(1, initial=0)
    members, total = len(steps), steps.sum()
    rows = [("members", f"{members:,}")]
    each = f"{steps.min(initial=total):,.0f} to " if np.ptp(steps) else ""
    rows.append(("environment steps", f"{total:,.0f} ({each}{steps.max(initial=0):,.0f} a member)"))
    if result.seconds > 0:
        rows.append(("steps per second", f"{total / result.seconds:,.0f}"))
    rows.append(("compile seconds", f"{result.compile_seconds:.1f}"))
    if COLUMN in result.log:
        rows.append(("evaluations in training", _evaluation_cost(result)))
    if returns is not None:
        rows += return_rows(result, returns)
    return rows + failed_rows(result)


def _evaluation_cost(result: Result) -> str:
    count = np.sum(~np.isnan(result.log[COLUMN]).all(0))
    seconds, total = result.evaluation_seconds, result.evaluation_seconds + result.seconds
    return f"{count:,}, {seconds:.2f} s ({seconds / max(total, 1e-9):.1%} of the time without compiling)"


def return_rows(result: Result, returns: np.ndarray) -> list[tuple[str, str]]:
    """What greedy returns f32[members, episodes] say of the members, as (what, value); see `summary_rows`."""
    means = np.asarray(returns, np.float64).mean(1)
    low, high = bootstrap_interval(means)
    interval = f" (95% interval {low:.2f} to {high:.2f})" if np.isfinite([low, high]).all() else ""
    rows = [("greedy return, median", f"{np.median(means):.2f}")]
    rows.append(("greedy return, interquartile mean", f"{interquartile_mean(means):.2f}{interval}"))
    solved = solved_return(result)
    if solved is not None:
        count, members = int((means >= solved).sum()), len(means)
        rows.append((f"solved (mean return >= {solved:g})", f"{count / members:.1%} ({count:,} of {members:,})"))
    return rows


def exact_score_rows(result: Result) -> list[tuple[str, str]]:
    """The exact scores of the members, as (what, value); none for an environment without one."""
    exact, scores = result.agent.env.exact_score, exact_scores(result.agent, result.params)
    if exact is None or scores is None:
        return []
    low, high = bootstrap_interval(scores)
    interval = f" (95% interval {low:.3f} to {high:.3f})" if np.isfinite([low, high]).all() else ""
    best = int(np.argmin(scores) if exact.fewer_is_better else np.argmax(scores))
    return [
        ("exact score", f"{exact.meaning}, {'fewer' if exact.fewer_is_better else 'more'} is better"),
        ("exact score, median", f"{np.median(scores):.3f}"),
        ("exact score, interquartile mean", f"{interquartile_mean(scores):.3f}{interval}"),
        ("exact score, best member", f"{best} (seed {result.seeds[best]}): {scores[best]:.3f}"),
    ]


def failed_rows(result: Result) -> list[tuple[str, str]]:
    """How many members have diverged, and what their environments did wrong, as (what, value); nothing for none."""
    diverged: np.ndarray = np.any(result.log["diverged"], axis=1)
    rows = [("diverged", f"{diverged.sum():,} of {len(diverged):,}")] if diverged.any() else []
    return rows + [("environment", text) for text in fault_texts(result)]


def fault_in_words(name: str) -> str:
    """What an environment gave, by one of the names of `FAULTS`."""
    return _FAULTS[name][0]


def fault_texts(result: Result) -> list[str]:
    """What the environment did wrong in a run, with the remedy: one sentence for each kind of fault."""
    texts = []
    for name, bit in FAULTS.items():
        committed = (np.asarray(result.log.get("fault", np.zeros((1, 1), np.uint8))) & bit) > 0
        if committed.any():
            what, code = _FAULTS[name]
            log_point = int(np.argmax(committed.any(axis=0)))
            member = int(np.argmax(committed[:, log_point]))
            texts.append(
                f"{type(result.agent.env).__name__} gave {what}: {committed.any(axis=1).sum():,} of "
                f"{len(committed):,} members, first in row {log_point} of the log, by step "
                f"{result.log['step'][member, log_point]:,.0f} of member {member}; {CODES[code][1]}"
            )
    return texts


def _metrics(result: Result) -> list[str]:
    """The names of the log's means, the well-known ones first."""
    names = [name for name in result.log if name not in ("step", "diverged", "fault")]
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def median_steps(result: Result) -> np.ndarray:
    """Environment steps at the end of every log point, the median over members: f64[log_points]."""
    return quartiles(result.log["step"])[1]


def _members_shown(result: Result) -> np.ndarray:
    ranked = np.argsort(np.nan_to_num(forward_fill(result.log["episode_return"])[:, -1], nan=-np.inf), kind="stable")
    places = np.linspace(0, len(ranked) - 1, min(_MEMBERS_SHOWN, len(ranked)))
    return np.sort(ranked[places.round().astype(int)])


def _write_scalars(folder: Path, steps: np.ndarray, scalars: dict[str, np.ndarray]) -> None:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for name, curve in scalars.items():
            for step, value in zip(steps, curve, strict=True):
                if np.isfinite(step) and np.isfinite(value):
                    writer.add_scalar(name, float(value), int(step))


def solved_return(result: Result) -> float | None:
    """The return from which on the environment counts as solved, if it has one."""
    solved = getattr(result.agent.env, "solved_return", None)
    return None if solved is None else float(solved)
