"""What the command line prints: tables of results and of environments."""

import dataclasses
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from jaxrl import run_report
from jaxrl.agents.base import policy_of
from jaxrl.cli.fields import field_docs
from jaxrl.cli.options import make_environment, trusted
from jaxrl.environment import Environment
from jaxrl.evaluation import exact_scores
from jaxrl.pytree import Bounds, field_bounds
from jaxrl.result import Member, Result
from jaxrl.spaces import Discrete, MultiDiscrete, Space, array_names, array_spaces, arrays_of, is_array_space
from jaxrl.sweeps import Sweep, SweepFolder, load
from jaxrl.text import printable
from jaxrl.wrappers import WRAPPERS

if TYPE_CHECKING:
    from jaxrl.export.tflite_file import PolicyFile

_WIDTH = 110


def console() -> Console:
    """A console on standard output: as wide as the terminal, or of a fixed width in a file."""
    chosen = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, markup=False, emoji=False, width=None if chosen else _WIDTH)


def print_rows(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Prints a table of (what, value)."""
    table = Table(title=printable(title), title_style="bold", title_justify="left", box=box.ROUNDED, show_header=False)
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    for what, value in rows:
        table.add_row(printable(what), printable(value))
    console().print(table)


def load_run(path: Path, trust: Sequence[str] = ()) -> Result:
    """The result of a run, with a word where it is not finished.

    Raises:
      ValueError: it is a sweep.
    """
    if SweepFolder.is_sweep(path):
        raise ValueError(f"{path} is a sweep, and this needs a run: jaxrl sweep-report reports sweeps")
    result = load(path, trusted(trust))
    if not result.complete:
        print(
            f"jaxrl: {printable(path)} is not finished: these are the members of its finished blocks", file=sys.stderr
        )
    return result


def choose_member(path: Path, name: str, trust: Sequence[str] = ()) -> tuple[Member, float]:
    """The member of a run or a sweep that `--member` names, and its mean greedy return.

    Raises:
      ValueError: there is none.
      IndexError: the sweep has not kept it.
    """
    if SweepFolder.is_sweep(path):
        return _sweep_member(load(path, trusted(trust)), name)
    result = load_run(path, trust)
    index = int(name) if name.isdecimal() else result.best().index if name == "best" else -1
    if not 0 <= index < result.members:
        raise ValueError(f"--member {name!r} must be best, or a number from 0 to {result.members - 1}")
    return result.member(index), float(result.returns[index].mean())


def member_label(path: Path, member: Member) -> str:
    """What to call a member of a run, or of a trial of a sweep."""
    return f"{'trial' if SweepFolder.is_sweep(path) else 'member'} {member.index} (seed {member.seed})"


def _sweep_member(sweep: Sweep, name: str) -> tuple[Member, float]:
    trial, _, seed = name.partition(":")
    if name != "best" and not (trial.isdecimal() and (seed.isdecimal() or not seed)):
        raise ValueError(f"--member {name!r} must be best, TRIAL or TRIAL:SEED, such as 12:3")
    member = sweep.member() if name == "best" else sweep.member(int(trial), int(seed) if seed else None)
    table = sweep.table()
    row = table[(table["trial"] == member.index) & (table["seed"] == member.seed)]
    return member, float(row["greedy_return"].iloc[0])


def file_rows(file: "PolicyFile", env: Environment, returns: np.ndarray) -> list[tuple[str, str]]:
    """What a TFLite file's greedy returns f32[episodes] say, as (what, value)."""
    from jaxrl.export.tflite_file import FileAgent

    rows = [("episodes", f"{len(returns):,}"), ("greedy return, mean", f"{returns.mean():.2f}")]
    if env.exact_score is None:
        return rows
    score = float(env.exact_score.score(lambda count: policy_of(FileAgent(env, file), (), count)))
    return [*rows, (f"exact score, {env.exact_score.meaning}", f"{score:.3f}")]


def evaluation_rows(result: Result, returns: np.ndarray) -> list[tuple[str, str]]:
    """What greedy returns f32[members, episodes] say of a result, as (what, value)."""
    rows = [("members", f"{result.members:,}"), ("episodes a member", f"{returns.shape[1]:,}")]
    rows += run_report.return_rows(result, returns) + run_report.failed_rows(result)
    best = result.best_index(returns)
    rows.append(("best member by return", f"{best} (seed {result.seeds[best]}): {returns[best].mean():.2f}"))
    return rows + run_report.exact_score_rows(result)


def exact_score_notes(member: Member) -> dict[str, Any]:
    """The exact score of a member, by name; empty for an environment without one."""
    scores = exact_scores(member.agent, jax.tree.map(lambda x: x[None], member.params))
    return {} if scores is None else {"exact_score": float(scores[0])}


def print_environment(name: str) -> None:
    """Prints an environment's spaces, and its parameters with their defaults.

    Raises:
      ValueError: it is unknown.
    """
    env = make_environment(name, ())
    doc = (type(env).__doc__ or "").strip().splitlines()
    out = console()
    out.print(printable(name), style="bold")
    out.print(printable(f"  {doc[0] if doc else type(env).__name__}"))
    out.print(f"  observations: {_describe(env.observation_space)}; actions: {_describe(env.action_space)}")
    values = {field.name: getattr(env, field.name) for field in dataclasses.fields(cast(Any, env))}
    _print_fields(type(env), values)


def print_wrappers() -> None:
    """Prints the wrappers, and their parameters with their defaults."""
    for name, kind in WRAPPERS.items():
        console().print(f"--wrap {name}", style="bold")
        console().print(f"  {(kind.__doc__ or '').strip().splitlines()[0]}")
        defaults = {field.name: field.default for field in dataclasses.fields(kind) if field.name != "env"}
        _print_fields(kind, {name: "" if d is dataclasses.MISSING else d for name, d in defaults.items()})


def _print_fields(kind: type, values: dict[str, Any]) -> None:
    """Prints a table of fields with their values, bounds and meanings."""
    table = Table(box=box.ROUNDED, header_style="cyan")
    for column in ("parameter", "default", "must be", "meaning"):
        table.add_column(column, overflow="fold")
    docs = field_docs(kind)
    for field in dataclasses.fields(kind):
        if field.name in values:
            bounds, value = field_bounds(field), values[field.name]
            default = f"{value:g}" if isinstance(value, float) else str(value)
            row = (field.name, default, "" if bounds == Bounds() else str(bounds), docs.get(field.name, ""))
            table.add_row(*map(printable, row))
    if values:
        console().print(table)
    console().print()


def _describe(space: Space) -> str:
    if not is_array_space(space):
        names = array_names(arrays_of(space), "")
        parts = zip(names, array_spaces(space), strict=True)
        return ", ".join(f"{printable(name.lstrip('_'))} {_describe(part)}" for name, part in parts)
    if isinstance(space, Discrete):
        return f"whole numbers 0 to {space.n - 1}"
    if isinstance(space, MultiDiscrete):
        return f"{len(space.counts)} whole numbers, below {', '.join(map(str, space.counts))}"
    low, high = np.unique(np.asarray(space.low)), np.unique(np.asarray(space.high))
    shape = f"{np.dtype(space.dtype).name}{list(space.shape)}"
    return f"{shape} from {low[0]:g} to {high[0]:g}" if low.size == high.size == 1 else shape
