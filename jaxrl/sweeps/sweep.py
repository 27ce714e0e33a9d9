"""The result of a sweep: tables, the best trials, and members to use."""

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
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.result import Member, Result
from jaxrl.run_report import fault_in_words
from jaxrl.sweeps.batches import Values, trial_agent
from jaxrl.sweeps.folder import SweepFolder
from jaxrl.sweeps.memory_store import MemoryStore
from jaxrl.sweeps.ranking import rank_results
from jaxrl.sweeps.report import CURVES, write_report
from jaxrl.sweeps.space import Space, value_text
from jaxrl.sweeps.tables import RANKING_COLUMNS, insert_values, joined
from jaxrl.training import train

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration of a sweep.

    Attributes:
      index: from 0.
      values: of the swept fields, by path.
      agent: with these values.
      score: interquartile mean over seeds of the greedy return.
      low, high: 95% bootstrap interval of the score over seeds; NaN for one seed.
      probability_best: the share of resamples of the seeds in which this trial is the best; NaN for one seed.
      diverged: how many of its seeds diverged, each of which counts as less than any score.
    """

    index: int
    values: Values
    agent: Agent
    score: float
    low: float
    high: float
    probability_best: float
    diverged: int

    def __str__(self) -> str:
        settings = ", ".join(f"{path}={value_text(value)}" for path, value in self.values.items())
        lost = f", {self.diverged} diverged" if self.diverged else ""
        return f"trial {self.index} ({settings}): {self.score:.2f} [{self.low:.2f}, {self.high:.2f}]{lost}"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep that was run, as far as it came.

    Attributes:
      agent: that all trials started from.
      space: what was tried.
      values: of every trial, by path.
      seeds: i64[seeds], of every trial.
      iterations: of every group, by its index.
      log_points: of every member's log.
      threshold: the training return that counts as solved, or None.
      evaluation: when and how members were evaluated while they were trained; None where they were not.
      results: one row a trial and seed.
      compile_seconds: of compiling.
      complete: whether all of it is done.
      store: of curves and parameters.
    """

    agent: Agent
    space: Space
    values: list[Values]
    seeds: np.ndarray
    iterations: list[int]
    log_points: int
    threshold: float | None
    evaluation: EvaluationPlan | None
    results: "pa.Table"
    compile_seconds: float
    complete: bool
    store: SweepFolder | MemoryStore

    @property
    def path(self) -> Path | None:
        """Of its folder, or None."""
        return self.store.path

    @property
    def seconds(self) -> float:
        """Of training and playing, over all batches."""
        return float(np.sum(self.results["seconds"].to_numpy()))

    def table(self) -> "pd.DataFrame":
        """One row a trial and seed, by trial and seed.

        Columns: trial, seed, every swept field by its path (tuples as "64-64"), greedy_return (mean over episodes),
        training_return (of the last log point), area_under_curve, steps_to_threshold, diverged, fault (see
        `Result.log`), steps, rung, group, seconds (its share of its batch); evaluation_return (of the last
        evaluation) with `evaluate_every`.
        """
        frame = insert_values(self.results.to_pandas(), 2, self.values)
        return frame.sort_values(["trial", "seed"], ignore_index=True)

    def curves(self, trials: Any = None) -> "pd.DataFrame":
        """Learning curves: one row a trial, seed and log point, by trial, seed and step.

        Args:
          trials: the indices of those to read; by default all.

        Raises:
          TypeError: `trials` is no list of whole numbers.
        """
        chosen = None if trials is None else _indices("trials", trials)
        frame = joined(self.store.tables("curves", chosen)).to_pandas()
        return frame.sort_values(["trial", "seed", "step"], ignore_index=True)

    @functools.cached_property
    def _ranking(self) -> "pd.DataFrame":
        return rank_results(self.results, self.seeds)

    def ranking(self) -> "pd.DataFrame":
        """One row a trial that is done with every seed, best first.

        Columns: trial, the swept fields, score (interquartile mean over seeds of the greedy return), low, high (its
        95% bootstrap interval over seeds), probability_best, seeds, diverged (how many), steps, rung.
        """
        return insert_values(self._ranking[list(RANKING_COLUMNS)], 1, self.values)

    def best(self, place: int = 0) -> Trial:
        """The best trial, or the one at another place of the ranking, from 0.

        Raises:
          IndexError: there are not as many that are done with every seed.
          TypeError: `place` is no whole number.
        """
        place, count = _index("place", place), len(self._ranking)
        if not count:
            raise IndexError("no trial is done with every seed yet: run the same sweep again to resume it")
        if not 0 <= place < count:
            raise IndexError(f"place = {place} must be from 0 to {count - 1}")
        return self.trial(int(self._ranking["trial"][place]))

    def trial(self, index: int) -> Trial:
        """A trial by its index.

        Raises:
          IndexError: there is none, or it is not done.
          TypeError: `index` is no whole number.
        """
        index = _index("index", index)
        rows = self._ranking[self._ranking["trial"] == index]
        if rows.empty:
            raise IndexError(f"trial {index} is not there: there are {len(self._ranking)} that are done")
        numbers = {name: float(rows[name].iloc[0]) for name in ("score", "low", "high", "probability_best")}
        diverged = int(rows["diverged"].iloc[0])
        return Trial(index, self.values[index], self.trial_agent(index), **numbers, diverged=diverged)

    def trial_agent(self, index: int) -> Agent:
        """The agent of a trial.

        Raises:
          IndexError: there is no such trial.
          TypeError: `index` is no whole number.
        """
        index = _index("index", index)
        if not 0 <= index < len(self.values):
            raise IndexError(f"trial {index} is not there: the sweep has trials 0 to {len(self.values) - 1}")
        return trial_agent(self.agent, self.values[index])

    def retrain(self, trial: int, seed: int, **options: Any) -> Result:
        """Trains one member of the sweep alone, whole: the same curve and parameters, to rounding.

        Args:
          trial: its index.
          seed: of the sweep.
          **options: for `jaxrl.train`.

        Raises:
          IndexError: there is none.
          TypeError: `trial` or `seed` is no whole number, or an option is wrong: see `jaxrl.train`.
          ValueError: an option is out of range.
        """
        trial, seed = _index("trial", trial), _index("seed", seed)
        iterations = self.iterations[self._row(trial, seed)["group"]]
        evaluated = {} if self.evaluation is None else self.evaluation.arguments()
        options = {"log_points": self.log_points, **evaluated, **options}
        return train(self.trial_agent(trial), iterations=iterations, seeds=[seed], **options)

    def _row(self, trial: int, seed: int) -> dict[str, Any]:
        import pyarrow.compute as pc

        rows = self.results
        chosen = rows.filter(pc.and_(pc.equal(rows["trial"], trial), pc.equal(rows["seed"], seed))).to_pylist()
        if not chosen:
            raise IndexError(f"trial {trial} with seed {seed} is not there")
        return chosen[0]

    def member(self, trial: int | None = None, seed: int | None = None) -> Member:
        """A member whose parameters were kept (`keep=`), to play or to export.

        Args:
          trial: its index; by default the best one.
          seed: by default the one of that trial with the best greedy return.

        Raises:
          IndexError: there is none, or its parameters were not kept.
          TypeError: `trial` or `seed` is no whole number.
        """
        trial = self.best().index if trial is None else _index("trial", trial)
        seed = self._best_seed(trial) if seed is None else _index("seed", seed)
        self._row(trial, seed)
        agent = self.trial_agent(trial)
        params = self.store.params_of(trial, seed, params_shapes(agent))
        if params is None:
            raise IndexError(
                f"the parameters of trial {trial} with seed {seed} were not kept: run the sweep with keep='best:5' or "
                f"'all', or train it again by Sweep.retrain({trial}, {seed})"
            )
        curves = self.curves([trial])
        curves = curves[curves["seed"] == seed].drop(columns=["trial", "seed"])
        return Member(agent, trial, seed, params, {name: curves[name].to_numpy() for name in curves.columns})

    def _best_seed(self, trial: int) -> int:
        rows = self.table()
        rows = rows[rows["trial"] == trial]
        if rows.empty:
            raise IndexError(f"trial {trial} is not there")
        valid = rows["greedy_return"].where(~rows["diverged"] & (rows["fault"] == 0)).fillna(-np.inf)
        return int(rows["seed"][valid.idxmax()])

    def summary(self) -> list[tuple[str, str]]:
        """What came of it, as (what, value)."""
        table = self.results.to_pandas()
        members, steps = len(table), int(table["steps"].sum())
        speed = steps / max(self.seconds, 1e-9)
        rows = [
            ("trials", f"{len(self._ranking):,} of {len(self.values):,}, {len(self.seeds):,} seeds each"),
            ("environment steps", f"{steps:,} in {self.seconds:,.1f} s ({speed:,.0f} a second)"),
        ]
        if np.isfinite(self.compile_seconds):
            rows.append(("compiling", f"{self.compile_seconds:.1f} s"))
        if diverged := int(table["diverged"].sum()):
            rows.append(("diverged", f"{diverged:,} of {members:,} members"))
        for name, bit in FAULTS.items():
            if count := int(((table["fault"] & bit) > 0).sum()):
                what = f"the environment gave {fault_in_words(name)}"
                rows.append((what, f"{count:,} of {members:,} members; jaxrl.check_env(env) says more"))
        if self.threshold is not None:
            solved = int((self._ranking["score"] >= self.threshold).sum())
            rows.append((f"trials that score {self.threshold:g} or more", f"{solved:,}"))
        if table["rung"].any() and self.complete:
            rows.append(
                ("saved by halving", f"{1 - steps / (members * table['steps'].max()):.0%} of all environment steps")
            )
        return rows

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes a page with the ranking, curves and effects: one HTML file that needs no network."""
        ranking = self.ranking()
        write_report(
            writable_file("path", path),
            title=f"{type(self.agent).__name__} on {name_of(self.agent.env)}",
            summary=self.summary(),
            space=self.space,
            values=self.values,
            ranking=ranking,
            results=self.table(),
            curves=self.curves(ranking["trial"].head(CURVES)),
            threshold=self.threshold,
        )


def _index(name: str, value: Any) -> int:
    """An argument that must be a whole number; whether there is such a trial or seed is seen later."""
    return whole(name, value, least=-(2**63))


def _indices(name: str, values: Any) -> list[int]:
    try:
        items = list(values)
    except TypeError:
        raise TypeError(f"{name} = {shown(values)} must be a list of whole numbers") from None
    return [_index(f"{name}[{place}]", item) for place, item in enumerate(items)]


def params_shapes(agent: Agent) -> Any:
    """The shapes of one member's parameters."""
    plain = batched_agent(agent, {}, np.zeros(0, int))
    return jax.eval_shape(lambda key: plain.params(plain.init(key)), jax.random.key(0))
