"""The cases of the protocol that every agent must pass, and the targets that algorithms learn: a new one is a row."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sample_environments import Corridor, MaskedRandomSign, MaskedRandomWalk, Steering
from structured_environments import Panel

import jaxrl
from jaxrl import replay
from jaxrl.agents.base import Agent
from jaxrl.agents.collection import Rows
from jaxrl.agents.off_policy_actor import OffPolicyActor
from jaxrl.agents.on_policy import OnPolicy
from jaxrl.agents.reinforce import Rollout
from jaxrl.environment import Transition
from jaxrl.replay import Experience

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
