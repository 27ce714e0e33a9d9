"""The arguments of a sweep, checked once and passed on as one."""

import dataclasses
import re
from typing import Any

import numpy as np

from jaxrl import arguments
from jaxrl.agents.base import Agent
from jaxrl.arguments import LARGEST_SEED, flag, number, positive, shown, whole
from jaxrl.devices import USABLE_MEMORY, NotEnoughMemoryError, free_host_memory
from jaxrl.environment import Environment
from jaxrl.evaluation import MOST_EPISODES
from jaxrl.periodic_evaluation import DEFAULT_EPISODES, EvaluationPlan, checked_evaluation
from jaxrl.plan import checked_seeds
from jaxrl.sweeps.samplers import SAMPLERS, grid_size, tpe_sampler
from jaxrl.sweeps.space import Space, SpaceError, checked_space

EXECUTORS = ("local", "ray")
"""Who trains: this process, or the workers of a Ray cluster."""
MAX_COMPILATIONS = 32
"""How many programs a sweep may compile without being asked for."""
MOST_TRIALS = 10_000_000
"""As many trials as a sweep may have."""
MOST_RUNGS = 32
"""As many rungs as the longest log can be halved into."""
_ROW_BYTES = 256
"""About what a member takes in memory besides its training: its place in the plan and its row of results."""


@dataclasses.dataclass(frozen=True, eq=False)
class SweepConfig:
    """A sweep as it was asked for; arguments as of `jaxrl.sweep`, of which most have its defaults.

    Once made, `space` is a checked `Space`, `seeds` are i64[seeds], `out` is a `Path` or None, `threshold` a float or
    None, and `sampler` one of `SAMPLERS` or a sampler of Optuna. What follows from the arguments stands beside them.

    Attributes:
      kept_trials: of how many of the best trials the parameters are kept; None for all.
      evaluation: of members in training, or None.

    Raises:
      SpaceError, TypeError, ValueError: an argument is wrong; see `jaxrl.sweep`.
    """

    agent: Agent
    space: Any
    trials: int | None = None
    seeds: Any = 16
    steps: int | None = None
    iterations: int | None = None
    out: Any = None
    sampler: Any = "sobol"
    sample_seed: int = 0
    rungs: int = 1
    eta: int = 3
    keep: str = "none"
    episodes: int = 16
    threshold: float | None = None
    log_points: int = 100
    evaluate_every: int | None = None
    evaluation_episodes: int = DEFAULT_EPISODES
    keep_best: bool = False
    block_size: int | None = None
    devices: int | None = None
    memory_limit: int | None = None
    max_compilations: int = MAX_COMPILATIONS
    executor: str = "local"
    progress: bool = True
    kept_trials: int | None = dataclasses.field(init=False)
    evaluation: EvaluationPlan | None = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._set("kept_trials", _parsed_keep(self.keep))
        if not isinstance(self.executor, str) or self.executor not in EXECUTORS:
            raise ValueError(f"executor = {shown(self.executor)} must be one of {', '.join(EXECUTORS)}")
        flag("progress", self.progress)
        self._set("sample_seed", whole("sample_seed", self.sample_seed, 0, LARGEST_SEED))
        self._set("sampler", _checked_sampler(self.sampler, self.sample_seed))
        self._set("out", None if self.out is None else arguments.path("out", self.out))
        evaluation = checked_evaluation(self.evaluate_every, self.evaluation_episodes, self.keep_best)
        self._set("evaluation", evaluation)
        if not isinstance(self.agent, Agent) or not isinstance(self.agent.env, Environment):
            raise TypeError(
                f"agent = {shown(self.agent)} must be an agent such as jaxrl.DQN(jaxrl.make('CartPole-v1'))"
            )
        if self.adaptive and (self.trials is None or self.rungs != 1):
            raise SpaceError("a sampler of Optuna needs trials, and decides without rungs: give trials, and rungs=1")
        self._set("rungs", positive("rungs", self.rungs, MOST_RUNGS))
        self._set("eta", positive("eta", self.eta, MOST_TRIALS))
        if self.eta < 2:
            raise SpaceError(f"eta = {self.eta} must be at least 2: one in eta trials continues after each rung")
        self._set("episodes", positive("episodes", self.episodes, MOST_EPISODES))
        threshold = getattr(self.agent.env, "solved_return", None) if self.threshold is None else self.threshold
        self._set("threshold", None if threshold is None else number("threshold", threshold))
        if self.memory_limit is not None:
            self._set("memory_limit", positive("memory_limit", self.memory_limit))
        self._set("space", checked_space(self.agent, self.space))
        self._set("max_compilations", positive("max_compilations", self.max_compilations))
        if self.trials is not None:
            self._set("trials", positive("trials", self.trials))
        seeds = checked_seeds(self.seeds)
        _require_memory_for_rows(self.space, self.trials, len(seeds), self.memory_limit)
        self._set("seeds", np.asarray(seeds, np.int64))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def adaptive(self) -> bool:
        """Whether a sampler of Optuna chooses the trials as the sweep goes on."""
        return self.sampler not in SAMPLERS

    @property
    def sampler_name(self) -> str:
        """What stands for the sampler in the sweep's folder."""
        return f"optuna: {type(self.sampler).__name__}" if self.adaptive else self.sampler

    def log(self, text: str) -> None:
        """Prints a line about the sweep, unless `progress` is False."""
        if self.progress:
            print(f"jaxrl: {text}", flush=True)


def _parsed_keep(keep: Any) -> int | None:
    """How many of the best trials "none", "all" (None) or "best:N" means."""
    if isinstance(keep, str) and keep in ("none", "all"):
        return 0 if keep == "none" else None
    match = re.fullmatch(r"best:([0-9]{1,18})", keep) if isinstance(keep, str) else None
    if match is None or int(match[1]) < 1:
        raise ValueError(f"keep = {shown(keep)} must be 'none', 'all', or 'best:N' such as 'best:5'")
    return int(match[1])


def _checked_sampler(sampler: Any, seed: int) -> Any:
    if isinstance(sampler, str):
        if sampler == "tpe":
            return tpe_sampler(seed)
        if sampler in SAMPLERS:
            return sampler
    elif hasattr(sampler, "sample_relative"):
        return sampler
    raise SpaceError(f"sampler = {sampler!r} must be one of {', '.join(SAMPLERS)}, tpe, or a sampler of Optuna")


def _require_memory_for_rows(space: Space, trials: int | None, seeds: int, limit: int | None) -> None:
    """Checks that the plan of all members itself fits into memory, before any of it is made."""
    points = grid_size(space)
    count = max(points, trials or 0)
    if count > MOST_TRIALS:
        what = f"trials = {count}" if trials == count else f"space has {count} points, which"
        raise SpaceError(f"{what} are more than a sweep can have: give at most {MOST_TRIALS}")
    needed, free = count * seeds * _ROW_BYTES, int(USABLE_MEMORY * (limit or free_host_memory()))
    if needed > free:
        raise NotEnoughMemoryError(
            f"{count:,} trials x {seeds:,} seeds need {needed / 2**20:,.0f} MiB of main memory for their rows of "
            f"results alone, and {free / 2**20:,.0f} MiB may be used: give fewer trials or seeds"
        )
