"""The environments that come with jaxrl, imported as `jaxrl.envs`."""

if __name__ != "jaxrl.envs":
    raise ImportError(f"import this package as jaxrl.envs, not as {__name__}")

from jaxrl.envs.acrobot import Acrobot
from jaxrl.envs.cartpole import CartPole
from jaxrl.envs.cliff_walking import CliffWalking
from jaxrl.envs.deep_sea import DeepSea
from jaxrl.envs.frozen_lake import FrozenLake
from jaxrl.envs.maze import Maze
from jaxrl.envs.memory_chain import MemoryChain
from jaxrl.envs.mountain_car import MountainCar, MountainCarContinuous
from jaxrl.envs.no_velocity import CartPoleNoVelocity, PendulumNoVelocity
from jaxrl.envs.pendulum import Pendulum
from jaxrl.envs.plane_strike import PlaneStrike
from jaxrl.envs.t_maze import TMaze
from jaxrl.envs.taxi import Taxi
from jaxrl.registry import names, register

register("Acrobot-v1", Acrobot)
register("CartPole-v0", CartPole, max_steps=200, solved_return=195.0)
register("CartPole-v1", CartPole, max_steps=500)
register("CartPoleNoVelocity-v1", CartPoleNoVelocity)
register("CliffWalking-v1", CliffWalking)
register("CliffWalkingSlippery-v1", CliffWalking, success_rate=1 / 3)
register("DeepSea-v0", DeepSea)
register("FrozenLake-v1", FrozenLake)
register("FrozenLake8x8-v1", FrozenLake, layout="8x8", max_steps=200, solved_return=0.85)
register("Maze-v0", Maze)
register("MemoryChain-v0", MemoryChain)
register("MountainCar-v0", MountainCar)
register("MountainCarContinuous-v0", MountainCarContinuous)
register("Pendulum-v1", Pendulum)
register("PendulumNoVelocity-v1", PendulumNoVelocity)
register("PlaneStrike-v0", PlaneStrike)
register("TMaze-v0", TMaze)
register("Taxi-v4", Taxi)

__all__ = [
    "Acrobot",
    "CartPole",
    "CartPoleNoVelocity",
    "CliffWalking",
    "DeepSea",
    "FrozenLake",
    "Maze",
    "MemoryChain",
    "MountainCar",
    "MountainCarContinuous",
    "Pendulum",
    "PendulumNoVelocity",
    "PlaneStrike",
    "TMaze",
    "Taxi",
    "names",
]
