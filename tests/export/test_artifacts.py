"""The programs handed to TensorFlow are of a version that it reads, whatever JAX would write by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.export.conversion import STABLEHLO_VERSION, _readable


@pytest.mark.parametrize("batch", [1, "b"])
def test_artifacts_are_of_the_version_asked_for(batch):
    (size,) = jax.export.symbolic_shape(str(batch))
    exported = jax.export.export(jax.jit(jnp.tanh), platforms=("cpu",))(jax.ShapeDtypeStruct((size, 3), np.float32))
    artifact = _readable(exported)
    assert f"StableHLO_v{STABLEHLO_VERSION}".encode() in artifact[:40]
    assert f"StableHLO_v{STABLEHLO_VERSION}".encode() not in exported.mlir_module_serialized[:40]
