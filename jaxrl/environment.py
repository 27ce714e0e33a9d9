"""The environment contract, and the only place that ends episodes.

An environment is pure and unbatched, and never resets itself. `step_episode` adds the time limit for every environment
alike, and `jaxrl.rollout` the automatic reset: the transition that an agent learns from holds the *true* successor
observation, from before the reset, and the next decision is made from the observation after it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import masks
from jaxrl.pytree import pytree
from jaxrl.spaces import Space
from jaxrl.validation import check_static

FAULTS = {"reward": 1, "observation": 2, "mask": 4}
"""What an environment may do wrong in a step: a reward or an observation that is not finite, a mask that allows no
action although the episode goes on. The numbers add up, so that one says all of them."""


@pytree
class TimeStep:
    """What one step of an environment returns.

    Attributes:
      obs: the observation after the step, before any reset.
      reward: f32[].
      terminated: bool[], the episode ended by the environment's own rules: the value of `obs` is 0.
      truncated: bool[], the episode was cut off: the value of `obs` is not 0. The time limit
        `max_steps` is not the environment's business; the engine adds it.
      info: scalars for people; nothing learns from them.
    """

    obs: Any
    reward: Any
    terminated: Any
    truncated: Any = False
    info: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ExactScore:
    """How good a policy is in an environment whose episodes can all be played.

    Attributes:
      score: f32[] of a function that gives the policy (`jaxrl.rollout.Policy`) for so many environments; it can be
        traced, and batched over policies.
      meaning: what the number is, for tables, such as "mean strikes over all 120 placements".
      fewer_is_better: whether a lower score is better.
    """

    score: Callable[[Callable[[int], Any]], jax.Array]
    meaning: str
    fewer_is_better: bool = False


class Environment:
    """Base class of environments: subclass it, decorate with `jaxrl.pytree`, define the methods.

    Leaves are the physics, and may differ from member to member; static fields set shapes. A
    subclass must have `max_steps`, the most steps of one episode (an int, static).
    """

    max_steps: int
    solved_return: float | None = None
    """Undiscounted return from which on people call it solved, if they agree on one."""
    shorter_is_better: bool = False
    """Whether a better policy ends its episodes sooner."""
    costly_reset: bool = False
    """Whether a reset takes far longer than a step. Starts are then drawn ahead in a reserve that all environments of
    a member take from, so that hardly one is drawn in vain; it takes the memory of as many states."""
    distinct_starts: int | None = None
    """How many different starts there are, each of which many episodes may share; None: no two episodes share one,
    unless the reset ignores its key."""
    exact_score: ExactScore | None = None
    """How to score policies by all episodes that there may be, for an environment with few; may be a property."""
    agent_fields: ClassVar[tuple[str, ...]] = ()
    """Leaves that must be those of the agent that learns here, by the same names; None there takes the agent's."""

    def __post_init__(self) -> None:
        if dataclasses.is_dataclass(self):
            check_static(self)
        if self.distinct_starts is not None and (type(self.distinct_starts) is not int or self.distinct_starts < 1):
            raise ValueError(
                f"{type(self).__name__}.distinct_starts = {self.distinct_starts!r} must be None or an int of at least 1"
            )

    @property
    def observation_space(self) -> Space:
        """The space that holds every observation."""
        raise NotImplementedError(f"{type(self).__name__} has no observation_space")

    @property
    def action_space(self) -> Space:
        """The space of actions."""
        raise NotImplementedError(f"{type(self).__name__} has no action_space")

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """Starts an episode: returns (state, observation)."""
        raise NotImplementedError(f"{type(self).__name__} has no reset(key)")

    def step(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """Takes one step: returns (state, TimeStep)."""
        raise NotImplementedError(f"{type(self).__name__} has no step(state, action, key)")

    def action_mask(self, state: Any) -> jax.Array | None:
        """The allowed actions; None where all are, always.

        A flag for each action of a `Discrete` space, bool[n]; of a `MultiDiscrete` one bool[sum(counts)], the flags of
        each choice one choice behind the other.
        """
        return None

    def observed_mask(self, obs: Any) -> jax.Array | None:
        """The allowed actions, as `action_mask` gives them, where an observation shows them; else None.

        Exported policies read the mask off the observation by it, and need no input for it.
        """
        return None

    def random_action(self, state: Any, uniform: jax.Array) -> jax.Array:
        """One of the actions that `action_mask` allows, by a number f32[] uniform in [0, 1), or f32[len(counts)].

        Asked only where there is a mask. Needs no overriding but for speed, where an allowed action is cheaper to
        find than the whole mask.
        """
        space: Any = self.action_space
        mask = self.action_mask(state)
        assert mask is not None
        return masks.draw_allowed(space, mask, uniform)

    def render(self, state: Any) -> np.ndarray:
        """Draws one state for people, outside of any traced code: uint8[height, width, 3]."""
        raise NotImplementedError(f"{type(self).__name__} has no render(state)")


def name_of(env: Environment) -> str:
    """The name of an environment's class, with those of the environments inside: "TimeAware(FrameStack(CartPole))".

    One of another library has a `full_name`, such as "gymnax:CartPole-v1".
    """
    inside = getattr(env, "env", None)
    name = type(env).__name__
    return f"{name}({name_of(inside)})" if isinstance(inside, Environment) else getattr(env, "full_name", name)


@pytree
class Episode:
    """An episode under way.

    Attributes:
      state: the environment's state.
      obs: the observation that the next decision is made from.
      mask: the allowed actions in `state`, as `Environment.action_mask` gives them.
      length: i32[], steps taken.
      episode_return: f32[], the undiscounted sum of rewards so far.
    """

    state: Any
    obs: Any
    mask: Any
    length: jax.Array
    episode_return: jax.Array


@pytree
class Transition:
    """One step as an agent learns from it.

    Attributes:
      obs, mask: what the decision was made from.
      action: the action taken.
      reward: f32[].
      next_obs, next_mask: the true successor, from before any reset.
      terminated: bool[]; stops bootstrapping.
      truncated: bool[], by the environment or by the time limit; never stops bootstrapping.
      length: i32[], steps of this episode up to and with this one.
      episode_return: f32[], the sum of rewards up to and with this step.
      faults: bool[] by the names of `FAULTS`, whether the environment committed them in this step; None for one that
        it can't commit, or where nobody looked.
    """

    obs: Any
    mask: Any
    action: Any
    reward: jax.Array
    next_obs: Any
    next_mask: Any
    terminated: jax.Array
    truncated: jax.Array
    length: jax.Array
    episode_return: jax.Array
    faults: dict[str, jax.Array | None] | None = None

    @property
    def ended(self) -> jax.Array:
        """bool[], whether the episode is over, for either reason."""
        return self.terminated | self.truncated


def start_episode(env: Environment, key: jax.Array) -> Episode:
    """Starts an episode of `env`."""
    return episode_from(env, *env.reset(key))


def episode_from(env: Environment, state: Any, obs: Any) -> Episode:
    """The episode that begins in a given state."""
    return Episode(
        state=state,
        obs=obs,
        mask=env.action_mask(state),
        length=jnp.zeros((), jnp.int32),
        episode_return=jnp.zeros((), jnp.float32),
    )


def step_episode(env: Environment, episode: Episode, action: Any, key: jax.Array) -> tuple[Episode, Transition]:
    """Takes one step without any reset: the time limit is applied, the episode may be over."""
    state, step = env.step(episode.state, action, key)
    length = episode.length + 1
    episode_return = episode.episode_return + step.reward
    mask = env.action_mask(state)
    truncated = step.truncated | (length >= env.max_steps)
    space: Any = env.action_space
    stuck = None if mask is None else ~(step.terminated | truncated) & ~masks.allows_any(space, mask)
    transition = Transition(
        obs=episode.obs,
        mask=episode.mask,
        action=action,
        reward=step.reward,
        next_obs=step.obs,
        next_mask=mask,
        terminated=step.terminated,
        truncated=truncated,
        length=length,
        episode_return=episode_return,
        faults=_faults(step.reward, (episode.obs, step.obs), stuck, action),
    )
    return Episode(state, step.obs, mask, length, episode_return), transition


def _faults(reward: Any, observations: Any, stuck: Any, action: Any) -> dict[str, jax.Array | None]:
    """Which of `FAULTS` an environment committed in a step: bool[] each. Costs nothing where nobody reads it.

    `stuck`: bool[], whether the episode goes on where the mask allows no action; None where there is no mask.
    What follows from an action that is not finite is the fault of who chose it.
    """
    sound = _is_finite(action)
    return {
        "reward": sound & ~jnp.isfinite(reward),
        "observation": sound & ~_is_finite(observations),
        "mask": None if stuck is None else sound & stuck,
    }


def _is_finite(tree: Any) -> jax.Array:
    """Whether all real numbers in a tree are finite: bool[]."""
    real = [x for x in map(jnp.asarray, jax.tree.leaves(tree)) if jnp.issubdtype(x.dtype, jnp.floating)]
    return functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(x)) for x in real], jnp.bool_(True))
