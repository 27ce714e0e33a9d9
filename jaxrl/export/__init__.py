"""From a trained policy to a file for a phone, a server or a browser, and proof that the file plays like it.

TFLite files and SavedModels need the extra `export` (TensorFlow and LiteRT); importing this module does not.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.export.common import WHOLE, ExportReport, checked_subject, facts, report
from jaxrl.export.conversion import ExportError, saved_model, tensorflow, tflite
from jaxrl.export.javascript import to_javascript, to_page
from jaxrl.export.model import output_name
from jaxrl.export.parity import Comparison, Parity, Subject
from jaxrl.export.quantization import FORMS, QUANTIZATIONS, quantized, rounded_leaves
from jaxrl.export.tflite_file import PolicyFile, carry_names, write_metadata
from jaxrl.export.tuning import tuned
from jaxrl.result import Member, Result
from jaxrl.storage import new_file, new_folder

__all__ = ["QUANTIZATIONS", "ExportError", "ExportReport", "to_javascript", "to_page", "to_saved_model", "to_tflite"]

_TUNING_OBSERVATIONS = 4096
_CALIBRATION_OBSERVATIONS = 512


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
      mask: whether the file takes the allowed actions as a second input, "mask" bool[1, n] (see `jaxrl.masks`).
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
    subject = checked_subject(policy, member, output, mask)
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
        metadata = facts(subject, policy, parity) | written | (notes or {})
        content = write_metadata(content, metadata)
        file.write(content)
    return report(subject, parity, begin, path=target, size=len(content), quantize=quantize, form=form)


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
    subject = checked_subject(policy, member, output, mask)
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
        metadata = facts(subject, policy, parity) | (notes or {})
        (beside / "jaxrl.json").write_text(json.dumps(metadata, indent=2))
        size = sum(file.stat().st_size for file in beside.rglob("*") if file.is_file())
    return report(subject, parity, begin, path=target, size=size)


def _converted(subject: Subject, quantize: str, dynamic: bool) -> tuple[bytes, str, Parity]:
    """A TFLite file that decides as the policy does, its form as text, and how it compares."""
    compare = Comparison(subject)
    plain = tflite(subject.function(subject.member.params), subject.inputs, dynamic)
    rounded = rounded_leaves(plain, subject.member.params)
    if quantize == "none" or not rounded:
        parity = compare(PolicyFile(plain).outputs_and_carry)
        parity.require(quantize, subject.kind)
        return plain, WHOLE if quantize == "none" else f"{WHOLE} (all layers are small)", parity
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
