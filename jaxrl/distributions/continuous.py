"""Distributions over continuous actions: densities over vectors, summed over their last axis."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.distributions.base import Distribution
from jaxrl.pytree import pytree

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_INSIDE = 1 - 1e-6
"""How close to its bounds, -1 and 1, a squashed action may come before its density is asked for."""
_NODES = 0.6 * np.arange(-7, 8, dtype=np.float32)
"""Where the expectation of a squashed Gaussian's log-Jacobian is evaluated, in standard deviations."""


@pytree
class Gaussian(Distribution):
    """Independent normal numbers f32[..., d], unbounded; `clip` gives what the environment gets.

    Their log-probability is that of the sample before clipping, so that its gradient doesn't vanish outside.

    Attributes:
      mean: f32[..., d].
      scale: f32[..., d] or f32[d], the standard deviations, above 0.
      low, high: f32[d], the bounds of the action space, or None where it has none.
    """

    mean: jax.Array
    scale: jax.Array
    low: Any = None
    high: Any = None

    @property
    def bits(self) -> int:
        """One number a dimension."""
        return self.mean.shape[-1]

    def sample(self, bits: jax.Array) -> jax.Array:
        """Draws mean + scale * n."""
        return self.mean + self.scale * random_bits.normal(bits)

    def sample_with_log_prob(self, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A sample and its log-density, computed from the noise that made it."""
        noise = random_bits.normal(bits)
        return self.mean + self.scale * noise, self._log_density(noise)

    def mode(self) -> jax.Array:
        """The mean, clipped to the bounds."""
        return self.clip(self.mean)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """The log-density of unclipped actions f32[..., d]."""
        return self._log_density((action - self.mean) / self.scale)

    def entropy(self) -> jax.Array:
        """The entropy, of the numbers before clipping."""
        each = jnp.log(self.scale) + (0.5 + _HALF_LOG_TWO_PI)
        return jnp.sum(jnp.broadcast_to(each, self.mean.shape), axis=-1)

    def clip(self, action: jax.Array) -> jax.Array:
        """The action inside the bounds."""
        return jnp.clip(action, self.low, self.high)

    def _log_density(self, noise: jax.Array) -> jax.Array:
        """The log-density f32[...] of the action that is `noise` f32[..., d] standard deviations off the mean."""
        return -jnp.sum(0.5 * jnp.square(noise) + jnp.log(self.scale) + _HALF_LOG_TWO_PI, axis=-1)


def autoregressive(
    mean: jax.Array, scale: jax.Array, previous_noise: jax.Array, correlation: Any, low: Any = None, high: Any = None
) -> Gaussian:
    """A Gaussian whose noise goes on from that of the step before (Korenkevych et al., 2019, of order 1).

    The action is mean + scale * x_t with x_t = rho * x_{t-1} + sqrt(1 - rho^2) * n_t: over time every x_t is standard
    normal, and correlated by rho^k over k steps; given x_{t-1}, the action is the Gaussian returned.
    `autoregressive_noise` recovers x_t from the action, for the next step.

    Args:
      mean: f32[..., d], of the policy.
      scale: f32[..., d] or f32[d], of the policy.
      previous_noise: f32[..., d], x_{t-1}: data, like an observation. 0 to play deterministically.
      correlation: f32, rho in (-1, 1), broadcast against f32[..., d]; 0 in an episode's first step, which has no
        noise to go on from.
      low: as in `Gaussian`.
      high: as in `Gaussian`.
    """
    correlation = jnp.asarray(correlation, mean.dtype)
    return Gaussian(
        mean + scale * correlation * previous_noise, scale * jnp.sqrt(1 - jnp.square(correlation)), low, high
    )


def autoregressive_noise(action: jax.Array, mean: jax.Array, scale: jax.Array) -> jax.Array:
    """How many standard deviations an unclipped action lies off the policy's own mean: x_t of `autoregressive`."""
    return (action - mean) / scale


@pytree
class SquashedGaussian(Distribution):
    """The hyperbolic tangent of normal numbers, scaled to the bounds: f32[..., d] (Haarnoja et al., 2018, appendix C).

    Attributes:
      mean: f32[..., d], before squashing.
      scale: f32[..., d] or f32[d], the standard deviations before squashing, above 0.
      low, high: f32[d], the finite bounds of the action space.
    """

    mean: jax.Array
    scale: jax.Array
    low: Any
    high: Any

    @property
    def bits(self) -> int:
        """One number a dimension."""
        return self.mean.shape[-1]

    def sample(self, bits: jax.Array) -> jax.Array:
        """Draws low + (high - low) * (1 + tanh(mean + scale * n)) / 2."""
        return self._squash(self._normal.sample(bits))

    def mode(self) -> jax.Array:
        """The squashed mean: the median, and what is meant by the deterministic action."""
        return self._squash(self.mean)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """The log-density of actions f32[..., d].

        At a bound the inverse of the tangent is infinite, and near one it is lost to rounding: actions count as at
        most 1 - 1e-6 of the way from the middle to the bound. Where an action has just been drawn,
        `sample_with_log_prob` is exact.
        """
        centre, half = self._affine
        unsquashed = jnp.arctanh(jnp.clip((action - centre) / half, -_INSIDE, _INSIDE))
        return self._normal.log_prob(unsquashed) - self._log_slope(unsquashed)

    def sample_with_log_prob(self, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A sample and its log-density, which is computed from the number before squashing: exact at the bounds."""
        unsquashed, log_prob = self._normal.sample_with_log_prob(bits)
        return self._squash(unsquashed), log_prob - self._log_slope(unsquashed)

    def entropy(self) -> jax.Array:
        """The entropy, which has no closed form, by numerical integration.

        It has no noise, and its gradient is that of this estimate. It is off by less than 0.0005 nats a dimension for
        scales up to 2, 0.005 up to 3 and 0.05 up to 5. (Soft actor-critic estimates by -log_prob of a sample instead.)
        """
        weights = np.exp(-0.5 * np.square(_NODES))
        points = self.mean[..., None] + self.scale[..., None] * _NODES
        log_slope = jnp.sum(_log_tanh_slope(points) * (weights / weights.sum()), axis=-1)
        return self._normal.entropy() + jnp.sum(log_slope + jnp.log(self._affine[1]), axis=-1)

    @property
    def _normal(self) -> Gaussian:
        return Gaussian(self.mean, self.scale)

    @property
    def _affine(self) -> tuple[Any, Any]:
        """The middle between the bounds, and how far they are from it."""
        return 0.5 * self.high + 0.5 * self.low, 0.5 * self.high - 0.5 * self.low

    def _squash(self, unsquashed: jax.Array) -> jax.Array:
        centre, half = self._affine
        # The clip is for rounding alone.
        return jnp.clip(centre + half * jnp.tanh(unsquashed), self.low, self.high)

    def _log_slope(self, unsquashed: jax.Array) -> jax.Array:
        """The logarithm of how much `_squash` stretches f32[..., d] there, over all dimensions: f32[...]."""
        return jnp.sum(_log_tanh_slope(unsquashed) + jnp.log(self._affine[1]), axis=-1)


def _log_tanh_slope(x: jax.Array) -> jax.Array:
    """log(1 - tanh(x)^2) without the difference, which is lost to rounding from |x| = 9 on."""
    return 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))
