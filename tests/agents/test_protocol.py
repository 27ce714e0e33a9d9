"""What every agent must pass: a new one is a row in `CASES`, in `tests/helpers/protocol_cases.py`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from protocol_cases import CASES
from sample_environments import Corridor, Steering

import jaxrl
from jaxrl import random_bits
from jaxrl.actors import start_actors
from jaxrl.agents import ALGORITHMS
from jaxrl.agents.base import Agent, Clock
from jaxrl.environment import Transition
from jaxrl.pytree import get_at, leaf_paths
from jaxrl.validation import check_values

WIDE = {
    "a2c on continuous actions": {"initial_std": 5.0},
    "ppo on continuous actions": {"initial_std": 5.0},
    "ddpg": {"exploration_noise": 5.0},
    "td3": {"exploration_noise": 5.0},
}
"""Fields by which samples would leave their bounds often."""

WITH_MEMORY = sorted(name for name in CASES if "memory" in name or name == "drqn")
every_agent = pytest.mark.parametrize("name", sorted(CASES))
every_algorithm = pytest.mark.parametrize("name", sorted(ALGORITHMS))
every_agent_with_memory = pytest.mark.parametrize("name", WITH_MEMORY)
every_agent_with_masks = pytest.mark.parametrize(
    "name", sorted(n for n in CASES if isinstance(CASES[n].env().action_space, jaxrl.Discrete))
)


def small(name: str, env: Any = None, **fields: Any) -> Agent:
    return CASES[name].make(CASES[name].env() if env is None else env, **fields)


def train(agent: Agent, **arguments: Any) -> jaxrl.Result:
    return jaxrl.train(agent, **{"iterations": 12, "log_points": 3, "progress": False} | arguments)


def assert_close(one: Any, other: Any) -> None:
    """Equal up to what reordered float32 sums leave after a few Adam steps."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, other)


def test_every_algorithm_has_a_case():
    assert {name for name in CASES if " " not in name} == set(ALGORITHMS)
    assert all(CASES[name].algorithm is algorithm for name, algorithm in ALGORITHMS.items())
    # One of each kind of actions that can be played.
    for name, algorithm in ALGORITHMS.items():
        played = {type(CASES[case].env().action_space) for case in CASES if case.split()[0] == name}
        assert played == set(algorithm.action_spaces)


@every_agent
def test_members_together_equal_members_alone(name):
    together = train(small(name), seeds=[3, 7, 11])
    for place, seed in enumerate(together.seeds):
        alone = train(small(name), seeds=[seed])
        assert_close(jax.tree.map(lambda x, p=place: x[p : p + 1], together.params), alone.params)
        np.testing.assert_allclose(together.log["episode_return"][place], alone.log["episode_return"][0], rtol=1e-5)


@every_agent
def test_members_differ_by_seed(name):
    weights = jax.tree.leaves(train(small(name), seeds=3).params)[-1]
    assert not np.allclose(weights[0], weights[1])
    assert not np.allclose(weights[1], weights[2])


@every_agent
def test_one_compilation_serves_other_seeds_lengths_and_leaf_values(name, compilations):
    agent = small(name)
    train(agent, seeds=2)
    before = compilations()
    train(agent, seeds=[8, 9])
    train(agent, seeds=2, iterations=24)
    train(small(name, learning_rate=1, discount=0.5), seeds=2)
    train(small(name, env=CASES[name].env(**CASES[name].physics)), seeds=2)
    assert compilations() == before
    train(small(name, **CASES[name].wider), seeds=2)
    assert compilations() > before


@every_agent
def test_every_leaf_can_differ_between_members(name):
    agent = small(name)
    vary = {path: [0.9 * get_at(agent, path) + 1e-3, 0.8 * get_at(agent, path)] for path in leaf_paths(agent)}
    vary = {path: np.asarray(values, np.float32) for path, values in vary.items()}
    together = train(agent, seeds=[5, 5], vary=vary)
    for place in range(2):
        alone = train(together.member(place).agent, seeds=[5])
        assert_close(jax.tree.map(lambda x, p=place: x[p : p + 1], together.params), alone.params)


