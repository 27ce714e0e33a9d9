"""What every distribution over actions is."""

import jax


class Distribution:
    """Base class of distributions over actions; a subclass is a pytree and defines what raises here."""

    @property
    def bits(self) -> int:
        """How many random numbers (u32) one sample takes: known from shapes alone."""
        raise NotImplementedError

    def sample(self, bits: jax.Array) -> jax.Array:
        """An action `[...]` or `[..., d]` for random bits u32[..., self.bits]."""
        raise NotImplementedError

    def mode(self) -> jax.Array:
        """The action to take where nothing is left to chance; inside the bounds, if there are any."""
        raise NotImplementedError

    def log_prob(self, action: jax.Array) -> jax.Array:
        """The natural logarithm of an action's probability or density: f32[...]."""
        raise NotImplementedError

    def entropy(self) -> jax.Array:
        """The (differential) entropy in nats: f32[...]."""
        raise NotImplementedError

    def sample_with_log_prob(self, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A sample and the logarithm of its probability or density, f32[...], both differentiable."""
        action = self.sample(bits)
        return action, self.log_prob(action)

    def clip(self, action: jax.Array) -> jax.Array:
        """What the environment gets of a sample: the sample itself, where that can't leave the bounds."""
        return action
