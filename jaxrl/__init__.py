"""jaxrl: thousands of reinforcement-learning agents, trained at once in one compiled program."""

from jaxrl.agents import DQN, Agent, Reinforce
from jaxrl.checking import EnvironmentCheckError, EnvironmentReport, check_env
from jaxrl.devices import use_cpu_cores
from jaxrl.environment import Environment, TimeStep
from jaxrl.evaluation import evaluate
from jaxrl.presets import preset
from jaxrl.pytree import leaf, pytree, static
from jaxrl.registry import make, register
from jaxrl.result import Member, Result
from jaxrl.runs import RunDirectoryError
from jaxrl.spaces import Box, Discrete
from jaxrl.training import load, train

__all__ = [
    "DQN",
    "Agent",
    "Box",
    "Discrete",
    "Environment",
    "EnvironmentCheckError",
    "EnvironmentReport",
    "Member",
    "Reinforce",
    "Result",
    "RunDirectoryError",
    "TimeStep",
    "check_env",
    "evaluate",
    "leaf",
    "load",
    "make",
    "preset",
    "pytree",
    "register",
    "static",
    "train",
    "use_cpu_cores",
]
