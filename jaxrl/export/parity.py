"""Whether what was exported decides as the policy does, on observations of real episodes.

Discrete policies must choose the same actions. Continuous ones are compared by how far the actions are apart, as a
share of the range of the action space. Policies with memory are compared step by step, each with the carry that the
policy had, and along whole episodes as well, where the file is fed its own carry again and again.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrl.export.conversion import ExportError
from jaxrl.export.model import carry_shapes, model_function
from jaxrl.export.observations import Played, play
from jaxrl.export.tflite_file import OBSERVATION, carry_names, greedy
from jaxrl.masks import counts_of
from jaxrl.pytree import with_array_leaves
from jaxrl.result import Member
from jaxrl.spaces import Box, array_names, array_spaces, arrays_of

OBSERVATIONS = 512
"""Observations of real episodes that an export is compared on."""
SEQUENCES, LONGEST_SEQUENCE = 4, 512
"""Environments whose episodes a policy with memory is compared along, and the most steps of each."""
LEAST_EQUAL = {"none": 1.0, "float16": 0.995, "dynamic": 0.995, "int8": 0.97}
"""The least share of equal actions, by quantization."""
CLOSE = 0.02
"""Continuous actions count as equal where they differ by at most this share of the action space's range."""
GREATEST_DIFFERENCE = 1e-5
"""The greatest difference of float32 files, relative to the greatest number that the policy gave (or 1); of continuous
actions, to their range."""
GREATEST_DIFFERENCE_ALONG = 1e-4
"""The same along whole episodes, where a difference in the carry adds to the next one."""

Outputs = Callable[[tuple[Any, ...], Any, Any], tuple[np.ndarray, tuple[Any, ...]]]
"""A policy as `PolicyFile.outputs_and_carry`: (carry, observations, masks or None) -> (output, next carry)."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """How an exported policy compares with the agent's.

    Attributes:
      difference: the greatest one between their numbers, relative to the greatest number (or 1); of continuous
        actions, to their range.
      equal: the share of equal actions, of continuous ones those that are `CLOSE`.
      observations: how many were compared.
      along: the same along whole episodes, of a policy with memory.
    """

    difference: float
    equal: float
    observations: int
    along: "Parity | None" = None

    @property
    def least_equal(self) -> float:
        """The share of equal actions, or that along whole episodes if it is less."""
        return self.equal if self.along is None else min(self.equal, self.along.equal)

    def suffices(self, quantize: str) -> bool:
        """Whether enough actions are equal."""
        return self.least_equal >= LEAST_EQUAL[quantize]

    def shortfall(self, quantize: str) -> ExportError:
        """What to raise where they do not suffice."""
        if self.along is not None and self.along.equal < self.equal:
            return self.along.shortfall(quantize)
        return ExportError(
            f"the exported file chooses the policy's action in {self.equal:.2%} of {self.observations} observations, "
            f"and must in {LEAST_EQUAL[quantize]:.1%} (quantize = {quantize!r}): nothing was written"
        )

    def require(self, quantize: str, kind: str) -> None:
        """Raises an ExportError where a file must not be written."""
        if not self.suffices(quantize):
            raise self.shortfall(quantize)
        limits = [(self, GREATEST_DIFFERENCE, ""), (self.along, GREATEST_DIFFERENCE_ALONG, " along whole episodes")]
        for parity, limit, where in limits:
            if quantize == "none" and parity is not None and not parity.difference <= limit:
                raise ExportError(
                    f"the exported {kind} differ by {parity.difference:.2g}{where}, and may by {limit:g}: nothing "
                    "was written"
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
        names = array_names(arrays_of(env.observation_space), OBSERVATION)
        inputs = {
            name: jax.ShapeDtypeStruct(tuple(space.shape), space.dtype)
            for name, space in zip(names, array_spaces(env.observation_space), strict=True)
        }
        if self.mask:
            inputs["mask"] = jax.ShapeDtypeStruct((sum(counts_of(env.action_space)),), np.bool_)  # type: ignore[arg-type]
        shapes = carry_shapes(self.member.agent)
        return inputs | dict(zip(carry_names(len(shapes)), shapes, strict=True))

    def function(self, params: Any) -> Callable[..., dict[str, jax.Array]]:
        """The function of the inputs, with these parameters in place of the member's."""
        return model_function(self.member.agent, params, self.kind, self.mask)

    def play(self, count: int, seed: int) -> Played:
        """Steps of the member's episodes, at least `count`."""
        return play(self.member.agent, self.member.params, count, seed)

    def columns(self, played: Played) -> dict[str, np.ndarray]:
        """What the inputs take of chosen steps `[count, ...]`, by name."""
        given = [*jax.tree.leaves(played.obs), *([played.mask] if self.mask else []), *jax.tree.leaves(played.carry)]
        return dict(zip(self.inputs, given, strict=True))


