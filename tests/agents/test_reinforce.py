"""REINFORCE against hand-computed numbers, NumPy and rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_environments import Corridor, MaskedRandomWalk

import jaxrl
from jaxrl import random_bits
from jaxrl.agents.base import Clock
from jaxrl.distributions import categorical


def collected(agent, seed=0):
    params = agent.init(jax.random.key(seed)).params
    rollout, time = jax.jit(agent.collect)(params, jax.random.key(seed + 1))
    return params, rollout, int(time)


def episodes_of(rollout, time):
    """The valid episodes, cut out environment by environment in NumPy: lists of (row, environment)."""
    valid, ended = np.asarray(rollout.valid)[:time], np.asarray(rollout.played.ended)[:time]
    result = []
    for env in range(valid.shape[1]):
        steps = []
        for row in range(time):
            if not valid[row, env]:
                break
            steps.append((row, env))
            if ended[row, env]:
                result.append(steps)
                steps = []
        assert not steps, "an episode was left unfinished"
    return result


@pytest.mark.parametrize(("num_envs", "episodes"), [(1, 1), (4, 4), (3, 10), (8, 20)])
def test_an_update_learns_from_exactly_its_whole_episodes(num_envs, episodes):
    fields = {"num_envs": num_envs, "episodes_per_update": episodes, "baseline": "none"}
    _, rollout, time = collected(jaxrl.Reinforce(jaxrl.make("CartPole-v1"), **fields))
    result = episodes_of(rollout, time)
    assert len(result) == episodes
    assert sum(map(len, result)) == np.asarray(rollout.valid).sum()
    for steps in result:
        lengths = [int(rollout.played.length[step]) for step in steps]
        assert lengths == list(range(1, len(steps) + 1))


def test_a_baseline_of_one_episode_is_refused():
    with pytest.raises(ValueError, match=r"episodes_per_update = 1 with baseline = 'time'.*learns nothing"):
        jaxrl.Reinforce(jaxrl.make("CartPole-v1"), num_envs=1, episodes_per_update=1)


def test_few_steps_are_idle():
    agent = jaxrl.Reinforce(jaxrl.make("CartPole-v1"), num_envs=16, episodes_per_update=64)
    params = agent.init(jax.random.key(0)).params
    rollouts, _ = jax.jit(jax.vmap(agent.collect, (None, 0)))(params, jax.random.split(jax.random.key(1), 20))
    used, fixed = [], []
    for i in range(20):
        time = np.asarray(rollouts.valid[i]).any(axis=1).sum()  # Its own: all of them run as long as the longest.
        lengths = np.asarray([len(e) for e in episodes_of(jax.tree.map(lambda x, i=i: x[i], rollouts), time)])
        used.append(lengths.sum() / (16 * time))
        # Were every environment to play a fixed share of 4 of these episodes, all would wait for the slowest.
        shares = np.random.default_rng(i).permutation(lengths).reshape(16, 4).sum(axis=1)
        fixed.append(shares.mean() / shares.max())
    assert np.mean(used) > 0.74
    assert np.mean(used) > np.mean(fixed) + 0.1


def test_no_episode_is_preferred_for_being_short():
    agent = jaxrl.Reinforce(jaxrl.make("CartPole-v1"), num_envs=16, episodes_per_update=64, hidden=())
    params = jax.tree.map(jnp.zeros_like, agent.init(jax.random.key(0)).params)
    rollouts, times = jax.jit(jax.vmap(agent.collect, (None, 0)))(params, jax.random.split(jax.random.key(5), 40))
    lengths = [
        len(steps)
        for i in range(40)
        for steps in episodes_of(jax.tree.map(lambda x, i=i: x[i], rollouts), int(times[i]))
    ]
    # Uniformly random play lasts 22.2 steps on average (Gymnasium, 20,000 episodes: 22.2, deviation 11.8); the
    # mean of 2,560 episodes has a standard error of 0.23. Dropping unfinished ones would give about 20.
    assert np.mean(lengths) == pytest.approx(22.2, abs=1.0)


@pytest.mark.parametrize("baseline", ["none", "time", "value"])
@pytest.mark.parametrize("normalize", [False, True])
def test_advantages_equal_a_numpy_derivation(baseline, normalize):
    agent = jaxrl.Reinforce(
        jaxrl.make("CartPole-v1", max_steps=15), num_envs=3, episodes_per_update=7, discount=0.9,
        baseline=baseline, normalize=normalize,
    )  # fmt: skip
    params, rollout, time = collected(agent)
    returns = agent.returns(rollout, jnp.int32(time))
    result = episodes_of(rollout, time)
    played = jax.tree.map(np.asarray, rollout.played)
    assert any(played.truncated[steps[-1]] and not played.terminated[steps[-1]] for steps in result)
    expected_return, expected = {}, {}
    for steps in result:
        last = steps[-1]
        following = 0.0
        if baseline == "value" and not played.terminated[last]:
            following = float(agent._heads(params, played.next_obs[last][None])[1][0])
        for step in reversed(steps):
            following = played.reward[step] + 0.9 * following
            expected_return[step] = following
    for steps in result:
        for place, step in enumerate(steps):
            level = 0.0
            if baseline == "time":
                level = np.mean([expected_return[other[place]] for other in result if len(other) > place])
            elif baseline == "value":
                level = float(agent._heads(params, played.obs[step][None])[1][0])
            expected[step] = expected_return[step] - level
    values = np.asarray(list(expected.values()))
    if normalize:
        values = (values - values.mean()) / (values.std() + 1e-6)
    advantages = np.asarray(agent.advantages(rollout, returns))
    np.testing.assert_allclose([returns[s] for s in expected], [expected_return[s] for s in expected], rtol=1e-5)
    np.testing.assert_allclose([advantages[s] for s in expected], values, rtol=2e-4, atol=2e-5)
    assert np.all(advantages[~np.asarray(rollout.valid)] == 0)


@pytest.mark.parametrize("env", [jaxrl.make("CartPole-v1", max_steps=30), MaskedRandomWalk()], ids=["plain", "masked"])
def test_gradient_equals_that_of_the_plain_formula(env):
    agent = jaxrl.Reinforce(env, num_envs=3, episodes_per_update=5, gradient_chunk=4, entropy_cost=0.1, baseline="none",
                            normalize=False, discount=0.9)  # fmt: skip
    params, rollout, time = collected(agent)
    returns = agent.returns(rollout, jnp.int32(time))
    gradients, metrics = agent._gradients(params, rollout, returns, jnp.int32(time), Clock(jnp.int32(0), jnp.int32(9)))
    steps = [step for episode in episodes_of(rollout, time) for step in episode]

    def plain(params):
        total = 0.0
        for step in steps:
            logits = agent.outputs(params, (), rollout.played.obs[step][None])[0][0]
            if rollout.played.mask is not None:
                logits = logits[np.flatnonzero(rollout.played.mask[step])]
            log_probabilities = logits - jax.nn.logsumexp(logits)
            action = int(rollout.played.action[step])
            if rollout.played.mask is not None:
                action = int(np.sum(np.asarray(rollout.played.mask[step])[:action]))
            entropy = -jnp.sum(jnp.exp(log_probabilities) * log_probabilities)
            total += -log_probabilities[action] * returns[step] - 0.1 * entropy
        return total / len(steps)

    value, expected = jax.value_and_grad(plain)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), gradients, expected)
    assert float(metrics["loss"].total / metrics["loss"].count) == pytest.approx(float(value), rel=1e-4)


def test_sampling_follows_the_softmax_of_those_allowed():
    logits = jnp.log(jnp.asarray([0.1, 0.5, 0.2, 0.2]))
    mask = jnp.asarray([True, False, True, True])
    policy = categorical(jnp.tile(logits, (10_000, 1)), jnp.tile(mask, (10_000, 1)))
    actions = policy.sample(random_bits.bits(jax.random.key(0), (10_000, 1)))
    shares = np.bincount(actions, minlength=4) / 10_000
    assert shares[1] == 0
    np.testing.assert_allclose(shares[[0, 2, 3]], [0.2, 0.4, 0.4], atol=0.025)


def test_more_environments_than_episodes_are_refused():
    with pytest.raises(ValueError, match=r"Reinforce.num_envs = 8 must be at most episodes_per_update = 4"):
        jaxrl.Reinforce(jaxrl.make("CartPole-v1"), num_envs=8, episodes_per_update=4)


def test_reinforce_learns_the_corridor():
    # Staying in the last cell pays most: 0 + 1 + 2 + 3 + 3 + ... until the time limit.
    agent = jaxrl.Reinforce(Corridor(cells=4, max_steps=8), hidden=(16,), learning_rate=1e-2, num_envs=8)
    result = jaxrl.train(agent, iterations=150, seeds=3, progress=False)
    assert result.returns.mean(axis=1).min() == 0 + 1 + 2 + 3 * 5
    assert result.log["used_fraction"].min() > 0.8