@every_agent
def test_the_state_keeps_its_structure(name):
    agent = small(name)
    state = jax.eval_shape(agent.init, jax.random.key(0))
    number = jax.ShapeDtypeStruct((), jnp.int32)
    after, metrics = jax.eval_shape(lambda s, i: agent.iterate(s, Clock(i, i)), state, number)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (one.shape, one.dtype, one.weak_type) == (other.shape, other.dtype, other.weak_type)
    assert {"steps", "episode_return", "episode_length", "loss"} <= set(metrics)
    assert {leaf.shape for leaf in jax.tree.leaves(metrics)} == {()}


@every_agent
def test_numbers_stay_as_wide_where_wider_ones_are_allowed(name):
    agent, number = small(name), jax.ShapeDtypeStruct((), jnp.int32)

    def dtypes():
        state = jax.eval_shape(agent.init, jax.random.key(0))
        both = state, jax.eval_shape(lambda s, i: agent.iterate(s, Clock(i, i)), state, number)
        return jax.tree.map(lambda x: x.dtype, both)

    narrow = dtypes()
    with jax.enable_x64(True):
        assert dtypes() == narrow


@every_agent
def test_no_key_is_used_twice(name):
    agent = small(name)
    with jax.debug_key_reuse(True):
        state = jax.jit(agent.init)(jax.random.key(0))
        for number in (5, 6):
            state, _ = jax.jit(agent.iterate)(state, Clock(jnp.int32(number), jnp.int32(9)))


def test_the_key_check_finds_a_reused_key():
    @jaxrl.pytree
    class Careless(jaxrl.DQN):
        def iterate(self, state: Any, clock: Clock) -> Any:
            jax.random.normal(state.key)
            jax.random.normal(state.key)
            return super().iterate(state, clock)

    agent = Careless(jaxrl.make("CartPole-v1"), batch_size=4, buffer_size=8)
    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(agent.iterate)(agent.init(jax.random.key(0)), Clock(jnp.int32(5), jnp.int32(9)))


@every_algorithm
def test_termination_stops_bootstrapping_and_truncation_does_not(name):
    flags = {"terminated": [False, True, False, False], "truncated": [False, False, False, True]}
    transitions = Transition(
        obs=jnp.asarray([0, 1, 0, 1]),
        mask=None,
        action=jnp.asarray([1, 0, 1, 0]),
        reward=jnp.asarray([1.0, 2.0, 4.0, 8.0]),
        next_obs=jnp.asarray([1, 2, 1, 2]),
        next_mask=None,
        length=jnp.asarray([1, 2, 1, 2]),
        episode_return=jnp.asarray([1.0, 3.0, 4.0, 12.0]),
        **{flag: jnp.asarray(values) for flag, values in flags.items()},
    )
    np.testing.assert_allclose(CASES[name].targets(transitions), CASES[name].expected_targets, rtol=1e-6)


@every_agent_with_masks
def test_masks_are_respected_while_training_and_when_greedy(name):
    result = train(small(name, env=CASES[name].masked_env()), seeds=3, iterations=40)
    # A forbidden action earns 100, an episode of allowed ones 5 at most.
    assert np.nanmax(result.log["episode_return"]) <= 5
    assert result.returns.max() <= 5
    assert np.nanmax(np.abs(result.log["loss"])) < 100


@every_agent_with_masks
def test_sampled_and_greedy_actions_are_allowed(name):
    env = CASES[name].masked_env()
    agent = small(name, env=env)
    params = agent.params(agent.init(jax.random.key(0)))
    params = jax.tree.map(lambda x: x * 50, params)
    episodes = start_actors(env, jax.random.key(1), 500).episodes
    for bits in (random_bits.bits(jax.random.key(2), (500, agent.action_bits)), None):
        actions, _, _ = agent.act(params, agent.initial_carry(500), episodes.obs, episodes.mask, bits)
        assert actions.dtype == jnp.int32
        assert np.asarray(episodes.mask)[np.arange(500), np.asarray(actions)].all()


