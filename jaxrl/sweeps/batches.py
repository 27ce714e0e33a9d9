"""From trials to batches: members that share one compiled program and are trained side by side."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.devices import NotEnoughMemoryError
from jaxrl.plan import Plan, make_plan
from jaxrl.pytree import field_at, get_at, is_static, replace_at, with_array_leaves
from jaxrl.sweeps.config import SweepConfig
from jaxrl.ties import tie_agent, tie_varied
from jaxrl.train_config import TrainConfig

LARGE_BATCH = 1024
"""Members of a batch from which on"""
LEAST_BATCHES = 16
"""there are at least so many batches of a group."""

Values = dict[str, Any]
"""What a trial has in its swept fields, by path."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Trials that share one compiled program: their static fields are equal.

    Attributes:
      index: from 0.
      fixed: the values of swept fields that all of them share, by path: static ones, and None.
      varied: paths of the swept fields that are leaves.
      plan: a checked plan for the group's first member.
      batch_size: members of one batch, the same wherever a sweep is resumed.
    """

    index: int
    fixed: Values
    varied: tuple[str, ...]
    plan: Plan
    batch_size: int


@dataclasses.dataclass(frozen=True)
class Batch:
    """Members that are trained at once, and stored together.

    Attributes:
      stage: the rung of successive halving, or the round of an adaptive sampler; else 0.
      index: in its stage.
      group: of all its members.
      trials: i64[members].
      plan: of its members alone.
    """

    stage: int
    index: int
    group: int
    trials: np.ndarray
    plan: Plan

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.stage:03d}-{self.index:06d}"

    @property
    def members(self) -> list[tuple[int, int]]:
        """(trial, seed) of each."""
        return list(zip(self.trials.tolist(), self.plan.seeds.tolist(), strict=True))


class Grouping:
    """Sorts trials into groups, the same for the same trials in the same order."""

    def __init__(self, config: SweepConfig, programs: Sequence[Values], share: int, sizes: list[int] | None) -> None:
        """Makes the groups of some trials, which log at as many points each.

        Args:
          config: of the sweep.
          programs: trials, by their values; all others of the sweep belong to the same groups.
          share: how many trials each of them stands for.
          sizes: of the batches of a sweep that is resumed, by group.

        Raises:
          ValueError, TypeError: as `jaxrl.train`, where an agent can't be trained so.
        """
        self._config = config
        counts = collections.Counter(program_key(config.agent, values) for values in programs)
        first = {program_key(config.agent, values): values for values in reversed(programs)}
        groups = [
            self._make_group(index, first[key], dict(key), counts[key] * share, (sizes or [])[index : index + 1])
            for index, key in enumerate(counts)
        ]
        log_points = min(group.plan.log_points for group in groups)
        self.groups = [
            dataclasses.replace(group, plan=dataclasses.replace(group.plan, log_points=log_points)) for group in groups
        ]
        self._by_key = dict(zip(counts, self.groups, strict=True))

    def _make_group(self, index: int, values: Values, fixed: Values, trials: int, sizes: list[int]) -> Group:
        agent = trial_agent(self._config.agent, values)
        varied = tuple(sorted(path for path in values if path not in fixed))
        if not sizes:
            plan = self._make_plan(agent, varied, trials, self._config.block_size)
            return Group(index, fixed, varied, plan, plan.block_size)
        try:
            plan = self._make_plan(agent, varied, trials, sizes[0])
        except NotEnoughMemoryError:  # Here its batches are trained in smaller blocks.
            plan = self._make_plan(agent, varied, trials, None)
        return Group(index, fixed, varied, plan, sizes[0])

    def _make_plan(self, agent: Agent, varied: tuple[str, ...], trials: int, block_size: int | None) -> Plan:
        config, members = self._config, trials * len(self._config.seeds)
        template = with_array_leaves(agent)
        member_config = TrainConfig(
            steps=config.steps,
            iterations=config.iterations,
            seeds=members,  # Whatever they are: each batch has its own.
            vary={path: np.repeat(np.asarray(get_at(template, path))[None], members, axis=0) for path in varied},
            log_points=config.log_points,
            block_size=block_size,
            devices=config.devices,
            memory_limit=config.memory_limit,
            evaluation=config.evaluation,
            keep_all=False,
        )
        plan = make_plan(agent, member_config)
        size = plan.block_size
        if block_size is None:  # A large device does not take a whole sweep at once: batches are what is stored.
            devices = plan.mesh.size
            size = min(size, -(-max(LARGE_BATCH, -(-members // LEAST_BATCHES)) // devices) * devices)
        vary = {path: values[:1] for path, values in plan.vary.items()}
        return dataclasses.replace(plan, seeds=plan.seeds[:1], vary=vary, block_size=size)

    def make_batches(self, trials: Sequence[int], values: Sequence[Values], stage: int = 0) -> list[Batch]:
        """The batches of some trials, each with every seed.

        Args:
          trials: their indices.
          values: of all trials of the sweep.
          stage: of the sweep.
        """
        by_group: dict[Any, list[int]] = {}
        for trial in trials:
            by_group.setdefault(program_key(self._config.agent, values[trial]), []).append(trial)
        seeds = self._config.seeds
        batches: list[Batch] = []
        for key, members in by_group.items():
            group = self._by_key[key]
            trial_of, seed_of = np.repeat(np.asarray(members, np.int64), len(seeds)), np.tile(seeds, len(members))
            agent = with_array_leaves(group.plan.agent)
            columns = {
                path: np.asarray([values[trial][path] for trial in members], np.asarray(get_at(agent, path)).dtype)
                for path in group.varied
            }
            vary = {path: np.repeat(column, len(seeds), axis=0) for path, column in columns.items()}
            vary = tie_varied(group.plan.agent, vary)
            for first in range(0, len(trial_of), group.batch_size):
                part = slice(first, first + group.batch_size)
                plan = dataclasses.replace(
                    group.plan,
                    seeds=seed_of[part],
                    vary={path: column[part] for path, column in vary.items()},
                    block_size=_block_size(group, len(trial_of)),
                )
                batches.append(Batch(stage, len(batches), group.index, trial_of[part], plan))
        return batches


def _block_size(group: Group, members: int) -> int:
    """The members of a compiled block; fewer than the batch has where at least half of the only one were filling."""
    devices = group.plan.mesh.size
    whole, fitting = (-(-count // devices) * devices for count in (group.batch_size, members))
    return min(fitting if fitting <= whole // 2 else whole, max(group.plan.block_size, devices))


def program_key(agent: Agent, values: Values) -> tuple[tuple[str, Any], ...]:
    """What of a trial's values decides the program: static fields, and those that are switched off."""
    return tuple((path, value) for path, value in values.items() if value is None or is_static(field_at(agent, path)))


def trial_agent(agent: Agent, values: Values) -> Agent:
    """The agent with a trial's values in place."""
    for path, value in values.items():
        agent = replace_at(agent, path, value)
    return tie_agent(agent)
