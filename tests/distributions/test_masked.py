"""Masked values: forbidden actions are never the best ones."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.distributions import masked

INFINITY = float("inf")


@pytest.mark.parametrize(
    ("values", "mask", "best"),
    [
        ([3.0, 2.0, 1.0], [False, True, True], 1),
        ([3.0, -INFINITY, -INFINITY], [False, True, True], 1),
        ([1.0, 3.0, 2.0], [False, False, False], 1),
    ],
)
def test_the_best_allowed_action_is_never_a_forbidden_one(values, mask, best):
    result = masked(jnp.asarray(values), jnp.asarray(mask))
    assert int(jnp.argmax(result)) == best
    assert np.isfinite(result).all()


def test_without_a_mask_nothing_changes():
    values = jnp.asarray([1.0, -INFINITY])
    assert masked(values, None) is values
