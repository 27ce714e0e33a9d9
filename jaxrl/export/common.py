"""What is common to all exports: what to export, what to say of it, and how it compares."""

import dataclasses
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.config import to_config
from jaxrl.environment import start_episode
from jaxrl.export.conversion import ExportError
from jaxrl.export.model import description, output_kinds
from jaxrl.export.parity import Parity, Subject
from jaxrl.masks import is_maskable
from jaxrl.result import Member, Result
from jaxrl.spaces import Box, Discrete

WHOLE = "float32"
"""The form of what is not quantized."""


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What was written, and how it compares with the policy on observations of real episodes.

    Attributes:
      path: the file or folder.
      output: what comes out: "probabilities", "logits", "q-values" or "action".
      quantize: one of `QUANTIZATIONS`.
      form: of weights and arithmetic, as text.
      size: bytes.
      observations: how many were compared, one by one.
      greatest_difference: between numbers of the file and of the policy, relative to the greatest number (or 1); of
        continuous actions, to the range of the action space.
      equal_actions: the share of equal deterministic actions; of continuous ones, the share that differs by at most
        2% of the range (`jaxrl.export.parity.CLOSE`).
      seconds: of the whole export.
      greatest_difference_along, equal_actions_along: the same along whole episodes, each step with the carry that
        the last one gave; None without memory.
    """

    path: Path
    output: str
    quantize: str
    form: str
    size: int
    observations: int
    greatest_difference: float
    equal_actions: float
    seconds: float
    greatest_difference_along: float | None = None
    equal_actions_along: float | None = None


def checked_subject(policy: Member | Result, member: str | int, output: str | None, mask: bool) -> Subject:
    """What to export.

    Raises:
      ExportError, IndexError, TypeError: as `jaxrl.export.to_tflite`.
    """
    if isinstance(policy, Result):
        policy = policy.best() if member == "best" else policy.member(_place(member, policy.members))
    if not isinstance(policy, Member):
        raise TypeError(f"policy = {policy!r} must be a result of jaxrl.train or jaxrl.load, or one of its members")
    if policy.log["diverged"].any() or not all(np.isfinite(x).all() for x in jax.tree.leaves(policy.params)):
        raise ExportError(f"member {policy.index} diverged: its parameters are not finite; choose another one")
    _check_fits(policy.agent, output, mask)
    return Subject(policy, output or output_kinds(policy.agent)[0], mask)


def _check_fits(agent: Agent, output: str | None, mask: bool) -> None:
    """Raises an ExportError where an option does not fit the policy."""
    kinds, algorithm, env = output_kinds(agent), type(agent).__name__, type(agent.env).__name__
    space = agent.env.action_space
    kind_of_actions = "continuous" if isinstance(space, Box) else "several whole numbers"
    continuous = not isinstance(space, Discrete)
    if output is not None and output not in kinds:
        why = f": the actions of {env} are {kind_of_actions}, and it gives" if continuous else ": it gives"
        raise ExportError(f"output = {output!r} is not of a {algorithm}{why} {' or '.join(kinds)}")
    if mask and not is_maskable(space):
        raise ExportError(
            f"mask = True, and the actions of {env} are {kind_of_actions}: masks are for discrete ones; leave it out"
        )
    if mask and jax.eval_shape(lambda key: start_episode(agent.env, key).mask, jax.random.key(0)) is None:
        raise ExportError(f"mask = True, and {env} allows every action always: leave it out")


def _place(member: Any, members: int) -> int:
    if isinstance(member, bool) or not isinstance(member, int | np.integer) or not 0 <= member < members:
        raise IndexError(f"member = {member!r} must be 'best', or a number from 0 to {members - 1}")
    return int(member)


def report(
    subject: Subject, parity: Parity, begin: float, *, path: Path, size: int, quantize: str = "none", form: str = WHOLE
) -> ExportReport:
    """The report of an export that began at `begin`, by `time.monotonic`."""
    return ExportReport(
        path=path,
        output=subject.kind,
        quantize=quantize,
        form=form,
        size=size,
        observations=parity.observations,
        seconds=time.monotonic() - begin,
        **_agreement(parity),
    )


def facts(subject: Subject, policy: Member | Result, parity: Parity) -> dict[str, Any]:
    """What an exported policy is and where it comes from, as plain data."""
    member = subject.member
    content = {
        "format": "jaxrl policy, version 2",
        "made_with": f"jaxrl {metadata.version('jaxrl')}",
        **description(member.agent, subject.kind, subject.mask),
        "agent": to_config(member.agent),
        "seed": member.seed,
        "observations_compared": parity.observations,
        **_agreement(parity),
    }
    if "step" in member.log:
        content["environment_steps"] = int(np.nanmax(member.log["step"]))
    if isinstance(policy, Result):
        content["greedy_return"] = float(policy.returns[member.index].mean())
    return content


def _agreement(parity: Parity) -> dict[str, Any]:
    """How file and policy compare, by the names of the report and the metadata."""
    content = {"equal_actions": parity.equal, "greatest_difference": parity.difference}
    if parity.along is not None:
        content |= {
            "equal_actions_along": parity.along.equal,
            "greatest_difference_along": parity.along.difference,
        }
    return content
