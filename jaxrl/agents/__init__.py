"""The algorithms, by name."""

from jaxrl.agents.base import Agent
from jaxrl.agents.dqn import DQN
from jaxrl.agents.reinforce import Reinforce

ALGORITHMS: dict[str, type[Agent]] = {"dqn": DQN, "reinforce": Reinforce}

__all__ = ["ALGORITHMS", "DQN", "Agent", "Reinforce"]
