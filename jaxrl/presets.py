"""Settings with a name: for a game, or as somebody published them."""

import dataclasses
from typing import Any

from jaxrl.agents import ALGORITHMS, Agent
from jaxrl.arguments import shown
from jaxrl.registry import make, nearest


@dataclasses.dataclass(frozen=True)
class Preset:
    """Settings of one algorithm for one environment.

    Attributes:
      algorithm: a name in `jaxrl.agents.ALGORITHMS`.
      env: a name that `jaxrl.make` knows.
      fields: the agent's fields, where they differ from its defaults.
      iterations: how long to train.
      description: one line for people.
      default: whether the command line uses it wherever the algorithm meets the environment.
    """

    algorithm: str
    env: str
    fields: dict[str, Any]
    iterations: int
    description: str
    default: bool = False

    def agent(self, **fields: Any) -> Agent:
        """The agent, with its environment; `fields` override those of the preset."""
        build: Any = ALGORITHMS[self.algorithm]
        return build(**{"env": make(self.env), **self.fields, **fields})


_RECALL = {
    "num_envs": 16,
    "epochs": 4,
    "learning_rate": 1e-3,
    "entropy_cost": 0.01,
    "memory": "gru",
    "memory_size": 32,
}
"""Settings of recurrent policies that have to recall one observation."""

_SWINGING = {
    "persistence": 0.95,
    "normalize_observations": True,
    "learning_starts": 2_000,
    "buffer_size": 50_000,
    "train_every": 4,
}
"""Settings of off-policy agents that have to swing a car out of a valley before they see any reward."""

