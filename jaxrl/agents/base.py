"""What every agent is."""

import dataclasses
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.env_checker.declarations import require_space
from jaxrl.environment import FAULTS, Environment, Episode
from jaxrl.pytree import has_numbers, pytree
from jaxrl.rollout import Policy
from jaxrl.spaces import Discrete, Space
from jaxrl.validation import check_static


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
FAULT_METRICS = {name: f"{name}_faults" for name in FAULTS}
"""The names under which `episode_metrics` counts what the environment did wrong, by those of `environment.FAULTS`."""
REQUIRED_METRICS = ("steps", "episode_return", "episode_length")
"""The names that every agent must measure."""
EPISODE_METRICS = (*REQUIRED_METRICS, *FAULT_METRICS.values())
"""The names that `episode_metrics` gives."""


class Agent:
    """Base class of agents: a frozen dataclass of hyperparameters with its environment as a child.

    The methods take and give one member; the training loop adds the member axis. A subclass defines
    `action_spaces`, `steps_per_iteration`, `init`, `iterate`, `act` and `outputs`; a policy with memory also
    `initial_carry`.
    """

    env: Environment

    def __post_init__(self) -> None:
        # JAX also rebuilds agents with placeholders in place of the environment, or of numbers in it: those pass
        # unchecked.
        if isinstance(self.env, Environment):
            check_static(self)
            if not dataclasses.is_dataclass(self.env) or has_numbers(self.env):
                self._check_action_space()
                self.check()
        elif isinstance(self.env, str | type):
            raise TypeError(
                f"{type(self).__name__}.env = {self.env!r} must be an environment: jaxrl.make(name) makes one"
            )

    def _check_action_space(self) -> None:
        space, name = require_space(self.env, "action_space"), f"{type(self).__name__} on {type(self.env).__name__}"
        if not isinstance(space, self.action_spaces):
            known = " or ".join(kind.__name__ for kind in self.action_spaces)
            raise TypeError(
                f"{name}: {type(self).__name__} needs a {known} action space, and this is {space!r}: choose an "
                f"algorithm for {type(space).__name__} actions, or make the actions {known}"
            )

    def check(self) -> None:
        """Raises a ValueError or TypeError where static fields do not fit together or do not fit the environment."""

    def check_run(self, iterations: int) -> None:
        """Raises a ValueError where a run of so many iterations makes no sense."""

    action_spaces: ClassVar[tuple[type[Space], ...]] = (Discrete,)
    """The kinds of action spaces that it can play."""
    action_bits: int = 1
    """How many random numbers of 32 bits exploring takes for one action. A class attribute or a property."""
    output_kinds: ClassVar[tuple[str, ...]] = ()
    """What people may want to see of the policy, by the names that `jaxrl.export` knows; the usual one first. A class
    attribute or a property."""
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

    def final_state(self, state: Any) -> Any:
        """What of the state outlives the run; an agent drops here what is large and of no more use."""
        return state

    def workspace(self) -> Any:
        """Shapes of the largest arrays that one iteration needs besides the state; None where they are small."""
        return None

    def gradient_workspace(self) -> Any:
        """Shapes of large arrays that come on top of `workspace`, but are worked on piece by piece; None for none."""
        return None

    def initial_carry(self, batch: int) -> Any:
        """The policy's carry before an episode's first observation: leaves `[batch, ...]`; () without memory."""
        return ()

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> tuple[Any, Any, Any]:
        """Chooses actions.

        Args:
          params: as `params(state)` gives them.
          carry: leaves `[batch, ...]`, the initial one before an episode's first observation.
          obs: `[batch, ...]`.
          mask: bool[batch, n], the allowed actions (see `jaxrl.masks`), or None where all are.
          bits: random bits u32[batch, action_bits] to explore by, as in training; None for the policy's
            deterministic action, inside the bounds of the action space.

        Returns:
          (actions `[batch, ...]`, carry, extras): what learning wants to remember of acting, leaves `[batch, ...]`.
        """
        raise NotImplementedError

    def outputs(self, params: Any, carry: Any, obs: Any) -> tuple[jax.Array, Any]:
        """What the policy decides by, before any mask: f32[batch, n] (values, logits, or actions), and the carry."""
        raise NotImplementedError

    @property
    def has_memory(self) -> bool:
        """Whether the policy has a carry."""
        return bool(jax.tree.leaves(jax.eval_shape(lambda: self.initial_carry(1))))


def policy_of(agent: Agent, params: Any, num_envs: int) -> Policy:
    """The agent's policy as `jaxrl.rollout` plays it; its noise is random bits, or None for deterministic actions."""

    def act(carry: Any, episodes: Episode, bits: Any) -> tuple[Any, Any, Any]:
        return agent.act(params, carry, episodes.obs, episodes.mask, bits)

    return Policy(act, agent.initial_carry(num_envs))


def num_actions(agent: Agent) -> int:
    """The number of actions of a discrete action space."""
    space = agent.env.action_space
    assert isinstance(space, Discrete)  # The agent was checked when it was made.
    return space.n


class Played(Protocol):
    """Steps with these fields of a `Transition`: leaves of one shape."""

    @property
    def reward(self) -> jax.Array: ...  # noqa: D102

    @property
    def length(self) -> jax.Array: ...  # noqa: D102

    @property
    def episode_return(self) -> jax.Array: ...  # noqa: D102

    @property
    def ended(self) -> jax.Array: ...  # noqa: D102


def episode_metrics(transitions: Played, valid: Any = True) -> Metrics:
    """Steps taken, the mean return and length of the episodes that ended, and the environment's faults in the steps."""
    faults = getattr(transitions, "faults", None) or {}  # A custom agent may make transitions without any.
    valid = jnp.broadcast_to(valid, transitions.reward.shape)
    ended = transitions.ended & valid
    return {
        "steps": Mean(jnp.sum(valid, dtype=jnp.float32), jnp.ones((), jnp.float32)),
        "episode_return": Mean.of(transitions.episode_return, ended),
        "episode_length": Mean.of(transitions.length.astype(jnp.float32), ended),
        **{metric: _count(faults.get(name), valid) for name, metric in FAULT_METRICS.items()},
    }


def _count(flags: jax.Array | None, valid: jax.Array) -> Mean:
    """How many valid steps have a flag: a total, which nothing divides."""
    total = jnp.float32(0) if flags is None else jnp.sum(flags & valid, dtype=jnp.float32)
    return Mean(total, jnp.zeros((), jnp.float32))
