"""From a trained policy to a file for a phone or a server, and proof that the file plays like it.

Needs the extra `export` (TensorFlow and LiteRT); importing this module does not.
"""

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.config import to_config
from jaxrl.environment import start_episode
from jaxrl.export.conversion import ExportError, saved_model, tensorflow, tflite
from jaxrl.export.model import description, output_kinds, output_name
from jaxrl.export.parity import Comparison, Parity, Subject
from jaxrl.export.quantization import FORMS, QUANTIZATIONS, quantized, rounded_leaves
from jaxrl.export.tflite_file import PolicyFile, carry_names, write_metadata
from jaxrl.export.tuning import tuned
from jaxrl.result import Member, Result
from jaxrl.spaces import Box, Discrete
from jaxrl.storage import new_file, new_folder

__all__ = ["QUANTIZATIONS", "ExportError", "ExportReport", "to_saved_model", "to_tflite"]

_WHOLE = "float32"
_TUNING_OBSERVATIONS = 4096
_CALIBRATION_OBSERVATIONS = 512


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


def to_tflite(
    policy: Member | Result,
    path: str | os.PathLike[str],
    *,
    member: str | int = "best",
    output: str | None = None,
    mask: bool = False,
    quantize: str = "none",
    batch: int | str = 1,
    notes: dict[str, Any] | None = None,
) -> ExportReport:
    """Writes a policy as a TFLite file of built-in operations that takes raw observations.

    The file is compared with the policy before it takes its place; one that is there is replaced by a
    whole new one or not at all. Input: "observation" `[1, ...]` in the dtype of the environment's
    observations. Output: f32[1, n], or i32[1] for "action"; continuous actions `[1, ...]`, inside their bounds.
    Where the environment reads its mask off the observation (`Environment.observed_mask`), probabilities and
    actions respect it.

    A policy with memory also takes each array of its carry, "carry_0" and so on, `[1, ...]`, and gives the next one
    as "next_carry_0" and so on, beside the output, which is then named as in a SavedModel. Those are names of the
    file's signature. What an episode begins with stands in the metadata, under "carry".

    Args:
      policy: a member, or a result and `member`.
      path: of the file, which should end in .tflite.
      member: of a result: "best", or its place from 0.
      output: "probabilities" or "logits" (REINFORCE), "q-values" (DQN), or "action"; by default the
        algorithm's first. Only "action", the deterministic one, where actions are continuous.
      mask: whether the file takes the allowed actions as a second input, "mask" bool[1, n].
      quantize: "none", "float16", "dynamic" (weights in 8 bits) or "int8" (arithmetic in integers too,
        calibrated on observations that the policy meets). Of the forms of each (`quantization.FORMS`), the
        fastest that plays like the policy is taken.
      batch: 1, or "dynamic" for any size.
      notes: plain data (as JSON has it) to keep in the file's metadata.

    Raises:
      ExportError: the member diverged, an option does not fit the policy, the policy has an operation
        that TFLite lacks, or the file does not play like the policy.
      IndexError: there is no such member.
      OSError: the file can't be written.
      ImportError: the extra `export` is not installed.
    """
    begin = time.monotonic()
    target = Path(path)
    subject = _checked(policy, member, output, mask)
    if quantize not in QUANTIZATIONS:
        raise ExportError(f"quantize = {quantize!r} must be one of {', '.join(QUANTIZATIONS)}")
    if batch not in (1, "dynamic"):
        raise ExportError(f"batch = {batch!r} must be 1 or 'dynamic'")
    if target.is_dir():
        raise ExportError(f"{target} is a folder: give the name of a file")
    # Begun before anything slow, so that an unwritable place is found out first.
    with new_file(target) as file:
        tensorflow()
        content, form, parity = _converted(subject, quantize, batch == "dynamic")
        written = {"quantize": quantize, "form": form, "batch": batch}
        metadata = _metadata(subject, policy, parity) | written | (notes or {})
        content = write_metadata(content, metadata)
        file.write(content)
    return _report(subject, target, quantize, form, len(content), parity, begin)


