"""Elements and spaces of other libraries as jaxrl's; none needs to be installed."""

import dataclasses
from collections import namedtuple
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.adapters.spaces import plain, space_like

Item = namedtuple("Item", ["x_len", "y_len"])


@dataclasses.dataclass
class Seen:
    grid: jax.Array
    item: Item
    extras: list
    nothing: None = None


def test_elements_become_dicts_and_tuples():
    seen = Seen(jnp.ones(2), Item(jnp.zeros(1), 3), [True, {"pixels/view 0": jnp.ones(4)}])
    found = plain(seen)
    assert jax.tree.map(lambda x: (x.shape, x.dtype.name), found) == {
        "grid": ((2,), "float32"),
        "item": {"x_len": ((1,), "float32"), "y_len": ((), "int32")},
        "extras": (((), "bool"), {"pixels_view_0": ((4,), "float32")}),
    }
    np.testing.assert_array_equal(plain([1, 2], np.asarray)[1], 2)


def test_keys_that_become_the_same_name_are_refused():
    with pytest.raises(ValueError, match=r"the parts \['a b', 'a/b'\] of an observation need names that differ"):
        plain({"a/b": jnp.ones(1), "a b": jnp.ones(1)})


def test_spaces_take_the_structure_of_the_elements_and_the_bounds_that_fit():
    theirs = SimpleNamespace(
        spaces={
            "a/b": SimpleNamespace(low=np.zeros(2), high=np.ones(2)),
            "c": SimpleNamespace(spaces=(SimpleNamespace(n=4), SimpleNamespace(n=4, start=1), SimpleNamespace())),
            "d": SimpleNamespace(nvec=np.array([2, 3])),
            "e": SimpleNamespace(low=np.zeros(3), high=np.ones(3)),
        }
    )
    number, row = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((2,), jnp.float32)
    form = {"a_b": row, "c": (number, number, row), "d": jax.ShapeDtypeStruct((2,), jnp.int32), "e": row}
    space = space_like(theirs, form).spaces
    np.testing.assert_array_equal(space["a_b"].high, [1, 1])
    discrete, beginning_at_1, unknown = space["c"].spaces
    assert discrete == jaxrl.Discrete(4)
    assert isinstance(beginning_at_1, jaxrl.Box)  # A Discrete space begins at 0.
    assert (unknown.low, unknown.shape) == (-np.inf, (2,))
    assert space["d"] == jaxrl.MultiDiscrete((2, 3))
    assert space["e"].high == np.inf  # The elements have another shape than the space says.
    assert space_like(None, (row,)) == jaxrl.Tuple((jaxrl.Box(-np.inf, np.inf, (2,), np.dtype("float32")),))
