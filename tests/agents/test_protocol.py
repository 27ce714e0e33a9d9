"""What every agent must pass: a new one is a row in `CASES`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_environments import Corridor, MaskedRandomSign, MaskedRandomWalk, Steering
from structured_environments import Panel

import jaxrl
from jaxrl import random_bits, replay
from jaxrl.actors import start_actors
from jaxrl.agents import ALGORITHMS
from jaxrl.agents.base import Agent, Clock
from jaxrl.agents.collection import Rows
from jaxrl.agents.off_policy_actor import OffPolicyActor
from jaxrl.agents.on_policy import OnPolicy
from jaxrl.agents.reinforce import Rollout
from jaxrl.environment import Transition
from jaxrl.pytree import get_at, leaf_paths
from jaxrl.replay import Experience
from jaxrl.validation import check_values

DISCOUNT, SUCCESSOR_VALUE = 0.5, 10.0


def replayed(transitions: Transition, n_step: int = 1) -> list[replay.Batch]:
    """The batches of one item each that off-policy agents learn from, in order, of steps of one environment."""
    column = jax.tree.map(lambda x: x[:, None], transitions)
    storage = Experience(
        column.obs, None, column.action, column.reward, column.next_obs, None, column.terminated, column.truncated
    )
    rows = len(transitions.reward)
    return [
        replay.transitions(storage, jnp.asarray([row]), n_step, DISCOUNT, jnp.int32(rows - 1)) for row in range(rows)
    ]


def dqn_targets(transitions: Transition) -> list[float]:
    """What DQN moves each step's value to, read off the gradient of its loss on a table of values."""
    env = Corridor()
    agent = jaxrl.DQN(env, hidden=(), discount=DISCOUNT, double=False)
    table = agent.init(jax.random.key(0)).learner.params
    zeros = jax.tree.map(jnp.zeros_like, table)
    successors = jax.tree.map(lambda x: jnp.full_like(x, SUCCESSOR_VALUE) if x.ndim == 1 else x * 0, table)
    targets = []
    for batch in replayed(transitions):
        gradient, _ = jax.grad(agent.loss, has_aux=True)(zeros, successors, batch)
        weights = next(x for x in jax.tree.leaves(gradient) if x.ndim == 2)
        targets.append(-float(weights[batch.obs[0], batch.action[0]]))
    return targets


def drqn_targets(transitions: Transition) -> list[float]:
    """What DRQN moves each step's value to in sequences of one step; not a number where it learns nothing."""
    env = Corridor()
    agent = jaxrl.DRQN(env, discount=DISCOUNT, burn_in=0, sequence_length=1, num_envs=1)
    zeros = jax.tree.map(jnp.zeros_like, agent.init_learner(jax.random.key(0)).params)
    successors = zeros | {"value_head": {**zeros["value_head"], "b": jnp.full(1, SUCCESSOR_VALUE)}}
    # Behind the last step, which is cut off, another episode begins.
    column = jax.tree.map(lambda x: jnp.concatenate([x, x[:1]])[:, None], transitions)
    flags = (column.terminated, column.truncated)
    storage = Experience(column.obs, None, column.action, column.reward, None, None, *flags)
    rows = len(column.reward)
    carries = jax.tree.map(lambda x: jnp.tile(x[None], (rows, 1, 1)), agent.initial_carry(1))
    sizes = []
    for row in range(rows - 1):
        batch = replay.sequences(storage, carries, jnp.asarray([row]), agent.sequence_steps, jnp.int32(rows - 1))
        _, size = agent.loss(zeros, successors, batch)
        sizes.append(float(size[0]) or np.nan)
    return sizes


def reinforce_targets(transitions: Transition) -> list[float]:
    """The returns by which REINFORCE weighs each step, with a learned value behind a cut."""
    steps = len(transitions.reward)
    agent = jaxrl.Reinforce(
        Corridor(), num_envs=1, episodes_per_update=1, discount=DISCOUNT, baseline="value", normalize=False
    )
    column = jax.tree.map(lambda x: x[:, None], transitions)
    cut = (column.truncated & ~column.terminated) * SUCCESSOR_VALUE
    rollout = Rollout(column, jnp.ones((steps, 1), bool), jnp.zeros((steps, 1)), cut)
    return agent.returns(rollout, jnp.int32(steps))[:, 0].tolist()


def q_learning_targets(transitions: Transition) -> list[float]:
    """What Q-learning moves each step's value to, where all values are that of the successors."""
    table = jnp.full((4, 2), SUCCESSOR_VALUE)
    errors = jaxrl.QLearning(Corridor(), discount=DISCOUNT).errors(table, transitions, jnp.float32(0.5))
    return (SUCCESSOR_VALUE + errors).tolist()


