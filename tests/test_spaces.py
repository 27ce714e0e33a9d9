"""Spaces of one array and of several, beside Gymnasium's."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from structured_environments import Panel

import jaxrl
from jaxrl import Box, Dict, Discrete, MultiDiscrete, Tuple
from jaxrl.networks.encoding import encode, example
from jaxrl.spaces import array_names, array_spaces, arrays_of

SPACE = Dict(
    {
        "speed": Box(-1.0, 1.0, (2, 2)),
        "gear": Discrete(4),
        "doors": Tuple((MultiDiscrete((2, 3)), Box(0.0, jnp.inf))),
    }
)
PEER = gymnasium.spaces.Dict(
    {
        "speed": gymnasium.spaces.Box(-1, 1, (2, 2)),
        "gear": gymnasium.spaces.Discrete(4),
        "doors": gymnasium.spaces.Tuple((gymnasium.spaces.MultiDiscrete([2, 3]), gymnasium.spaces.Box(0, np.inf, ()))),
    }
)


def test_features_are_those_of_gymnasium():
    samples = SPACE.sample(jax.random.key(0), (50,))
    features = np.asarray(encode(samples, SPACE, "raw"))
    for i in range(50):
        element = jax.tree.map(lambda x, i=i: np.asarray(x)[i], samples)
        np.testing.assert_array_equal(features[i], gymnasium.spaces.flatten(PEER, element))


def test_samples_are_elements_here_and_there():
    samples = SPACE.sample(jax.random.key(1), (200,))
    assert bool(SPACE.contains(samples))
    for i in range(200):
        element = jax.tree.map(lambda x, i=i: np.asarray(x)[i], samples)
        element["gear"] = int(element["gear"])
        assert PEER.contains(element)


def test_every_whole_number_is_drawn_and_each_alike():
    draws = np.asarray(MultiDiscrete((2, 5)).sample(jax.random.key(2), (20_000,)))
    for i, count in enumerate((2, 5)):
        # Five standard deviations of a share.
        shares = np.bincount(draws[:, i], minlength=count) / len(draws)
        np.testing.assert_allclose(shares, 1 / count, atol=5 * np.sqrt(1 / count / len(draws)))
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.04


@pytest.mark.parametrize(
    ("change", "inside"),
    [
        ({}, True),
        ({"gear": jnp.int32(4)}, False),
        ({"speed": jnp.full((2, 2), 1.5)}, False),
        ({"doors": (jnp.int32([1, 3]), jnp.float32(0))}, False),
        ({"doors": (jnp.int32([1, 2]), jnp.float32(-1))}, False),
    ],
)
def test_an_element_is_one_in_all_its_parts(change, inside):
    assert bool(SPACE.contains({**jax.tree.map(lambda x: x[0], example(SPACE)), **change})) == inside


def test_arrays_have_names_in_the_order_of_jax():
    assert array_names(arrays_of(SPACE), "obs") == ("obs_doors_0", "obs_doors_1", "obs_gear", "obs_speed")
    assert array_names(example(SPACE), "obs") == array_names(arrays_of(SPACE), "obs")
    assert [part.shape for part in array_spaces(SPACE)] == [(2,), (), (), (2, 2)]
    assert array_names(Box(), "obs") == ("obs",)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Dict([]), TypeError, "Dict.spaces = .* must be a dict of spaces"),
        (lambda: Dict({}), TypeError, "with at least one"),
        (lambda: Dict({"a b": Box()}), ValueError, "the key 'a b', which must be a name"),
        (lambda: Tuple([Box()]), TypeError, "must be a tuple of spaces"),
        (lambda: MultiDiscrete(()), ValueError, "must have at least one number"),
        (lambda: MultiDiscrete((3, 0)), ValueError, r"MultiDiscrete\.counts = \(3, 0\) must be >= 1"),
        (lambda: arrays_of(Dict({"a": 3})), TypeError, "3 is no space: it must be a jaxrl.Box"),
    ],
)
def test_what_is_no_space_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("algorithm", [jaxrl.DQN, jaxrl.DRQN, jaxrl.Reinforce, jaxrl.SAC, jaxrl.TD3, jaxrl.QLearning])
def test_agents_of_other_actions_refuse_several_choices(algorithm):
    with pytest.raises(TypeError, match=rf"{algorithm.__name__} on Panel: .* action space, and this is MultiDiscrete"):
        algorithm(Panel())
