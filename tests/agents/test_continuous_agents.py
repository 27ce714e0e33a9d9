"""Targets, losses and exploration of DDPG, TD3 and SAC, computed by hand or by SciPy."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from sample_environments import MaskedRandomWalk

import jaxrl
from jaxrl import random_bits
from jaxrl.agents.base import Clock
from jaxrl.agents.off_policy_actor import ActionScale, Noise, critic_loss
from jaxrl.agents.soft import GaussianModel
from jaxrl.replay import Batch


@jaxrl.pytree
class Tank(jaxrl.Environment):
    """Two valves, between 0 and 4 and between -1 and 1, in a place that says nothing."""

    gain: float = jaxrl.leaf(default=1.0)
    low: Any = jaxrl.leaf(default=None)
    max_steps: int = jaxrl.static(default=10)

    @property
    def observation_space(self):
        return jaxrl.Box(-1.0, 1.0, (1,))

    @property
    def action_space(self):
        low = jnp.asarray([0.0, -1.0]) if self.low is None else self.low
        return jaxrl.Box(low, jnp.asarray([4.0, 1.0]), (2,))

    def reset(self, key):
        return jnp.zeros(1), jnp.zeros(1)

    def step(self, state, action, key):
        return state, jaxrl.TimeStep(state, jnp.float32(0) * self.gain, jnp.bool_(False))


def batch(**fields: Any) -> Batch:
    one = {
        "obs": jnp.zeros((1, 1)),
        "mask": None,
        "action": jnp.asarray([[3.0, 0.5]]),
        "reward": jnp.asarray([2.0]),
        "next_obs": jnp.zeros((1, 1)),
        "next_mask": None,
        "discount": jnp.asarray([0.5]),
    }
    return Batch(**{**one, **fields})


def linear_critics(critics: Any, weights: list[list[float]], biases: list[float]) -> Any:
    """Critics without hidden layers: rows of weights for (observation, flat actions), and a bias, for each."""
    leaves, structure = jax.tree.flatten(critics)
    new = [jnp.asarray(biases)[:, None] if x.ndim == 2 else jnp.asarray(weights)[:, :, None] for x in leaves]
    assert all(a.shape == b.shape for a, b in zip(new, leaves, strict=True))
    return jax.tree.unflatten(structure, new)


def only_biases(params: Any, *biases: list[float]) -> Any:
    """Networks without hidden layers, of the same outputs for every observation: a list of them for each head."""
    rest = iter(biases)
    return jax.tree.map(lambda x: jnp.asarray(next(rest)) if x.ndim == 1 else 0 * x, params)


def test_actions_scale_to_the_bounds_of_each_dimension():
    scale = ActionScale(Tank().action_space)
    np.testing.assert_allclose(scale.numbers(jnp.asarray([[1.0, -1.0], [0.0, 0.5]])), [[4, -1], [2, 0.5]])
    np.testing.assert_allclose(scale.flat(jnp.asarray([[4.0, -1.0], [2.0, 0.5]])), [[1, -1], [0, 0.5]])
    uniform = np.asarray(scale.uniform(random_bits.normal(random_bits.bits(jax.random.key(0), (4000, 2)))))
    assert scipy.stats.kstest(uniform[:, 0], scipy.stats.uniform(0, 4).cdf).pvalue > 0.01
    assert scipy.stats.kstest(uniform[:, 1], scipy.stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_noise_is_standard_normal_and_persists_within_an_episode():
    def step(noise, bits):
        noise = noise.following(bits, 0.8)
        return noise, noise.value

    bits = random_bits.bits(jax.random.key(0), (12, 20_000, 1))
    _, values = jax.lax.scan(step, Noise.initial(20_000, 1), bits)
    values = np.asarray(values)[:, :, 0]
    np.testing.assert_allclose(values.std(axis=1), 1, atol=0.02)
    for lag in (1, 3):
        assert np.corrcoef(values[5], values[5 + lag])[0, 1] == pytest.approx(0.8**lag, abs=0.02)
    np.testing.assert_array_equal(values[0], random_bits.normal(bits[0])[:, 0])


def test_td3_targets_clip_the_noise_and_the_action_and_take_the_least_value():
    agent = jaxrl.TD3(Tank(), hidden=(), batch_size=1, target_noise=2.0, target_noise_clip=0.25)
    learner = agent.init_learner(jax.random.key(0))
    actor = only_biases(learner.target_actor, [np.arctanh(0.9), np.arctanh(-0.5)])
    critics = linear_critics(learner.target_critics, [[0, 1, 1], [0, 2, 0]], [10.0, 9.0])
    learner = dataclasses.replace(learner, target_actor=actor, target_critics=critics)
    # The greatest bits: noise of 5 deviations, clipped to 0.25. Flat actions min(0.9 + 0.25, 1) and -0.25.
    targets = agent.targets(learner, batch(), jnp.full(2, 2**32 - 1, jnp.uint32))
    np.testing.assert_allclose(targets, [2 + 0.5 * min(10 + 1 - 0.25, 9 + 2)], rtol=1e-6)
    # Without smoothing, as DDPG: 0.9 and -0.5, by one critic.
    ddpg = jaxrl.DDPG(Tank(), hidden=(), batch_size=1)
    one = jax.tree.map(lambda x: x[:1], critics)
    targets = ddpg.targets(dataclasses.replace(learner, target_critics=one), batch(), jnp.zeros(0, jnp.uint32))
    np.testing.assert_allclose(targets, [2 + 0.5 * (10 + 0.9 - 0.5)], rtol=1e-6)


def test_td3_critics_learn_flat_actions_and_the_policy_climbs_the_first_critic():
    agent = jaxrl.TD3(Tank(), hidden=(), batch_size=1)
    learner = agent.init_learner(jax.random.key(0))
    critics = linear_critics(learner.critics, [[0, 1, 4], [0, -7, 0]], [0.0, 0.0])
    values = agent.critic.apply(critics, jnp.zeros((1, 1)), agent.scale.flat(batch().action))
    np.testing.assert_allclose(values, [[0.5 + 4 * 0.5], [-3.5]])
    actor = only_biases(learner.actor, [0.5, 0.0])
    loss, gradient = jax.value_and_grad(agent.actor_loss)(actor, critics, jnp.zeros((1, 1)))
    assert float(loss) == pytest.approx(-math.tanh(0.5))
    bias = next(x for x in jax.tree.leaves(gradient) if x.ndim == 1)
    np.testing.assert_allclose(bias, [-(1 - math.tanh(0.5) ** 2), -4], rtol=1e-6)


def test_critic_loss_is_half_the_squared_errors_weighed():
    values, target = jnp.asarray([[1.0, 2.0], [3.0, 5.0]]), jnp.asarray([2.0, 1.0])
    loss, errors = critic_loss(values, target, None)
    assert float(loss) == pytest.approx(0.5 * ((1 + 1) + (1 + 16)) / 2)
    np.testing.assert_allclose(errors, [1, 2.5])
    assert float(critic_loss(values, target, jnp.asarray([1.0, 0.5]))[0]) == pytest.approx(0.5 * (2 + 8.5) / 2)


@pytest.mark.parametrize(("delay", "moves"), [(1, [True, True, True, True]), (2, [False, True, False, True])])
def test_the_policy_and_all_targets_wait_for_their_turn(delay, moves):
    agent = jaxrl.TD3(Tank(), hidden=(), batch_size=1, policy_delay=delay, learning_starts=0)
    learner = agent.init_learner(jax.random.key(0))
    moved = []
    for iteration in range(4):
        clock = Clock(jnp.int32(iteration), jnp.int32(9))
        following, _, _ = agent.learn(learner, batch(), jnp.zeros(2, jnp.uint32), clock)
        moved.append(
            {
                not np.array_equal(a, b)
                for name in ("actor", "target_actor", "target_critics")
                for a, b in zip(
                    jax.tree.leaves(getattr(learner, name))[:1],
                    jax.tree.leaves(getattr(following, name))[:1],
                    strict=True,
                )
            }
        )
        learner = following
    assert moved == [{move} for move in moves]


def test_sac_values_successors_by_the_density_of_the_environment_s_actions():
    agent = jaxrl.SAC(Tank(), hidden=(), batch_size=1, initial_temperature=0.1)
    learner = agent.init_learner(jax.random.key(0))
    mean, std = np.asarray([0.3, -0.2]), np.asarray([0.5, 0.25])
    actor = only_biases(learner.actor, list(mean), list(np.log(std)))
    critics = linear_critics(learner.target_critics, [[0, 1, 1], [0, 2, 0]], [10.0, 10.0])
    learner = dataclasses.replace(learner, actor=actor, target_critics=critics)
    bits = jnp.asarray([3 << 30, 1 << 30], jnp.uint32)
    noise = scipy.stats.norm.ppf([0.75, 0.25])
    unsquashed = mean + std * noise
    flat = np.tanh(unsquashed)
    # The change of variables from normal numbers to actions, whose half ranges are 2 and 1.
    density = scipy.stats.norm(mean, std).pdf(unsquashed) / (np.asarray([2, 1]) * (1 - flat**2))
    value = min(10 + flat.sum(), 10 + 2 * flat[0]) - 0.1 * np.log(density).sum()
    np.testing.assert_allclose(agent.targets(learner, batch(), bits), [2 + 0.5 * value], rtol=1e-5)


def test_sac_leads_the_entropy_to_its_target():
    agent = jaxrl.SAC(Tank(), hidden=(), batch_size=1)
    # -1 a dimension between -1 and 1, of which the first is twice as wide.
    assert float(agent._led_to(jnp.log(4.0) + jnp.log(2.0))) == pytest.approx(math.log(2) - 2)
    model, learner = agent._model, agent.init_learner(jax.random.key(0))
    assert isinstance(model, GaussianModel)
    _, (_, greatest) = model.actor_loss(
        learner.actor, learner.critics, jnp.zeros((1, 1)), None, jnp.zeros(2, jnp.uint32), 1.0
    )
    assert float(greatest) == pytest.approx(math.log(4) + math.log(2))
    for target, direction in ((-50.0, -1), (50.0, 1)):
        agent = jaxrl.SAC(Tank(), hidden=(), batch_size=1, target_entropy=target, learning_rate=0.01)
        clock = Clock(jnp.int32(0), jnp.int32(9))
        following, _, _ = agent.learn(learner, batch(), jnp.zeros(4, jnp.uint32), clock)
        assert float(following.log_temperature) == pytest.approx(direction * 0.01, rel=1e-3)


def test_discrete_sac_s_values_and_policy_gradient_are_expectations():
    env = MaskedRandomWalk()
    agent = jaxrl.SAC(env, hidden=(), batch_size=1, initial_temperature=0.5)
    learner = agent.init_learner(jax.random.key(0))
    logits, first, second = np.asarray([1.0, 0.0, -1.0, 2.0]), [3.0, 1.0, 5.0, 0.0], [2.0, 9.0, 6.0, 9.0]
    actor = only_biases(learner.actor, list(logits))
    critics = jax.tree.map(lambda x: jnp.asarray([first, second]) if x.ndim == 2 else 0 * x, learner.critics)
    mask = jnp.asarray([[True, False, True, True]])
    allowed, least = np.asarray([0, 2, 3]), np.minimum(first, second)
    probabilities = scipy.special.softmax(logits[allowed])
    entropy = scipy.stats.entropy(probabilities)
    value = probabilities @ least[allowed] + 0.5 * entropy
    obs = jnp.zeros((1, 2))
    learner = dataclasses.replace(learner, actor=actor, target_critics=critics)
    stored = batch(next_obs=obs, next_mask=mask)
    np.testing.assert_allclose(agent.targets(learner, stored, jnp.zeros(0, jnp.uint32)), [2 + 0.5 * value], rtol=1e-6)
    loss, (measured, greatest) = agent._model.actor_loss(actor, critics, obs, mask, jnp.zeros(0, jnp.uint32), 0.5)
    assert float(loss) == pytest.approx(-value)
    assert float(measured) == pytest.approx(entropy)
    assert float(greatest) == pytest.approx(math.log(3))
    np.testing.assert_allclose(agent._model.action_values(critics, obs, jnp.asarray([2])), [[5], [6]])


@pytest.mark.parametrize("algorithm", [jaxrl.DDPG, jaxrl.TD3, jaxrl.SAC])
def test_spaces_that_do_not_suit_are_refused(algorithm):
    with pytest.raises(ValueError, match=r"needs finite bounds of its actions, low below high"):
        algorithm(Tank(low=jnp.asarray([-jnp.inf, -1.0])))
    if algorithm is not jaxrl.SAC:
        with pytest.raises(TypeError, match=r"needs a Box action space, and this is Discrete\(n=2\)"):
            algorithm(jaxrl.make("CartPole-v1"))
    for field, value in (("persistence", 1.0), ("critics", 0), ("activation", "cube"), ("tau", 0.0)):
        with pytest.raises(ValueError, match=rf"{field} = "):
            jaxrl.train(algorithm(Tank(), **{field: value}), 2_000, progress=False)