PRESETS = {
    "a2c-cartpole": Preset(
        "a2c", "CartPole-v1", {}, iterations=7_800, description="A2C's defaults, 500,000 steps", default=True
    ),
    "ppo-cartpole": Preset(
        "ppo", "CartPole-v1", {}, iterations=390, description="PPO's defaults, 100,000 steps", default=True
    ),
    "ppo-acrobot": Preset(
        "ppo",
        "Acrobot-v1",
        {
            "rollout_steps": 128,
            "epochs": 10,
            "minibatches": 8,
            "learning_rate": 1e-3,
            "normalize_observations": True,
            "normalize_rewards": True,
        },
        iterations=97,
        description="normalised observations and rewards, 100,000 steps",
        default=True,
    ),
    "ppo-pendulum": Preset(
        "ppo",
        "Pendulum-v1",
        {
            "rollout_steps": 256,
            "epochs": 10,
            "minibatches": 32,
            "learning_rate": 1e-3,
            "discount": 0.95,
            "normalize_rewards": True,
        },
        iterations=73,
        description="many small minibatches, a short horizon, 150,000 steps",
        default=True,
    ),
    "ppo-mountain-car-continuous": Preset(
        "ppo",
        "MountainCarContinuous-v0",
        {
            "rollout_steps": 128,
            "epochs": 10,
            "minibatches": 8,
            "learning_rate": 1e-3,
            "normalize_observations": True,
            "normalize_rewards": True,
            "persistence": 0.95,
        },
        iterations=195,
        description="exploration noise that persists from step to step, 200,000 steps",
        default=True,
    ),
    "ppo-mountain-car": Preset(
        "ppo",
        "MountainCar-v0",
        {
            "num_envs": 16,
            "rollout_steps": 64,
            "epochs": 4,
            "learning_rate": 1e-3,
            "gae_lambda": 0.98,
            "normalize_observations": True,
            "normalize_rewards": True,
            "persistence": 0.9,
        },
        iterations=976,
        description="actions that are repeated with a probability that falls to 0, 1,000,000 steps",
        default=True,
    ),
    "ppo-cartpole-no-velocity": Preset(
        "ppo",
        "CartPoleNoVelocity-v1",
        {"num_envs": 16, "rollout_steps": 64, "learning_rate": 1e-3, "memory": "gru"},
        iterations=585,
        description="a GRU of 64, 600,000 steps",
        default=True,
    ),
    "ppo-memory-chain": Preset(
        "ppo", "MemoryChain-v0", _RECALL, iterations=195, description="a GRU of 32, 100,000 steps", default=True
    ),
    "drqn-memory-chain": Preset(
        "drqn",
        "MemoryChain-v0",
        {
            "learning_rate": 3e-3,
            "epsilon_decay_steps": 5_000.0,
            "burn_in": 0,
            "sequence_length": 12,
            "hidden": (32,),
            "memory_size": 32,
        },
        iterations=1_250,
        description="a GRU of 32, whole episodes as sequences, 20,000 steps",
        default=True,
    ),
    "drqn-cartpole-no-velocity": Preset(
        "drqn",
        "CartPoleNoVelocity-v1",
        {
            "n_step": 5,
            "discount": 0.995,
            "learning_rate": 2e-3,
            "buffer_size": 50_000,
            "epsilon_decay_steps": 20_000.0,
            "sequence_length": 12,
        },
        iterations=15_625,
        description="returns of 5 steps, sequences of 12 after a burn-in of 4, 250,000 steps",
        default=True,
    ),
    "ppo-t-maze": Preset(
        "ppo",
        "TMaze-v0",
        {**_RECALL, "rollout_steps": 64},
        iterations=292,
        description="a GRU of 32, 300,000 steps",
        default=True,
    ),
    "dqn-cartpole": Preset(
        "dqn",
        "CartPole-v1",
        {"n_step": 5, "discount": 0.995},
        iterations=50_000,
        description="returns of 5 steps and a discount that sees a slow drift, 50,000 steps",
        default=True,
    ),
    "dqn-acrobot": Preset(
        "dqn",
        "Acrobot-v1",
        {"n_step": 3, "train_every": 2, "buffer_size": 50_000, "epsilon_decay_steps": 30_000.0},
        iterations=50_000,
        description="returns of 3 steps, an update every second step, 100,000 steps",
        default=True,
    ),
    "dqn-mountain-car": Preset(
        "dqn",
        "MountainCar-v0",
        {
            "n_step": 5,
            "train_every": 2,
            "buffer_size": 50_000,
            "persistence": 0.95,
            "epsilon_end": 0.01,
            "epsilon_decay_steps": 30_000.0,
        },
        iterations=75_000,
        description="random actions that persist, returns of 5 steps, 150,000 steps",
        default=True,
    ),
    "sac-pendulum": Preset(
        "sac", "Pendulum-v1", {}, iterations=10_000, description="SAC's defaults, 10,000 steps", default=True
    ),
    "sac-cartpole": Preset(
        "sac", "CartPole-v1", {}, iterations=40_000, description="SAC's defaults, 40,000 steps", default=True
    ),
    "td3-pendulum": Preset(
        "td3",
        "Pendulum-v1",
        {"persistence": 0.8, "policy_delay": 1},
        iterations=10_000,
        description="exploration noise that persists from step to step, no delay of the policy, 10,000 steps",
        default=True,
    ),
    "ddpg-pendulum": Preset(
        "ddpg", "Pendulum-v1", {}, iterations=20_000, description="DDPG's defaults, 20,000 steps", default=True
    ),
    "sac-mountain-car-continuous": Preset(
        "sac",
        "MountainCarContinuous-v0",
        _SWINGING,
        iterations=12_500,
        description="exploration noise that persists from step to step, 50,000 steps",
        default=True,
    ),
    "td3-mountain-car-continuous": Preset(
        "td3",
        "MountainCarContinuous-v0",
        {**_SWINGING, "exploration_noise": 0.5},
        iterations=12_500,
        description="exploration noise that persists from step to step, 50,000 steps",
        default=True,
    ),
    "ddpg-mountain-car-continuous": Preset(
        "ddpg",
        "MountainCarContinuous-v0",
        {**_SWINGING, "exploration_noise": 0.5},
        iterations=12_500,
        description="exploration noise that persists from step to step, 50,000 steps",
        default=True,
    ),
    "q-learning-frozen-lake": Preset(
        "q-learning",
        "FrozenLake-v1",
        {"num_envs": 8, "learning_rate": 0.2, "epsilon_end": 0.2},
        iterations=3_125,
        description="a falling step size for the slippery ice, 400,000 steps",
        default=True,
    ),
    "q-learning-frozen-lake-8x8": Preset(
        "q-learning",
        "FrozenLake8x8-v1",
        {"num_envs": 8, "learning_rate": 0.2, "epsilon_end": 0.3, "initial_value": 1.0},
        iterations=15_625,
        description="optimistic values, a falling step size for the slippery ice, 2,000,000 steps",
        default=True,
    ),
    "q-learning-cliff-walking": Preset(
        "q-learning",
        "CliffWalking-v1",
        {"num_envs": 4, "schedule": "constant"},
        iterations=625,
        description="a constant step size, 40,000 steps",
        default=True,
    ),
    "q-learning-taxi": Preset(
        "q-learning",
        "Taxi-v4",
        {"num_envs": 8, "schedule": "constant", "epsilon_end": 0.2},
        iterations=3_125,
        description="a constant step size, 400,000 steps",
        default=True,
    ),
    "q-learning-deep-sea": Preset(
        "q-learning",
        "DeepSea-v0",
        {
            "epsilon_start": 0.0,
            "epsilon_end": 0.0,
            "initial_value": 1.0,
            "schedule": "constant",
            "discount": 1.0,
            "learning_rate": 1.0,
        },
        iterations=1_250,
        description="optimistic values in place of random actions, 20,000 steps",
        default=True,
    ),
    "plane-strike": Preset(
        "reinforce",
        "PlaneStrike-v0",
        {
            "hidden": (256, 256),
            "discount": 0.5,
            "num_envs": 16,
            "episodes_per_update": 64,
            "baseline": "value",
            "gradient_chunk": 16,
        },
        iterations=8_000,
        description="jaxrl's own: 64 games an update, Adam falling to 0, learned value as baseline",
        default=True,
    ),
    "plane-strike-published": Preset(
        "reinforce",
        "PlaneStrike-v0",
        {
            "hidden": (128, 64, 64),
            "discount": 0.5,
            "learning_rate": 0.005,
            "schedule": "constant",
            "optimizer": "sgd",
            "baseline": "none",
            "normalize": False,
            "entropy_cost": 0.0,
            "max_grad_norm": None,
            "num_envs": 1,
            "episodes_per_update": 1,
            "gradient_chunk": 64,
        },
        iterations=500_000,
        description="the recipe of TensorFlow's Plane Strike example: one game an update, SGD, no baseline",
    ),
}
"""Presets by name."""


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
      ValueError: there is none of that name.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"unknown preset {shown(name)}{nearest(name, PRESETS)}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def default_preset(algorithm: str, env: str | None) -> str | None:
    """The name of the preset to use wherever an algorithm meets an environment, or None."""
    fitting = (name for name, p in PRESETS.items() if p.default and (p.algorithm, p.env) == (algorithm, env))
    return next(fitting, None)
