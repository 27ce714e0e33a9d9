"""jaxrl: thousands of reinforcement-learning agents, trained at once in one compiled program."""

from jaxrl.environment import Environment, TimeStep
from jaxrl.pytree import leaf, pytree, static
from jaxrl.registry import make, register
from jaxrl.spaces import Box, Discrete

__all__ = ["Box", "Discrete", "Environment", "TimeStep", "leaf", "make", "pytree", "register", "static"]
