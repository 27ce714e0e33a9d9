"""Whether what was exported decides as the policy does, on observations of real episodes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrl.export.conversion import ExportError
from jaxrl.export.model import model_function
from jaxrl.export.observations import met_observations
from jaxrl.litert import greedy
from jaxrl.pytree import concrete
from jaxrl.result import Member

OBSERVATIONS = 512
"""Observations of real episodes that an export is compared on."""
LEAST_EQUAL = {"none": 1.0, "float16": 0.995, "dynamic": 0.995, "int8": 0.97}
"""The least share of equal greedy actions, by quantization."""
GREATEST_DIFFERENCE = 1e-5
"""The greatest difference of float32 files, relative to the greatest number that the policy gave (or 1)."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """How an exported policy compares with the agent's.

    Attributes:
      difference: the greatest one between their numbers, relative to the greatest number (or 1).
      equal: the share of equal greedy actions.
    """

    difference: float
    equal: float

    def suffices(self, quantize: str) -> bool:
        """Whether enough actions are equal."""
        return self.equal >= LEAST_EQUAL[quantize]

    def shortfall(self, quantize: str) -> ExportError:
        """What to raise where they do not suffice."""
        return ExportError(
            f"the exported file chooses the policy's action in {self.equal:.2%} of {OBSERVATIONS} observations, "
            f"and must in {LEAST_EQUAL[quantize]:.1%} (quantize = {quantize!r}): nothing was written"
        )

    def require(self, quantize: str, kind: str) -> None:
        """Raises an ExportError where a file must not be written."""
        if not self.suffices(quantize):
            raise self.shortfall(quantize)
        if quantize == "none" and not self.difference <= GREATEST_DIFFERENCE:
            raise ExportError(
                f"the exported {kind} differ by {self.difference:.2g}, and may by {GREATEST_DIFFERENCE:g}: nothing was "
                "written"
            )


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
      member: whose policy.
      kind: of the output.
      mask: whether the allowed actions are an input.
    """

    member: Member
    kind: str
    mask: bool

    @property
    def inputs(self) -> dict[str, Any]:
        """Shape and dtype of one item of each input, by name."""
        env = self.member.agent.env
        space = env.observation_space
        inputs = {"observation": jax.ShapeDtypeStruct(tuple(space.shape), space.dtype)}
        if self.mask:
            inputs["mask"] = jax.ShapeDtypeStruct((env.action_space.n,), np.bool_)  # type: ignore[union-attr]
        return inputs

    def function(self, params: Any) -> Callable[..., jax.Array]:
        """The function of the inputs, with these parameters in place of the member's."""
        return model_function(self.member.agent, params, self.kind, self.mask)

    def observations(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Observations `[count, ...]` that the member meets, and their masks bool[count, n] or None."""
        return met_observations(self.member.agent, self.member.params, count, seed)

    def columns(self, obs: np.ndarray, masks: np.ndarray | None) -> list[np.ndarray]:
        """Of these, what the inputs take."""
        return [obs, masks] if self.mask and masks is not None else [obs]


class Comparison:
    """Compares exported forms of one subject with its own policy, on observations that calibrated none of them."""

    def __init__(self, subject: Subject) -> None:
        obs, self._masks = subject.observations(OBSERVATIONS, seed=1)
        agent, params = concrete(subject.member.agent), subject.member.params
        act = jax.jit(jax.vmap(lambda obs, mask: agent.policy(params, obs, mask=mask)))
        self._actions = np.asarray(act(obs, self._masks))
        self._kind = subject.kind
        self._columns = subject.columns(obs, self._masks)
        self._wanted = np.asarray(jax.jit(subject.function(params))(*self._columns))

    def __call__(self, run: Callable[..., np.ndarray]) -> Parity:
        """Compares what `run` gives for the inputs `[batch, ...]`."""
        found = run(*self._columns)
        actions = found if self._kind == "action" else greedy(found, self._masks)
        equal = float(np.mean(self._actions == actions))
        if self._kind == "action":
            return Parity(float(np.mean(self._wanted != found)), equal)
        size = max(1.0, np.max(np.abs(self._wanted)))
        return Parity(float(np.max(np.abs(self._wanted - found)) / size), equal)
