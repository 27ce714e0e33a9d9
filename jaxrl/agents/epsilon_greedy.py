"""What agents share that learn the values of discrete actions from replayed steps, and explore epsilon-greedily."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl import schedules
from jaxrl.agents.off_policy import OffPolicy
from jaxrl.distributions import EpsilonGreedy
from jaxrl.environment import Episode
from jaxrl.pytree import leaf, pytree


@pytree
class EpsilonGreedyAgent(OffPolicy):
    """Base class of agents that act by the values of `outputs`; their learner has `params` to explore with."""

    epsilon_start: float = leaf(default=1.0, minimum=0, maximum=1)
    """Probability of a random action at the first step."""
    epsilon_end: float = leaf(default=0.04, minimum=0, maximum=1)
    """Probability of a random action after the decay."""
    epsilon_decay_steps: float = leaf(default=10_000.0, above=0)
    """Environment steps over which epsilon falls linearly."""

    action_bits = EpsilonGreedy.bits
    output_kinds = ("q-values",)

    def explore(
        self, learner: Any, carry: Any, episodes: Episode, bits: jax.Array, steps: jax.Array
    ) -> tuple[jax.Array, Any, Any]:
        """Epsilon-greedy actions of the online network."""
        values, carry = self.outputs(learner.params, carry, episodes.obs)
        return EpsilonGreedy(values, self.epsilon(steps), episodes.mask).sample(bits), carry, ()

    def epsilon(self, steps: jax.Array) -> jax.Array:
        """The probability f32[] of a random action after i32[] environment steps."""
        share = steps.astype(jnp.float32) / self.epsilon_decay_steps
        return schedules.linear(self.epsilon_start, self.epsilon_end, share)

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> tuple[Any, Any, Any]:
        """The actions i32[batch]: epsilon-greedy at `epsilon_end` with bits, greedy without."""
        values, carry = self.outputs(params, carry, obs)
        choice = EpsilonGreedy(values, self.epsilon_end, mask)
        return choice.mode() if bits is None else choice.sample(bits), carry, ()


def dueling(advantages: jax.Array, value: jax.Array) -> jax.Array:
    """The values f32[..., n] of actions by their advantages f32[..., n] and the state's value f32[...].

    Wang et al., 2016, equation 9.
    """
    return value[..., None] + advantages - jnp.mean(advantages, axis=-1, keepdims=True)