class Comparison:
    """Compares exported forms of one subject with its own policy, on observations that calibrated none of them."""

    def __init__(self, subject: Subject) -> None:
        played = subject.play(OBSERVATIONS, seed=1)
        self._subject = subject
        self._steps = _Wanted(subject, played.spread(OBSERVATIONS))
        self._sequences = None
        if subject.member.agent.has_memory:
            self._sequences = played.sequences(LONGEST_SEQUENCE, SEQUENCES)
            self._along = _Wanted(subject, self._sequences.spread(self._sequences.first.size))

    def __call__(self, run: Outputs) -> Parity:
        """Compares what `run` gives."""
        played = self._steps.played
        output, _ = run(tuple(jax.tree.leaves(played.carry)), played.obs, played.mask)
        parity = self._steps.parity(output)
        if self._sequences is None:
            return parity
        return dataclasses.replace(parity, along=self._along.parity(_fed_back(run, self._sequences)))


class _Wanted:
    """What the policy itself gives for chosen steps `[count, ...]`."""

    def __init__(self, subject: Subject, played: Played) -> None:
        agent, params = with_array_leaves(subject.member.agent), subject.member.params
        act = jax.jit(lambda carry, obs, mask: agent.act(params, carry, obs, mask)[0])
        self.played = played
        self._kind = subject.kind
        self._actions = np.asarray(act(played.carry, played.obs, played.mask))
        outputs = jax.jit(subject.function(params))(*subject.columns(played).values())
        self._output = next(np.asarray(x) for name, x in outputs.items() if not name.startswith("next_carry_"))
        self._space = agent.env.action_space

    def parity(self, output: np.ndarray) -> Parity:
        """Compares an output `[count, ...]`."""
        count = len(output)
        if isinstance(self._space, Box):
            apart = np.abs(self._actions - output) / _ranges(self._space, self._actions)
            apart = np.where(np.isnan(apart), np.inf, apart).reshape(count, -1).max(axis=1)
            return Parity(float(apart.max()), float(np.mean(apart <= CLOSE)), count)
        actions = output if self._kind == "action" else greedy(output, self.played.mask)
        equal = float(np.mean(np.all((self._actions == actions).reshape(count, -1), axis=1)))
        if self._kind == "action":
            return Parity(float(np.mean(self._output != output)), equal, count)
        size = max(1.0, np.max(np.abs(self._output)))
        return Parity(float(np.max(np.abs(self._output - output)) / size), equal, count)


def _ranges(space: Box, actions: np.ndarray) -> np.ndarray:
    """The range f32[...] of each dimension of an action; the greatest action (or 1), where it has no bounds."""
    low, high = (np.broadcast_to(np.asarray(bound, np.float32), space.shape) for bound in (space.low, space.high))
    greatest = np.maximum(np.max(np.abs(actions), axis=0), 1)
    bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
    return np.where(bounded, high - low, greatest)


def _fed_back(run: Outputs, played: Played) -> np.ndarray:
    """The outputs `[time * envs, ...]` along sequences `[time, envs, ...]`, each step with the carry of the last."""
    initial = tuple(leaf[0] for leaf in jax.tree.leaves(played.carry))  # All sequences begin with an episode.
    carry, outputs = initial, []
    for time, first in enumerate(played.first):
        begins = [first.reshape(-1, *[1] * (x.ndim - 1)) for x in initial]
        carry = tuple(map(np.where, begins, initial, carry))
        obs = jax.tree.map(lambda x, time=time: x[time], played.obs)
        output, carry = run(carry, obs, None if played.mask is None else played.mask[time])
        outputs.append(output)
    return np.concatenate(outputs)