def on_policy_targets(algorithm: type[OnPolicy]) -> Callable[[Transition], list[float]]:
    """The values that on-policy agents learn, after a step whose successor is played on and is worth as much."""

    def targets(transitions: Transition) -> list[float]:
        steps = len(transitions.reward)
        agent = algorithm(Corridor(), num_envs=4, rollout_steps=steps, discount=DISCOUNT, gae_lambda=0.5)
        column = jax.tree.map(lambda x: x[:, None], transitions)
        values = jnp.full((steps, 1), SUCCESSOR_VALUE)
        rows = Rows(
            obs=column.obs,
            mask=None,
            previous=None,
            reset=column.length == 1,
            action=column.action,
            log_prob=jnp.zeros((steps, 1)),
            value=values,
            bootstrap=jnp.where(column.truncated & ~column.terminated, SUCCESSOR_VALUE, 0),
            **{
                name: getattr(column, name)
                for name in ("reward", "terminated", "truncated", "length", "episode_return")
            },
        )
        advantages = agent._advantages(rows, rows.reward, jnp.full(1, 1e6))
        return (advantages + rows.value)[:, 0].tolist()

    return targets


def critics_targets(algorithm: type[OffPolicyActor], **fields: Any) -> Callable[[Transition], list[float]]:
    """What critics move to where their targets value every successor alike."""

    def targets(transitions: Transition) -> list[float]:
        agent: Any = algorithm(Steering(), hidden=(), batch_size=1, discount=DISCOUNT, **fields)
        learner = agent.init_learner(jax.random.key(0))
        successors = jax.tree.map(
            lambda x: jnp.full_like(x, SUCCESSOR_VALUE) if x.ndim == 2 else x * 0, learner.target_critics
        )
        learner = dataclasses.replace(learner, target_critics=successors)
        obs, next_obs, action = (
            x[:, None].astype(jnp.float32) for x in (transitions.obs, transitions.next_obs, transitions.action)
        )
        transitions = dataclasses.replace(transitions, obs=obs, next_obs=next_obs, action=action)
        # Half of what SAC draws is for the policy.
        bits = jnp.zeros(agent.learn_bits // (2 if algorithm is jaxrl.SAC else 1), jnp.uint32)
        return [float(agent.targets(learner, batch, bits)[0]) for batch in replayed(transitions)]

    return targets


@dataclasses.dataclass(frozen=True)
class Case:
    """One agent: how to make a small one, what it plays, and how to read off the targets that it learns.

    Attributes:
      make: with an environment and fields.
      env: what most tests play.
      targets: of transitions.
      expected_targets: of those in `test_termination_stops_bootstrapping_and_truncation_does_not`.
      masked_env: one with a mask.
      physics: another value of a leaf of the environment.
      wider: another value of a static field of the agent.
    """

    make: Callable[..., Agent]
    env: Callable[..., jaxrl.Environment]
    targets: Callable[[Transition], list[float]] | None
    expected_targets: list[float] | None
    masked_env: Callable[..., jaxrl.Environment] = MaskedRandomWalk
    physics: dict[str, Any] = dataclasses.field(default_factory=lambda: {"gravity": 8})
    wider: dict[str, Any] = dataclasses.field(default_factory=lambda: {"hidden": (9,)})

    @property
    def algorithm(self) -> type[Agent]:
        return type(self.make(self.env()))


def cart_pole(**parameters: Any) -> jaxrl.Environment:
    return jaxrl.make("CartPole-v1", **{"max_steps": 20, **parameters})


def pendulum(**parameters: Any) -> jaxrl.Environment:
    return jaxrl.make("Pendulum-v1", **{"max_steps": 20, **parameters})


def frozen_lake(**parameters: Any) -> jaxrl.Environment:
    return jaxrl.make("FrozenLake-v1", **{"max_steps": 20, "ice_reward": -0.1, **parameters})


def small_agent(algorithm: type[Agent], **small: Any) -> Callable[..., Agent]:
    return lambda env, **fields: algorithm(env, **{"hidden": (8,), "num_envs": 2, **small, **fields})


PPO = {"rollout_steps": 8, "epochs": 2, "minibatches": 2}
# Returns of lambda 0.5 with successors worth 10: 4 + 0.5 (0.5 * 10 + 0.5 * 13), the step behind being cut off.
LAMBDA_RETURNS = [1 + 0.5 * (0.5 * 10 + 0.5 * 2), 2.0, 4 + 0.5 * (0.5 * 10 + 0.5 * 13), 8 + 0.5 * 10]

REPLAY = {"batch_size": 4, "buffer_size": 32, "learning_starts": 4}
ONE_STEP = [1 + 0.5 * 10, 2.0, 4 + 0.5 * 10, 8 + 0.5 * 10]

# Rewards 1, 2, 4, 8; the second step terminates its episode, the fourth is cut off. A one-step method
# looks one step ahead, a Monte Carlo method to the end of the episode.
CASES = {
    "a2c": Case(small_agent(jaxrl.A2C, rollout_steps=4), cart_pole, on_policy_targets(jaxrl.A2C), LAMBDA_RETURNS),
    "a2c on continuous actions": Case(small_agent(jaxrl.A2C, rollout_steps=4), pendulum, None, None),
    "a2c on several choices": Case(small_agent(jaxrl.A2C, rollout_steps=4), Panel, None, None, physics={"pay": 8}),
    "ppo on several choices": Case(small_agent(jaxrl.PPO, **PPO), Panel, None, None, physics={"pay": 8}),
    "ppo": Case(small_agent(jaxrl.PPO, **PPO), cart_pole, on_policy_targets(jaxrl.PPO), LAMBDA_RETURNS),
    "ppo on continuous actions": Case(
        small_agent(jaxrl.PPO, **PPO, persistence=0.5, normalize_observations=True, normalize_rewards=True),
        pendulum,
        None,
        None,
    ),
    "ppo with memory": Case(
        small_agent(jaxrl.PPO, **PPO, memory="gru", memory_size=4, target_kl=0.1, value_clip=0.2), cart_pole, None, None
    ),
    "dqn": Case(
        small_agent(jaxrl.DQN, batch_size=4, buffer_size=32, learning_starts=4),
        cart_pole,
        dqn_targets,
        [1 + 0.5 * 10, 2.0, 4 + 0.5 * 10, 8 + 0.5 * 10],
    ),
    "ddpg": Case(small_agent(jaxrl.DDPG, **REPLAY), pendulum, critics_targets(jaxrl.DDPG), ONE_STEP),
    "td3": Case(
        small_agent(jaxrl.TD3, **REPLAY, persistence=0.5, normalize_observations=True),
        pendulum,
        critics_targets(jaxrl.TD3),
        ONE_STEP,
    ),
    "sac": Case(
        small_agent(jaxrl.SAC, **REPLAY), cart_pole, critics_targets(jaxrl.SAC, initial_temperature=1e-30), ONE_STEP
    ),
    "sac on continuous actions": Case(
        small_agent(jaxrl.SAC, **REPLAY, persistence=0.5, normalize_observations=True), pendulum, None, None
    ),
    "dqn with priorities": Case(
        small_agent(jaxrl.DQN, batch_size=4, buffer_size=40, learning_starts=4, replay="prioritized", n_step=3),
        cart_pole,
        None,
        None,
    ),
    "dqn with quantiles": Case(
        small_agent(jaxrl.DQN, batch_size=4, buffer_size=32, learning_starts=4, quantiles=3, dueling=True),
        cart_pole,
        None,
        None,
    ),
    "dqn with priorities of gradients": Case(
        small_agent(
            jaxrl.DQN, batch_size=4, buffer_size=40, learning_starts=4, replay="prioritized", priority="gradient"
        ),
        cart_pole,
        None,
        None,
    ),
    "drqn": Case(
        small_agent(jaxrl.DRQN, memory_size=4, batch_size=4, buffer_size=40, learning_starts=4, sequence_length=6),
        cart_pole,
        drqn_targets,
        # The successor of a step that is cut off is in no sequence: that step has no target.
        [1 + 0.5 * 10, 2.0, 4 + 0.5 * 10, np.nan],
    ),
    "drqn with memory and priorities": Case(
        small_agent(
            jaxrl.DRQN,
            memory="lstm",
            memory_size=4,
            batch_size=4,
            buffer_size=40,
            learning_starts=4,
            train_every=2,
            sequence_length=6,
            replay="prioritized",
            n_step=3,
            rescale=True,
        ),
        cart_pole,
        None,
        None,
    ),
    "q-learning": Case(
        lambda env, **fields: jaxrl.QLearning(env, **{"num_envs": 2, "rollout_steps": 8, **fields}),
        frozen_lake,
        q_learning_targets,
        [1 + 0.5 * 10, 2.0, 4 + 0.5 * 10, 8 + 0.5 * 10],
        masked_env=MaskedRandomSign,
        physics={"goal_reward": 8},
        wider={"rollout_steps": 9},
    ),
    "reinforce": Case(
        small_agent(jaxrl.Reinforce, episodes_per_update=4, baseline="value"),
        cart_pole,
        reinforce_targets,
        [1 + 0.5 * 2, 2.0, 4 + 0.5 * (8 + 0.5 * 10), 8 + 0.5 * 10],
    ),
}

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
