"""Initial parameters against Haiku's own draws, SciPy's distributions and what orthogonal means."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl import networks
from jaxrl.networks.initialization import transform
from jaxrl.spaces import Box

SPACE, OBS = Box(shape=(3,)), jnp.zeros((1, 3))


def drawn(network, members=1500, obs=OBS):
    return jax.jit(jax.vmap(lambda key: network.init(key, obs)))(jax.random.split(jax.random.key(0), members))


def test_orthogonal_weights_are_orthogonal_and_scaled():
    params = drawn(networks.actor_critic(SPACE, (16, 8), 2), 5)
    scales = {"policy_head": 0.01, "value_head": 1.0}
    for name, layer in params.items():
        w, scale = np.asarray(layer["w"], np.float64), scales.get(name, np.sqrt(2))
        gram = np.swapaxes(w, 1, 2) @ w if w.shape[1] >= w.shape[2] else w @ np.swapaxes(w, 1, 2)
        expected = np.broadcast_to(scale**2 * np.eye(gram.shape[-1]), gram.shape)
        np.testing.assert_allclose(gram, expected, atol=1e-5 * scale**2)
        np.testing.assert_array_equal(layer["b"], 0)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3)])
def test_orthogonal_weights_are_uniform(shape):
    """A uniform orthogonal matrix stays so when rotated: its product with any is distributed as SciPy's."""
    network = transform(lambda _: hk.get_parameter("w", shape, init=hk.initializers.Orthogonal()))
    ours = np.asarray(drawn(network)["~"]["w"])
    size = max(shape)
    theirs = stats.ortho_group.rvs(size, size=1500, random_state=0)[:, : shape[0], : shape[1]]
    rotation = stats.ortho_group.rvs(size, random_state=1)[: shape[0], : shape[0]]
    for statistic in (
        lambda w: w[:, 0, 0],
        lambda w: w[:, -1, -1],
        lambda w: w[:, 0, 1] + 2 * w[:, 1, 0] - w[:, 2, 2],
        lambda w: (
            np.einsum("a,nab,b->n", rotation[0], w, rotation[0, : shape[1]]) if shape[0] >= shape[1] else w.sum((1, 2))
        ),
    ):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-3


@pytest.mark.parametrize(
    "initializer",
    [hk.initializers.VarianceScaling(2.0), hk.initializers.RandomUniform(-1, 1), hk.initializers.Constant(3.0)],
)
def test_other_initializers_are_drawn_by_haiku(initializer):
    def forward(x):
        return hk.nets.MLP((8, 4), w_init=initializer, b_init=hk.initializers.RandomNormal())(x)

    key = jax.random.key(7)
    jax.tree.map(np.testing.assert_array_equal, transform(forward).init(key, OBS), hk.transform(forward).init(key, OBS))


def test_initializers_may_be_mixed():
    def forward(x):
        x = hk.LayerNorm(-1, create_scale=True, create_offset=True, name="norm")(hk.Linear(8, name="normal")(x))
        x = hk.Linear(4, w_init=hk.initializers.Orthogonal(2.0), name="orthogonal")(x)
        x = hk.Linear(3, w_init=hk.initializers.TruncatedNormal(0.5, mean=4.0), name="shifted")(x)
        return hk.Linear(3, w_init=hk.initializers.RandomUniform(5, 6), name="uniform")(x)

    params = drawn(transform(forward))
    np.testing.assert_array_equal(params["norm"]["scale"], 1)
    np.testing.assert_array_equal(params["norm"]["offset"], 0)
    normal = np.ravel(params["normal"]["w"])
    assert stats.kstest(normal * np.sqrt(3), stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
    assert stats.kstest(np.ravel(params["uniform"]["w"]) - 5, "uniform").pvalue > 1e-3
    assert stats.kstest((np.ravel(params["shifted"]["w"]) - 4) / 0.5, stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
    w = params["orthogonal"]["w"]
    np.testing.assert_allclose(jnp.swapaxes(w, 1, 2) @ w, np.broadcast_to(4 * np.eye(4), (1500, 4, 4)), atol=1e-5)
    # Different draws: none repeats the key or the random bits of another.
    rows = np.concatenate(
        [np.asarray(layer["w"]).reshape(1500, -1) for name, layer in params.items() if "w" in layer], 1
    )
    correlations = np.corrcoef(rows, rowvar=False) - np.eye(rows.shape[1])
    assert np.max(np.abs(correlations)) < 5.5 / np.sqrt(1500)


@pytest.mark.parametrize("initializer", ["truncated_normal", "orthogonal", hk.initializers.VarianceScaling()])
def test_head_scales_multiply_the_heads_alone(initializer):
    def params(scales):
        network = networks.mlp(SPACE, (8,), (2, 1), head_scales=scales, initializer=initializer)
        return network.init(jax.random.key(0), OBS)

    scaled, plain = params((0.01, 3.0)), params(None)
    np.testing.assert_allclose(scaled["head_0"]["w"], 0.01 * plain["head_0"]["w"], rtol=1e-5)
    np.testing.assert_allclose(scaled["head_1"]["w"], 3 * plain["head_1"]["w"], rtol=1e-5)
    np.testing.assert_array_equal(scaled["mlp/~/linear_0"]["w"], plain["mlp/~/linear_0"]["w"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"initializer": "normal"}, ValueError, "initializer = 'normal' is unknown: choose one of truncated_normal"),
        ({"initializer": 3}, TypeError, "initializer = 3 must be one of truncated_normal, orthogonal, or a Haiku"),
        ({"activation": "Tanh"}, ValueError, "activation = 'Tanh' is unknown: choose one of relu, tanh"),
        ({"head_scales": (1.0,)}, ValueError, r"head_scales = \(1.0,\) must have one scale for each of the 2 heads"),
        ({"inputs": "sign"}, ValueError, "inputs = 'sign' is unknown: choose one of raw, signs"),
    ],
)
def test_unknown_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        networks.mlp(SPACE, (8,), (2, 1), **options)


def test_no_key_is_used_twice():
    def forward(x):
        return hk.Linear(3, w_init=hk.initializers.RandomUniform(5, 6), name="uniform")(hk.Linear(8, name="normal")(x))

    with jax.debug_key_reuse(True):
        jax.jit(lambda key: transform(forward).init(key, OBS))(jax.random.key(0))
