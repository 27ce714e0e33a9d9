"""What is measured: the pieces of work of each part, with their contenders."""

from collections.abc import Callable

from benchmarks.race import Work
from benchmarks.works import adapters, dqn, off_policy, on_policy, q_learning, random_play, reinforce, replay

PARTS: dict[str, Callable[[int, int], list[Work]]] = {
    "env": random_play.env,
    "adapters": adapters.adapters,
    "dqn": lambda devices, rounds: dqn.speed(devices, rounds) + dqn.learning(devices),
    "q-learning": q_learning.speed,
    "reinforce": reinforce.speed,
    "replay": replay.speed,
    "ppo": lambda devices, rounds: on_policy.ppo(devices, rounds) + on_policy.ppo_learning(devices),
    "a2c": lambda devices, rounds: on_policy.a2c(devices, rounds) + on_policy.a2c_learning(devices),
    "sac": lambda devices, rounds: off_policy.speed("sac", devices, rounds) + off_policy.learning("sac", devices),
    "td3": lambda devices, rounds: off_policy.speed("td3", devices, rounds) + off_policy.learning("td3", devices),
    "scaling": lambda devices, rounds: dqn.scaling(devices, rounds) + dqn.memory(devices),
    "compile": lambda devices, rounds: dqn.compiling(devices) + on_policy.compiling(devices),
    "sweep": lambda devices, rounds: [],
}
"""The works of every part, by the number of devices and of rounds."""
