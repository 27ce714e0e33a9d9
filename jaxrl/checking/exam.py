"""One run of the checks: the findings so far, and the results that later checks look at."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from jaxrl.checking.findings import CODES, ERROR, Finding
from jaxrl.checking.values import first_line

# Nothing here runs long enough to pay for optimised code: compiling takes a third of the time.
COMPILER_OPTIONS: dict[str, Any] = {"xla_backend_optimization_level": 0}
compiled = functools.partial(jax.jit, compiler_options=COMPILER_OPTIONS)


class Exam:
    """What the checks share.

    Attributes:
      env: the environment under examination.
      steps: environment steps of the random rollout.
      abstractly: whether methods are only traced, which takes a moment, and nothing is played.
      keys: gives a random key for a number.
      findings, skipped: what becomes the report.
      action: an action from the environment's action space.
      abstract: what each method returns, by its name: shapes, dtypes and weak types.
      results: what each method returned.
    """

    def __init__(self, env: Any, seed: int, steps: int, abstractly: bool = False):
        self.env, self.steps, self.abstractly = env, steps, abstractly
        self.keys = functools.partial(jax.random.fold_in, jax.random.key(seed))
        self.findings: list[Finding] = []
        self.skipped: list[str] = []
        self.action: Any = None
        self.abstract: dict[str, Any] = {}
        self.results: dict[str, Any] = {}

    @property
    def error_count(self) -> int:
        """How many errors were found so far."""
        return sum(finding.severity == ERROR for finding in self.findings)

    def add(self, code: str, seen: str) -> None:
        """Adds a finding, once for each code and thing seen; the remedy comes from `CODES`."""
        severity, remedy = CODES[code]
        finding = Finding(code, severity, f"{seen}: {remedy}")
        if finding not in self.findings:
            self.findings.append(finding)

    def attempt(self, code: str, doing: str, function: Callable, *arguments: Any) -> Any:
        """Calls a function that may run the user's code; its exception becomes a finding, and None comes back."""
        try:
            return jax.block_until_ready(function(*arguments))
        except Exception as error:
            self.add(code, f"{doing} raised {first_line(error)}")
            return None
