"""Distributions over discrete actions."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxrl import random_bits
from jaxrl.distributions.base import Distribution
from jaxrl.pytree import pytree


def allowed_actions(mask: jax.Array) -> jax.Array:
    """The actions that a mask bool[..., n] allows: all of them where it allows none, as when an episode is over."""
    return mask | ~jnp.any(mask, axis=-1, keepdims=True)


def masked(values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """`values` f32[..., n] with the least finite number wherever `mask` forbids the action.

    Allowed actions stay above that even at minus infinity. A mask that allows nothing, such as that of a
    state in which the episode is over, forbids nothing.
    """
    if mask is None:
        return values
    least = jnp.finfo(values.dtype).min
    return jnp.where(allowed_actions(mask), jnp.maximum(values, least / 2), least)


def _is_action(action: jax.Array, count: int) -> jax.Array:
    """bool[..., count], true at the action: sums over it have a cheaper gradient than indexing, a scatter."""
    return action[..., None] == jnp.arange(count, dtype=action.dtype)


@pytree
class Categorical(Distribution):
    """One of n actions, i32[...]. `categorical` and `persistent` make them.

    Attributes:
      log_probabilities: f32[..., n], normalised; about -3e38 for a forbidden action, whose probability is 0.
    """

    bits: ClassVar[int] = 1

    log_probabilities: jax.Array

    def sample(self, bits: jax.Array) -> jax.Array:
        """Draws by the inverse of the cumulated probabilities: one random number an action, not one a choice."""
        probabilities = jnp.exp(self.log_probabilities)
        # Only where an action is possible: XLA sums many numbers in parts, and rounding may raise the sum elsewhere.
        cumulated = jnp.where(probabilities > 0, jnp.cumsum(probabilities, axis=-1), 0)
        # Below the greatest after rounding, so that there always is a sum above it.
        level = random_bits.uniform(bits) * jnp.max(cumulated, axis=-1, keepdims=True) * (1 - 2e-7)
        # The least index above the level: faster on a CPU than `argmax`.
        last = probabilities.shape[-1] - 1
        return jnp.min(jnp.where(cumulated > level, jnp.arange(last + 1, dtype=jnp.int32), last), axis=-1)

    def mode(self) -> jax.Array:
        """The likeliest action; the first of several."""
        return jnp.argmax(self.log_probabilities, axis=-1).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """The log-probability of actions i32[...]."""
        chosen = _is_action(action, self.log_probabilities.shape[-1])
        return jnp.sum(jnp.where(chosen, self.log_probabilities, 0), axis=-1)

    def entropy(self) -> jax.Array:
        """The entropy; what can't happen adds nothing to it or to its gradient."""
        return _entropy(jnp.exp(self.log_probabilities), self.log_probabilities)


@pytree
class MultiCategorical(Distribution):
    """Several independent choices at once, i32[..., d].

    Attributes:
      choices: the distribution of each.
    """

    choices: tuple[Categorical, ...]

    @property
    def bits(self) -> int:
        """One number a choice."""
        return len(self.choices)

    def sample(self, bits: jax.Array) -> jax.Array:
        """Draws each choice by a separate random number."""
        return jnp.stack([choice.sample(bits[..., i : i + 1]) for i, choice in enumerate(self.choices)], axis=-1)

    def mode(self) -> jax.Array:
        """The likeliest of each choice."""
        return jnp.stack([choice.mode() for choice in self.choices], axis=-1)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """The log-probability of actions i32[..., d]."""
        return jnp.sum(
            jnp.stack([choice.log_prob(action[..., i]) for i, choice in enumerate(self.choices)], axis=-1), axis=-1
        )

    def entropy(self) -> jax.Array:
        """The sum of the choices' entropies."""
        return jnp.sum(jnp.stack([choice.entropy() for choice in self.choices], axis=-1), axis=-1)


def categorical(logits: jax.Array, mask: jax.Array | None = None) -> Categorical:
    """The distribution in proportion to exp(logits f32[..., n]) over the actions that `mask` bool[..., n] allows.

    A mask that allows nothing forbids nothing.

    >>> policy = categorical(jnp.array([1.0, 3.0, 2.0]), mask=jnp.array([True, False, True]))
    >>> int(policy.mode())
    2
    """
    return Categorical(jax.nn.log_softmax(masked(logits, mask)))


