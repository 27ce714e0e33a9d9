"""`check_env`: says what is wrong with an environment, before anything is trained on it.

Small checks run one after the other and collect findings. A check that can't run because of an
earlier finding is skipped and named in the report, so a mistake gives one finding and not ten.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

from jaxrl.arguments import LARGEST_SEED, flag, positive, whole
from jaxrl.env_checker import declarations, methods, outputs
from jaxrl.env_checker.context import CheckContext
from jaxrl.env_checker.report import CODES, EnvironmentCheckError, EnvironmentReport, Finding
from jaxrl.environment import Environment, name_of
from jaxrl.pytree import cache_by_structure, is_pytree

__all__ = ["CODES", "EnvironmentCheckError", "EnvironmentReport", "Finding", "check_env", "check_environment"]

MOST_STEPS = 10_000_000
"""As long as the random rollout may be: what it finds is kept for every step."""
_CHECKS: dict[str, tuple[Callable[[CheckContext], None], tuple[str, ...]]] = {
    "class": (declarations.check_class, ()),
    "max_steps": (declarations.check_max_steps, ("class",)),
    "fields": (declarations.check_fields, ("class",)),
    "recompilation": (declarations.check_recompilation, ("fields",)),
    "spaces": (declarations.check_spaces, ("fields",)),
    "reset": (outputs.check_reset, ("spaces",)),
    "the first observation": (outputs.check_first_observation, ("reset",)),
    "step": (outputs.check_step, ("reset",)),
    "the time step": (outputs.check_time_step, ("step",)),
    "action_mask": (outputs.check_action_mask, ("reset",)),
    "the state": (outputs.check_state, ("step",)),
    "the first mask": (outputs.check_first_mask, ("action_mask",)),
    "random keys": (methods.check_keys, ("step",)),
    "a random rollout": (
        outputs.check_rollout,
        ("max_steps", "the first observation", "the time step", "action_mask", "the state", "the first mask"),
    ),
}
"""The checks in order, each with those that must have passed before it."""


_BEFORE_TRAINING = (
    *("class", "max_steps", "fields", "spaces", "reset", "the first observation", "step", "the time step"),
    *("action_mask", "the state", "the first mask"),
)
"""The checks that every training begins with: all that tracing alone shows, and the first mask."""


def _run_checks(context: CheckContext, names: tuple[str, ...]) -> EnvironmentReport:
    passed: set[str] = set()
    for name in names:
        check, needs = _CHECKS[name]
        if not passed.issuperset(needs):
            context.skipped.append(name)
            continue
        count = context.error_count
        check(context)
        if context.error_count == count:
            passed.add(name)
    return EnvironmentReport(_name(context.env), tuple(context.findings), tuple(context.skipped))


def _name(env: Any) -> str:
    return name_of(env) if isinstance(env, Environment) else type(env).__name__


def check_environment(env: Any) -> None:
    """The cheap part of `check_env`, which every training begins with; once for each structure of environments.

    Raises:
      EnvironmentCheckError: the contract does not hold, as far as that shows without playing.
    """
    if isinstance(env, Environment) and dataclasses.is_dataclass(env) and is_pytree(env):
        _check_traced(env)
    else:
        _require(env)


def _require(env: Any) -> None:
    report = _run_checks(CheckContext(env, seed=0, steps=0, abstractly=True), _BEFORE_TRAINING)
    if report.errors:
        raise EnvironmentCheckError(EnvironmentReport(report.environment, report.errors))


_check_traced = cache_by_structure(_require)


def check_env(env: Any, *, seed: int = 0, steps: int = 1000, raise_errors: bool = True) -> EnvironmentReport:
    """Checks that an environment keeps the contract that training relies on.

    Looks at the class, the spaces, the methods (in plain Python, compiled, batched, with traced
    leaves), everything they return, their random keys, and a random rollout over many episodes.
    `CODES` lists all that it can find. What a method changes outside of it is seen where it is a
    global, a class attribute or a variable of an enclosing function.

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
      TypeError: `seed` or `steps` is no whole number, or `raise_errors` neither True nor False.
      ValueError: `steps` is smaller than 1, or one of them is too large.
    """
    flag("raise_errors", raise_errors)
    steps = positive("steps", steps, MOST_STEPS)
    report = _run_checks(CheckContext(env, whole("seed", seed, 0, LARGEST_SEED), steps), tuple(_CHECKS))
    if raise_errors:
        for finding in report.warnings:
            warnings.warn(f"{report.environment}: {finding}", stacklevel=2)
        if report.errors:
            raise EnvironmentCheckError(report)
    return report
