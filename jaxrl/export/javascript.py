"""A policy as a module of JavaScript, and as a page to play with."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.export.common import ExportReport, checked_subject, facts, report
from jaxrl.export.conversion import ExportError
from jaxrl.export.model import model_function, output_name
from jaxrl.export.parity import Comparison, Parity, Subject
from jaxrl.result import Member, Result
from jaxrl.spaces import Discrete
from jaxrl.storage import new_file
from jaxrl.web import UnsupportedOperationError, module_source, page_source, require_page, traced
from jaxrl.web.pages import PAGE_MARK
from jaxrl.web.program import Program
from jaxrl.web.source import MODULE_MARK


def to_javascript(
    policy: Member | Result,
    path: str | os.PathLike[str],
    *,
    member: str | int = "best",
    output: str | None = None,
    mask: bool = False,
    notes: dict[str, Any] | None = None,
) -> ExportReport:
    """Writes a policy without memory as a module of JavaScript, with its weights in float32 and without imports.

    The module exports `outputs(observation)`, `act(observation)`, which gives the deterministic action, `inputs` and
    `about`. What it computes is compared with the policy before it takes its place, by JAX.

    Args:
      policy: a member, or a result and `member`.
      path: of the file, .js or .mjs; .mjs is added where it has no ending. A module that is there is replaced.
      member: of a result: "best", or its place from 0.
      output: as for `to_tflite`.
      mask: whether the allowed actions are a second input, "mask".
      notes: plain data (as JSON has it) to keep in `about`.

    Raises:
      ExportError: the member diverged, an option does not fit the policy, the policy has memory or an operation that
        is not translated, or `path` holds something else.
      IndexError: there is no such member.
      OSError: the file can't be written.
    """
    begin = time.monotonic()
    subject = checked_subject(policy, member, output, mask)
    program = program_of(subject)
    target = _target(path, (".mjs", ".js"), MODULE_MARK)
    return _written(subject, policy, program, target, module_of, notes, begin)


def to_page(
    policy: Member | Result,
    path: str | os.PathLike[str],
    *,
    member: str | int = "best",
    notes: dict[str, Any] | None = None,
) -> ExportReport:
    """Writes one HTML file in which a person plays Plane Strike against the policy, or CartPole beside it.

    The file needs no network and no server: weights and the game are in it.

    Args:
      policy: a member, or a result and `member`; without memory, of PlaneStrike or CartPole without wrappers.
      path: of the file, .html; that is added where it has no ending. A page that is there is replaced.
      member: of a result: "best", or its place from 0.
      notes: plain data (as JSON has it) to keep in the page.

    Raises:
      ExportError: there is no page for the policy's environment, or as `to_javascript`.
      IndexError, OSError: as `to_javascript`.
    """
    begin = time.monotonic()
    subject = checked_subject(policy, member, None, False)
    try:
        require_page(subject.member.agent.env)
    except ValueError as error:
        raise ExportError(str(error)) from None
    program = program_of(subject)
    target = _target(path, (".html", ".htm"), PAGE_MARK)
    return _written(subject, policy, program, target, _page_of, notes, begin)


def program_of(subject: Subject) -> Program:
    """The policy's output and its deterministic action, of the arrays of one observation.

    Raises:
      ExportError: the policy has memory, or an operation that is not translated.
    """
    member = subject.member
    if member.agent.has_memory:
        raise ExportError(
            f"the policy of this {type(member.agent).__name__} has memory, and JavaScript is for policies without: "
            "export a TFLite file, or train without memory"
        )
    kinds = dict.fromkeys((subject.kind, "action"))
    functions = [model_function(member.agent, member.params, kind, subject.mask) for kind in kinds]

    def decisions(*columns: jax.Array) -> dict[str, jax.Array]:
        batch = [column[None] for column in columns]
        return {name: x[0] for function in functions for name, x in function(*batch).items()}

    try:
        return traced(decisions, subject.inputs)
    except UnsupportedOperationError as error:
        raise ExportError(f"the policy can't be JavaScript: {error}") from error


def module_of(subject: Subject, program: Program, about: dict[str, Any]) -> str:
    """The module for a policy, with plain data about it."""
    single = isinstance(subject.member.agent.env.action_space, Discrete)
    return module_source(program, about, output_name(subject.kind), single)


def _page_of(subject: Subject, program: Program, about: dict[str, Any]) -> str:
    agent = subject.member.agent
    return page_source(agent.env, type(agent).__name__, program, about)


def _target(path: str | os.PathLike[str], endings: tuple[str, ...], mark: str) -> Path:
    """The file to write, which is not there, or begins with `mark` as others that jaxrl wrote."""
    target = Path(path)
    if target.is_dir():
        raise ExportError(f"{target} is a folder: give the name of a file")
    if not target.suffix:
        target = target.with_suffix(endings[0])
    if target.suffix not in endings:
        raise ExportError(f"{target} must end in {' or '.join(endings)}")
    if target.is_dir():
        raise ExportError(f"{target} is a folder: give the name of a file")
    if target.exists() and not target.read_bytes().startswith(mark.encode()):
        raise ExportError(f"{target} holds something else: give a file that is not there, or one of this kind by jaxrl")
    return target


def _written(
    subject: Subject,
    policy: Member | Result,
    program: Program,
    target: Path,
    source: Callable[[Subject, Program, dict[str, Any]], str],
    notes: dict[str, Any] | None,
    begin: float,
) -> ExportReport:
    """Writes what `source` makes of the policy's program, if that plays like the policy."""
    with new_file(target) as file:
        parity = _compared(subject, program)
        content = source(subject, program, facts(subject, policy, parity) | (notes or {})).encode()
        file.write(content)
    return report(subject, parity, begin, path=target, size=len(content))


def _compared(subject: Subject, program: Program) -> Parity:
    """How the program, run by JAX, compares with the policy."""
    evaluate = jax.jit(jax.vmap(program.evaluate))

    def run(carry: tuple[Any, ...], obs: Any, mask: Any) -> tuple[np.ndarray, tuple[Any, ...]]:
        columns = [*jax.tree.leaves(obs), *([mask] if subject.mask else [])]
        outputs = evaluate(dict(zip(subject.inputs, columns, strict=True)))
        return np.asarray(outputs[output_name(subject.kind)]), ()

    parity = Comparison(subject)(run)
    parity.require("none", subject.kind)
    return parity
