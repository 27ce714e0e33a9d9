"""A sweep before it starts: checked, drawn, grouped and counted; nothing is compiled."""

import dataclasses
import functools
from typing import Any

import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.arguments import LARGEST_SEED, number, positive, shown, whole
from jaxrl.config import to_config
from jaxrl.devices import USABLE_MEMORY, NotEnoughMemoryError, free_device_memory, free_host_memory
from jaxrl.environment import Environment
from jaxrl.evaluation import MOST_EPISODES, players
from jaxrl.loop import log_point_edges
from jaxrl.memory import member_bytes
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.plan import checked_seeds
from jaxrl.sweeps.adaptive import tpe_sampler
from jaxrl.sweeps.plan import Batch, Grouping, Rung, Settings, make_batches
from jaxrl.sweeps.space import (
    SAMPLERS,
    Choice,
    Distribution,
    Integers,
    Space,
    SpaceError,
    Uniform,
    checked_space,
    draw,
    every_program,
    grid_size,
    too_many_programs,
)

ADAPTIVE = "optuna: "
"""How the names of Optuna's samplers begin."""
MAX_COMPILATIONS = 32
"""How many programs a sweep may compile without being asked for."""
MOST_TRIALS = 10_000_000
"""As many trials as a sweep may have."""
MOST_RUNGS = 32
"""As many rungs as the longest log can be halved into."""
_ROW_BYTES = 256
"""About what a member takes in memory besides its training: its place in the plan and its row of results."""


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """What a sweep will do.

    Attributes:
      settings: that all members have in common.
      space: as given, checked.
      trials: how many.
      values: of every trial, by path; empty where a sampler of Optuna decides as it goes.
      sampler, sample_seed, eta, episodes, threshold: as given.
      grouping: of the trials.
      batches: of the first stage; empty as `values`.
      rungs: one, or several of successive halving.
    """

    settings: Settings
    space: Space
    trials: int
    values: list[dict[str, Any]]
    sampler: str
    sample_seed: int
    eta: int
    episodes: int
    threshold: float | None
    grouping: Grouping
    batches: list[Batch]
    rungs: list[Rung]

    @property
    def members(self) -> int:
        """Of the first stage."""
        return self.trials * len(self.settings.seeds)

    @property
    def log_points(self) -> int:
        """Of every member's log."""
        return self.grouping.groups[0].plan.log_points

    def request(self) -> dict[str, Any]:
        """The sweep as plain data; equal requests are the same sweep.

        Raises:
          TypeError: the agent or its environment holds something that is none, such as a lambda.
        """
        evaluation = self.settings.evaluation
        return {
            "agent": to_config(self.settings.agent),
            "space": {path: _described(entry) for path, entry in self.space.items()},
            "trials": to_config(self.values) if self.values else self.trials,
            "seeds": self.settings.seeds.tolist(),
            "iterations": [group.plan.iterations for group in self.grouping.groups],
            "log_points": self.log_points,
            "sampler": self.sampler,
            "sample_seed": self.sample_seed,
            "rungs": len(self.rungs),
            "eta": self.eta,
            "episodes": self.episodes,
            "threshold": self.threshold,
            "evaluation": None if evaluation is None else dataclasses.asdict(evaluation),
        }

    @property
    def trials_at_once(self) -> int:
        """Of a round of a sampler of Optuna: a block of members, and at most a tenth of all trials."""
        block = self.grouping.groups[0].size
        return max(1, min(block // len(self.settings.seeds), -(-self.trials // 10)))

    def _blocks(self) -> str:
        return f"{len(self.batches):,}" if self.values else f"rounds of {self.trials_at_once} trials, in blocks"

    @functools.cached_property
    def member_bytes(self) -> int:
        """Of the largest member that is being trained."""
        plans = [group.plan for group in self.grouping.groups]
        return max(member_bytes(plan.agent, plan.log_points, plan.evaluation).training for plan in plans)

    def rows(self) -> list[tuple[str, str]]:
        """The plan in words, as (what, value)."""
        groups, seeds = self.grouping.groups, len(self.settings.seeds)
        sizes = sorted({group.size for group in groups})
        bytes_ = self.member_bytes
        iterations = {group.plan.iterations for group in groups}
        rows = [
            ("members", f"{self.trials:,} trials x {seeds:,} seeds = {self.members:,}"),
            ("compilations", f"{len(groups):,}{_fixed_paths(groups)}"),
            ("blocks", f"{self._blocks()} of up to {sizes[-1]} members, on {groups[0].plan.mesh.size} devices"),
            ("memory", f"{bytes_ / 2**20:.2f} MiB a member, {bytes_ * sizes[-1] / 2**20:,.0f} MiB a block"),
            ("iterations a member", " or ".join(f"{count:,}" for count in sorted(iterations))),
        ]
        if evaluation := self.settings.evaluation:
            counts = " or ".join(str(count) for count in sorted({int(group.plan.evaluated.sum()) for group in groups}))
            rows.append(("evaluations a member", f"{counts}, of {evaluation.episodes} greedy episodes each"))
        if len(self.rungs) > 1:
            stages = (f"{rung.trials:,} trials to {rung.until / self.log_points:.0%}" for rung in self.rungs)
            rows.append(("rungs", ", ".join(stages)))
        return rows


def _fixed_paths(groups: list[Any]) -> str:
    paths = sorted({path for group in groups for path in group.fixed})
    return f" (by {', '.join(paths)})" if paths else ""


def plan_sweep(
    agent: Agent,
    space: Any,
    *,
    trials: int | None = None,
    seeds: Any = 16,
    steps: int | None = None,
    iterations: int | None = None,
    sampler: str = "sobol",
    sample_seed: int = 0,
    rungs: int = 1,
    eta: int = 3,
    episodes: int = 16,
    threshold: float | None = None,
    log_points: int = 100,
    block_size: int | None = None,
    devices: int | None = None,
    memory_limit: int | None = None,
    evaluation: EvaluationPlan | None = None,
    max_compilations: int = MAX_COMPILATIONS,
    blocks: list[int] | None = None,
) -> SweepPlan:
    """Checks everything that the user gave; arguments as of `jaxrl.sweep`.

    `evaluation` is what `checked_evaluation` made of its arguments; `blocks` are the block sizes of a sweep that
    goes on, by group.

    Raises:
      SpaceError, TypeError, ValueError: as `jaxrl.sweep`.
    """
    if not isinstance(agent, Agent) or not isinstance(agent.env, Environment):
        raise TypeError(f"agent = {shown(agent)} must be an agent such as jaxrl.DQN(jaxrl.make('CartPole-v1'))")
    adaptive = sampler.startswith(ADAPTIVE)
    if adaptive and (trials is None or rungs != 1):
        raise SpaceError("a sampler of Optuna needs trials, and decides without rungs: give trials, and rungs=1")
    sample_seed = whole("sample_seed", sample_seed, 0, LARGEST_SEED)
    rungs, eta = positive("rungs", rungs, MOST_RUNGS), positive("eta", eta, MOST_TRIALS)
    if eta < 2:
        raise SpaceError(f"eta = {eta} must be at least 2: one in eta trials goes on after each rung")
    episodes = positive("episodes", episodes, MOST_EPISODES)
    limit = _threshold(agent, threshold)
    memory_limit = None if memory_limit is None else positive("memory_limit", memory_limit)
    checked = checked_space(agent, space)
    _check_members(checked, trials, seeds, memory_limit)
    values = [] if adaptive else draw(checked, trials, sampler, sample_seed)
    count = positive("trials", trials) if adaptive else len(values)
    chosen = np.asarray(checked_seeds(seeds), np.int64)
    settings = Settings(agent, steps, iterations, chosen, log_points, block_size, devices, memory_limit, evaluation)
    grouping = Grouping(settings, blocks)
    most = positive("max_compilations", max_compilations)
    programs = every_program(agent, checked, most) if adaptive else values
    _require_few(grouping, programs, most)
    grouping.prepare(programs, -(-count // len(programs)) if adaptive else 1)
    for group in grouping.groups:
        players(group.plan.agent, episodes, 1, memory_limit or free_device_memory(group.plan.mesh))
    batches = make_batches(grouping, range(len(values)), values, settings.seeds)
    stages = _rungs(rungs, eta, count, grouping.groups[0].plan.log_points)
    if rungs > 1:
        _check_first_rung(grouping, stages[0])
    return SweepPlan(
        settings, checked, count, values, sampler, sample_seed, eta, episodes, limit, grouping, batches, stages
    )


def checked_sampler(sampler: Any, seed: int) -> tuple[str, Any]:
    """The name that stands for a sampler in a plan, and the sampler of Optuna, or None.

    Raises:
      SpaceError: there is none of that name.
      ImportError: it needs Optuna, which is not installed.
    """
    if sampler in SAMPLERS:
        return sampler, None
    if sampler == "tpe":
        sampler = tpe_sampler(seed)
    elif isinstance(sampler, str) or not hasattr(sampler, "sample_relative"):
        raise SpaceError(f"sampler = {sampler!r} must be one of {', '.join(SAMPLERS)}, tpe, or a sampler of Optuna")
    return f"{ADAPTIVE}{type(sampler).__name__}", sampler


def _check_members(space: Space, trials: int | None, seeds: Any, limit: int | None) -> None:
    """Checks that the plan of all members itself fits into memory, before any of it is made."""
    points = grid_size(space)
    if trials is not None:
        trials = positive("trials", trials)
    count, each = max(points, trials or 0), len(checked_seeds(seeds))
    if count > MOST_TRIALS:
        what = f"trials = {count}" if trials == count else f"space has {count} points, which"
        raise SpaceError(f"{what} are more than a sweep can have: give at most {MOST_TRIALS}")
    needed, free = count * each * _ROW_BYTES, int(USABLE_MEMORY * (limit or free_host_memory()))
    if needed > free:
        raise NotEnoughMemoryError(
            f"{count:,} trials x {each:,} seeds need {needed / 2**20:,.0f} MiB of main memory for their rows of "
            f"results alone, and {free / 2**20:,.0f} MiB may be used: give fewer trials or seeds"
        )


def _threshold(agent: Agent, threshold: Any) -> float | None:
    value = getattr(agent.env, "solved_return", None) if threshold is None else threshold
    if value is None:
        return None
    return number("threshold", value)


def _check_first_rung(grouping: Grouping, rung: Rung) -> None:
    for group in grouping.groups:
        iterations = int(log_point_edges(group.plan.iterations, group.plan.log_points)[rung.until])
        try:
            group.plan.agent.check_run(max(iterations, 1))
        except ValueError as error:
            raise SpaceError(
                f"the first of the rungs ends too early, after {iterations:,} iterations: {error}"
            ) from error


def _require_few(grouping: Grouping, values: list[dict[str, Any]], most: int) -> None:
    keys = {grouping.key(each) for each in values}
    if len(keys) > most:
        paths = sorted({path for key in keys for path, _ in key})
        raise too_many_programs(len(keys), ", ".join(paths), most)


def _rungs(count: int, eta: int, trials: int, log_points: int) -> list[Rung]:
    ends = [round(log_points / eta ** (count - 1 - rung)) for rung in range(count)]
    if ends[0] < 1 or len(set(ends)) < count:
        raise SpaceError(
            f"rungs = {count} with eta = {eta} would end the first rung after {log_points / eta ** (count - 1):.2f} of "
            f"{log_points} log points: give fewer rungs, or more log points"
        )
    begins = [0, *ends[:-1]]
    return [
        Rung(max(1, -(-trials // eta**rung)), begin, end)
        for rung, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]


@functools.singledispatch
def _described(entry: Any) -> Any:
    """A field's values as plain data."""
    return {"grid": to_config(list(entry))}


@_described.register
def _(entry: Distribution) -> Any:
    raise SpaceError(f"{entry!r} is of no kind of distribution that jaxrl has")


@_described.register
def _(entry: Uniform) -> Any:
    return {"log_uniform" if entry.log else "uniform": [entry.low, entry.high]}


@_described.register
def _(entry: Integers) -> Any:
    return {"integers": [entry.low, entry.high]}


@_described.register
def _(entry: Choice) -> Any:
    return {"choice": to_config(list(entry.values))}
