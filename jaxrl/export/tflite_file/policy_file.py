"""Reading a TFLite file, and running it by the LiteRT interpreter."""

import collections
import os
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl.environment import Environment, name_of
from jaxrl.export.tflite_file.checksum import is_damaged, lost_its_checksum
from jaxrl.export.tflite_file.metadata import checked_metadata, require_initial
from jaxrl.export.tflite_file.model import MAGIC, litert, read_metadata
from jaxrl.spaces import Discrete, MultiDiscrete, array_names, array_spaces, arrays_of, is_array_space

OBSERVATION = "observation"
"""The name of the input for observations; of several arrays each has the way to it behind."""


class PolicyFileError(ValueError):
    """A file is no TFLite model, or none that can play in an environment."""


class PolicyFile:
    """A TFLite model that was read.

    Attributes:
      size: bytes.
      inputs, outputs: by name, LiteRT's description of each tensor: "name", "dtype", "shape_signature" (-1 where any
        size will do), ... The names are those of the model's signature; without one, those of the tensors.
      operations: how often each operation occurs, by name.
      metadata: what `jaxrl.export` noted in it, or None.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        """Reads a model.

        Args:
          source: a path, or the file's content.

        Raises:
          PolicyFileError: it is not a TFLite model, is not as `jaxrl.export` wrote it, or has an operation that the
            interpreter lacks.
          ImportError: LiteRT is not installed.
        """
        name = "the model" if isinstance(source, bytes) else str(source)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if content[4:8] != MAGIC:
            raise PolicyFileError(f"{name} is not a TFLite file")
        # Before the interpreter, which damaged tables might lead anywhere.
        if is_damaged(content):
            raise PolicyFileError(f"{name} is damaged: it is not as it was exported")
        interpreter = litert().Interpreter
        try:
            self._interpreter = interpreter(model_content=content)
            self._interpreter.allocate_tensors()
            self.metadata = checked_metadata(read_metadata(content))
            self.inputs, self.outputs = _named_tensors(self._interpreter)
            require_initial((self.metadata or {}).get("carry", []), self.inputs)
            # The operations as stored: an interpreter that takes no delegate gives them unchanged.
            plain = interpreter(model_content=content, experimental_op_resolver_type=_plain_operations())
        except Exception as error:  # LiteRT raises RuntimeError, ValueError and more, and flatbuffers struct.error.
            raise PolicyFileError(f"{name} can't be read as a TFLite model: {_first_line(error)}") from error
        if lost_its_checksum(content, self.metadata):
            raise PolicyFileError(f"{name} is damaged: it is not as it was exported")
        self.size = len(content)
        self.operations = dict(collections.Counter(op["op_name"] for op in plain._get_ops_details()))
        self._name = name
        self._rows = 1

    @property
    def output(self) -> str:
        """What comes out: as noted by `jaxrl.export`, else "probabilities"."""
        return (self.metadata or {}).get("output", "probabilities")

    @property
    def takes_mask(self) -> bool:
        """Whether the allowed actions are a separate input."""
        return any(map(_is_mask, self.inputs))

    @property
    def carry(self) -> tuple[str, ...]:
        """The names of the inputs that take the policy's carry; none without memory."""
        return carry_names(sum(_is_carry(name) for name in self.inputs))

    def initial_carry(self, batch: int) -> tuple[np.ndarray, ...]:
        """The carry before an episode's first observation: `[batch, ...]` each, as noted by `jaxrl.export`, else 0."""
        initial = {entry["input"]: entry["initial"] for entry in (self.metadata or {}).get("carry", [])}
        details = [(name, self.inputs[name]) for name in self.carry]
        return tuple(
            np.broadcast_to(np.asarray(initial.get(name, 0), d["dtype"]), (batch, *_item(d))).copy()
            for name, d in details
        )

    def outputs_and_carry(
        self, carry: tuple[Any, ...], obs: Any, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Runs the model.

        Args:
          carry: `initial_carry(batch)` at the start of an episode, then what the last call gave.
          obs: observations `[batch, ...]`; a pytree where there are several arrays.
          mask: bool[batch, n], the allowed actions; used where the model takes them.

        Returns:
          The output `[batch, ...]`, as the model gives it, and the next carry.

        Raises:
          PolicyFileError: there is no mask or carry, and the model takes one.
        """
        if self.takes_mask and mask is None:
            raise PolicyFileError(f"{self._name} takes a mask of the allowed actions, and none was given")
        if len(carry) != len(self.carry):
            raise PolicyFileError(
                f"{self._name} takes a carry of {len(self.carry)} arrays, and {len(carry)} were given: begin with "
                "initial_carry(batch), and go on with what the last call gave"
            )
        columns = dict(zip(self._observed(obs), jax.tree.leaves(obs), strict=True))
        columns |= {name: mask for name in self.inputs if _is_mask(name)}
        columns |= dict(zip(self.carry, carry, strict=True))
        if self.inputs[next(iter(columns))]["shape_signature"][0] == -1:
            return self._run(columns)
        count = len(next(iter(columns.values())))
        rows = [self._run({name: c[i : i + 1] for name, c in columns.items()}) for i in range(count)]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *rows)

    def __call__(self, obs: Any, mask: np.ndarray | None = None) -> np.ndarray:
        """The output `[batch, ...]` of a model without memory, or for the first observations of episodes."""
        return self.outputs_and_carry(self.initial_carry(len(jax.tree.leaves(obs)[0])), obs, mask)[0]

    def _observed(self, obs: Any) -> tuple[str, ...]:
        """The inputs that take the arrays of an observation, or of spaces in its structure."""
        names = array_names(obs, OBSERVATION)
        return self._observations if names == (OBSERVATION,) else names

    @property
    def _observations(self) -> tuple[str, ...]:
        return tuple(name for name in self.inputs if not _is_mask(name) and not _is_carry(name))

    def _run(self, columns: dict[str, Any]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        rows = len(next(iter(columns.values())))
        if rows != self._rows:
            for name, column in columns.items():
                self._interpreter.resize_tensor_input(self.inputs[name]["index"], column.shape)
            self._interpreter.allocate_tensors()
            self._rows = rows
        for name, column in columns.items():
            detail = self.inputs[name]
            self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(column, detail["dtype"]))
        self._interpreter.invoke()
        given = [self._policy_output, *(f"next_{name}" for name in self.carry)]
        output, *carry = (self._interpreter.get_tensor(self.outputs[name]["index"]) for name in given)
        return output, tuple(carry)

    @property
    def _policy_output(self) -> str:
        """The name of the output that is no carry."""
        return next(name for name in self.outputs if not _is_carry(name))

    def check_fits(self, env: Environment) -> None:
        """Checks that the model's input and output are an environment's.

        Raises:
          PolicyFileError: they are not.
        """
        self._check_names(len(array_spaces(env.observation_space)))
        space, actions = env.observation_space, env.action_space
        name = name_of(env)
        observed = self._observed(arrays_of(space))
        taken = {n: _described(_item(d), d["dtype"]) for n, d in self.inputs.items() if n in self._observations}
        expected = {
            n: _described(part.shape, part.dtype) for n, part in zip(observed, array_spaces(space), strict=True)
        }
        if taken != expected:
            single = len(taken) == len(expected) == 1
            took, made = (
                ", ".join(text if single else f"{n} {text}" for n, text in sorted(arrays.items()))
                for arrays in (taken, expected)
            )
            raise PolicyFileError(
                f"{self._name} takes {took}, and an observation of {name} is {made}: choose the environment that it "
                "was trained in"
            )
        detail = self.outputs[self._policy_output]
        given, whole = _item(detail), np.issubdtype(detail["dtype"], np.integer)
        gives = f"{self._name} gives {self.output} of shape {given} ({np.dtype(detail['dtype']).name})"
        assert is_array_space(actions)
        if isinstance(actions, Discrete):
            if (given, whole) != (([], True) if self.output == "action" else ([actions.n], False)):
                raise PolicyFileError(f"{gives}, and {name} has {actions.n} actions")
            return
        discrete = isinstance(actions, MultiDiscrete)
        if given != list(actions.shape) or whole != discrete or (self.metadata and self.output != "action"):
            kind = "several whole numbers" if discrete else "continuous"
            raise PolicyFileError(
                f"{gives}, and an action of {name} is {kind}, of shape {list(actions.shape)}: choose the "
                "environment that it was trained in"
            )

    def _check_names(self, arrays: int) -> None:
        """Checks that there are the arrays of an observation, one output, perhaps a mask, and each carry comes back."""
        several = arrays > 1 or len(self._observations) == 1
        single = several and len(self.outputs) - len(self.carry) == 1
        pairs = [(name, f"next_{name}") for name in self.carry]
        if not single or not all(name in self.inputs and after in self.outputs for name, after in pairs):
            raise PolicyFileError(
                f"{self._name} must have one input (and perhaps a mask) and one output; a policy with memory also "
                f"inputs carry_0, ... and outputs next_carry_0, ...; it has the inputs {', '.join(self.inputs)} and "
                f"the outputs {', '.join(self.outputs)}"
            )
        for name, after in pairs:
            if _item(self.inputs[name]) != _item(self.outputs[after]):
                raise PolicyFileError(
                    f"{self._name} takes {name} of shape {_item(self.inputs[name])}, and gives {after} of shape "
                    f"{_item(self.outputs[after])}: they must be the same"
                )


def carry_names(count: int) -> tuple[str, ...]:
    """The names of the inputs for a carry of so many arrays; the outputs for the next one have "next_" before."""
    return tuple(f"carry_{index}" for index in range(count))


def _is_carry(name: str) -> bool:
    return re.fullmatch(r"(next_)?carry_\d+", name) is not None


def _is_mask(name: str) -> bool:
    """Whether an input takes a mask; an observation may have an array of such a name."""
    return "mask" in name and not name.startswith(f"{OBSERVATION}_")


def _described(shape: Any, dtype: Any) -> str:
    return f"{np.dtype(dtype).name}{list(shape)}"


def _named_tensors(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The details of a model's inputs and outputs, by name."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(signatures := interpreter.get_signature_list()) != 1:
        return {d["name"]: d for d in inputs}, {d["name"]: d for d in outputs}
    runner = interpreter.get_signature_runner(next(iter(signatures)))

    def by_name(details: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        names = {detail["index"]: name for name, detail in named.items()}
        return {names.get(d["index"], d["name"]): d for d in details}

    return by_name(inputs, runner.get_input_details()), by_name(outputs, runner.get_output_details())


def _item(detail: Any) -> list[int]:
    """The shape of one item of a batch."""
    return [int(size) for size in detail["shape_signature"][1:]]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _plain_operations() -> Any:
    return litert().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
