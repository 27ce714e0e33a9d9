"""The matrix products of SAC and TD3 alone: those of one update of an actor and two critics on Pendulum."""

import jax
import jax.numpy as jnp

from benchmarks.contender import Run
from benchmarks.ours.products import Weights, descend, draw_weights, forward, over_blocks

OBSERVATION = 3
Networks = tuple[Weights, tuple[Weights, Weights], jax.Array]


def off_policy(
    members: int,
    steps: int,
    devices: int,
    updates: int,
    batch: int,
    delay: int = 1,
    block_size: int = 16,
    hidden: tuple[int, ...] = (64, 64),
) -> Run:
    """A pass of the policy and of two critics for the targets, the critics' gradients, and those of the policy.

    The policy's go through the critics, whose weights need none then, once in `delay` updates; through both critics
    without a delay (SAC), through the first one with it (TD3).
    """
    actor_sizes, critic_sizes = (OBSERVATION, *hidden, 2 if delay == 1 else 1), (OBSERVATION + 1, *hidden, 1)

    def act(actor: Weights, obs: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        layers = forward(actor, obs)
        return layers, jnp.concatenate([obs, layers[-1][:, :1]], axis=-1)

    def improved(actor: Weights, critics: tuple[Weights, ...], obs: jax.Array) -> Weights:
        layers, inputs = act(actor, obs)
        error = jnp.zeros((batch, 1))
        for critic in critics:
            back = forward(critic, inputs)[-1]
            for weight in reversed(critic):
                back = back @ weight.T
            error = error + back[:, -1:]
        return descend(actor, layers, jnp.broadcast_to(error, layers[-1].shape))

    def update(carry: Networks) -> Networks:
        actor, critics, obs = carry
        _, inputs = act(actor, obs + 1)
        target = sum(forward(critic, inputs)[-1] for critic in critics)
        inputs = jnp.concatenate([obs, obs[:, :1]], axis=-1)
        layers = [forward(critic, inputs) for critic in critics]
        first, second = (
            descend(critic, layer, layer[-1] - target) for critic, layer in zip(critics, layers, strict=True)
        )
        if delay == 1:
            actor = improved(actor, (first, second), obs)
        return actor, (first, second), obs

    def updates_of_all(carry: Networks) -> Networks:
        for _ in range(delay):
            carry = update(carry)
        actor, critics, obs = carry
        if delay > 1:
            actor = improved(actor, critics[:1], obs)
        return actor, critics, obs

    def start(key: jax.Array) -> Networks:
        keys = jax.random.split(key, 4)
        critics = draw_weights(keys[1], critic_sizes), draw_weights(keys[2], critic_sizes)
        obs = jax.random.normal(keys[3], (batch, OBSERVATION))
        return draw_weights(keys[0], actor_sizes), critics, obs

    return over_blocks(start, updates_of_all, members, steps, updates // delay, devices, block_size)
