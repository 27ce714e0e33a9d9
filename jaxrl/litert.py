"""TFLite files: what is in them, and playing with them by the LiteRT interpreter."""

import collections
import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.distributions import masked
from jaxrl.environment import Environment
from jaxrl.evaluation import evaluation_key, greedy_returns
from jaxrl.pytree import pytree, static
from jaxrl.spaces import Discrete

METADATA = "jaxrl"
"""The name of the entry of a file's metadata that `jaxrl.export` writes."""
_MAGIC = b"TFL3"
_WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")


class PolicyFileError(ValueError):
    """A file is no TFLite model, or none that can play in an environment."""


class PolicyFile:
    """A TFLite model that was read.

    Attributes:
      size: bytes.
      inputs, outputs: LiteRT's description of each tensor: "name", "dtype", "shape_signature" (-1 where any size
        will do), ...
      operations: how often each operation occurs, by name.
      metadata: what `jaxrl.export` noted in it, or None.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        """Reads a model.

        Args:
          source: a path, or the file's content.

        Raises:
          PolicyFileError: it is no TFLite model, or has an operation that the interpreter lacks.
          ImportError: LiteRT is not installed.
        """
        name = "the model" if isinstance(source, bytes) else str(source)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if content[4:8] != _MAGIC:
            raise PolicyFileError(f"{name} is not a TFLite file")
        interpreter = _litert().Interpreter
        try:
            self._interpreter = interpreter(model_content=content)
            self._interpreter.allocate_tensors()
            self.metadata = read_metadata(content)
            # The operations as stored: an interpreter that takes no delegate tells them unchanged.
            plain = interpreter(model_content=content, experimental_op_resolver_type=_plain_operations())
        except Exception as error:  # LiteRT raises RuntimeError, ValueError and more, and flatbuffers struct.error.
            raise PolicyFileError(f"{name} can't be read as a TFLite model: {_first_line(error)}") from error
        self.size = len(content)
        self.inputs = self._interpreter.get_input_details()
        self.outputs = self._interpreter.get_output_details()
        self.operations = dict(collections.Counter(op["op_name"] for op in plain._get_ops_details()))
        self._name = name
        self._rows = 1

    @property
    def output(self) -> str:
        """What comes out: as noted by `jaxrl.export`, else "probabilities"."""
        return (self.metadata or {}).get("output", "probabilities")

    @property
    def takes_mask(self) -> bool:
        """Whether the allowed actions are an input of their own."""
        return len(self.inputs) == 2

    def __call__(self, obs: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Runs the model.

        Args:
          obs: observations `[batch, ...]`.
          mask: bool[batch, n], the allowed actions; used where the model takes them.

        Returns:
          `[batch, ...]`, as the model gives them.
        """
        columns = [obs]
        if self.takes_mask:
            if mask is None:
                raise PolicyFileError(f"{self._name} takes a mask of the allowed actions, and none was given")
            columns.append(mask)
        if self.inputs[0]["shape_signature"][0] == -1:
            return self._run(columns)
        return np.concatenate([self._run([c[i : i + 1] for c in columns]) for i in range(len(obs))])

    def _run(self, columns: list[Any]) -> np.ndarray:
        rows = len(columns[0])
        by_name = sorted(self.inputs, key=lambda d: "mask" in d["name"])
        if rows != self._rows:
            for detail, column in zip(by_name, columns, strict=True):
                self._interpreter.resize_tensor_input(detail["index"], column.shape)
            self._interpreter.allocate_tensors()
            self._rows = rows
        for detail, column in zip(by_name, columns, strict=True):
            self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(column, detail["dtype"]))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self.outputs[0]["index"])

    def actions(self, obs: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The greedy actions i32[batch], out of those that `mask` bool[batch, n] allows."""
        found = self(obs, mask)
        return found.astype(np.int32) if self.output == "action" else greedy(found, mask)

    def check_fits(self, env: Environment) -> None:
        """Checks that the model's input and output are an environment's.

        Raises:
          PolicyFileError: they are not.
        """
        space, actions = env.observation_space, env.action_space
        name = type(env).__name__
        if not isinstance(actions, Discrete):
            raise PolicyFileError(f"{name} has no discrete actions, which {self._name} would choose from")
        if len(self.inputs) not in (1, 2) or len(self.outputs) != 1:
            raise PolicyFileError(f"{self._name} must have one input (and perhaps a mask) and one output")
        detail = min(self.inputs, key=lambda d: "mask" in d["name"])
        found, wanted = tuple(map(int, detail["shape_signature"][1:])), tuple(space.shape)
        if found != wanted or np.dtype(detail["dtype"]) != np.dtype(space.dtype):
            raise PolicyFileError(
                f"{self._name} takes {np.dtype(detail['dtype']).name}{list(found)}, and an observation of {name} is "
                f"{np.dtype(space.dtype).name}{list(wanted)}: choose the environment that it was trained in"
            )
        given = list(map(int, self.outputs[0]["shape_signature"][1:]))
        if given != ([] if self.output == "action" else [actions.n]):
            raise PolicyFileError(f"{self._name} gives numbers of shape {given}, and {name} has {actions.n} actions")


@dataclasses.dataclass(frozen=True)
class Layer:
    """An operation that multiplies by stored weights.

    Attributes:
      operation: its name, such as "FULLY_CONNECTED".
      output: the name of what it gives.
      shape: of the weights.
    """

    operation: str
    output: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of weights."""
        return math.prod(self.shape)


def weighted_layers(content: bytes) -> list[Layer]:
    """The layers of a TFLite file, in its order."""
    schema = _schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    graph, layers = model.subgraphs[0], []
    for operator in graph.operators:
        name = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        if name in _WEIGHTED:
            output, weights = graph.tensors[operator.outputs[0]], graph.tensors[operator.inputs[1]]
            layers.append(Layer(name, output.name.decode(), tuple(map(int, weights.shape))))
    return layers


@pytree
class FileAgent(Agent):
    """Plays what a TFLite file says, by a callback to the host; it can't learn."""

    env: Environment
    file: Any = static()

    def policy(self, params: Any, obs: Any, key: jax.Array | None = None, mask: Any = None) -> jax.Array:
        """The greedy action i32[]; `params` and `key` play no part."""
        number = jax.ShapeDtypeStruct((), jnp.int32)
        return jax.pure_callback(self._actions, number, obs, mask, vmap_method="broadcast_all")

    def _actions(self, obs: Any, mask: Any) -> np.ndarray:
        shape = np.shape(obs)[: np.ndim(obs) - len(self.env.observation_space.shape)]
        obs = np.asarray(obs).reshape(-1, *self.env.observation_space.shape)
        mask = None if mask is None else np.asarray(mask).reshape(len(obs), -1)
        return self.file.actions(obs, mask).reshape(shape).astype(np.int32)


def evaluate_file(file: PolicyFile, env: Environment, episodes: int, seed: int = 0) -> np.ndarray:
    """Plays whole greedy episodes with a file: undiscounted returns f32[episodes].

    Raises:
      PolicyFileError: the file does not fit the environment.
    """
    file.check_fits(env)
    agent, key = FileAgent(env, file), evaluation_key(seed)
    return np.asarray(jax.jit(lambda key: greedy_returns(agent, (), key, episodes))(key))


def read_metadata(content: bytes) -> dict[str, Any] | None:
    """What `write_metadata` added to a TFLite file, or None."""
    model = _schema().Model.GetRootAs(content, 0)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if entry.Name() == METADATA.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def write_metadata(content: bytes, metadata: dict[str, Any]) -> bytes:
    """The same TFLite file with plain data (as JSON has it) in its metadata, which interpreters skip."""
    import flatbuffers

    schema = _schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + len(buffer.data) + 1024)
    builder.Finish(model.Pack(builder), _MAGIC)
    return bytes(builder.Output())


def greedy(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The best allowed actions: i32[batch] out of values f32[batch, n] and a mask bool[batch, n] or None."""
    return np.argmax(values if mask is None else masked(jnp.asarray(values), jnp.asarray(mask)), axis=-1)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _litert() -> Any:
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise ImportError("LiteRT, which runs TFLite files, is not installed: pip install 'jaxrl[export]'") from error
    return interpreter


def _plain_operations() -> Any:
    return _litert().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def _schema() -> Any:
    _litert()
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
