"""What every agent is, and the one step of play that all of them collect with."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxrl.checks import check_static
from jaxrl.environment import Environment, Episode, Transition, advance, start
from jaxrl.pytree import pytree
from jaxrl.spaces import Discrete

Act = Callable[[Any, Any, jax.Array], jax.Array]
"""(observations[envs, ...], masks bool[envs, n] or None, key) -> actions[envs, ...]."""


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

    total: jax.Array
    count: jax.Array

    @staticmethod
    def of(values: jax.Array, weights: jax.Array) -> "Mean":
        """The weighted mean of an array of any shape."""
        weights = weights.astype(jnp.float32)
        return Mean(jnp.sum(jnp.where(weights > 0, values * weights, 0)), jnp.sum(weights))


Metrics = dict[str, Mean]


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
        """One iteration of collecting and learning. `metrics["steps"]` totals the environment steps."""
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


def masked(values: jax.Array, mask: Any) -> jax.Array:
    """`values` with the least finite number wherever `mask` forbids the action.

    Allowed actions stay above that even at minus infinity. A mask that allows nothing, such as that of a
    state in which the episode is over, forbids nothing.
    """
    if mask is None:
        return values
    least = jnp.finfo(values.dtype).min
    allowed = mask | ~jnp.any(mask, axis=-1, keepdims=True)
    return jnp.where(allowed, jnp.maximum(values, least / 2), least)


def start_all(env: Environment, key: jax.Array, num_envs: int) -> Episode:
    """Starts `num_envs` episodes: leaves `[num_envs, ...]`."""
    return jax.vmap(lambda k: start(env, k))(jax.random.split(key, num_envs))


def numbered_keys(key: jax.Array, number: jax.Array, count: int) -> jax.Array:
    """Keys of their own for every number: keys[count]. No other use may be made of `key`.

    All are made in one pass of the random generator, which is most of the cost of a cheap environment.

    Args:
      key: one key.
      number: i32[]; `count * number` must stay below 2^32.
      count: always the same for this key.
    """
    first = number.astype(jnp.uint32) * count
    return jax.vmap(lambda place: jax.random.fold_in(key, first + place))(jnp.arange(count, dtype=jnp.uint32))


def keys_to_play(num_envs: int) -> int:
    """How many keys `play` takes."""
    return 1 + 2 * num_envs


def play(env: Environment, episodes: Episode, act: Act, keys: jax.Array) -> tuple[Episode, Transition]:
    """One step of every episode, with the automatic reset: leaves `[envs, ...]`.

    Args:
      env: the environment.
      episodes: leaves `[envs, ...]`.
      act: chooses the actions.
      keys: `[keys_to_play(envs)]`.
    """
    num_envs = episodes.length.shape[0]
    actions = act(episodes.obs, episodes.mask, keys[0])
    step = jax.vmap(lambda e, a, step_key, reset_key: advance(env, e, a, step_key, reset_key))
    return step(episodes, actions, keys[1 : 1 + num_envs], keys[1 + num_envs :])


def collect(env: Environment, episodes: Episode, act: Act, keys: jax.Array) -> tuple[Episode, Transition]:
    """Plays one step for every row of `keys [steps, keys_to_play(envs)]`: transitions `[steps, envs, ...]`."""
    if len(keys) == 1:
        episodes, transitions = play(env, episodes, act, keys[0])
        return episodes, jax.tree.map(lambda x: x[None], transitions)
    return jax.lax.scan(lambda e, k: play(env, e, act, k), episodes, keys)


def episode_metrics(transitions: Transition, valid: Any = True) -> Metrics:
    """Steps taken, and the mean return and length of the episodes that ended."""
    valid = jnp.broadcast_to(valid, transitions.reward.shape)
    ended = transitions.ended & valid
    return {
        "steps": Mean(jnp.sum(valid, dtype=jnp.float32), jnp.ones((), jnp.float32)),
        "episode_return": Mean.of(transitions.episode_return, ended),
        "episode_length": Mean.of(transitions.length.astype(jnp.float32), ended),
    }


@jax.custom_batching.custom_vmap
def any_member(flag: jax.Array) -> jax.Array:
    """Whether `flag` holds for any member: bool[], never batched.

    A loop may run on this under `vmap` without turning into a select over all that it carries.
    """
    return flag


@any_member.def_vmap
def _any_member_batched(axis_size: int, in_batched: list[bool], flag: jax.Array) -> tuple[jax.Array, bool]:
    del axis_size
    return any_member(jnp.any(flag, axis=0) if in_batched[0] else flag), False
