"""From a trained policy to a file for a phone or a server, and proof that the file plays like it.

Needs the extra `export` (TensorFlow and LiteRT); importing this module does not.
"""

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.config import to_config
from jaxrl.export.conversion import QUANTIZATIONS, ExportError, saved_model, tensorflow, tflite
from jaxrl.export.model import description, model_function, output_kinds
from jaxrl.export.observations import met_observations
from jaxrl.litert import PolicyFile, greedy, write_metadata
from jaxrl.pytree import concrete
from jaxrl.result import Member, Result

__all__ = ["QUANTIZATIONS", "ExportError", "ExportReport", "to_saved_model", "to_tflite"]

OBSERVATIONS = 512
"""Observations of real episodes that an export is compared on; as many others calibrate int8."""
LEAST_EQUAL = {"none": 1.0, "float16": 0.995, "dynamic": 0.995, "int8": 0.97}
"""The least share of equal greedy actions, by quantization."""
GREATEST_DIFFERENCE = 1e-5
"""The greatest difference of float32 files, relative to the greatest number that the policy gave (or 1)."""


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What was written, and how it compares with the policy on observations of real episodes.

    Attributes:
      path: the file or folder.
      output: what comes out: "probabilities", "logits", "q-values" or "action".
      quantize: one of `QUANTIZATIONS`.
      size: bytes.
      observations: how many were compared.
      greatest_difference: between numbers of the file and of the policy.
      equal_actions: the share of equal greedy actions.
      seconds: of the whole export.
    """

    path: Path
    output: str
    quantize: str
    size: int
    observations: int
    greatest_difference: float
    equal_actions: float
    seconds: float


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
    observations. Output: f32[1, n], or i32[1] for "action". Where the environment reads its mask off
    the observation (`Environment.observed_mask`), probabilities and actions respect it.

    Args:
      policy: a member, or a result and `member`.
      path: of the file, which should end in .tflite.
      member: of a result: "best", or its place from 0.
      output: "probabilities" or "logits" (REINFORCE), "q-values" (DQN), or "action"; by default the
        algorithm's first.
      mask: whether the file takes the allowed actions as a second input, "mask" bool[1, n].
      quantize: "none", "float16", "dynamic" (weights in 8 bits) or "int8" (activations too, calibrated on
        observations that the policy meets).
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
    chosen, kind = _checked(policy, member, output, mask)
    if quantize not in QUANTIZATIONS:
        raise ExportError(f"quantize = {quantize!r} must be one of {', '.join(QUANTIZATIONS)}")
    if batch not in (1, "dynamic"):
        raise ExportError(f"batch = {batch!r} must be 1 or 'dynamic'")
    if target.is_dir():
        raise ExportError(f"{target} is a folder: give the name of a file")
    with _beside(target) as beside:
        tensorflow()
        function = model_function(chosen.agent, chosen.params, kind, mask)
        columns, masks = _examples(chosen, mask, seed=0)
        items = [[column[i] for column in columns] for i in range(OBSERVATIONS)]
        content = tflite(function, _inputs(chosen, mask), quantize, items, batch == "dynamic")
        columns, masks = _examples(chosen, mask, seed=1)
        difference, equal = _compare(chosen, function, PolicyFile(content), kind, columns, masks)
        _require_parity(quantize, kind, difference, equal)
        metadata = _metadata(chosen, kind, mask) | {"quantize": quantize, "batch": batch, **(notes or {})}
        content = write_metadata(content, metadata | {"equal_actions": equal, "greatest_difference": difference})
        beside.write_bytes(content)
    seconds = time.monotonic() - begin
    return ExportReport(target, kind, quantize, len(content), OBSERVATIONS, difference, equal, seconds)


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
    "-". The folder also holds `jaxrl.json`, which says what the policy is.

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
    chosen, kind = _checked(policy, member, output, mask)
    if target.exists() and not (target / "saved_model.pb").exists():
        raise ExportError(f"{target} holds something else: give a folder that is not there, or a SavedModel")
    with _beside(target) as beside:
        tf = tensorflow()
        function = model_function(chosen.agent, chosen.params, kind, mask)
        saved_model(function, _inputs(chosen, mask), kind.replace("-", "_"), str(beside))
        serve = tf.saved_model.load(str(beside)).signatures["serving_default"]
        columns, masks = _examples(chosen, mask, seed=1)

        def run(*columns: np.ndarray) -> np.ndarray:
            names = _inputs(chosen, mask)
            return next(iter(serve(**dict(zip(names, map(tf.constant, columns), strict=True))).values())).numpy()

        difference, equal = _compare(chosen, function, run, kind, columns, masks)
        _require_parity("none", kind, difference, equal)
        metadata = _metadata(chosen, kind, mask) | (notes or {})
        (beside / "jaxrl.json").write_text(json.dumps(metadata, indent=2))
        size = sum(file.stat().st_size for file in beside.rglob("*") if file.is_file())
    return ExportReport(target, kind, "none", size, OBSERVATIONS, difference, equal, time.monotonic() - begin)


class _beside:  # noqa: N801
    """A name in the target's folder to write to, which takes the target's place if all went well."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> Path:
        # Made before anything slow, so that an unwritable place is found out first.
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self._target.name}.", dir=self._target.absolute().parent))
        return self._folder / "new"

    def __exit__(self, kind: Any, *error: Any) -> None:
        try:
            if kind is None:
                if self._target.is_dir():
                    self._target.rename(self._folder / "old")
                (self._folder / "new").replace(self._target)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def _checked(policy: Member | Result, member: str | int, output: str | None, mask: bool) -> tuple[Member, str]:
    """The member to export and the kind of its output."""
    if isinstance(policy, Result):
        policy = policy.best() if member == "best" else policy.member(_place(member, policy.members))
    if not isinstance(policy, Member):
        raise TypeError(f"policy = {policy!r} must be a result of jaxrl.train or jaxrl.load, or one of its members")
    if policy.log["diverged"].any() or not all(np.isfinite(x).all() for x in jax.tree.leaves(policy.params)):
        raise ExportError(f"member {policy.number} diverged: its parameters are not finite; choose another one")
    kinds = output_kinds(policy.agent)
    if output is not None and output not in kinds:
        raise ExportError(
            f"output = {output!r} is not of a {type(policy.agent).__name__}: it gives {' or '.join(kinds)}"
        )
    if mask and met_observations(policy.agent, policy.params, 1, 0)[1] is None:
        raise ExportError(
            f"mask = True, and {type(policy.agent.env).__name__} allows every action always: leave it out"
        )
    return policy, output or kinds[0]


