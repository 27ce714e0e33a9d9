"""`check_env`: says what is wrong with an environment, before anything is trained on it.

Small checks run one after the other and collect findings. A check that can't run because of an
earlier finding is skipped and named in the report, so a mistake gives one finding and not ten.
"""

import warnings
from collections.abc import Callable
from typing import Any

from jaxrl.arguments import LARGEST_SEED, positive, whole
from jaxrl.checking import declarations, keys, returns, rollout
from jaxrl.checking.exam import Exam
from jaxrl.checking.findings import CODES, EnvironmentCheckError, EnvironmentReport, Finding

__all__ = ["CODES", "EnvironmentCheckError", "EnvironmentReport", "Finding", "check_env"]

MOST_STEPS = 10_000_000
"""As long as the random rollout may be: what it finds is kept for every step."""
_CHECKS: dict[str, tuple[Callable[[Exam], None], tuple[str, ...]]] = {
    "class": (declarations.check_class, ()),
    "max_steps": (declarations.check_max_steps, ("class",)),
    "fields": (declarations.check_fields, ("class",)),
    "recompilation": (declarations.check_recompilation, ("fields",)),
    "spaces": (declarations.check_spaces, ("fields",)),
    "reset": (returns.check_reset, ("spaces",)),
    "the first observation": (returns.check_first_observation, ("reset",)),
    "step": (returns.check_step, ("reset",)),
    "the time step": (returns.check_time_step, ("step",)),
    "action_mask": (returns.check_action_mask, ("reset",)),
    "the state": (returns.check_state, ("step",)),
    "random keys": (keys.check_keys, ("step",)),
    "a random rollout": (
        rollout.check_rollout,
        ("max_steps", "the first observation", "the time step", "action_mask", "the state"),
    ),
}
"""The checks in order, each with those that must have passed before it."""


def check_env(env: Any, *, seed: int = 0, steps: int = 1000, raise_errors: bool = True) -> EnvironmentReport:
    """Checks that an environment keeps the contract that training relies on.

    Looks at the class, the spaces, the methods (in plain Python, compiled, batched, with traced
    leaves), everything they return, their random keys, and a random rollout over many episodes.
    `CODES` lists all that it can find. Mutable globals that no result depends on stay unseen.

    Args:
      env: the environment.
      seed: of the random keys and actions.
      steps: environment steps of the random rollout, shared among 8 environments.
      raise_errors: raise where there are errors, and pass warnings to `warnings.warn`; when False,
        do neither.

    Returns:
      The report.

    Raises:
      EnvironmentCheckError: there are errors; its message lists them all.
      TypeError: `seed` or `steps` is no whole number.
      ValueError: `steps` is smaller than 1, or one of them is too large.
    """
    steps = positive("steps", steps, MOST_STEPS)
    exam = Exam(env, whole("seed", seed, 0, LARGEST_SEED), steps)
    passed: set[str] = set()
    for name, (check, needs) in _CHECKS.items():
        if not passed.issuperset(needs):
            exam.skipped.append(name)
            continue
        count = exam.error_count
        check(exam)
        if exam.error_count == count:
            passed.add(name)
    report = EnvironmentReport(type(env).__name__, tuple(exam.findings), tuple(exam.skipped))
    if raise_errors:
        for finding in report.warnings:
            warnings.warn(f"{report.environment}: {finding}", stacklevel=2)
        if report.errors:
            raise EnvironmentCheckError(report)
    return report
