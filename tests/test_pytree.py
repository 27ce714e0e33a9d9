"""Dataclasses as pytrees: structures, dtypes, paths, bounds."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.pytree import get_at, leaf_paths, replace_at, with_array_leaves
from jaxrl.validation import check_values


@jaxrl.pytree
class Inner:
    length: float = jaxrl.leaf(default=0.5, above=0)


@jaxrl.pytree
class Outer:
    inner: Inner
    rate: float = 1.0
    count: int = jaxrl.leaf(default=3)
    switch: bool = False
    limit: float | None = jaxrl.leaf(default=None, above=0)
    size: int = jaxrl.static(default=4, minimum=1)


@jaxrl.pytree
class Twin:
    length: float = jaxrl.leaf(default=0.5, above=0)


def test_leaves_are_traced_and_static_fields_are_structure():
    leaves, structure = jax.tree.flatten(Outer(Inner()))
    assert leaves == [0.5, 1.0, 3, False]
    assert jax.tree.unflatten(structure, leaves) == Outer(Inner())
    assert structure == jax.tree.structure(Outer(Inner(0.7), rate=2.0))
    assert structure != jax.tree.structure(Outer(Inner(), size=5))
    assert structure != jax.tree.structure(Outer(Inner(), limit=1.0))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(Outer(Inner()))]
    assert paths == [".inner.length", ".rate", ".count", ".switch"]


def test_classes_with_equal_fields_are_other_structures():
    # `jax.tree_util.register_dataclass` takes them for the same, and then runs one's program for the other.
    assert jax.tree.structure(Inner()) != jax.tree.structure(Twin())


def test_nodes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Inner().length = 1.0


@pytest.mark.parametrize("number", [2, 2.0, np.float64(2), np.int64(2), jnp.float16(2), np.asarray(2)])
def test_dtypes_follow_the_annotation_not_the_spelling(number):
    result = with_array_leaves(Outer(Inner(number), number, number, True, number))
    assert [x.dtype.name for x in jax.tree.leaves(result)] == ["float32", "float32", "int32", "bool", "float32"]
    assert [float(x) for x in jax.tree.leaves(result)] == [2, 2, 2, 1, 2]


def test_paths_lead_to_leaves():
    node = Outer(Inner())
    assert leaf_paths(node) == ["inner.length", "rate", "count", "switch"]
    assert get_at(replace_at(node, "inner.length", 0.9), "inner.length") == 0.9


@pytest.mark.parametrize(
    ("node", "error", "words"),
    [
        (Outer(Inner(-1.0)), ValueError, r"Inner.length = -1.0 must be > 0"),
        (Outer(Inner(float("nan"))), ValueError, r"Inner.length = nan must be > 0"),
        (Outer(Inner(), rate=float("inf")), ValueError, r"Outer.rate = inf must be finite"),
        (Outer(Inner(), count=2.5), ValueError, r"Outer.count = 2.5 must be a whole number"),
        (Outer(Inner(), rate="fast"), TypeError, r"Outer.rate = 'fast' must be a number"),
        (Outer(Inner(), size=0), ValueError, r"Outer.size = 0 must be >= 1"),
        (Outer(Inner(), size=2.0), TypeError, r"Outer.size = 2.0 must be a whole number"),
    ],
)
def test_values_are_checked_by_name(node, error, words):
    with pytest.raises(error, match=words):
        check_values(node)
