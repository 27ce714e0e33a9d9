"""A sweep before it starts: checked, drawn, grouped and counted; nothing is compiled, and nothing written."""

import dataclasses
import functools
from typing import Any

from jaxrl.config import to_config
from jaxrl.devices import USABLE_MEMORY, NotEnoughMemoryError, free_device_memory, free_host_memory
from jaxrl.evaluation import players
from jaxrl.loop import log_point_edges
from jaxrl.memory import member_bytes
from jaxrl.provenance import made_with
from jaxrl.sweeps.batches import Batch, Group, Grouping, Values, program_key
from jaxrl.sweeps.config import SweepConfig
from jaxrl.sweeps.folder import FORMAT, SweepFolder
from jaxrl.sweeps.samplers import draw, every_program, too_many_programs
from jaxrl.sweeps.space import SpaceError


@dataclasses.dataclass(frozen=True)
class Rung:
    """A stage of successive halving; without it, the only one.

    Attributes:
      trials: how many begin it.
      first: the log point at which it begins.
      until: the log point before which it ends.
    """

    trials: int
    first: int
    until: int


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """What a sweep will do.

    Attributes:
      config: as it was asked for.
      trials: how many.
      values: of every trial; where a sampler of Optuna decides, of those so far: each round adds its own.
      grouping: of the trials.
      batches: of the first stage; empty as `values`.
      rungs: one, or several of successive halving.
    """

    config: SweepConfig
    trials: int
    values: list[Values]
    grouping: Grouping
    batches: list[Batch]
    rungs: list[Rung]

    @property
    def members(self) -> int:
        """Of the first stage."""
        return self.trials * len(self.config.seeds)

    @property
    def log_points(self) -> int:
        """Of every member's log."""
        return self.grouping.groups[0].plan.log_points

    @property
    def round_size(self) -> int:
        """Trials of a round of a sampler of Optuna: a batch of members, and at most a tenth of all trials."""
        batch_size = self.grouping.groups[0].batch_size
        return max(1, min(batch_size // len(self.config.seeds), -(-self.trials // 10)))

    @functools.cached_property
    def member_bytes(self) -> int:
        """Of the largest member that is being trained."""
        plans = [group.plan for group in self.grouping.groups]
        return max(member_bytes(plan.agent, plan.log_points, plan.evaluation).training for plan in plans)

    def stored(self) -> dict[str, Any]:
        """The configuration of the sweep's folder: what was asked for, and what it runs on.

        Raises:
          TypeError: the agent or its environment has something that is no plain data, such as a lambda.
        """
        config, groups = self.config, self.grouping.groups
        same = ("sample_seed", "rungs", "eta", "episodes", "threshold", "keep")
        return {
            "format": FORMAT,
            "agent": to_config(config.agent),
            "space": to_config(config.space),
            "trials": to_config(self.values) if self.values else self.trials,
            "seeds": config.seeds.tolist(),
            "iterations": [group.plan.iterations for group in groups],
            "log_points": self.log_points,
            "sampler": config.sampler_name,
            **{name: getattr(config, name) for name in same},
            "evaluation": None if config.evaluation is None else dataclasses.asdict(config.evaluation),
            "made_with": made_with(groups[0].plan) | {"batch_sizes": [group.batch_size for group in groups]},
        }

    def rows(self) -> list[tuple[str, str]]:
        """The plan in words, as (what, value)."""
        groups, seeds = self.grouping.groups, len(self.config.seeds)
        most = max(group.batch_size for group in groups)
        mebibytes = self.member_bytes / 2**20
        iterations = sorted({group.plan.iterations for group in groups})
        fixed = ", ".join(sorted({path for group in groups for path in group.fixed}))
        batches = f"{len(self.batches):,}" if self.values else f"rounds of {self.round_size} trials, in batches"
        rows = [
            ("members", f"{self.trials:,} trials x {seeds:,} seeds = {self.members:,}"),
            ("compilations", f"{len(groups):,}" + (f" (by {fixed})" if fixed else "")),
            ("batches", f"{batches} of up to {most} members, on {groups[0].plan.mesh.size} devices"),
            (
                "memory",
                f"{mebibytes:.2f} MiB a member, {mebibytes * most:,.0f} MiB a batch",
            ),
            ("iterations a member", " or ".join(f"{count:,}" for count in iterations)),
        ]
        if evaluation := self.config.evaluation:
            counts = " or ".join(str(count) for count in sorted({int(group.plan.evaluated.sum()) for group in groups}))
            rows.append(("evaluations a member", f"{counts}, of {evaluation.episodes} greedy episodes each"))
        if len(self.rungs) > 1:
            stages = (f"{rung.trials:,} trials to {rung.until / self.log_points:.0%}" for rung in self.rungs)
            rows.append(("rungs", ", ".join(stages)))
        return rows


def plan_sweep(config: SweepConfig) -> SweepPlan:
    """Makes the plan of a new sweep, or of the one that is resumed in `config.out`.

    Raises:
      SpaceError: there are too few or too many trials or programs, or more are to be kept than there are.
      RunDirectoryError: the folder has another sweep, or something else.
      TypeError, ValueError: as `jaxrl.train`.
    """
    resumed = SweepFolder.open(config.out) if config.out is not None and (config.out / "config.json").exists() else None
    values = [] if config.adaptive else draw(config.space, config.trials, config.sampler, config.sample_seed)
    trials = config.trials if config.adaptive else len(values)
    assert trials is not None
    most = config.max_compilations
    programs = every_program(config.agent, config.space, most) if config.adaptive else values
    share = -(-trials // len(programs)) if config.adaptive else 1
    _require_few(config, programs)
    grouping = Grouping(config, programs, share, None if resumed is None else resumed.batch_sizes())
    for group in grouping.groups:
        free = config.memory_limit or free_device_memory(group.plan.mesh)
        players(group.plan.agent, config.episodes, 1, free)
    batches = grouping.make_batches(range(len(values)), values)
    rungs = _make_rungs(config, trials, grouping.groups[0].plan.log_points)
    if len(rungs) > 1:
        _check_first_rung(grouping.groups, rungs[0])
    if config.kept_trials is not None and config.kept_trials > trials:
        raise SpaceError(f"keep = {config.keep!r} is more than the {trials} trials of the sweep: 'all' keeps every one")
    plan = SweepPlan(config, trials, values, grouping, batches, rungs)
    if config.out is not None:
        SweepFolder.check(config.out, plan.stored())
    elif len(rungs) > 1:
        _require_memory_between_rungs(plan)
    return plan


def _require_few(config: SweepConfig, programs: list[Values]) -> None:
    keys = {program_key(config.agent, values) for values in programs}
    if len(keys) > config.max_compilations:
        paths = sorted({path for key in keys for path, _ in key})
        raise too_many_programs(len(keys), ", ".join(paths), config.max_compilations)


def _check_first_rung(groups: list[Group], rung: Rung) -> None:
    for group in groups:
        iterations = int(log_point_edges(group.plan.iterations, group.plan.log_points)[rung.until])
        try:
            group.plan.agent.check_run(max(iterations, 1))
        except ValueError as error:
            raise SpaceError(
                f"the first of the rungs ends too early, after {iterations:,} iterations: {error}"
            ) from error


def _make_rungs(config: SweepConfig, trials: int, log_points: int) -> list[Rung]:
    count, eta = config.rungs, config.eta
    ends = [round(log_points / eta ** (count - 1 - rung)) for rung in range(count)]
    if ends[0] < 1 or len(set(ends)) < count:
        raise SpaceError(
            f"rungs = {count} with eta = {eta} would end the first rung after {log_points / eta ** (count - 1):.2f} of "
            f"{log_points} log points: give fewer rungs, or more log points"
        )
    begins = [0, *ends[:-1]]
    return [
        Rung(max(1, -(-trials // eta**rung)), first, until)
        for rung, (first, until) in enumerate(zip(begins, ends, strict=True))
    ]


def _require_memory_between_rungs(plan: SweepPlan) -> None:
    """Checks that the members that a sweep without a folder keeps between rungs fit into memory."""
    needed = plan.members * plan.member_bytes
    free = int((plan.config.memory_limit or free_host_memory()) * USABLE_MEMORY)
    if needed > free:
        raise NotEnoughMemoryError(
            f"rungs = {len(plan.rungs)} keep {plan.members:,} members in memory, {needed / 2**20:,.0f} MiB, and "
            f"{free / 2**20:,.0f} MiB may be used: with out= they are kept on disk"
        )
