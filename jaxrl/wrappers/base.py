"""What wrappers share: an environment that holds another one, and forwards all that it does not change."""

import dataclasses
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import numpy as np

from jaxrl.arguments import shown
from jaxrl.environment import Environment, TimeStep, name_of
from jaxrl.pytree import has_numbers, pytree
from jaxrl.spaces import Box, Space


@pytree
class Wrapper(Environment):
    """Base class of wrappers, which by itself changes no behavior.

    A subclass is decorated with `jaxrl.pytree`, adds its own fields after `env`, and overrides what it changes. Where
    that changes what a hint says (`max_steps`, `solved_return`, ...), it overrides the hint too.
    """

    env: Environment
    """The environment inside."""

    def __post_init__(self) -> None:
        # JAX also rebuilds wrappers with placeholders in place of the environment, or of numbers: those pass unchecked.
        if isinstance(self.env, Environment):
            super().__post_init__()
            # Arrays may be one number a member, as before training: then the spaces can't be asked for.
            if has_numbers(self) and not any(map(np.ndim, jax.tree.leaves(self))):
                with jax.ensure_compile_time_eval():  # Bounds are numbers here, inside of traced code too.
                    self.check()
        elif isinstance(self.env, str | type) or callable(getattr(self.env, "step", None)):
            raise TypeError(
                f"{type(self).__name__}.env = {shown(self.env)} must be a jaxrl.Environment: jaxrl.make(name) makes one"
            )

    def check(self) -> None:
        """Raises a TypeError or ValueError where the environment inside can't be wrapped so."""

    def refuse(self, reason: str) -> NoReturn:
        """Raises a TypeError about the environment inside; `reason` names what is wrong and what would help."""
        raise TypeError(f"{type(self).__name__} can't wrap {name_of(self.env)}: {reason}")

    def inner(self, state: Any) -> Any:
        """The state of the environment inside."""
        return state

    @property
    def unwrapped(self) -> Environment:
        """The innermost environment."""
        return self.env.unwrapped if isinstance(self.env, Wrapper) else self.env

    @property
    def layer(self) -> int:
        """How many wrappers there are inside."""
        return self.env.layer + 1 if isinstance(self.env, Wrapper) else 0

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        """Most steps of one episode."""
        return self.env.max_steps

    @property
    def solved_return(self) -> float | None:  # type: ignore[override]
        """Return from which on the task counts as solved; None where there is none, or rewards are changed."""
        return self.env.solved_return

    @property
    def shorter_is_better(self) -> bool:  # type: ignore[override]
        """Whether a better policy ends its episodes sooner."""
        return self.env.shorter_is_better

    @property
    def costly_reset(self) -> bool:  # type: ignore[override]
        """Whether a reset takes far longer than a step."""
        return self.env.costly_reset

    @property
    def distinct_starts(self) -> int | None:  # type: ignore[override]
        """How many different starts there are; None: no two episodes share one."""
        return self.env.distinct_starts

    @property
    def observation_space(self) -> Space:
        """The space of observations."""
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        """The space of actions."""
        return self.env.action_space

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """Starts an episode."""
        return self.env.reset(key)

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step."""
        return self.env.step(state, action, key)

    def action_mask(self, state: Any) -> jax.Array | None:
        """The allowed actions (see `jaxrl.masks`); None where all are, always."""
        return self.env.action_mask(self.inner(state))

    def observed_mask(self, obs: Any) -> jax.Array | None:
        """The allowed actions, bool[n], where an observation shows them; else None."""
        return self.env.observed_mask(obs)

    def random_action(self, state: Any, uniform: jax.Array) -> jax.Array:
        """One of the allowed actions, by a number f32[] uniform in [0, 1), or one for each choice."""
        return self.env.random_action(self.inner(state), uniform)

    def render(self, state: Any) -> np.ndarray:
        """Draws the state of the environment inside: uint8[height, width, 3]."""
        return self.env.render(self.inner(state))


def innermost(env: Environment, state: Any) -> tuple[Environment, Any]:
    """The innermost environment and its state, by an environment and its."""
    if isinstance(env, Wrapper):
        return innermost(env.env, env.inner(state))
    return env, state


@pytree
class WrapperState:
    """The state of a wrapper that remembers something.

    Attributes:
      inner: the state of the environment inside.
      extra: what the wrapper remembers, as its docstring lists it.
    """

    inner: Any
    extra: Any


@pytree
class StatefulWrapper(Wrapper):
    """Base class of wrappers that remember something: their state is a `WrapperState`."""

    def inner(self, state: WrapperState) -> Any:
        """The state of the environment inside."""
        return state.inner


@pytree
class ObservationWrapper(Wrapper):
    """Base class of wrappers that turn each observation into another one."""

    def observe(self, obs: Any) -> Any:
        """The observation in place of that of the environment inside."""
        raise NotImplementedError(f"{type(self).__name__} has no observe(obs)")

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """Starts an episode."""
        state, obs = self.env.reset(key)
        return state, self.observe(obs)

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step."""
        state, step = self.env.step(state, action, key)
        return state, dataclasses.replace(step, obs=self.observe(step.obs))

    def observed_mask(self, obs: Any) -> jax.Array | None:
        """None: the observation may no longer show the mask."""
        return None


