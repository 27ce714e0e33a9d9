"""What a sweep gives back: tables, the best trials, and members to go on with."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.arguments import shown, whole, writable_file
from jaxrl.environment import FAULTS, name_of
from jaxrl.loop import batched_agent
from jaxrl.periodic_evaluation import COLUMN
from jaxrl.result import Member, Result
from jaxrl.run_report import fault_in_words
from jaxrl.sweeps.folder import SweepFolder, joined
from jaxrl.sweeps.plan import trial_agent
from jaxrl.sweeps.ranking import Ranking, rank
from jaxrl.training import train

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TAKEN = frozenset(
    [
        "trial",
        "seed",
        "greedy_return",
        "training_return",
        "area_under_curve",
        "steps_to_threshold",
        COLUMN,
        "diverged",
        "fault",
        "steps",
        "rung",
        "group",
        "seconds",
        "interquartile_mean",
        "low",
        "high",
        "probability_best",
        "seeds",
    ]
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration of a sweep.

    Attributes:
      number: from 0.
      values: of the swept fields, by path.
      agent: with these values.
      score: interquartile mean over seeds of the greedy return.
      low, high: 95% bootstrap interval of the score over seeds; NaN for one seed.
      probability_best: the share of resamples of the seeds in which this trial is the best; NaN for one seed.
      diverged: how many of its seeds diverged, each of which counts as less than any score.
    """

    number: int
    values: dict[str, Any]
    agent: Agent
    score: float
    low: float
    high: float
    probability_best: float
    diverged: int

    def __str__(self) -> str:
        settings = ", ".join(f"{path}={text_of(value)}" for path, value in self.values.items())
        lost = f", {self.diverged} diverged" if self.diverged else ""
        return f"trial {self.number} ({settings}): {self.score:.2f} [{self.low:.2f}, {self.high:.2f}]{lost}"


