"""Contender: jaxrl's SAC and TD3 on Pendulum-v1, at the settings that rejax publishes or at jaxrl's own.

rejax's: networks of 64-64 swish units, an update in every step, normalised observations, a buffer of 10,000. SAC:
batches of 256, Adam at 0.01, targets that move by 0.02, learning from step 256 on. TD3: batches of 100, Adam at 0.001,
targets that move by 0.05 in every second update, as the policy does, learning from step 1,000 on.
"""

from typing import Any

import jaxrl
from benchmarks.contender import Run, serve
from benchmarks.ours.training import contender

COMMON: dict[str, Any] = {
    "schedule": "constant",
    "discount": 0.99,
    "buffer_size": 10_000,
    "hidden": (64, 64),
    "activation": "silu",
    "normalize_observations": True,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "sac": {**COMMON, "batch_size": 256, "learning_rate": 1e-2, "tau": 0.02, "learning_starts": 256},
    "td3": {
        **COMMON,
        "batch_size": 100,
        "learning_rate": 1e-3,
        "tau": 0.05,
        "learning_starts": 1_000,
        # In units of half the range, which is 2.
        "exploration_noise": 0.15,
        "target_noise": 0.1,
        "target_noise_clip": 0.25,
        "policy_delay": 2,
    },
}
AGENTS = {"sac": jaxrl.SAC, "td3": jaxrl.TD3}


def prepare(
    algorithm: str, members: int, steps: int, devices: int, own: bool = False, evaluations: int = 0
) -> tuple[Run, dict[str, Any]]:
    """Compiles the training.

    Args:
      algorithm: "sac" or "td3".
      members: seeds trained together.
      steps: environment steps of each member.
      devices: CPU devices, or GPUs.
      own: jaxrl's own settings instead of rejax's.
      evaluations: greedy evaluations that make the learning curve.

    Returns:
      The work and information about it.
    """
    jaxrl.use_cpu_cores(devices)
    fields = {} if own else SETTINGS[algorithm]
    agent = AGENTS[algorithm](jaxrl.make("Pendulum-v1"), **fields)
    return contender(agent, members, steps, devices, evaluations)


if __name__ == "__main__":
    serve(prepare)
