"""The convolutional encoder against Haiku's convolutions."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import networks
from jaxrl.spaces import Box, Discrete

IMAGES = Box(shape=(9, 8, 2))
OPTIONS = {"encoder": "convolution", "channels": (4, 5), "kernels": (3, 2), "strides": (2, 1)}


def haiku_s(images):
    with hk.name_scope("mlp_encoder"):
        for i, (channels, kernel, stride) in enumerate(((4, 3, 2), (5, 2, 1))):
            convolution = hk.Conv2D(channels, kernel, stride, padding="VALID", name=f"convolution_{i}")
            images = jax.nn.relu(convolution(images))
    features = hk.nets.MLP((7,), activate_final=True)(hk.Flatten()(images))
    return (hk.Linear(3, name="head_0")(features),)


@pytest.mark.parametrize("members", [None, 2])
def test_values_and_gradients_are_haiku_s(members):
    images = jax.random.normal(jax.random.key(1), (*((members,) if members else ()), 3, 9, 8, 2))
    keys = jax.random.split(jax.random.key(0), members) if members else jax.random.key(0)
    ours = networks.mlp(IMAGES, (7,), (3,), **OPTIONS)
    peer = hk.without_apply_rng(hk.transform(haiku_s))

    def run(network):
        def one(key, images):
            params = ours.init(key, images)
            loss = lambda params: jnp.sum(jnp.sin(network.apply(params, images)[0]))  # noqa: E731
            return jax.value_and_grad(loss)(params)

        return jax.jit(jax.vmap(one) if members else one)(keys, images)

    mine, theirs = run(ours), run(peer)
    assert jax.tree.map(jnp.shape, mine) == jax.tree.map(jnp.shape, theirs)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_parameters_begin_as_haiku_s():
    """Deviations of 1 / sqrt(fan-in), where the fan-in of a kernel counts its height and width; norms at 1 and 0."""
    network = networks.actor_critic(IMAGES, (7,), 3, layer_norm=True, initializer="truncated_normal", **OPTIONS)
    keys = jax.random.split(jax.random.key(0), 300)
    params = jax.jit(jax.vmap(lambda key: network.init(key, jnp.zeros((1, 9, 8, 2)))))(keys)
    for name in ("policy_encoder", "value_encoder"):
        kernels = [params[f"{name}/convolution_{i}"]["w"] for i in range(2)]
        assert [kernel.shape[1:] for kernel in kernels] == [(3, 3, 2, 4), (2, 2, 4, 5)]
        for kernel, features in zip(kernels, (18, 16), strict=True):
            np.testing.assert_allclose(np.std(kernel), 0.8796 / np.sqrt(features), rtol=0.03)
            assert np.max(np.abs(kernel)) <= 2 / np.sqrt(features)
        np.testing.assert_array_equal(params[f"{name}/layer_norm_0"]["scale"], np.ones((300, 4)))
        np.testing.assert_array_equal(params[f"{name}/layer_norm_0"]["offset"], np.zeros((300, 4)))


def test_bytes_are_read_as_0_to_1():
    network = networks.mlp(Box(shape=(9, 8, 2), dtype=jnp.uint8), (), (3,), **OPTIONS)
    images = jax.random.randint(jax.random.key(1), (3, 9, 8, 2), 0, 256).astype(jnp.uint8)
    params = network.init(jax.random.key(0), images)
    expected = network.apply(params, images.astype(jnp.float32) / 255)
    np.testing.assert_allclose(network.apply(params, images)[0], expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        (Box(shape=(9, 8)), {}, r"encoder = 'convolution' reads a Box of shape \[height, width, channels\].*'flatten'"),
        (Discrete(4), {}, "encoder = 'convolution' reads a Box"),
        (IMAGES, {"kernels": (3, 4)}, r"kernels\[1\] = 4 is larger than what comes into its layer, 4 x 3, from images"),
        (IMAGES, {"strides": (1,)}, r"channels = \(4, 5\), kernels = \(3, 2\), strides = \(1,\) must have one number"),
        (IMAGES, {"strides": (0, 1)}, "channels, kernels and strides must be positive"),
        (
            IMAGES,
            {"encoder": "convolutions"},
            "encoder = 'convolutions' is unknown: choose one of flatten, convolution",
        ),
    ],
)
def test_what_cannot_be_convolved_is_named(space, options, message):
    with pytest.raises(ValueError, match=message):
        networks.mlp(space, (7,), (3,), **(OPTIONS | options))


def test_recurrent_networks_read_images_too():
    network = networks.recurrent_actor_critic(IMAGES, (7,), 3, memory_size=4, **OPTIONS)
    images = jax.random.normal(jax.random.key(1), (2, 3, 9, 8, 2))
    params, carry = network.init(jax.random.key(0), images[0]), network.initial_carry(3)
    (policy, _), _ = network.unroll(params, carry, images, jnp.zeros((2, 3), bool))
    (first, _), carry = network.step(params, carry, images[0])
    (second, _), _ = network.step(params, carry, images[1])
    np.testing.assert_allclose(policy, jnp.stack([first, second]), rtol=1e-4, atol=1e-6)
