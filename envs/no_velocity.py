"""CartPole and Pendulum whose observations hold no velocities: a policy must remember what it saw to know them.

In use at least since Wierstra et al., "Solving Deep Memory POMDPs with Recurrent Policy Gradients", 2007; POPGym
(Morad et al., 2023) calls them stateless. Physics, rewards and limits are those of the full environments.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxrl.environment import Environment, TimeStep
from jaxrl.envs.cartpole import CartPole
from jaxrl.envs.pendulum import Pendulum
from jaxrl.pytree import pytree
from jaxrl.spaces import Box


class _PartlyObserved(Environment):
    """Put before an environment among the bases: shows the elements `observed` of its observations alone."""

    observed: ClassVar[tuple[int, ...]]

    @property
    def observation_space(self) -> Box:
        """f32[2], the bounds of the elements that are left."""
        whole = super().observation_space
        low, high = (self._visible(bound) for bound in (whole.low, whole.high))  # type: ignore[union-attr]
        return Box(low, high, (len(self.observed),), jnp.float32)

    def reset(self, key: jax.Array) -> tuple[Any, jax.Array]:
        """Starts an episode as the full environment does."""
        state, obs = super().reset(key)
        return state, self._visible(obs)

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes a step of the full environment."""
        after, step = super().step(state, action, key)
        return after, dataclasses.replace(step, obs=self._visible(step.obs))

    def _visible(self, obs: jax.Array) -> jax.Array:
        return jnp.stack([obs[index] for index in self.observed])


@pytree
class CartPoleNoVelocity(_PartlyObserved, CartPole):
    """CartPole that shows where cart and pole are, but not how fast they move.

    Observation: f32[2], the cart's position (m) and the pole's angle (rad).
    """

    observed = (0, 2)


@pytree
class PendulumNoVelocity(_PartlyObserved, Pendulum):
    """Pendulum that shows where the rod is, but not how fast it turns.

    Observation: f32[2], the cosine and the sine of the angle from upright.
    """

    observed = (0, 1)
