"""The matrix products of PPO and A2C alone: of the rollouts, and of the updates that follow."""

import dataclasses

import jax
import jax.numpy as jnp

from benchmarks.contender import Run
from benchmarks.ours.products import TINY, Weights, descend, draw_weights, forward, over_blocks
from jaxrl.networks.cells import multiply, split_for_one_row

OBSERVATION, ACTIONS = 4, 2


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What an iteration consists of: by default purejaxrl's."""

    num_envs: int = 4
    rollout_steps: int = 128
    epochs: int = 4
    minibatches: int = 4

    @property
    def batch(self) -> int:
        """Steps of an iteration."""
        return self.num_envs * self.rollout_steps


def on_policy(
    members: int, steps: int, devices: int, hidden: tuple[int, ...] = (64, 64), sizes: dict[str, int] | None = None
) -> Run:
    """Two networks, for the policy and the values: a pass forward for every step, and the minibatches' gradients."""
    size = Sizes(**(sizes or {}))
    heads = ((OBSERVATION, *hidden, ACTIONS), (OBSERVATION, *hidden, 1))
    Networks = tuple[Weights, Weights]  # noqa: N806  A type.

    def act(networks: Networks, obs: jax.Array) -> jax.Array:
        outputs = [forward(weights, obs)[-1] for weights in networks]
        return obs + TINY * sum(jnp.sum(output, -1, keepdims=True) for output in outputs)

    def learn(networks: Networks, batch: jax.Array) -> Networks:
        first, second = (
            descend(weights, layers, layers[-1])
            for weights, layers in ((weights, forward(weights, batch)) for weights in networks)
        )
        return first, second

    def iteration(carry: tuple[Networks, jax.Array, jax.Array]) -> tuple[Networks, jax.Array, jax.Array]:
        networks, obs, batch = carry
        obs = jax.lax.fori_loop(0, size.rollout_steps, lambda _, obs: act(networks, obs), obs)
        networks = jax.lax.fori_loop(
            0, size.epochs * size.minibatches, lambda _, networks: learn(networks, batch), networks
        )
        return networks, obs, batch

    def start(key: jax.Array) -> tuple[Networks, jax.Array, jax.Array]:
        keys = jax.random.split(key, 4)
        networks = draw_weights(keys[0], heads[0]), draw_weights(keys[1], heads[1])
        obs = jax.random.normal(keys[2], (size.num_envs, OBSERVATION))
        return networks, obs, jax.random.normal(keys[3], (size.batch // size.minibatches, OBSERVATION))

    return over_blocks(start, iteration, members, steps, -(-steps // size.batch), devices)


def recurrent(members: int, steps: int, devices: int, units: int = 128, sizes: dict[str, int] | None = None) -> Run:
    """A layer, a GRU and two heads with a layer each, all of `units`, as purejaxrl's `ppo_rnn.py` has them.

    An update's sequences go through the layer, the gates' products with the inputs, and the heads at once, and so do
    the gradients of all weights; only the products with the GRU's state follow the time, forward and back.
    """
    size = Sizes(**(sizes or {}))
    sequences = size.num_envs // size.minibatches
    shapes = {
        "inputs": (OBSERVATION, units, 3 * units),
        "state": (units, 3 * units),
        "policy": (units, units, ACTIONS),
        "value": (units, units, 1),
    }
    Networks = dict[str, Weights]  # noqa: N806  A type.

    def act(networks: Networks, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        obs, state = carry
        gates = forward(networks["inputs"], obs)[-1] + forward(networks["state"], state)[-1]
        state = state + TINY * gates[:, :units]
        outputs = [forward(networks[head], state)[-1] for head in ("policy", "value")]
        return obs + TINY * sum(jnp.sum(output, -1, keepdims=True) for output in outputs), state

    def learn(networks: Networks, batch: jax.Array) -> Networks:
        inputs = forward(networks["inputs"], batch)
        gates = inputs[-1].reshape(size.rollout_steps, sequences, 3 * units)
        (recurrent_weight,) = networks["state"]
        onward_weight, backward_weight = recurrent_weight, recurrent_weight.T
        if sequences == 1:
            onward_weight, backward_weight = split_for_one_row(onward_weight), split_for_one_row(backward_weight)

        def onward(state: jax.Array, gate: jax.Array) -> tuple[jax.Array, jax.Array]:
            state = state + TINY * (gate + multiply(state, onward_weight))[:, :units]
            return state, state

        _, states = jax.lax.scan(onward, jnp.ones((sequences, units)), gates)
        states = states.reshape(-1, units)
        heads = {head: forward(networks[head], states) for head in ("policy", "value")}
        following = {head: descend(networks[head], layers, layers[-1]) for head, layers in heads.items()}
        # Through the heads' first layer back to the states.
        errors = heads["policy"][1] @ networks["policy"][0].T + heads["value"][1] @ networks["value"][0].T

        def back(error: jax.Array, own: jax.Array) -> tuple[jax.Array, jax.Array]:
            gates = jnp.concatenate([error + own] * 3, -1)
            return error + TINY * multiply(gates, backward_weight), gates

        _, errors = jax.lax.scan(
            back, jnp.zeros((sequences, units)), errors.reshape(gates.shape[0], sequences, units), reverse=True
        )
        errors = errors.reshape(-1, 3 * units)
        return following | {
            "inputs": descend(networks["inputs"], inputs, errors),
            "state": descend(networks["state"], [states, errors], errors),
        }

    def iteration(carry: tuple[Networks, jax.Array, jax.Array, jax.Array]) -> tuple:
        networks, obs, state, batch = carry
        obs, state = jax.lax.fori_loop(0, size.rollout_steps, lambda _, each: act(networks, each), (obs, state))
        networks = jax.lax.fori_loop(
            0, size.epochs * size.minibatches, lambda _, networks: learn(networks, batch), networks
        )
        return networks, obs, state, batch

    def start(key: jax.Array) -> tuple:
        keys = dict(zip(("obs", "batch", *shapes), jax.random.split(key, 2 + len(shapes)), strict=True))
        networks = {name: draw_weights(keys[name], layers) for name, layers in shapes.items()}
        obs = jax.random.normal(keys["obs"], (size.num_envs, OBSERVATION))
        batch = jax.random.normal(keys["batch"], (size.batch // size.minibatches, OBSERVATION))
        return networks, obs, jnp.ones((size.num_envs, units)), batch

    return over_blocks(start, iteration, members, steps, -(-steps // size.batch), devices, block_size=2)
