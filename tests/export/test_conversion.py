"""Functions that go through TensorFlow's formats, whatever the versions of JAX and TensorFlow."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.export.conversion import saved_model, tflite
from jaxrl.export.tflite_file import PolicyFile

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")

INPUTS = {
    "observation": jax.ShapeDtypeStruct((3,), np.float32),
    "place": jax.ShapeDtypeStruct((), np.int32),
    "unused": jax.ShapeDtypeStruct((2,), np.bool_),
}


def picked(observation, place, unused):
    """A gather with batching dimensions, which StableHLO has since 1.1: the oldest artifacts can't hold it."""
    return {"picked": jax.vmap(lambda x, i: jnp.tanh(x)[i])(observation, place)}


def test_tensorflow_reads_the_version_of_stablehlo_that_programs_are_written_for(tmp_path):
    from tensorflow.compiler.mlir.stablehlo import stablehlo

    saved_model(picked, INPUTS, str(tmp_path / "served"))
    (version,) = set(re.findall(rb"StableHLO_v([\d.]+)", (tmp_path / "served" / "saved_model.pb").read_bytes()))
    known = stablehlo.get_current_version()
    assert stablehlo.get_smaller_version(version.decode(), known) == version.decode(), f"TensorFlow reads up to {known}"


def test_a_saved_model_of_any_batch(tmp_path):
    saved_model(picked, INPUTS, str(tmp_path / "served"))
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    assert set(serve.structured_input_signature[1]) == set(INPUTS)
    for batch in (1, 4):
        x, i = np.arange(batch * 3, dtype=np.float32).reshape(batch, 3) / 5, np.arange(batch, dtype=np.int32) % 3
        given = serve(observation=tf.constant(x), place=tf.constant(i), unused=tf.zeros((batch, 2), tf.bool))
        np.testing.assert_allclose(given["picked"], np.tanh(x)[np.arange(batch), i], rtol=1e-6)


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_file_of_several_outputs_and_an_unused_input(dynamic):
    def function(observation, unused):
        return {"sum": observation.sum(axis=1), "twice": 2 * observation}

    inputs = {name: INPUTS[name] for name in ("observation", "unused")}
    file = PolicyFile(tflite(function, inputs, dynamic))
    assert set(file.inputs) == set(inputs)
    batch = 5 if dynamic else 1
    x = np.arange(batch * 3, dtype=np.float32).reshape(batch, 3)
    run = file._interpreter
    for name, value in (("observation", x), ("unused", np.zeros((batch, 2), bool))):
        run.resize_tensor_input(file.inputs[name]["index"], value.shape)
    run.allocate_tensors()
    run.set_tensor(file.inputs["observation"]["index"], x)
    run.invoke()
    np.testing.assert_array_equal(run.get_tensor(file.outputs["sum"]["index"]), x.sum(axis=1))
    np.testing.assert_array_equal(run.get_tensor(file.outputs["twice"]["index"]), 2 * x)