def to_saved_model(
    policy: Member | Result,
    path: str | os.PathLike[str],
    *,
    member: str | int = "best",
    output: str | None = None,
    mask: bool = False,
    notes: dict[str, Any] | None = None,
) -> ExportReport:
    """Writes a policy as a SavedModel with a dynamic batch and the signature "serving_default".

    The signature takes "observation" (and "mask") and gives one output, named as `output` is with "_" for
    "-"; a policy with memory has a carry, as in `to_tflite`. The folder also holds `jaxrl.json`, which says what the
    policy is.

    Args:
      policy: a member, or a result and `member`.
      path: of the folder; a SavedModel that is there is replaced.
      member: of a result: "best", or its place from 0.
      output: as for `to_tflite`.
      mask: as for `to_tflite`.
      notes: plain data (as JSON has it) to keep in `jaxrl.json`.

    Raises:
      ExportError, IndexError, OSError, ImportError: as `to_tflite`; also where `path` holds something else.
    """
    begin = time.monotonic()
    target = Path(path)
    subject = _checked(policy, member, output, mask)
    if target.exists() and not (target / "saved_model.pb").exists():
        raise ExportError(f"{target} holds something else: give a folder that is not there, or a SavedModel")
    with new_folder(target) as beside:
        tf = tensorflow()
        saved_model(subject.function(subject.member.params), subject.inputs, str(beside))
        serve = tf.saved_model.load(str(beside)).signatures["serving_default"]

        def run(carry: tuple[Any, ...], obs: Any, mask: Any) -> tuple[np.ndarray, tuple[Any, ...]]:
            columns = [*jax.tree.leaves(obs), *([mask] if subject.mask else []), *carry]
            given = serve(**dict(zip(subject.inputs, map(tf.constant, columns), strict=True)))
            following = (given[f"next_{name}"].numpy() for name in carry_names(len(carry)))
            return given[output_name(subject.kind)].numpy(), tuple(following)

        parity = Comparison(subject)(run)
        parity.require("none", subject.kind)
        metadata = _metadata(subject, policy, parity) | (notes or {})
        (beside / "jaxrl.json").write_text(json.dumps(metadata, indent=2))
        size = sum(file.stat().st_size for file in beside.rglob("*") if file.is_file())
    return _report(subject, target, "none", _WHOLE, size, parity, begin)


def _converted(subject: Subject, quantize: str, dynamic: bool) -> tuple[bytes, str, Parity]:
    """A TFLite file that decides as the policy does, its form as text, and how it compares."""
    compare = Comparison(subject)
    plain = tflite(subject.function(subject.member.params), subject.inputs, dynamic)
    rounded = rounded_leaves(plain, subject.member.params)
    if quantize == "none" or not rounded:
        parity = compare(PolicyFile(plain).outputs_and_carry)
        parity.require(quantize, subject.kind)
        return plain, _WHOLE if quantize == "none" else f"{_WHOLE} (all layers are small)", parity
    met = subject.play(_TUNING_OBSERVATIONS, seed=0).spread(_TUNING_OBSERVATIONS)
    rows = np.linspace(0, _TUNING_OBSERVATIONS - 1, _CALIBRATION_OBSERVATIONS).astype(int)
    examples = {name: x[rows] for name, x in subject.columns(met).items()}
    tried: list[tuple[bytes, str, Parity]] = []
    for form in FORMS[quantize]:
        content = plain
        if form.tuned:
            params = tuned(subject.member.agent, subject.member.params, form.weights, rounded, met)
            content = tflite(subject.function(params), subject.inputs, dynamic)
        content = quantized(content, form, examples)
        tried.append((content, str(form), compare(PolicyFile(content).outputs_and_carry)))
        if tried[-1][2].suffices(quantize):
            return tried[-1]
    raise max((parity for _, _, parity in tried), key=lambda parity: parity.least_equal).shortfall(quantize)


def _report(
    subject: Subject, path: Path, quantize: str, form: str, size: int, parity: Parity, begin: float
) -> ExportReport:
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


def _checked(policy: Member | Result, member: str | int, output: str | None, mask: bool) -> Subject:
    """What to export."""
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
    if mask and continuous:
        raise ExportError(
            f"mask = True, and the actions of {env} are {kind_of_actions}: masks are for Discrete ones; leave it out"
        )
    if mask and jax.eval_shape(lambda key: start_episode(agent.env, key).mask, jax.random.key(0)) is None:
        raise ExportError(f"mask = True, and {env} allows every action always: leave it out")


def _place(member: Any, members: int) -> int:
    if isinstance(member, bool) or not isinstance(member, int | np.integer) or not 0 <= member < members:
        raise IndexError(f"member = {member!r} must be 'best', or a number from 0 to {members - 1}")
    return int(member)


def _metadata(subject: Subject, policy: Member | Result, parity: Parity) -> dict[str, Any]:
    from importlib import metadata

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
