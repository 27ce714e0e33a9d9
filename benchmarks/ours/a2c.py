"""Contender: jaxrl's A2C on CartPole-v1, at Stable-Baselines3's settings, or at its own where it is evaluated.

Stable-Baselines3's: 8 environments of 5 steps an update, RMSProp at 7e-4, discount 0.99, lambda 1, no entropy bonus,
values 0.5, gradients' norm 0.5, two networks of 64-64 tanh units.
"""

from typing import Any

import jaxrl
from benchmarks.contender import Run, serve
from benchmarks.ours.training import contender


def agent() -> Any:
    """The agent that all contenders train."""
    return jaxrl.A2C(
        jaxrl.make("CartPole-v1"),
        learning_rate=7e-4,
        schedule="constant",
        optimizer="rmsprop",
        discount=0.99,
        gae_lambda=1.0,
        entropy_cost=0.0,
        value_cost=0.5,
        max_grad_norm=0.5,
        hidden=(64, 64),
        activation="tanh",
        shared=False,
        num_envs=8,
        rollout_steps=5,
    )


def prepare(members: int, steps: int, devices: int, evaluations: int = 0) -> tuple[Run, dict[str, Any]]:
    """Compiles the training; with evaluations, of jaxrl's own settings."""
    jaxrl.use_cpu_cores(devices)
    trained = jaxrl.A2C(jaxrl.make("CartPole-v1")) if evaluations else agent()
    return contender(trained, members, steps, devices, evaluations)


if __name__ == "__main__":
    serve(prepare)
