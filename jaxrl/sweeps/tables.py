"""The tables of a sweep: one row a member, and one a member and log point, with the swept fields beside them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrl.periodic_evaluation import COLUMN
from jaxrl.result import Result
from jaxrl.statistics import forward_fill
from jaxrl.sweeps.space import value_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

RESULT_COLUMNS = (
    *("trial", "seed", "greedy_return", "training_return", "area_under_curve", "steps_to_threshold", "diverged"),
    *("fault", "steps", "rung", "group", "seconds"),
)
RANKING_COLUMNS = ("trial", "score", "low", "high", "probability_best", "seeds", "diverged", "steps", "rung")


def result_rows(
    result: Result, returns: np.ndarray, until: int, threshold: float | None, **columns: np.ndarray
) -> "pa.Table":
    """One row a member, with `RESULT_COLUMNS`.

    The area under the curve is the mean training return over environment steps, each log point standing for its
    own. The steps to a threshold are those at the end of the first log point that reaches it. A member that diverged
    keeps the returns that it reached here; the ranking counts it as less than any. Where members are evaluated in
    training, their last evaluation has a column too.

    Args:
      result: of the members.
      returns: f32[members, episodes], greedy.
      until: the log points that are done.
      threshold: the training return whose step is looked for, or None.
      **columns: "trial", "rung", "group" and "seconds", [members] each.
    """
    import pyarrow as pa

    log = {name: values[:, :until] for name, values in result.log.items()}
    step, curve = log["step"], forward_fill(log["episode_return"])
    widths, counted = np.diff(step, axis=1, prepend=0.0), np.isfinite(curve)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.sum(np.where(counted, curve * widths, 0), axis=1) / np.sum(np.where(counted, widths, 0), axis=1)
    columns |= {
        "seed": result.seeds,
        "greedy_return": returns.mean(axis=1).astype(np.float32),
        "training_return": curve[:, -1].astype(np.float32),
        "area_under_curve": area,
        "steps_to_threshold": _steps_to(threshold, curve, step),
        "diverged": np.any(log["diverged"], axis=1),
        "fault": np.bitwise_or.reduce(log["fault"], axis=1),
        "steps": step[:, -1].astype(np.int64),
    }
    table = {name: columns[name] for name in RESULT_COLUMNS}
    if COLUMN in log:
        table[COLUMN] = forward_fill(log[COLUMN])[:, -1].astype(np.float32)
    return pa.table(table)


def _steps_to(threshold: float | None, curve: np.ndarray, step: np.ndarray) -> np.ndarray:
    """f64[members], NaN where the training return never came to it."""
    if threshold is None:
        return np.full(len(curve), np.nan)
    with np.errstate(invalid="ignore"):
        reached = curve >= threshold
    first = np.argmax(reached, axis=1)
    return np.where(reached.any(axis=1), np.take_along_axis(step, first[:, None], axis=1)[:, 0], np.nan)


def curve_rows(result: Result, trials: np.ndarray, first: int, until: int) -> "pa.Table":
    """One row a member and log point from `first` to `until`: trial, seed, step, every metric, diverged, fault."""
    import pyarrow as pa

    log = {name: values[:, first:until].reshape(-1) for name, values in result.log.items()}
    rows = {
        "trial": np.repeat(trials.astype(np.int32), until - first),
        "seed": np.repeat(result.seeds, until - first),
        "step": log.pop("step").astype(np.int64),
    }
    last = {name: log.pop(name) for name in ("diverged", "fault")}
    return pa.table(rows | log | last)


def joined(tables: Iterable["pa.Table"]) -> "pa.Table":
    """Tables one below the other; a column that one of them lacks is null there."""
    import pyarrow as pa

    return pa.concat_tables(tables, promote_options="default")


def members_of(results: "pa.Table") -> list[tuple[int, int]]:
    """(trial, seed) of every row."""
    return list(zip(results["trial"].to_pylist(), results["seed"].to_pylist(), strict=True))


def last_rows(results: "pa.Table") -> "pa.Table":
    """Of every trial and seed the row of its last rung, with the seconds of all; by trial and seed."""
    import pyarrow as pa

    frame = results.to_pandas().sort_values(["trial", "seed", "rung"])
    seconds = frame.groupby(["trial", "seed"])["seconds"].transform("sum")
    frame = frame.assign(seconds=seconds).drop_duplicates(["trial", "seed"], keep="last")
    return pa.Table.from_pandas(frame, schema=results.schema, preserve_index=False)


def column_of(path: str) -> str:
    """The name of a swept field's column: its path, with "agent." before it where a column has that name."""
    return f"agent.{path}" if path in (*RESULT_COLUMNS, *RANKING_COLUMNS, COLUMN) else path


def insert_values(frame: "pd.DataFrame", place: int, values: list[dict[str, Any]]) -> "pd.DataFrame":
    """The table with a column for every swept field, from a place on: numbers, flags, or else text (64-64).

    Args:
      frame: with the column "trial".
      place: of the first one.
      values: of every trial of the sweep, by path.
    """
    import pandas as pd

    for offset, path in enumerate(values[0]):
        items = [values[trial][path] for trial in frame["trial"]]
        flags = [isinstance(item, bool) for item in items]
        numeric = not any(flags) and all(item is None or isinstance(item, int | float) for item in items)
        column = pd.Series(items if numeric or all(flags) else [value_text(item) for item in items], frame.index)
        frame.insert(place + offset, column_of(path), column)
    return frame
