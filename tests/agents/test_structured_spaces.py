"""Agents on observations of several arrays, and on several discrete actions at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from small_runs import run_iterations
from structured_environments import Panel, Parts, parts

import jaxrl
from jaxrl.distributions import MultiCategorical, categorical
from jaxrl.normalize import RunningMoments, observation_moments

ON_POLICY = {"hidden": (8,), "num_envs": 2, "rollout_steps": 4}
REPLAY = {"hidden": (8,), "batch_size": 4, "buffer_size": 64, "learning_starts": 8}
CASES = {
    "ppo": (jaxrl.PPO, "CartPole-v1", {**ON_POLICY, "minibatches": 2, "normalize_observations": True}),
    "ppo with memory": (jaxrl.PPO, "CartPole-v1", {**ON_POLICY, "minibatches": 2, "memory": "gru", "memory_size": 4}),
    "dqn": (jaxrl.DQN, "CartPole-v1", {**REPLAY, "n_step": 3, "replay": "prioritized"}),
    "drqn": (jaxrl.DRQN, "CartPole-v1", {**REPLAY, "sequence_length": 6, "memory_size": 4}),
    "sac": (jaxrl.SAC, "Pendulum-v1", {**REPLAY, "normalize_observations": True}),
    "reinforce": (jaxrl.Reinforce, "CartPole-v1", {"hidden": (8,), "num_envs": 2, "episodes_per_update": 2}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_observation_in_parts_gives_the_numbers_of_the_whole(case):
    # The features are the same numbers in the same order, so everything that follows from them is too.
    algorithm, name, fields = CASES[case]
    in_parts = parts(name)
    runs = [run_iterations(algorithm(env, **fields), 12) for env in (in_parts.env, in_parts)]
    params = [jax.tree.leaves(algorithm(in_parts.env, **fields).params(run)) for run in runs]
    assert sum(x.size for x in params[0]) > 20
    for whole, apart in zip(
        *([np.ravel(np.asarray(x)) for x in leaves if x.ndim > 1] for leaves in params), strict=True
    ):
        np.testing.assert_allclose(apart, whole, rtol=1e-5, atol=1e-6)


def test_moments_of_parts_are_those_of_each():
    space = Panel().observation_space
    rows = space.sample(jax.random.key(0), (300,))
    moments = observation_moments(space).update(rows)
    alone = RunningMoments.empty().update(rows["dial"])
    normalized = moments.normalize(rows)
    np.testing.assert_array_equal(normalized["dial"], alone.normalize(rows["dial"]))
    np.testing.assert_allclose(np.mean(normalized["dial"]), 0, atol=1e-6)
    assert normalized["lamps"][0] is rows["lamps"][0]
    assert observation_moments(jaxrl.Tuple((jaxrl.Discrete(2),))) is None


LOGITS = np.random.default_rng(0).normal(size=(20, 3)), np.random.default_rng(1).normal(size=(20, 4))


def test_several_choices_have_the_probability_of_the_product():
    joint = MultiCategorical(tuple(categorical(jnp.asarray(x, jnp.float32)) for x in LOGITS))
    actions = np.stack([np.arange(20) % 3, np.arange(20) % 4], axis=1)
    first, second = (special.softmax(x, axis=-1) for x in LOGITS)
    expected = np.log(first[np.arange(20), actions[:, 0]] * second[np.arange(20), actions[:, 1]])
    np.testing.assert_allclose(joint.log_prob(jnp.asarray(actions)), expected, rtol=1e-5)
    entropy = [stats.entropy(np.outer(a, b).ravel()) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(joint.entropy(), entropy, rtol=1e-5)
    np.testing.assert_array_equal(joint.mode(), np.stack([x.argmax(-1) for x in LOGITS], axis=1))


def test_several_choices_are_drawn_by_their_joint_probability():
    joint = MultiCategorical(tuple(categorical(jnp.asarray(x[0], jnp.float32)) for x in LOGITS))
    bits = jax.random.bits(jax.random.key(0), (40_000, joint.bits), jnp.uint32)
    draws = np.asarray(jax.jit(jax.vmap(joint.sample))(bits))
    counts = np.zeros((3, 4))
    np.add.at(counts, tuple(draws.T), 1)
    expected = np.outer(*(special.softmax(x[0]) for x in LOGITS)) * len(draws)
    assert stats.chisquare(counts.ravel(), expected.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_ppo_learns_to_set_both_switches(memory):
    agent = jaxrl.PPO(
        Panel(), hidden=(16,), num_envs=32, rollout_steps=8, minibatches=2, learning_rate=1e-2, memory=memory,
        memory_size=8,
    )  # fmt: skip
    result = jaxrl.train(agent, iterations=100, seeds=2, progress=False)
    # At random 5 * (1 / 3 + 1 / 2) = 4.2; one switch alone at best 5 + 2.5, or 5 + 1.7.
    assert (np.asarray(jaxrl.evaluate(result, 64)).mean(axis=1) > 9).all()


def test_exploration_persists_in_each_choice():
    agent = jaxrl.PPO(Panel(), **ON_POLICY, minibatches=2, persistence=0.999)
    actors = run_iterations(agent, 1).actors
    assert actors.carry.previous.action.shape == (2, 2)
    state = agent.init(jax.random.key(0))
    collector = agent._collector(state.params, None, jaxrl.agents.base.Clock(jnp.int32(0), jnp.int32(10)))
    bits = jax.random.bits(jax.random.key(1), (4, 2, agent.action_bits), jnp.uint32)
    _, rows, _ = collector.collect(state.actors, bits, jax.random.key(2))
    np.testing.assert_array_equal(rows.action, np.broadcast_to(rows.action[:1], rows.action.shape))


def test_both_environments_keep_the_contract():
    for env in (Panel(), parts("CartPole-v1")):
        assert jaxrl.check_env(env).findings == ()
    assert isinstance(parts("Pendulum-v1"), Parts)


def test_a_policy_takes_observations_in_their_structure():
    agent = jaxrl.PPO(Panel(), **ON_POLICY, minibatches=2)
    member = jaxrl.train(agent, iterations=2, progress=False).member(0)
    obs = {"dial": 0.5, "lamps": (2, [1, 3])}
    action = member.policy(obs)
    assert action.shape == (2,)
    assert action.dtype == jnp.int32
    for bad, error, message in [
        ({"dial": 0.5}, TypeError, "must be a dict with the keys dial, lamps"),
        ({"dial": 0.5, "lamps": [2, [1, 3]]}, TypeError, r"obs\['lamps'\] = .* must be a tuple of 2 parts"),
        ({"dial": 0.5, "lamps": (2, [1])}, ValueError, r"obs\['lamps'\]\[1\] has shape \(1,\)"),
        ({"dial": np.nan, "lamps": (2, [1, 3])}, ValueError, r"obs\['dial'\] = nan must be finite"),
        (0.5, TypeError, "must be a dict with the keys"),
    ]:
        with pytest.raises(error, match=message):
            member.policy(bad)