def _place(member: Any, members: int) -> int:
    if isinstance(member, bool) or not isinstance(member, int | np.integer) or not 0 <= member < members:
        raise IndexError(f"member = {member!r} must be 'best', or a number from 0 to {members - 1}")
    return int(member)


def _inputs(member: Member, mask: bool) -> dict[str, Any]:
    env = member.agent.env
    inputs = {"observation": jax.ShapeDtypeStruct(tuple(env.observation_space.shape), env.observation_space.dtype)}
    return inputs | ({"mask": jax.ShapeDtypeStruct((env.action_space.n,), np.bool_)} if mask else {})  # type: ignore[union-attr]


def _examples(member: Member, mask: bool, seed: int) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Columns of inputs, `[OBSERVATIONS, ...]` each, and the masks."""
    obs, masks = met_observations(member.agent, member.params, OBSERVATIONS, seed)
    return [obs, masks] if mask and masks is not None else [obs], masks


def _compare(
    member: Member,
    function: Callable[..., jax.Array],
    run: Callable[..., np.ndarray],
    kind: str,
    columns: list[np.ndarray],
    masks: np.ndarray | None,
) -> tuple[float, float]:
    """The greatest difference between the file and the policy (relative above 1), and the share of equal actions."""
    agent, params = concrete(member.agent), member.params
    act = jax.jit(jax.vmap(lambda obs, mask: agent.policy(params, obs, mask=mask)))
    wanted, found = np.asarray(jax.jit(function)(*columns)), run(*columns)
    actions = found if kind == "action" else greedy(found, masks)
    equal = float(np.mean(np.asarray(act(columns[0], masks)) == actions))
    if kind == "action":
        return float(np.mean(wanted != found)), equal
    return float(np.max(np.abs(wanted - found)) / max(1.0, np.max(np.abs(wanted)))), equal


def _require_parity(quantize: str, kind: str, difference: float, equal: float) -> None:
    if equal < LEAST_EQUAL[quantize]:
        raise ExportError(
            f"the exported file chooses the policy's action in {equal:.2%} of {OBSERVATIONS} observations, and must in "
            f"{LEAST_EQUAL[quantize]:.1%} (quantize = {quantize!r}): nothing was written"
        )
    if quantize == "none" and not difference <= GREATEST_DIFFERENCE:
        raise ExportError(
            f"the exported {kind} differ by {difference:.2g}, and may by {GREATEST_DIFFERENCE:g}: nothing was written"
        )


def _metadata(member: Member, kind: str, mask: bool) -> dict[str, Any]:
    from importlib import metadata

    return {
        "format": "jaxrl policy, version 1",
        "made_with": f"jaxrl {metadata.version('jaxrl')}",
        **description(member.agent, kind, mask),
        "agent": to_config(member.agent),
        "seed": member.seed,
        "observations_compared": OBSERVATIONS,
    }