@pytree
class RewardWrapper(Wrapper):
    """Base class of wrappers that turn each reward into another one."""

    def reward(self, reward: jax.Array) -> jax.Array:
        """The reward f32[] in place of that of the environment inside."""
        raise NotImplementedError(f"{type(self).__name__} has no reward(reward)")

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step."""
        state, step = self.env.step(state, action, key)
        return state, dataclasses.replace(step, reward=self.reward(step.reward))

    @property
    def solved_return(self) -> float | None:  # type: ignore[override]
        """None: returns are others than those of the environment inside."""
        return None


def box_observations(wrapper: Wrapper) -> Box:
    """The observation space of the environment inside, which must be a `Box`."""
    space = wrapper.env.observation_space
    if not isinstance(space, Box):
        wrapper.refuse(
            f"it needs Box observations, and these are {shown(space)}: wrap it in FlattenObservation first, which "
            "makes them vectors"
        )
    return space


def box_actions(wrapper: Wrapper) -> Box:
    """The action space of the environment inside, which must be a `Box` with finite bounds."""
    space = wrapper.env.action_space
    if not isinstance(space, Box):
        wrapper.refuse(f"it needs continuous actions, and these are {shown(space)}: leave this wrapper out")
    if not finite_bounds(space).all():
        wrapper.refuse(
            "it needs finite bounds of actions, and these are unbounded: give the environment's action_space finite "
            "low and high"
        )
    return space


def finite_bounds(space: Box) -> np.ndarray:
    """Which elements of a `Box` have a finite lower and upper bound: bool[*shape]."""
    low, high = (np.broadcast_to(np.asarray(bound), space.shape) for bound in (space.low, space.high))
    return np.isfinite(low) & np.isfinite(high)


def require_range(wrapper: Wrapper, low: Any, high: Any) -> None:
    """Raises a ValueError where `low` is not below `high`."""
    if not np.all(np.asarray(low) < np.asarray(high)):
        raise ValueError(f"{type(wrapper).__name__}.low = {shown(low)} must be less than high = {shown(high)}")


def has_masks(env: Environment) -> bool:
    """Whether an environment ever forbids actions."""
    return jax.eval_shape(lambda key: env.action_mask(env.reset(key)[0]), jax.random.key(0)) is not None


def refuse_shaped(wrapper: Wrapper) -> None:
    """Refuses an environment with a leaf of the agent's inside, such as the discount of `PotentialShaping`.

    What potential-based shaping promises holds for each reward as it is, at each step.
    """
    env = wrapper.env
    while isinstance(env, Wrapper):
        if env.agent_fields:
            wrapper.refuse(
                f"it would change the rewards of {type(env).__name__}, which then would no longer keep the optimal "
                f"policy: put {type(env).__name__} around {type(wrapper).__name__}"
            )
        env = env.env


def given_shape(wrapper: Wrapper, field: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What the function in a field gives, in shapes alone, when it is called by `call`.

    Raises:
      TypeError: it is no function, or can't be traced.
    """
    function = getattr(wrapper, field)
    name = f"{type(wrapper).__name__}.{field} = {shown(function)}"
    if not callable(function):
        raise TypeError(f"{name} must be a function")
    try:
        return jax.eval_shape(call, *arguments)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise TypeError(
            f"{name} can't be traced on {name_of(wrapper.env)}: {type(error).__name__}: {lines[0]}"
        ) from error
