"""The algorithms, by name."""

from jaxrl.agents.a2c import A2C
from jaxrl.agents.base import Agent
from jaxrl.agents.dqn import DQN
from jaxrl.agents.ppo import PPO
from jaxrl.agents.q_learning import QLearning
from jaxrl.agents.reinforce import Reinforce

ALGORITHMS: dict[str, type[Agent]] = {
    "a2c": A2C,
    "dqn": DQN,
    "ppo": PPO,
    "q-learning": QLearning,
    "reinforce": Reinforce,
}

__all__ = ["A2C", "ALGORITHMS", "DQN", "PPO", "Agent", "QLearning", "Reinforce"]