def persistent(
    logits: jax.Array, mask: jax.Array | None, previous_action: jax.Array, probability: jax.Array | float
) -> Categorical:
    """Repeats the previous action with a probability, and draws from the categorical distribution otherwise.

    The mixture itself, so that its log-probability, entropy and gradients are exact. (Repeating actions at random, as
    "sticky actions" of Machado et al., 2018, but known to the policy.) For playing deterministically, leave the
    repetition away by a `previous_action` of -1: the mode of the mixture may be the previous action for ever.

    Args:
      logits: f32[..., n].
      mask: bool[..., n], as in `categorical`, or None.
      previous_action: i32[...], -1 where there is none. Where it is forbidden now, nothing is repeated.
      probability: f32[] or f32[...], of repeating, in [0, 1).
    """
    fresh = categorical(logits, mask).log_probabilities
    repeated = _is_action(previous_action, logits.shape[-1])
    if mask is not None:
        repeated &= allowed_actions(mask)
    probability = jnp.where(jnp.any(repeated, axis=-1), probability, 0)
    otherwise = jnp.log1p(-probability)
    # In logarithms: a fresh probability may be too small for a float32.
    previous = jnp.sum(jnp.where(repeated, fresh, 0), axis=-1) + otherwise
    possible = probability > 0
    repeating = jnp.logaddexp(previous, jnp.log(jnp.where(possible, probability, 1)))
    previous = jnp.where(possible, repeating, previous)
    least = jnp.finfo(fresh.dtype).min
    others = jnp.maximum(fresh + otherwise[..., None], least)
    return Categorical(jnp.where(repeated, previous[..., None], others))


@pytree
class EpsilonGreedy(Distribution):
    """The best action, or with probability epsilon any allowed one, uniformly: i32[...].

    Attributes:
      values: f32[..., n].
      epsilon: f32[] or f32[...], in [0, 1].
      mask: bool[..., n], the allowed actions, or None; one that allows nothing forbids nothing.
    """

    bits: ClassVar[int] = 2

    values: jax.Array
    epsilon: jax.Array | float
    mask: jax.Array | None = None

    def sample(self, bits: jax.Array) -> jax.Array:
        """Draws by two random numbers an action: whether to explore, and which action then."""
        coin, pick = bits[..., 0], bits[..., 1]
        if self.mask is None:
            explored = random_bits.randint(self.values.shape[-1], pick)
        else:
            explored = random_bits.masked_choice(allowed_actions(self.mask), pick)
        return jnp.where(random_bits.uniform(coin) < self.epsilon, explored, self.mode())

    def sample_by_one(self, bits: jax.Array) -> jax.Array:
        """Draws by one random number u32[...] an action, where drawing costs more than choosing.

        The number explores where it is below epsilon, and chooses by how far: an explored action is likelier than
        another by 2^-24 at most.
        """
        uniform = random_bits.uniform(bits)
        share = uniform / jnp.maximum(self.epsilon, 2.0**-24)
        if self.mask is None:
            count = self.values.shape[-1]
            explored = jnp.minimum((share * count).astype(jnp.int32), count - 1)
        else:
            counts = jnp.cumsum(allowed_actions(self.mask), axis=-1, dtype=jnp.int32)
            chosen = jnp.minimum((share * counts[..., -1]).astype(jnp.int32), counts[..., -1] - 1)
            explored = jnp.sum(counts <= chosen[..., None], axis=-1, dtype=jnp.int32)
        return jnp.where(uniform < self.epsilon, explored, self.mode())

    def mode(self) -> jax.Array:
        """The allowed action of the greatest value; the first of several."""
        return jnp.argmax(masked(self.values, self.mask), axis=-1).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """The log-probability of actions i32[...]; the least finite number where the probability is 0."""
        chosen = _is_action(action, self.values.shape[-1])
        return _log(jnp.sum(jnp.where(chosen, self._probabilities(), 0), axis=-1))

    def entropy(self) -> jax.Array:
        """The entropy; no gradient with respect to the values."""
        probabilities = self._probabilities()
        return _entropy(probabilities, _log(probabilities))

    def _probabilities(self) -> jax.Array:
        """f32[..., n]."""
        count = self.values.shape[-1]
        allowed = jnp.ones(self.values.shape, bool) if self.mask is None else allowed_actions(self.mask)
        epsilon = jnp.asarray(self.epsilon, self.values.dtype)[..., None]
        shared = epsilon / jnp.sum(allowed, axis=-1, keepdims=True, dtype=self.values.dtype)
        return jnp.where(allowed, shared, 0) + jnp.where(_is_action(self.mode(), count), 1 - epsilon, 0)


def _log(probabilities: jax.Array) -> jax.Array:
    """Logarithms, the least finite number for 0, where the gradient is 0 too."""
    possible = probabilities > 0
    return jnp.where(possible, jnp.log(jnp.where(possible, probabilities, 1)), jnp.finfo(probabilities.dtype).min)


def _entropy(probabilities: jax.Array, logarithms: jax.Array) -> jax.Array:
    # What can't happen counts 0, and its logarithm, about -3e38, may not reach the gradient.
    return -jnp.sum(probabilities * jnp.where(probabilities > 0, logarithms, 0), axis=-1)
