"""Networks against Haiku's own, whose names, shapes, distributions and gradients they share."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl import networks
from jaxrl.spaces import Box


def haikus(hidden, heads):
    def forward(obs):
        features = hk.nets.MLP(hidden, activate_final=True)(obs) if hidden else obs
        return tuple(hk.Linear(size, name=f"head_{i}")(features) for i, size in enumerate(heads))

    return hk.without_apply_rng(hk.transform(forward))


@pytest.mark.parametrize(("size", "hidden", "heads"), [(4, (16, 8), (2,)), (9, (8,), (5, 1)), (3, (), (2, 1))])
@pytest.mark.parametrize("members", [None, 3])
def test_values_and_gradients_are_haiku_s(size, hidden, heads, members):
    ours, theirs = networks.mlp(Box(shape=(size,)), hidden, heads), haikus(hidden, heads)
    obs = jax.random.normal(jax.random.key(1), (*(() if members is None else (members,)), 7, size))
    keys = jax.random.key(0) if members is None else jax.random.split(jax.random.key(0), members)

    def everything(network, key, obs):
        params = theirs.init(key, obs)

        def loss(params, obs):
            return sum(jnp.sum(jnp.sin(head + 1)) for head in network.apply(params, obs))

        return network.apply(params, obs), jax.grad(loss, (0, 1))(params, obs)

    def run(network):
        function = lambda key, obs: everything(network, key, obs)  # noqa: E731
        return jax.jit(function if members is None else jax.vmap(function))(keys, obs)

    mine, peer = run(ours), run(theirs)
    assert jax.tree.structure(mine) == jax.tree.structure(peer)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(peer), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "hidden", "heads"), [(4, (16, 8), (2,)), (9, (8,), (5, 1)), (3, (), (2, 1))])
def test_parameters_begin_distributed_as_haiku_s(size, hidden, heads):
    ours, theirs = networks.mlp(Box(shape=(size,)), hidden, heads), haikus(hidden, heads)
    keys, obs = jax.random.split(jax.random.key(0), 2000), jnp.zeros((1, size))
    mine, peer = (jax.jit(jax.vmap(lambda key, n=n: n.init(key, obs)))(keys) for n in (ours, theirs))
    assert jax.tree.map(jnp.shape, mine) == jax.tree.map(jnp.shape, peer)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(peer), strict=True):
        if a.ndim == 2:
            np.testing.assert_array_equal(a, b)
        else:
            assert stats.kstest(np.ravel(a) * np.sqrt(a.shape[1]), stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
            assert stats.ks_2samp(np.ravel(a), np.ravel(b)).pvalue > 1e-3
    weights = np.concatenate([np.asarray(x).reshape(2000, -1) for x in jax.tree.leaves(mine) if x.ndim == 3], axis=1)
    correlations = np.corrcoef(weights, rowvar=False) - np.eye(weights.shape[1])
    assert np.max(np.abs(correlations)) < 5.5 / np.sqrt(2000)
