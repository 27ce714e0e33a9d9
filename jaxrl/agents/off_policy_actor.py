"""What off-policy agents with an actor share: twin critics, normalised observations, noise that explores."""

import dataclasses
from typing import Any, ClassVar

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import networks, random_bits
from jaxrl.agents.actor_critic import check_action_bounds, shaped
from jaxrl.agents.base import EPISODE_METRICS
from jaxrl.agents.collection import ActingParams
from jaxrl.agents.off_policy import OffPolicy
from jaxrl.normalize import Moments, observation_moments
from jaxrl.pytree import leaf, pytree, static
from jaxrl.replay import Batch, weighted_mean
from jaxrl.spaces import Box, Space, flat_bounds


@pytree
class Noise:
    """What exploration remembers from step to step.

    Attributes:
      value: f32[batch, d], standard normal over time.
      weight: f32[batch, 1], 0 before an episode's first step, else 1.
    """

    value: jax.Array
    weight: jax.Array

    @staticmethod
    def initial(batch: int, dimensions: int) -> "Noise":
        """Before an episode's first step."""
        return Noise(jnp.zeros((batch, dimensions), jnp.float32), jnp.zeros((batch, 1), jnp.float32))

    def following(self, bits: jax.Array, persistence: Any) -> "Noise":
        """That of the next step, correlated with this one by `persistence`, for random bits u32[batch, d].

        An autoregressive process of order 1 (Korenkevych et al., 2019), which is the Ornstein-Uhlenbeck process in
        discrete time, begun in its stationary distribution.
        """
        kept = persistence * self.weight
        value = kept * self.value + jnp.sqrt(1 - jnp.square(kept)) * random_bits.normal(bits)
        return Noise(value, jnp.ones_like(self.weight))


@dataclasses.dataclass(frozen=True)
class ActionScale:
    """Between the actions of an environment and flat ones: f32[batch, d], of which the bounds are -1 and 1."""

    space: Box

    @property
    def dimensions(self) -> int:
        """How many numbers an action has."""
        return int(np.prod(self.space.shape, dtype=int))

    @property
    def bounds(self) -> tuple[jax.Array, jax.Array]:
        """The bounds of every dimension: f32[d] each."""
        return flat_bounds(self.space)

    @property
    def half(self) -> jax.Array:
        """Half the range of every dimension: f32[d]."""
        low, high = self.bounds
        return 0.5 * high - 0.5 * low

    @property
    def centre(self) -> jax.Array:
        """The middle between the bounds: f32[d]."""
        low, high = self.bounds
        return 0.5 * high + 0.5 * low

    def flat(self, actions: jax.Array) -> jax.Array:
        """Actions `[batch, ...]` in units of half the range off the middle."""
        return (actions.reshape(-1, self.dimensions).astype(jnp.float32) - self.centre) / self.half

    def numbers(self, flat: jax.Array) -> jax.Array:
        """Numbers f32[batch, d] of an action, inside the bounds."""
        low, high = self.bounds
        # The clip is for rounding alone.
        return jnp.clip(self.centre + self.half * flat, low, high)

    def shaped(self, numbers: jax.Array) -> jax.Array:
        """Numbers f32[batch, d] as the environment takes them."""
        return shaped(self.space, numbers)

    def uniform(self, noise: jax.Array) -> jax.Array:
        """Numbers f32[batch, d] that are uniform between the bounds where `noise` is standard normal."""
        return self.numbers(2 * jax.scipy.special.ndtr(noise) - 1)


@pytree
class OffPolicyActor(OffPolicy):
    """Base class of off-policy agents with an actor and critics."""

    learning_rate: float = leaf(default=3e-3, above=0)
    """Adam's step size at the start of the run."""
    persistence: float = leaf(default=0.0, minimum=0, below=1)
    """Correlation of the noise that explores from one step to the next, as of an Ornstein-Uhlenbeck process."""
    critics: int = static(default=2, minimum=1)
    """Critics, of which the least value counts."""
    activation: str = static(default="relu", choices=tuple(networks.ACTIVATIONS))
    """Activation of the hidden layers."""
    normalize_observations: bool = static(default=False, choices=(False, True))
    """Normalise observations by running moments of those that were learned from."""

    action_spaces: ClassVar[tuple[type[Space], ...]] = (Box,)
    metrics: ClassVar[tuple[str, ...]] = (*EPISODE_METRICS, "loss")

    def check(self) -> None:
        """Checks that actions have finite bounds, and what all off-policy agents check."""
        name = type(self).__name__
        check_action_bounds(name, self.env.action_space)
        if self.replay == "prioritized" and self.priority == "gradient":
            raise ValueError(
                f"{name}.priority = 'gradient' is of agents that learn values alone: give another one to prioritize by "
                "the errors of the critics"
            )
        super().check()

    @property
    def scale(self) -> ActionScale:
        """Between the environment's actions and flat ones."""
        assert isinstance(self.env.action_space, Box)
        return ActionScale(self.env.action_space)

    @property
    def action_bits(self) -> int:  # type: ignore[override]
        """A random number for every dimension."""
        return self.scale.dimensions

    @property
    def critic(self) -> hk.Transformed:
        """The critics: (params, observations, flat actions f32[batch, d]) -> f32[critics, batch]."""
        space = self.env.observation_space
        return networks.ensemble(networks.critic(space, self.hidden, activation=self.activation), self.critics)

    def actor_network(self, *heads: int) -> hk.Transformed:
        """The actor's network: (params, observations) -> f32[batch, head] for every head."""
        return networks.mlp(self.env.observation_space, self.hidden, heads, activation=self.activation)

    def empty_moments(self) -> Moments | None:
        """The moments of no observations; None where they are not normalised."""
        return observation_moments(self.env.observation_space) if self.normalize_observations else None

    def observed(self, moments: Moments | None, batch: Batch) -> tuple[Moments | None, Batch]:
        """The moments with a batch's observations in them, and the batch as networks read it."""
        if moments is None:
            return None, batch
        moments = moments.update(batch.obs)
        obs, next_obs = moments.normalize(batch.obs), moments.normalize(batch.next_obs)
        return moments, dataclasses.replace(batch, obs=obs, next_obs=next_obs)

    def acting_params(self, learner: Any) -> ActingParams:
        """The actor's parameters, and the moments of observations."""
        return ActingParams(learner.actor, learner.moments)

    def exploration_carry(self, batch: int) -> Any:
        """The noise before an episode's first step."""
        return Noise.initial(batch, self.action_bits)

    @property
    def gradient_numbers(self) -> int:
        """What gradients keep of an item: before and after the activation of every layer of all networks."""
        return 2 * sum(self.hidden) * (2 * self.critics + 2)


def critic_loss(values: jax.Array, target: jax.Array, weight: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Half the squared errors of all critics, summed over critics and averaged over the batch.

    Args:
      values: f32[critics, batch].
      target: f32[batch]; no gradient flows into it.
      weight: f32[batch] of the items, or None.

    Returns:
      The loss f32[], and the mean magnitude f32[batch] of the critics' errors.
    """
    errors = jax.lax.stop_gradient(target) - values
    loss = weighted_mean(0.5 * jnp.sum(jnp.square(errors), axis=0), weight)
    return loss, jnp.mean(jnp.abs(errors), axis=0)
