"""Potential-based shaping: rewards that lead the way and leave the optimal policy as it is."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.arguments import shown
from jaxrl.environment import TimeStep
from jaxrl.pytree import leaf, pytree, static
from jaxrl.wrappers.base import StatefulWrapper, WrapperState, given_shape, innermost


@pytree
class PotentialShaping(StatefulWrapper):
    """Adds discount * potential(s') - potential(s) to the reward of the step from s to s'.

    Ng, Harada and Russell, "Policy invariance under reward transformations", 1999: for no potential does the optimal
    policy change, whereas a bonus for states changes it. That holds if the potential after a termination is 0, and
    after a truncation that of the true successor, from which values go on; and if the discount is that of the agent.
    So it is the agent's: `discount=None` takes it when training begins, for each member its own, and another number
    than the agent's is refused.

    `potential(env, state) -> f32[]` gets the innermost environment and its state, whatever wrappers lie between. State
    of the wrapper: f32[], the potential of the environment's state.
    """

    potential: Callable[[Any, Any], jax.Array] = static()
    """The potential of a state: the higher, the better it is to be there."""
    discount: float | None = leaf(default=None, minimum=0, maximum=1)
    """The agent's discount; none: whatever that is. Give it to play without an agent."""

    agent_fields = ("discount",)

    def check(self) -> None:
        """Raises a TypeError where the potential gives no number."""

        def potential(key: jax.Array) -> Any:
            return self._potential(self.env.reset(key)[0])

        given = given_shape(self, "potential", potential, jax.random.key(0))
        if getattr(given, "shape", None) != ():
            raise TypeError(f"PotentialShaping.potential gives {shown(given)}, and must give one number")

    @property
    def solved_return(self) -> float | None:  # type: ignore[override]
        """None: returns are others than those of the environment inside."""
        return None

    def reset(self, key: jax.Array) -> tuple[WrapperState, Any]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        return WrapperState(state, jnp.asarray(self._potential(state), jnp.float32)), obs

    def step(self, state: WrapperState, action: Any, key: jax.Array) -> tuple[WrapperState, TimeStep]:
        """Takes one step.

        Raises:
          ValueError: there is neither an agent nor a discount.
        """
        if self.discount is None:
            raise ValueError(
                "PotentialShaping.discount = None is the agent's, and no agent is training here: give the number, "
                "as in PotentialShaping(env, potential, discount=0.99)"
            )
        inner, step = self.env.step(state.inner, action, key)
        potential = jnp.asarray(self._potential(inner), jnp.float32)
        following = jnp.where(step.terminated, 0, self.discount * potential)
        return WrapperState(inner, potential), dataclasses.replace(step, reward=step.reward + following - state.extra)

    def _potential(self, state: Any) -> Any:
        return self.potential(*innermost(self.env, state))
