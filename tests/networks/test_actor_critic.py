"""Actors with critics, and ensembles, against the same layers of Haiku."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import networks
from jaxrl.spaces import Box, Discrete

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "elu": lambda x: np.where(x > 0, x, np.expm1(x))}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_policy_and_value_are_what_numpy_computes(shared, layer_norm, activation):
    network = networks.actor_critic(
        Box(shape=(4,)), (8, 6), 3, shared=shared, layer_norm=layer_norm, activation=activation, head_scales=(1.0, 1.0)
    )
    obs = jax.random.normal(jax.random.key(1), (5, 4))
    params = network.init(jax.random.key(0), obs)
    keys = iter(jax.random.split(jax.random.key(2), 100))
    params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(next(keys), x.shape), params)
    policy, value = network.apply(params, obs)
    assert (policy.shape, value.shape) == ((5, 3), (5,))

    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    for head, output in (("policy", policy), ("value", value[:, None])):
        features, torso = np.asarray(obs, np.float64), "mlp" if shared else head
        for i in range(2):
            layer = weights[f"{torso}/~/linear_{i}"]
            features = features @ layer["w"] + layer["b"]
            if layer_norm:
                norm = weights[f"{torso}/layer_norm_{i}"]
                centred = features - features.mean(1, keepdims=True)
                deviation = np.sqrt(np.square(centred).mean(1, keepdims=True) + 1e-5)
                features = centred / deviation * norm["scale"] + norm["offset"]
            features = ACTIVATIONS[activation](features)
        last = weights[f"{head}_head"]
        np.testing.assert_allclose(output, features @ last["w"] + last["b"], rtol=1e-4, atol=1e-5)
    assert len(params) == (6 if not shared else 4) + layer_norm * (2 if shared else 4)


def test_discrete_observations_become_one_hot():
    network = networks.actor_critic(Discrete(5), (), 3, head_scales=(1.0, 1.0))
    params = network.init(jax.random.key(0), jnp.zeros((1,), jnp.int32))
    policy, value = network.apply(params, jnp.array([3, 0]))
    np.testing.assert_array_equal(policy, params["policy_head"]["w"][np.array([3, 0])])
    np.testing.assert_array_equal(value, params["value_head"]["w"][np.array([3, 0]), 0])


def test_an_ensemble_has_independent_members():
    one = networks.mlp(Box(shape=(4,)), (8,), (1,))
    obs = jax.random.normal(jax.random.key(1), (5, 4))
    twins = networks.ensemble(one, 2)
    params = twins.init(jax.random.key(0), obs)
    assert not np.any(params["head_0"]["w"][0] == params["head_0"]["w"][1])
    (outputs,) = twins.apply(params, obs)
    assert outputs.shape == (2, 5, 1)
    for i in range(2):
        alone = one.apply(jax.tree.map(lambda x, i=i: x[i], params), obs)[0]
        np.testing.assert_allclose(outputs[i], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (1.5, TypeError)])
def test_an_ensemble_needs_a_size(size, error):
    with pytest.raises(error, match=f"size = {size} must be"):
        networks.ensemble(networks.mlp(Box(shape=(4,)), (8,), (1,)), size)


@pytest.mark.parametrize(("features", "size"), [(3, 5), (5, 3), (4, 1), (6, 7)])
def test_the_gradient_of_a_product_is_jax_s(features, size):
    keys = jax.random.split(jax.random.key(0), 3)
    inputs, weights = jax.random.normal(keys[0], (2, 6, features)), jax.random.normal(keys[1], (2, features, size))
    cotangent = jax.random.normal(keys[2], (2, 6, size))

    def gradients(function):
        return jax.jit(lambda *both: jax.vjp(jax.vmap(function), *both)[1](cotangent))(inputs, weights)

    for a, b in zip(gradients(networks.product), gradients(jnp.matmul), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_haiku_s_modules_take_part():
    """A network of a user's own that mixes Haiku's layers with ours begins and runs."""

    def forward(x):
        return networks.Linear(3, "orthogonal", 2.0, name="ours")(hk.Linear(8, name="haiku_s")(x))

    network = networks.transform(forward)
    params = network.init(jax.random.key(0), jnp.zeros((1, 4)))
    gram = params["ours"]["w"].T @ params["ours"]["w"]
    np.testing.assert_allclose(gram, 4 * np.eye(3), atol=1e-5)
    assert network.apply(params, jnp.ones((2, 4))).shape == (2, 3)