def text_of(value: Any) -> str:
    """A swept value as people write it: 64-64, none, 0.001."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep that was run, as far as it came.

    Attributes:
      agent: that all trials started from.
      values: of every trial, by path.
      seeds: i64[seeds], of every trial.
      iterations: of every group, by its number.
      log_points: of every member's log.
      threshold: the training return that counts as solved, or None.
      results: one row a trial and seed.
      compile_seconds: of compiling.
      complete: whether all of it is done.
      folder: on disk, or None.
    """

    agent: Agent
    values: list[dict[str, Any]]
    seeds: np.ndarray
    iterations: dict[int, int]
    log_points: int
    threshold: float | None
    results: "pa.Table"
    compile_seconds: float
    complete: bool
    folder: SweepFolder | None
    held_curves: "pa.Table | None" = None
    held_params: dict[tuple[int, int], Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """Of its folder."""
        return None if self.folder is None else self.folder.path

    @property
    def seconds(self) -> float:
        """Of training and playing, over all batches."""
        return float(np.sum(self.results["seconds"].to_numpy()))

    def table(self) -> "pd.DataFrame":
        """One row a trial and seed, by trial and seed.

        Columns: trial, seed, every swept field by its path (tuples as "64-64"), greedy_return (mean over episodes),
        training_return (of the last log point), area_under_curve, steps_to_threshold, diverged, fault (see
        `Result.log`), steps, rung, group,
        seconds (its share of its batch); evaluation_return (of the last evaluation) with `evaluate_every`.
        """
        return with_values(self.results, self.values).sort_values(["trial", "seed"], ignore_index=True)

    def curves(self, trials: Any = None) -> "pd.DataFrame":
        """Learning curves: one row a trial, seed and log point, by trial, seed and step.

        Args:
          trials: the numbers of those to read; by default all.

        Raises:
          TypeError: `trials` is no list of whole numbers.
        """
        wanted = None if trials is None else _numbers("trials", trials)
        if self.folder is not None:
            frame = joined(self.folder.tables("curves", wanted)).to_pandas()
        else:
            assert self.held_curves is not None
            frame = self.held_curves.to_pandas()
            frame = frame if wanted is None else frame[frame["trial"].isin(wanted)]
        return frame.sort_values(["trial", "seed", "step"], ignore_index=True)

    @functools.cached_property
    def ranked(self) -> Ranking:
        """All trials that are done with every seed, from best to worst."""
        return rank_rows(self.results, self.seeds)

    def ranking(self) -> "pd.DataFrame":
        """One row a trial, best first.

        Columns: trial, the swept fields, interquartile_mean (over seeds, of the greedy return), low, high (95%
        bootstrap interval over seeds), probability_best, seeds, diverged (how many), steps, rung.
        """
        import pandas as pd

        ranked = self.ranked
        frame = self.results.to_pandas().groupby("trial")
        totals = frame.agg(
            seeds=("seed", "count"), diverged=("diverged", "sum"), steps=("steps", "max"), rung=("rung", "min")
        )
        columns = {"trial": ranked.trials, **_columns(self.values, ranked.trials)}
        columns |= {"interquartile_mean": ranked.score, "low": ranked.low, "high": ranked.high}
        columns |= {"probability_best": ranked.probability_best}
        return pd.DataFrame(columns).join(totals, on="trial")

    def best(self, place: int = 0) -> Trial:
        """The best trial, or the one at another place of the ranking, from 0.

        Raises:
          IndexError: there are not as many that are done with every seed.
          TypeError: `place` is no whole number.
        """
        place = _number("place", place)
        if not len(self.ranked.trials):
            raise IndexError("no trial is done with every seed yet: run the same sweep again to go on")
        if not 0 <= place < len(self.ranked.trials):
            raise IndexError(f"place = {place} must be from 0 to {len(self.ranked.trials) - 1}")
        return self.trial(int(self.ranked.trials[place]))

    def trial(self, number: int) -> Trial:
        """A trial by its number.

        Raises:
          IndexError: there is none, or it is not done.
          TypeError: `number` is no whole number.
        """
        number = _number("number", number)
        found = np.flatnonzero(self.ranked.trials == number)
        if not len(found):
            raise IndexError(f"trial {number} is not there: there are {len(self.ranked.trials)} that are done")
        ranked, place = self.ranked, found[0]
        return Trial(
            number=number,
            values=self.values[number],
            agent=self.trial_agent(number),
            score=float(ranked.score[place]),
            low=float(ranked.low[place]),
            high=float(ranked.high[place]),
            probability_best=float(ranked.probability_best[place]),
            diverged=int(ranked.diverged[place]),
        )

    def trial_agent(self, number: int) -> Agent:
        """The agent of a trial.

        Raises:
          IndexError: there is no such trial.
          TypeError: `number` is no whole number.
        """
        number = _number("number", number)
        if not 0 <= number < len(self.values):
            raise IndexError(f"trial {number} is not there: the sweep has trials 0 to {len(self.values) - 1}")
        return trial_agent(self.agent, self.values[number])

    def retrain(self, trial: int, seed: int, **options: Any) -> Result:
        """Trains one member of the sweep alone, whole: the same curve, to rounding.

        Args:
          trial: its number.
          seed: of the sweep.
          **options: for `jaxrl.train`.

        Raises:
          IndexError: there is none.
          TypeError: `trial` or `seed` is no whole number, or an option is wrong: see `jaxrl.train`.
          ValueError: an option is out of range.
        """
        trial, seed = _number("trial", trial), _number("seed", seed)
        group = self._row(trial, seed)["group"]
        log_points = options.pop("log_points", self.log_points)
        return train(
            self.trial_agent(trial), iterations=self.iterations[group], seeds=[seed], log_points=log_points, **options
        )

    def _row(self, trial: int, seed: int) -> dict[str, Any]:
        import pyarrow.compute as pc

        rows = self.results
        found = rows.filter(pc.and_(pc.equal(rows["trial"], trial), pc.equal(rows["seed"], seed))).to_pylist()
        if not found:
            raise IndexError(f"trial {trial} with seed {seed} is not there")
        return found[0]

    def member(self, trial: int | None = None, seed: int | None = None) -> Member:
        """A member whose parameters were kept (`keep=`), to play or to export.

        Args:
          trial: its number; by default the best one.
          seed: by default the one of that trial with the best greedy return.

        Raises:
          IndexError: there is none, or its parameters were not kept.
          TypeError: `trial` or `seed` is no whole number.
        """
        trial = self.best().number if trial is None else _number("trial", trial)
        if seed is not None:
            seed = _number("seed", seed)
        else:
            rows = self.table()
            rows = rows[rows["trial"] == trial]
            if rows.empty:
                raise IndexError(f"trial {trial} is not there")
            fit = rows["greedy_return"].where(~rows["diverged"] & (rows["fault"] == 0)).fillna(-np.inf)
            seed = int(rows["seed"][fit.idxmax()])
        self._row(trial, seed)
        agent = self.trial_agent(trial)
        params = self.held_params.get((trial, seed))
        if params is None and self.folder is not None:
            params = self.folder.params_of(trial, seed, params_shapes(agent))
        if params is None:
            raise IndexError(
                f"the parameters of trial {trial} with seed {seed} were not kept: run the sweep with keep='best:5' or "
                f"'all', or train it again by Sweep.retrain({trial}, {seed})"
            )
        curves = self.curves([trial])
        curves = curves[curves["seed"] == seed]
        log = {name: curves[name].to_numpy() for name in curves.columns if name not in ("trial", "seed")}
        return Member(agent, trial, seed, params, log)

    def facts(self) -> list[tuple[str, str]]:
        """What came of it, as (what, value)."""
        rows, ranked = self.results, self.ranked
        steps = int(np.sum(rows["steps"].to_numpy()))
        diverged = int(np.sum(rows["diverged"].to_numpy()))
        facts = [
            ("trials", f"{len(ranked.trials):,} of {len(self.values):,}, {len(self.seeds):,} seeds each"),
            (
                "environment steps",
                f"{steps:,} in {self.seconds:,.1f} s ({steps / max(self.seconds, 1e-9):,.0f} a second)",
            ),
        ]
        if np.isfinite(self.compile_seconds):
            facts.append(("compiling", f"{self.compile_seconds:.1f} s"))
        if diverged:
            facts.append(("diverged", f"{diverged:,} of {rows.num_rows:,} members"))
        faults = np.asarray(rows["fault"])
        for name, bit in FAULTS.items():
            if count := int(np.sum((faults & bit) > 0)):
                what = f"the environment gave {fault_in_words(name)}"
                facts.append((what, f"{count:,} of {rows.num_rows:,} members; jaxrl.check_env (jaxrl check) says more"))
        if self.threshold is not None:
            solved = int(np.sum(ranked.score >= self.threshold))
            facts.append((f"trials that score {self.threshold:g} or more", f"{solved:,}"))
        rungs = np.asarray(rows["rung"])
        if rungs.any() and self.complete:
            whole = rows.num_rows * int(np.max(rows["steps"].to_numpy()))
            facts.append(("saved by halving", f"{1 - steps / whole:.0%} of all environment steps"))
        return facts

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes a page with the ranking, curves and effects: one HTML file that needs no network."""
        from jaxrl.sweeps.report import Axis, write_report

        path = writable_file("path", path)
        axes = []
        for name in self.values[0]:
            items = [values[name] for values in self.values]
            plain = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
            wide = plain and min(items) > 0 and max(items) >= 30 * min(items)
            axes.append(Axis(column_of(name), wide, not plain))
        best = self.ranked.trials[:5].tolist()
        write_report(
            path,
            title=f"{type(self.agent).__name__} on {name_of(self.agent.env)}",
            facts=self.facts(),
            results=self.table(),
            curves=self.curves(best),
            ranking=self.ranking(),
            axes=axes,
            threshold=self.threshold,
        )


def _number(name: str, value: Any) -> int:
    """An argument that must be a whole number; whether there is such a trial or seed is seen later."""
    return whole(name, value, least=-(2**63))


def _numbers(name: str, values: Any) -> list[int]:
    try:
        items = list(values)
    except TypeError:
        raise TypeError(f"{name} = {shown(values)} must be a list of whole numbers") from None
    return [_number(f"{name}[{place}]", item) for place, item in enumerate(items)]


def params_shapes(agent: Agent) -> Any:
    """The shapes of one member's parameters."""
    plain = batched_agent(agent, {}, np.zeros(0, int))
    return jax.eval_shape(lambda key: plain.params(plain.init(key)), jax.random.key(0))


def rank_rows(results: "pa.Table", seeds: np.ndarray) -> Ranking:
    """Ranks the trials of a table of results that have a row for every seed."""
    frame = results.select(["trial", "seed", "greedy_return", "diverged", "rung"]).to_pandas()
    returns = frame.pivot(index="trial", columns="seed", values="greedy_return")
    diverged = frame.pivot(index="trial", columns="seed", values="diverged").reindex(returns.index)
    counts = frame.groupby("trial").size().reindex(returns.index)
    whole = counts.to_numpy() == len(seeds)
    # Where a sweep was interrupted, a trial is as far as its last seed.
    rungs = frame.groupby("trial")["rung"].min().reindex(returns.index).to_numpy()
    lost = diverged.to_numpy()[whole].astype(bool)
    return rank(returns.index.to_numpy()[whole], returns.to_numpy()[whole], rungs[whole], lost)


def with_values(results: "pa.Table", values: list[dict[str, Any]]) -> "pd.DataFrame":
    """A table of results with a column for every swept field after trial and seed."""
    frame = results.to_pandas()
    columns = _columns(values, frame["trial"].to_numpy())
    for place, (path, column) in enumerate(columns.items()):
        frame.insert(2 + place, path, column)
    return frame


def column_of(path: str) -> str:
    """The name of a swept field's column: its path, with "agent." before it where a column has that name."""
    return f"agent.{path}" if path in _TAKEN else path


def _columns(values: list[dict[str, Any]], trials: np.ndarray) -> dict[str, Any]:
    """The swept fields of some trials, as columns."""
    import pandas as pd

    columns = {}
    for path in values[0]:
        items = [values[trial][path] for trial in trials]
        numeric = all(item is None or (isinstance(item, int | float) and not isinstance(item, bool)) for item in items)
        if numeric or all(isinstance(item, bool) for item in items):
            columns[column_of(path)] = pd.Series(items)
        else:
            columns[column_of(path)] = pd.Series([text_of(item) for item in items])
    return columns
