"""From a JAX function to TensorFlow's formats; TensorFlow is imported here only, and only when called."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.export
import numpy as np

STABLEHLO_VERSION = "1.13.0"
"""Of the programs handed to TensorFlow: 2.21 reads up to 1.13.7, and JAX 0.12 would write 1.18 or later.

A reader takes artifacts of the last five years (StableHLO's promise of compatibility), so newer versions of either
side need no other number.
"""


class ExportError(ValueError):
    """A policy can't be exported, or what came out does not play like it."""


Function = Callable[..., dict[str, jax.Array]]
"""A batched function: of arrays `[batch, ...]`, which gives arrays `[batch, ...]` by name."""


def tflite(function: Function, inputs: dict[str, Any], dynamic: bool) -> bytes:
    """Converts a batched function to a TFLite file of built-in operations, in f32.

    The signature names the inputs; it names the outputs where there are several.

    Args:
      function: of the inputs.
      inputs: shape and dtype of one item of each input, by name.
      dynamic: whether the batch may have any size, rather than 1.

    Raises:
      ExportError: the function has an operation that TFLite lacks.
      ImportError: TensorFlow is not installed.
    """
    tf = tensorflow()
    with _silenced() as messages:
        module, concrete = _traced(tf, lambda *columns: _lone(function(*columns)), inputs, dynamic)
        try:
            converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            return converter.convert()
        except Exception as error:  # The converter raises its own ConverterError, RuntimeError and ValueError.
            raise ExportError(_lacking(f"{error}\n{messages()}")) from error


def saved_model(function: Function, inputs: dict[str, Any], folder: str) -> None:
    """Writes a batched function as a SavedModel with the signature "serving_default" and any batch.

    Raises:
      ImportError: TensorFlow is not installed.
    """
    tf = tensorflow()
    with _silenced():
        module, concrete = _traced(tf, function, inputs, True)
        tf.saved_model.save(module, folder, signatures={"serving_default": concrete})


def _lone(outputs: dict[str, jax.Array]) -> Any:
    """The only output without its name; several as they are."""
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _traced(tf: Any, function: Callable[..., Any], inputs: dict[str, Any], dynamic: bool) -> tuple[Any, Any]:
    """A TensorFlow module that holds the function, and its one concrete function."""
    batch: Any = jax.export.symbolic_shape("b")[0] if dynamic else 1
    shapes = [jax.ShapeDtypeStruct((batch, *x.shape), x.dtype) for x in inputs.values()]
    exported = jax.export.export(jax.jit(function), platforms=("cpu",))(*shapes)
    artifact = _readable(exported)
    specs = [
        tf.TensorSpec((None if dynamic else 1, *x.shape), np.dtype(x.dtype), name=name) for name, x in inputs.items()
    ]
    module = tf.Module()
    module.call = tf.function(
        lambda *columns: _embedded(tf, exported, artifact, columns), input_signature=specs, autograph=False
    )
    return module, module.call.get_concrete_function()


def _readable(exported: jax.export.Exported) -> bytes:
    """The program as an artifact of `STABLEHLO_VERSION`; JAX itself writes that of a few weeks ago."""
    from jax.extend import mlir
    from jax.extend.mlir import ir
    from jax.extend.mlir.dialects import stablehlo

    with ir.Context() as context:
        stablehlo.register_dialect(context)
        program = mlir.deserialize_portable_artifact(exported.mlir_module_serialized)
        # The last argument keeps the annotations of Shardy, another dialect, as JAX does.
        return mlir.serialize_portable_artifact(program, STABLEHLO_VERSION, True)


def _embedded(tf: Any, exported: jax.export.Exported, artifact: bytes, columns: tuple[Any, ...]) -> Any:
    """The call of an exported function, as one operation of TensorFlow, which its converter takes apart.

    What `jax.experimental.jax2tf` does for an inference on one device, but for the artifact's version, which it
    leaves to JAX.
    """
    from tensorflow.compiler.tf2xla.python import xla

    outputs = xla.call_module(
        [columns[i] for i in exported.module_kept_var_idx],
        version=exported.calling_convention_version,
        module=artifact,
        Tout=[tf.dtypes.as_dtype(output.dtype) for output in exported.out_avals],
        Sout=[tuple(size if isinstance(size, int) else None for size in x.shape) for x in exported.out_avals],
        platforms=[platform.upper() for platform in exported.platforms],
        use_shardy_partitioner=False,
    )
    return jax.tree.unflatten(exported.out_tree, outputs)


def tensorflow() -> Any:
    """TensorFlow, on the CPU only and quiet.

    Raises:
      ImportError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _silenced():
            import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            f"exporting needs TensorFlow, which can't be imported ({error}): pip install 'jaxrl[export]'"
        ) from error
    with _silenced(), contextlib.suppress(RuntimeError):  # It has started, with whatever devices it has.
        tf.config.set_visible_devices([], "GPU")
    return tf


@contextlib.contextmanager
def _silenced() -> Iterator[Callable[[], str]]:
    """Keeps what C++ and Python write to standard error to itself; gives a function that returns it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as stack:
        before = os.dup(2)
        stack.callback(os.close, before)
        stack.callback(os.dup2, before, 2)
        stack.callback(sys.stderr.flush)
        os.dup2(file.fileno(), 2)

        def messages() -> str:
            sys.stderr.flush()
            file.seek(0)
            return file.read().decode(errors="replace")

        yield messages


def _lacking(message: str) -> str:
    """One line about what the converter could not do."""
    flex = re.findall(r"(?:Flex|Custom) ops: ([\w, ]+)", message)
    offenders = {name.strip() for names in flex for name in names.split(",")}
    offenders |= set(re.findall(r"failed to legalize operation '([\w.]+)'", message))
    offenders |= set(re.findall(r"'((?:tf|stablehlo|mhlo|chlo|vhlo)\.[\w.]+)' op ", message))
    if offenders:
        return f"the policy uses operations that TFLite lacks: {', '.join(sorted(offenders))}"
    lines = [line for line in message.strip().splitlines() if line.strip()]
    return f"TensorFlow's converter failed: {lines[0] if lines else 'without a word'}"
