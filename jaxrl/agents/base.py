"""What every agent is."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.checks import check_static
from jaxrl.distributions import masked as masked
from jaxrl.environment import Environment, Transition
from jaxrl.pytree import pytree
from jaxrl.spaces import Discrete


@pytree
class Clock:
    """Where a run stands: the same for all members, and never batched.

    Attributes:
      iteration: i32[], counted from 0.
      iterations: i32[], of the whole run.
    """

    iteration: jax.Array
    iterations: jax.Array

    @property
    def fraction(self) -> jax.Array:
        """The share of the run that is over: f32[], in [0, 1)."""
        return self.iteration.astype(jnp.float32) / self.iterations.astype(jnp.float32)


@pytree
class Mean:
    """A mean under way: a sum and what to divide it by, f32[] each."""

    total: jax.Array | np.ndarray
    count: jax.Array | np.ndarray

    @staticmethod
    def of(values: jax.Array, weights: jax.Array) -> "Mean":
        """The weighted mean of an array of any shape."""
        weights = weights.astype(jnp.float32)
        return Mean(jnp.sum(jnp.where(weights > 0, values * weights, 0)), jnp.sum(weights))


Metrics = dict[str, Mean]
EPISODE_METRICS = ("steps", "episode_return", "episode_length")
"""The names that `episode_metrics` gives."""


class Agent:
    """Base class of agents: a frozen dataclass of hyperparameters with its environment as a child.

    The methods take and give one member; the training loop adds the member axis. A subclass defines
    `steps_per_iteration`, `init`, `iterate`, `outputs` and `policy`.
    """

    env: Environment

    def __post_init__(self) -> None:
        # JAX also rebuilds agents with placeholders in place of the environment: those pass unchecked.
        if isinstance(self.env, Environment):
            check_static(self)
            self.check()
        elif isinstance(self.env, str | type):
            raise TypeError(
                f"{type(self).__name__}.env = {self.env!r} must be an environment: jaxrl.make(name) makes one"
            )

    def check(self) -> None:
        """Raises a ValueError or TypeError where static fields do not fit together or do not fit the environment."""

    def check_run(self, iterations: int) -> None:
        """Raises a ValueError where a run of so many iterations makes no sense."""

    output_kinds: ClassVar[tuple[str, ...]] = ()
    """What people may want to see of the policy, by the names that `jaxrl.export` knows; the usual one first."""
    metrics: ClassVar[tuple[str, ...]] = EPISODE_METRICS
    """The names that `iterate` measures, the columns of the log: these at least. A class attribute or a property."""
    steps_vary: ClassVar[bool] = False
    """Whether iterations differ in how many steps they take."""

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration; the most there can be, where the number varies."""
        raise NotImplementedError

    def init(self, key: jax.Array) -> Any:
        """The state before the first iteration."""
        raise NotImplementedError

    def iterate(self, state: Any, clock: Clock) -> tuple[Any, Metrics]:
        """One iteration of collecting and learning: the next state, and a `Mean` by every name of `metrics`.

        `"steps"` totals the environment steps.
        """
        raise NotImplementedError

    def params(self, state: Any) -> Any:
        """The parameters to act with."""
        return state.params

    def kept(self, state: Any) -> Any:
        """What of the state outlives the run; an agent drops here what is large and of no more use."""
        return state

    def scratch(self) -> Any:
        """Shapes of the largest arrays that one iteration needs besides the state; None where they are small."""
        return None

    def outputs(self, params: Any, obs: Any) -> jax.Array:
        """What the policy decides by: f32[n] for one observation (values or logits, by algorithm)."""
        raise NotImplementedError

    def policy(self, params: Any, obs: Any, key: jax.Array | None = None, mask: Any = None) -> jax.Array:
        """The action for one observation: greedy without a key, as in training with one."""
        raise NotImplementedError


def require_discrete(agent: Agent) -> int:
    """The number of actions.

    Raises:
      TypeError: the environment's action space is not discrete.
    """
    space = agent.env.action_space
    if not isinstance(space, Discrete):
        raise TypeError(
            f"{type(agent).__name__} needs a Discrete action space, and {type(agent.env).__name__} has {space!r}: "
            "make its actions discrete, or choose an algorithm for continuous actions"
        )
    return space.n


def episode_metrics(transitions: Transition, valid: Any = True) -> Metrics:
    """Steps taken, and the mean return and length of the episodes that ended."""
    valid = jnp.broadcast_to(valid, transitions.reward.shape)
    ended = transitions.ended & valid
    return {
        "steps": Mean(jnp.sum(valid, dtype=jnp.float32), jnp.ones((), jnp.float32)),
        "episode_return": Mean.of(transitions.episode_return, ended),
        "episode_length": Mean.of(transitions.length.astype(jnp.float32), ended),
    }
