"""The algorithms, by name."""

from jaxrl.agents.a2c import A2C
from jaxrl.agents.base import Agent
from jaxrl.agents.dqn import DQN
from jaxrl.agents.drqn import DRQN
from jaxrl.agents.ppo import PPO
from jaxrl.agents.q_learning import QLearning
from jaxrl.agents.reinforce import Reinforce
from jaxrl.agents.sac import SAC
from jaxrl.agents.td3 import DDPG, TD3

ALGORITHMS: dict[str, type[Agent]] = {
    "a2c": A2C,
    "ddpg": DDPG,
    "dqn": DQN,
    "drqn": DRQN,
    "ppo": PPO,
    "q-learning": QLearning,
    "reinforce": Reinforce,
    "sac": SAC,
    "td3": TD3,
}

__all__ = ["A2C", "ALGORITHMS", "DDPG", "DQN", "DRQN", "PPO", "SAC", "TD3", "Agent", "QLearning", "Reinforce"]
