"""Running moments of observations and of returns: pytrees that an agent keeps in its state, one per member.

Observations that are one-hot (of a `Discrete` space) need none of this.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.pytree import pytree
from jaxrl.spaces import Box, Space, array_spaces, is_array_space

EPSILON = 1e-8
"""What is added to variances before dividing, as Gymnasium's wrappers do."""
CLIP = 10.0
"""The greatest absolute value after normalisation, as is usual (OpenAI's baselines, Stable-Baselines3)."""


@pytree
class RunningMoments:
    """Count, mean and variance of all rows so far.

    The variance in place of the sum of squares: a float32 holds a mean of any number of rows alike, where a sum would
    drown its summands in the end. What is lost to rounding is never more than changes too small for a float32 to hold
    next to the mean: of an element that lies a thousand deviations off 0, a thousandth of a deviation.

    Attributes:
      count: f32[], rows so far.
      mean: f32[...], of each element; 0 before there are any rows.
      variance: f32[...], of each element, without Bessel's correction; 1 before there are any rows.
    """

    count: jax.Array
    mean: jax.Array
    variance: jax.Array

    @staticmethod
    def empty(shape: tuple[int, ...] = ()) -> "RunningMoments":
        """Moments of no rows of this shape: `normalize` only clips."""
        return RunningMoments(jnp.float32(0), jnp.zeros(shape, jnp.float32), jnp.ones(shape, jnp.float32))

    def update(self, rows: jax.Array) -> "RunningMoments":
        """Merges rows `[rows, ...]` in, by the formulas of Chan, Golub and LeVeque, 1983."""
        # Relative to the mean so far, which keeps digits where elements lie far off 0; and corrected for the rounding
        # of the rows' own mean.
        relative = rows.astype(jnp.float32) - self.mean
        shift = jnp.mean(relative, axis=0)
        relative -= shift
        correction = jnp.mean(relative, axis=0)
        shift += correction
        variance = jnp.mean(jnp.square(relative), axis=0) - jnp.square(correction)
        count = self.count + len(rows)
        share = len(rows) / count
        variance += (1 - share) * jnp.square(shift)
        # Not 1 + (variance - 1) for the first rows: that would round to 1's last digit.
        merged = jnp.where(self.count > 0, self.variance + share * (variance - self.variance), variance)
        return RunningMoments(count, self.mean + share * shift, jnp.maximum(merged, 0))

    def normalize(self, values: jax.Array, epsilon: float = EPSILON, clip: float = CLIP) -> jax.Array:
        """Values `[..., *shape]` less the mean, divided by the standard deviation, clipped to +-clip: f32."""
        centred = values.astype(jnp.float32) - self.mean
        return jnp.clip(centred * self.reciprocal(epsilon), -clip, clip)

    def reciprocal(self, epsilon: float = EPSILON) -> jax.Array:
        """1 / sqrt(variance + epsilon): f32[...]."""
        return jax.lax.rsqrt(self.variance + epsilon)


@pytree
class StructuredMoments:
    """Moments of observations that are pytrees of arrays.

    Attributes:
      parts: of each array; None of discrete ones.
    """

    parts: tuple[RunningMoments | None, ...]

    def update(self, rows: Any) -> "StructuredMoments":
        """Merges rows in, leaves `[rows, ...]`."""
        merged = zip(self.parts, jax.tree.leaves(rows), strict=True)
        return StructuredMoments(tuple(None if part is None else part.update(x) for part, x in merged))

    def normalize(self, values: Any) -> Any:
        """Values `[..., *shape]` as `RunningMoments.normalize` gives them; discrete ones as they are."""
        leaves, structure = jax.tree.flatten(values)
        pairs = zip(self.parts, leaves, strict=True)
        return jax.tree.unflatten(structure, [x if part is None else part.normalize(x) for part, x in pairs])


Moments = RunningMoments | StructuredMoments
"""Of observations."""


def observation_moments(space: Space) -> Moments | None:
    """Moments of no observations; None where all of them are discrete, which are no numbers."""
    parts = tuple(RunningMoments.empty(part.shape) if isinstance(part, Box) else None for part in array_spaces(space))
    if all(part is None for part in parts):
        return None
    return parts[0] if is_array_space(space) else StructuredMoments(parts)


@pytree
class RewardScale:
    """The running deviation of discounted returns, by which rewards are divided (Engstrom et al., 2020, section 3).

    The return of an environment is the discounted sum of the rewards up to now, and restarts after *any* end of an
    episode. (Gymnasium's wrapper takes what came before off the return of a step that terminates, and in its usual
    mode carries a truncated episode's return over into the next.)

    Attributes:
      moments: of the returns of all steps so far, f32[].
      returns: f32[envs], of the episodes under way; 0 where one has just ended.
    """

    moments: RunningMoments
    returns: jax.Array

    @staticmethod
    def empty(envs: int) -> "RewardScale":
        """Before the first step: `scale` only clips."""
        return RewardScale(RunningMoments.empty(), jnp.zeros(envs, jnp.float32))

    def update(self, reward: jax.Array, ended: jax.Array, discount: jax.Array | float) -> "RewardScale":
        """Goes on by a rollout.

        Args:
          reward: f32[time, envs], as the environment gave them.
          ended: bool[time, envs], terminated or truncated.
          discount: f32[], per step.
        """

        def step(returns: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            reward, ended = row
            returns = discount * returns + reward
            return jnp.where(ended, 0, returns), returns

        following, returns = jax.lax.scan(step, self.returns, (reward, ended))
        return RewardScale(self.moments.update(returns.reshape(-1)), following)

    def scale(self, reward: jax.Array, epsilon: float = EPSILON, clip: float = CLIP) -> jax.Array:
        """Rewards f32[...] divided by the deviation of returns, not centred, clipped to +-clip."""
        return jnp.clip(reward * self.moments.reciprocal(epsilon), -clip, clip)


def fold(moments: RunningMoments, layer: dict[str, Any], epsilon: float = EPSILON) -> dict[str, jax.Array]:
    """A linear layer's parameters such that it takes raw observations, for exports: w f32[features, size], b f32[size].

    Exact but for rounding where `normalize` doesn't clip; a folded layer can't clip.
    """
    reciprocal = moments.reciprocal(epsilon).reshape(-1)
    weights = layer["w"] * reciprocal[:, None]
    return {"w": weights, "b": layer["b"] - moments.mean.reshape(-1) @ weights}
