"""Contender: jaxrl's PPO, on CartPole-v1 at purejaxrl's published settings, or at jaxrl's own for an environment.

purejaxrl's: 4 environments of 128 steps an iteration, 4 epochs of 4 minibatches, Adam at 2.5e-4 falling to 0, discount
0.99, lambda 0.95, clipping of policy and values at 0.2, entropy 0.01, values 0.5, gradients' norm 0.5; two networks of
64-64 tanh units, or a GRU of 128 units between a layer of 128 relu units that policy and value share and one of 128
for each of them.
"""

from typing import Any

import jaxrl
from benchmarks.contender import Run, serve
from benchmarks.ours.training import contender
from jaxrl.presets import PRESETS


def agent(memory: bool = False) -> Any:
    """The agent that all contenders train."""
    network: dict[str, Any] = (
        {"hidden": (128,), "activation": "relu", "memory": "gru", "memory_size": 128}
        if memory
        else {"hidden": (64, 64), "activation": "tanh", "shared": False}
    )
    return jaxrl.PPO(
        jaxrl.make("CartPole-v1"),
        learning_rate=2.5e-4,
        learning_rate_end_fraction=0.0,
        schedule="linear",
        discount=0.99,
        gae_lambda=0.95,
        clip=0.2,
        entropy_cost=0.01,
        value_cost=0.5,
        max_grad_norm=0.5,
        num_envs=4,
        rollout_steps=128,
        epochs=4,
        minibatches=4,
        value_clip=0.2,
        target_kl=None,
        normalize_observations=False,
        normalize_rewards=False,
        **network,
    )


def preset(env: str) -> Any:
    """The agent that `jaxrl train ppo --env ENV` takes by itself."""
    for each in PRESETS.values():
        if (each.algorithm, each.env, each.default) == ("ppo", env, True):
            return each.agent()
    return jaxrl.PPO(jaxrl.make(env))


def prepare(
    members: int,
    steps: int,
    devices: int,
    memory: bool = False,
    curve: bool = False,
    env: str | None = None,
    evaluations: int = 0,
) -> tuple[Run, dict[str, Any]]:
    """Compiles the training.

    Args:
      members: seeds trained together.
      steps: environment steps of each member.
      devices: CPU devices, or GPUs.
      memory: whether the policy has a GRU.
      curve: whether to summarise the episodes of the training.
      env: jaxrl's own settings for this environment instead of purejaxrl's.
      evaluations: greedy evaluations that make the learning curve.

    Returns:
      The work and information about it.
    """
    jaxrl.use_cpu_cores(devices)
    trained = agent(memory) if env is None else preset(env)
    return contender(trained, members, steps, devices, evaluations, curve)


if __name__ == "__main__":
    serve(prepare)