@every_agent
@pytest.mark.parametrize("bits", [True, False])
def test_actions_are_elements_of_the_action_space(name, bits):
    """Those that training plays too: continuous ones stay inside their bounds, however wide the policy is."""
    agent = small(name, **WIDE.get(name, {}))
    space = agent.env.action_space
    params = agent.params(agent.init(jax.random.key(0)))
    obs = start_actors(agent.env, jax.random.key(1), 500).episodes.obs
    drawn = random_bits.bits(jax.random.key(2), (500, agent.action_bits)) if bits else None
    actions, carry, _ = agent.act(params, agent.initial_carry(500), obs, None, drawn)
    assert (actions.shape, actions.dtype) == ((500, *space.shape), space.dtype)
    assert space.contains(actions)
    assert jax.tree.structure(carry) == jax.tree.structure(agent.initial_carry(500))
    if bits:
        assert len(np.unique(actions)) > 1


def deterministic_actions(space: jaxrl.Discrete | jaxrl.MultiDiscrete | jaxrl.Box, outputs: np.ndarray) -> np.ndarray:
    if isinstance(space, jaxrl.Discrete):
        return np.argmax(outputs, -1)
    if isinstance(space, jaxrl.MultiDiscrete):
        choices = np.split(outputs, np.cumsum(space.counts)[:-1], axis=-1)
        return np.stack([np.argmax(choice, -1) for choice in choices], -1)
    return outputs.reshape(len(outputs), *space.shape)


@every_agent
def test_outputs_say_what_the_deterministic_action_is(name):
    agent = small(name)
    params = agent.params(agent.init(jax.random.key(0)))
    obs = start_actors(agent.env, jax.random.key(1), 50).episodes.obs
    carry = agent.initial_carry(50)
    for _ in range(2):
        outputs, carry_of_outputs = agent.outputs(params, carry, obs)
        actions, carry, _ = agent.act(params, carry, obs)
        np.testing.assert_array_equal(deterministic_actions(agent.env.action_space, np.asarray(outputs)), actions)
        jax.tree.map(np.testing.assert_array_equal, carry, carry_of_outputs)
    assert agent.has_memory == (name in WITH_MEMORY)


@every_agent_with_memory
def test_a_policy_s_carry_matters_and_is_batched(name):
    agent = small(name)
    params = agent.params(agent.init(jax.random.key(0)))
    obs = start_actors(agent.env, jax.random.key(1), 6).episodes.obs
    first, carry = agent.outputs(params, agent.initial_carry(6), obs)
    second, _ = agent.outputs(params, carry, obs)
    assert not np.allclose(first, second)
    alone, _ = agent.outputs(params, jax.tree.map(lambda x: x[2:3], carry), obs[2:3])
    np.testing.assert_allclose(alone[0], second[2], rtol=1e-5, atol=1e-7)


@every_algorithm
@pytest.mark.parametrize("env", [Steering(), Corridor()])
def test_an_action_space_that_does_not_suit_is_refused(name, env):
    known, space = ALGORITHMS[name].action_spaces, type(env.action_space)
    if space in known:
        small(name, env=env)
        return
    with pytest.raises(TypeError, match=rf"on {type(env).__name__}: .* needs a .* action space, and this is .*"):
        small(name, env=env)


def test_an_agent_of_continuous_actions_refuses_discrete_ones():
    @jaxrl.pytree
    class Continuous(jaxrl.A2C):
        action_spaces = (jaxrl.Box,)

    Continuous(Steering())
    with pytest.raises(
        TypeError,
        match=r"Continuous on Corridor: Continuous needs a Box action space, and this is Discrete\(n=2\): choose",
    ):
        Continuous(Corridor())


@every_algorithm
def test_defaults_are_inside_their_bounds(name):
    check_values(ALGORITHMS[name](CASES[name].env()))


@every_algorithm
def test_environment_by_name_is_refused(name):
    with pytest.raises(TypeError, match=r"env = 'CartPole-v1' must be an environment: jaxrl\.make"):
        ALGORITHMS[name]("CartPole-v1")
