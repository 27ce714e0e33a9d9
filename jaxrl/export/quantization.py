"""Weights, and arithmetic, of fewer bits in a TFLite file, by Google's AI Edge Quantizer."""

import contextlib
import dataclasses
import io
import re
import warnings
from typing import Any

import jax
import numpy as np

from jaxrl.export.tflite_file import Layer, give_signed_outputs, weighted_layers

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
"""How a TFLite file holds numbers: f32; weights f16; weights i8; weights i8 and arithmetic in integers."""

_SMALL = 1024
_SMALL_SHARE = 0.05


@dataclasses.dataclass(frozen=True)
class Form:
    """One way to quantize a file.

    Attributes:
      weights: "float16" or "int8"; layers that `is_small` keep f32.
      arithmetic: what the products of those layers are computed with.
      tuned: whether the parameters that stay f32 make up for the rounding of the others (`jaxrl.export.tuning`).
    """

    weights: str
    arithmetic: str
    tuned: bool = False

    def __str__(self) -> str:
        fitted = ", the rest fitted to them" if self.tuned else ""
        return f"{self.weights} weights{fitted}; {self.arithmetic} arithmetic"


FORMS = {
    "float16": (Form("float16", "float32"), Form("float16", "float32", tuned=True)),
    "dynamic": (Form("int8", "dynamic int8"), Form("int8", "float32"), Form("int8", "float32", tuned=True)),
    "int8": (Form("int8", "int8"), Form("int8", "int16"), Form("int8", "int16", tuned=True)),
}
"""The forms of each quantization, the fastest first; the later ones lose less."""


def is_small(size: int, total: int) -> bool:
    """Whether a layer of `size` weights out of `total` stays in f32: it would save little, and cost decisions.

    The first and the last layer of small networks are such: the one reads observations of many ranges, the
    other distinguishes actions of nearly equal value.
    """
    return size < _SMALL or size < _SMALL_SHARE * total


def rounded_layers(content: bytes) -> list[Layer]:
    """The layers of a float TFLite file that a quantization rounds."""
    layers = weighted_layers(content)
    total = sum(layer.size for layer in layers)
    return [layer for layer in layers if not is_small(layer.size, total)]


def rounded_leaves(content: bytes, params: Any) -> list[int]:
    """The places, among the leaves of a policy's parameters, of those that a quantization rounds.

    Args:
      content: of the float TFLite file of the policy.
      params: one member's; leaves of two dimensions and more count as weights, the outputs last.
    """
    layers = rounded_layers(content)
    leaves = jax.tree.leaves(params)
    return [place for place, leaf in enumerate(leaves) if any(_holds(np.asarray(leaf), layer) for layer in layers)]


def _holds(leaf: np.ndarray, layer: Layer) -> bool:
    """Whether the weights of a layer are those of a leaf, or some of its outputs, as of a recurrent cell's gates."""
    if leaf.ndim < 2:
        return False
    if leaf.size == layer.size:  # The numbers may differ: the converter folds constant factors into them.
        return True
    columns = leaf.reshape(-1, leaf.shape[-1])
    if layer.weights is None or layer.size != columns.shape[0] * layer.shape[0]:
        return False
    return bool((layer.weights.reshape(layer.shape[0], -1)[0] == columns.T).all(axis=1).any())


def quantized(content: bytes, form: Form, examples: dict[str, np.ndarray]) -> bytes:
    """Quantizes a float TFLite file.

    Args:
      content: of the file.
      form: how.
      examples: inputs `[examples, ...]` by name, over which integer arithmetic sees the range of all numbers.

    Returns:
      Another file; the same one where all layers are small.
    """
    from ai_edge_quantizer import quantizer, recipe_manager
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    recipe = recipe_manager.RecipeManager()
    for layer in rounded_layers(content):
        _add(recipe, f"^{re.escape(layer.output)};?$", layer.operation, form)
    if not recipe.get_quantization_recipe():
        return content
    with _quiet():
        ranges = None
        if recipe.need_calibration():
            rows = len(next(iter(examples.values())))
            calibrator = Calibrator(content, qsv_update_func=min_max_update)
            data = [{name: column[i : i + 1] for name, column in examples.items()} for i in range(rows)]
            calibrator.calibrate({"serving_default": data}, recipe)
            ranges = calibrator.get_model_qsvs()
        made = quantizer.Quantizer(content, recipe.get_quantization_recipe())
        rounded = bytes(made.quantize(ranges, enable_progress_report=False).quantized_model)
    return give_signed_outputs(rounded)


def _add(recipe: Any, name: str, operation: str, form: Form) -> None:
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import ComputePrecision, OpQuantizationConfig, TensorDataType
    from ai_edge_quantizer.qtyping import TensorQuantizationConfig as Tensor

    if form.weights == "float16":
        halves = OpQuantizationConfig(
            weight_tensor_config=Tensor(num_bits=16, dtype=TensorDataType.FLOAT),
            compute_precision=ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        recipe.add_quantization_config(name, operation, halves, AlgorithmName.FLOAT_CASTING)
    elif form.arithmetic == "dynamic int8":
        recipe.add_dynamic_config(name, operation, 8)
    elif form.arithmetic == "float32":
        recipe.add_weight_only_config(name, operation, 8)
    else:
        recipe.add_static_config(name, operation, int(form.arithmetic.removeprefix("int")), 8)


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the quantizer's progress bars and its remarks on our own model."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
