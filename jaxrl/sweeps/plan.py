"""From trials to batches: members that share one compilation, trained side by side."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.plan import Plan, make_plan
from jaxrl.pytree import concrete, get_at, replace_at
from jaxrl.sweeps.space import is_static_at


@dataclasses.dataclass(frozen=True)
class Group:
    """Trials that share one compiled program: their static fields are equal.

    Attributes:
      number: from 0.
      fixed: the values of swept fields that all of them share, by path: static ones, and None.
      varied: paths of the swept fields that are leaves.
      plan: a checked plan for the group's first member, whose block holds for all.
    """

    number: int
    fixed: dict[str, Any]
    varied: tuple[str, ...]
    plan: Plan


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


@dataclasses.dataclass(frozen=True)
class Rung:
    """A stage of successive halving.

    Attributes:
      trials: how many begin it.
      slot: of the log, at which it begins.
      until: the slot before which it ends.
    """

    trials: int
    slot: int
    until: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all members of a sweep have in common: arguments as of `jaxrl.sweep`."""

    agent: Agent
    steps: int | None
    iterations: int | None
    seeds: np.ndarray
    slots: int
    block: int | None
    devices: int | None
    memory_limit: int | None


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

    def group(self, values: dict[str, Any], like: int) -> Group:
        """The group of a trial, made where it is the first.

        Args:
          values: of the trial, by path.
          like: how many trials the group may have, for the size of its blocks.

        Raises:
          ValueError, TypeError: as `jaxrl.train`, where the agent can't be trained so.
        """
        key = self.key(values)
        if key not in self._groups:
            agent = trial_agent(self._settings.agent, values)
            fixed = dict(key)
            varied = tuple(sorted(path for path in values if path not in fixed))
            number = len(self._groups)
            stored = self._blocks[number] if number < len(self._blocks) else self._settings.block
            self._groups[key] = Group(number, fixed, varied, self._plan(agent, varied, like, stored))
        return self._groups[key]

    def key(self, values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        """What of a trial's values decides the program."""
        agent = self._settings.agent
        return tuple((path, value) for path, value in values.items() if value is None or is_static_at(agent, path))

    def _plan(self, agent: Agent, varied: tuple[str, ...], trials: int, block: int | None) -> Plan:
        settings, members = self._settings, trials * len(self._settings.seeds)
        template = concrete(agent)
        plan = make_plan(
            agent,
            steps=settings.steps,
            iterations=settings.iterations,
            seeds=np.resize(settings.seeds, members),
            vary={path: np.repeat(np.asarray(get_at(template, path))[None], members, axis=0) for path in varied},
            slots=settings.slots,
            block=block,
            devices=settings.devices,
            memory_limit=settings.memory_limit,
            keep_all=False,
        )
        return dataclasses.replace(plan, seeds=plan.seeds[:1], vary={path: v[:1] for path, v in plan.vary.items()})


def trial_agent(agent: Agent, values: dict[str, Any]) -> Agent:
    """The agent with a trial's values in place."""
    for path, value in values.items():
        agent = replace_at(agent, path, value)
    return agent


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
        group = grouping.group(values[members[0]], len(members))
        trial_of = np.repeat(np.asarray(members, np.int64), len(seeds))
        seed_of = np.tile(seeds, len(members))
        vary = {path: _column([values[trial][path] for trial in members], group, path) for path in group.varied}
        size = _block(group.plan, len(trial_of))
        for first in range(0, len(trial_of), size):
            part = slice(first, first + size)
            chosen = {path: np.repeat(column, len(seeds), axis=0)[part] for path, column in vary.items()}
            plan = dataclasses.replace(group.plan, seeds=seed_of[part], vary=chosen, block=size)
            batches.append(Batch(stage, len(batches), group.number, trial_of[part], plan))
    return batches


def _block(plan: Plan, members: int) -> int:
    """The size of the group's blocks; smaller where at least half of the only one would be filling."""
    fitting = -(-members // plan.mesh.size) * plan.mesh.size
    return fitting if fitting <= plan.block // 2 else plan.block


def _column(values: list[Any], group: Group, path: str) -> np.ndarray:
    return np.asarray(values, np.asarray(get_at(concrete(group.plan.agent), path)).dtype)
