"""From trials to batches: members that share one compilation, trained side by side."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.devices import NotEnoughMemoryError
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.plan import Plan, make_plan
from jaxrl.pytree import field_at, get_at, is_static, replace_at, with_array_leaves
from jaxrl.ties import tie_agent, tie_varied

LARGE_BATCH = 1024
"""Members of a batch from which on"""
LEAST_BATCHES = 16
"""there are at least so many batches of a group."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Trials that share one compiled program: their static fields are equal.

    Attributes:
      number: from 0.
      fixed: the values of swept fields that all of them share, by path: static ones, and None.
      varied: paths of the swept fields that are leaves.
      plan: a checked plan for the group's first member.
      size: members of one batch, the same wherever a sweep goes on.
    """

    number: int
    fixed: dict[str, Any]
    varied: tuple[str, ...]
    plan: Plan
    size: int


@dataclasses.dataclass(frozen=True)
class Batch:
    """Members that are trained at once.

    Attributes:
      stage: of the sweep: the rung of successive halving, or the round of an adaptive sampler; else 0.
      number: in its stage.
      group: of all its members.
      trials: i64[members].
      plan: of its members alone.
    """

    stage: int
    number: int
    group: int
    trials: np.ndarray
    plan: Plan

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.stage:03d}-{self.number:06d}"

    @property
    def members(self) -> list[tuple[int, int]]:
        """(trial, seed) of each."""
        return list(zip(self.trials.tolist(), self.plan.seeds.tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class Rung:
    """A stage of successive halving.

    Attributes:
      trials: how many begin it.
      log_point: of the log, at which it begins.
      until: the log point before which it ends.
    """

    trials: int
    log_point: int
    until: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all members of a sweep have in common: arguments as of `jaxrl.sweep`, those of evaluation as one."""

    agent: Agent
    steps: int | None
    iterations: int | None
    seeds: np.ndarray
    log_points: int
    block_size: int | None
    devices: int | None
    memory_limit: int | None
    evaluation: EvaluationPlan | None


class Grouping:
    """Sorts trials into groups, the same for the same trials in the same order."""

    def __init__(self, settings: Settings, blocks: list[int] | None = None) -> None:
        """Starts without a group; `blocks` are the block sizes of a sweep that goes on, by group."""
        self._settings = settings
        self._blocks = blocks or []
        self._groups: dict[Any, Group] = {}

    @property
    def groups(self) -> list[Group]:
        """All that were met so far."""
        return list(self._groups.values())

    def prepare(self, trials: Sequence[dict[str, Any]], share: int = 1) -> None:
        """Makes the groups of all trials, which log with as many log points each.

        Args:
          trials: their values, by path.
          share: how many trials each of them stands for.

        Raises:
          ValueError, TypeError: as `jaxrl.train`, where an agent can't be trained so.
        """
        counts = collections.Counter(self.key(values) for values in trials)
        for values in trials:
            key = self.key(values)
            if key not in self._groups:
                self._groups[key] = self._make(values, dict(key), counts[key] * share)
        log_points = min(group.plan.log_points for group in self._groups.values())
        for key, group in self._groups.items():
            self._groups[key] = dataclasses.replace(group, plan=dataclasses.replace(group.plan, log_points=log_points))

    def group(self, values: dict[str, Any]) -> Group:
        """The group of a trial, which was prepared."""
        return self._groups[self.key(values)]

    def _make(self, values: dict[str, Any], fixed: dict[str, Any], trials: int) -> Group:
        agent = trial_agent(self._settings.agent, values)
        varied = tuple(sorted(path for path in values if path not in fixed))
        number = len(self._groups)
        if number >= len(self._blocks):
            plan = self._plan(agent, varied, trials, self._settings.block_size)
            return Group(number, fixed, varied, plan, plan.block_size)
        try:
            plan = self._plan(agent, varied, trials, self._blocks[number])
        except NotEnoughMemoryError:  # Here its batches are trained in smaller blocks.
            plan = self._plan(agent, varied, trials, None)
        return Group(number, fixed, varied, plan, self._blocks[number])

    def key(self, values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        """What of a trial's values decides the program."""
        agent = self._settings.agent
        return tuple(
            (path, value) for path, value in values.items() if value is None or is_static(field_at(agent, path))
        )

    def _plan(self, agent: Agent, varied: tuple[str, ...], trials: int, block_size: int | None) -> Plan:
        settings, members = self._settings, trials * len(self._settings.seeds)
        template = with_array_leaves(agent)
        plan = make_plan(
            agent,
            steps=settings.steps,
            iterations=settings.iterations,
            seeds=members,  # Whatever they are: each batch has its own.
            vary={path: np.repeat(np.asarray(get_at(template, path))[None], members, axis=0) for path in varied},
            log_points=settings.log_points,
            block_size=block_size,
            devices=settings.devices,
            memory_limit=settings.memory_limit,
            evaluation=settings.evaluation,
            keep_all=False,
        )
        size = plan.block_size if block_size is not None else _bounded(plan)
        vary = {path: values[:1] for path, values in plan.vary.items()}
        return dataclasses.replace(plan, seeds=plan.seeds[:1], vary=vary, block_size=size)


def _bounded(plan: Plan) -> int:
    """The block of a plan, but that a large device does not take a whole sweep at once: batches are what is kept."""
    devices = plan.mesh.size
    most = max(LARGE_BATCH, -(-plan.members // LEAST_BATCHES))
    return min(plan.block_size, -(-most // devices) * devices)


def trial_agent(agent: Agent, values: dict[str, Any]) -> Agent:
    """The agent with a trial's values in place."""
    for path, value in values.items():
        agent = replace_at(agent, path, value)
    return tie_agent(agent)


def make_batches(
    grouping: Grouping, trials: Sequence[int], values: Sequence[dict[str, Any]], seeds: np.ndarray, stage: int = 0
) -> list[Batch]:
    """The batches of some trials, each with every seed.

    Args:
      grouping: of the sweep.
      trials: their numbers.
      values: of all trials of the sweep, by number.
      seeds: i64[seeds].
      stage: of the sweep.
    """
    by_group: dict[Any, list[int]] = {}
    for trial in trials:
        by_group.setdefault(grouping.key(values[trial]), []).append(trial)
    batches: list[Batch] = []
    for members in by_group.values():
        group = grouping.group(values[members[0]])
        trial_of = np.repeat(np.asarray(members, np.int64), len(seeds))
        seed_of = np.tile(seeds, len(members))
        vary = {path: _column([values[trial][path] for trial in members], group, path) for path in group.varied}
        vary = {path: np.repeat(column, len(seeds), axis=0) for path, column in vary.items()}
        vary = tie_varied(group.plan.agent, vary)
        for first in range(0, len(trial_of), group.size):
            part = slice(first, first + group.size)
            chosen = {path: column[part] for path, column in vary.items()}
            plan = dataclasses.replace(
                group.plan, seeds=seed_of[part], vary=chosen, block_size=_block(group, len(trial_of))
            )
            batches.append(Batch(stage, len(batches), group.number, trial_of[part], plan))
    return batches


def _block(group: Group, members: int) -> int:
    """The members of a compiled block; fewer than the batch has where at least half of the only one were filling."""
    devices = group.plan.mesh.size
    whole, fitting = (-(-count // devices) * devices for count in (group.size, members))
    return min(fitting if fitting <= whole // 2 else whole, max(group.plan.block_size, devices))


def _column(values: list[Any], group: Group, path: str) -> np.ndarray:
    return np.asarray(values, np.asarray(get_at(with_array_leaves(group.plan.agent), path)).dtype)
