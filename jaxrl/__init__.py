"""jaxrl: thousands of reinforcement-learning agents, trained at once in one compiled program."""

import jaxrl._module_command  # noqa: F401 (before everything that takes time)
from jaxrl import adapters, wrappers
from jaxrl.agents import A2C, DDPG, DQN, DRQN, PPO, SAC, TD3, Agent, QLearning, Reinforce
from jaxrl.devices import use_compilation_cache, use_cpu_cores
from jaxrl.env_checker import EnvironmentCheckError, EnvironmentReport, check_env
from jaxrl.environment import Environment, TimeStep
from jaxrl.evaluation import evaluate
from jaxrl.presets import preset
from jaxrl.pytree import leaf, pytree, static
from jaxrl.registry import make, register
from jaxrl.result import Member, Result
from jaxrl.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from jaxrl.storage import RunDirectoryError
from jaxrl.sweeps import SpaceError, Sweep, Trial, choice, integers, load, log_uniform, sweep, uniform
from jaxrl.training import train

__all__ = [
    "A2C",
    "DDPG",
    "DQN",
    "DRQN",
    "PPO",
    "SAC",
    "TD3",
    "Agent",
    "Box",
    "Dict",
    "Discrete",
    "Environment",
    "EnvironmentCheckError",
    "EnvironmentReport",
    "Member",
    "MultiDiscrete",
    "QLearning",
    "Reinforce",
    "Result",
    "RunDirectoryError",
    "SpaceError",
    "Sweep",
    "TimeStep",
    "Trial",
    "Tuple",
    "adapters",
    "check_env",
    "choice",
    "evaluate",
    "integers",
    "leaf",
    "load",
    "log_uniform",
    "make",
    "preset",
    "pytree",
    "register",
    "static",
    "sweep",
    "train",
    "uniform",
    "use_compilation_cache",
    "use_cpu_cores",
    "wrappers",
]
