"""The algorithms, by name."""

from jaxrl.agents.a2c import A2C
from jaxrl.agents.base import Agent
from jaxrl.agents.dqn import DQN
from jaxrl.agents.drqn import DRQN
from jaxrl.agents.ppo import PPO
from jaxrl.agents.reinforce import Reinforce

ALGORITHMS: dict[str, type[Agent]] = {"a2c": A2C, "dqn": DQN, "drqn": DRQN, "ppo": PPO, "reinforce": Reinforce}

__all__ = ["A2C", "ALGORITHMS", "DQN", "DRQN", "PPO", "Agent", "Reinforce"]
