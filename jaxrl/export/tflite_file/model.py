"""What a TFLite file stores: its layers and its metadata."""

import dataclasses
import json
import math
from typing import Any

import numpy as np

from jaxrl.export.tflite_file.checksum import BLANK, ENTRY, with_checksum

METADATA = "jaxrl"
"""The name of the entry of a file's metadata that `jaxrl.export` writes."""
MAGIC = b"TFL3"
"""The bytes 4 to 7 of every TFLite file."""
_WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")


@dataclasses.dataclass(frozen=True)
class Layer:
    """An operation that multiplies by stored weights.

    Attributes:
      operation: its name, such as "FULLY_CONNECTED".
      output: the name of what it gives.
      shape: of the weights, the outputs first.
      weights: in an array of that shape, where they are stored as f32; else None.
    """

    operation: str
    output: str
    shape: tuple[int, ...]
    weights: np.ndarray | None

    @property
    def size(self) -> int:
        """The number of weights."""
        return math.prod(self.shape)


def weighted_layers(content: bytes) -> list[Layer]:
    """The layers of a TFLite file, in its order."""
    schema = _schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    graph, layers = model.subgraphs[0], []
    for operator in graph.operators:
        name = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        if name in _WEIGHTED:
            output, tensor = graph.tensors[operator.outputs[0]], graph.tensors[operator.inputs[1]]
            shape, data = tuple(map(int, tensor.shape)), model.buffers[tensor.buffer].data
            stored = data is not None and tensor.type == schema.TensorType.FLOAT32
            weights = np.asarray(data, np.uint8).view(np.float32).reshape(shape) if stored else None
            layers.append(Layer(name, output.name.decode(), shape, weights))
    return layers


def read_metadata(content: bytes) -> dict[str, Any] | None:
    """What `write_metadata` added to a TFLite file, or None."""
    model = _schema().Model.GetRootAs(content, 0)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if entry.Name() == METADATA.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def write_metadata(content: bytes, metadata: dict[str, Any]) -> bytes:
    """The same TFLite file with a checksum and plain data (as JSON has it) in its metadata, which interpreters skip."""
    return with_checksum(with_entries(content, {METADATA: json.dumps(metadata).encode(), ENTRY: BLANK}))


def with_entries(content: bytes, entries: dict[str, bytes]) -> bytes:
    """The same TFLite file with entries in its metadata, in place of those of the same names."""
    import flatbuffers

    schema = _schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    known = {entry.name.decode(): entry for entry in model.metadata or []}
    for name, data in entries.items():
        if name not in known:
            known[name] = schema.MetadataT()
            known[name].name, known[name].buffer = name, len(model.buffers)
            model.buffers.append(schema.BufferT())
        model.buffers[known[name].buffer].data = np.frombuffer(data, np.uint8)
    model.metadata = list(known.values())
    builder = flatbuffers.Builder(len(content) + sum(map(len, entries.values())) + 1024)
    builder.Finish(model.Pack(builder), MAGIC)
    return bytes(builder.Output())


def give_signed_outputs(content: bytes) -> bytes:
    """A TFLite file that gives those tensors that its signature names, in the order of its outputs.

    AI Edge Quantizer makes the quantized copy of a tensor an output in its place, where an output is also read by a
    quantized operation, as a carry is; the signature still names the tensor itself.
    """
    import flatbuffers

    schema = _schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for signature in model.signatureDefs or []:
        graph = model.subgraphs[signature.subgraphIndex]
        signed = [int(entry.tensorIndex) for entry in signature.outputs]
        copied = {
            int(output): int(operator.inputs[0])
            for operator in graph.operators
            if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.QUANTIZE
            for output in operator.outputs
        }
        graph.outputs = [int(x) if int(x) in signed else copied.get(int(x), int(x)) for x in graph.outputs]
    builder = flatbuffers.Builder(len(content) + 1024)
    builder.Finish(model.Pack(builder), MAGIC)
    return bytes(builder.Output())


def litert() -> Any:
    """The module of LiteRT's interpreter.

    Raises:
      ImportError: it is not installed.
    """
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise ImportError("LiteRT, which runs TFLite files, is not installed: pip install 'jaxrl[export]'") from error
    return interpreter


def _schema() -> Any:
    litert()
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
