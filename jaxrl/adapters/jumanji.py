"""jumanji's environments.

An episode is over at a step of the type LAST: terminated where its discount is 0, truncated where it is not.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.adapters.library import Adapted, Instance, Library, built, require_arguments, sorted_options
from jaxrl.adapters.spaces import action_space_of, plain
from jaxrl.environment import TimeStep
from jaxrl.masks import Choices, counts_of
from jaxrl.pytree import pytree
from jaxrl.spaces import Box, Discrete, MultiDiscrete, Space

WITHOUT_LIMIT = 10_000
"""The time limit of environments that declare none: all of them end by themselves long before."""


@pytree
class Jumanji(Adapted):
    """An environment of jumanji.

    The observation is jumanji's without its mask: where one array is left, that array; else a dictionary of the
    parts by their names. Whole numbers stay numbers, whatever jumanji's specification says of their count, because
    networks would read each of thousands of steps as an input of its own.

    The mask becomes `action_mask`. Where it has a flag for each combination of several choices (Tetris: a rotation
    and a column), the actions are those combinations in one `Discrete` space, the last choice changing fastest; where
    it has flags for each choice alone, they are `MultiDiscrete`, as without a mask.

    Time limits are jumanji's, most of which terminate; `max_steps`, which truncates, lies beyond them unless it is
    given.
    """

    costly_reset = True
    library = Library("jumanji")

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """The environment object of jumanji."""
        return Jumanji.library.load().make(name, **options)

    @property
    def action_space(self) -> Space:
        """As jumanji has it, or the combinations of its choices."""
        spec, counts = self.original.action_spec, self._counts
        if counts is not None and self._masks_combinations:
            return Discrete(math.prod(counts))
        if counts is not None:
            return MultiDiscrete(counts) if spec.shape else Discrete(*counts)
        if hasattr(spec, "minimum") and jnp.issubdtype(spec.dtype, jnp.floating):
            return Box(spec.minimum, spec.maximum, tuple(spec.shape), spec.dtype)
        return action_space_of(spec, self.full_name)

    def begin(self, key: jax.Array) -> tuple[Any, Any]:
        """As jumanji does."""
        state, first = self.original.reset(key)
        obs, mask = self._parts(first.observation)
        return (state, mask), obs

    def advance(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """As jumanji does; its random key is in the state."""
        counts = self._counts
        if counts is not None and self._masks_combinations:
            action = jnp.stack(jnp.unravel_index(action, counts)).astype(self.original.action_spec.dtype)
        after, step = self.original.step(state[0], action)
        obs, mask = self._parts(step.observation)
        last, goes_on = step.last(), jnp.any(step.discount > 0)
        return (after, mask), TimeStep(obs, step.reward, last & ~goes_on, last & goes_on, step.extras or {})

    def action_mask(self, state: Any) -> jax.Array | None:
        """The mask in the observation, where that is one of the actions."""
        return state[1]

    @property
    def _counts(self) -> tuple[int, ...] | None:
        """How many values each number of an action has; None where that is not known."""
        spec = self.original.action_spec
        counts = getattr(spec, "num_values", None)
        return None if counts is None or len(spec.shape) > 1 else tuple(np.atleast_1d(counts).tolist())

    @property
    def _masks_combinations(self) -> bool:
        """Whether jumanji's mask has a flag for each combination of several choices."""
        counts = self._counts
        return counts is not None and len(counts) > 1 and _mask_shape(self.original) == counts

    def _parts(self, observation: Any) -> tuple[Any, Any]:
        """An observation without its mask, and the mask."""
        parts = plain(observation)
        if not isinstance(parts, dict) or "action_mask" not in parts:
            return observation, None
        mask = parts.pop("action_mask").reshape(-1).astype(bool)
        (rest,) = parts.values() if len(parts) == 1 else (parts,)
        space = self.action_space
        return rest, mask if isinstance(space, Choices) and mask.shape == (sum(counts_of(space)),) else None


def make(name: str, max_steps: int | None = None, **options: Any) -> Jumanji:
    """`jaxrl.make("jumanji:NAME", ...)`.

    Args:
      name: jumanji's, such as "Snake-v1".
      max_steps: a time limit besides jumanji's; None for none.
      **options: arguments of the environment's class, such as `num_rows` of Snake.

    Raises:
      ImportError: jumanji is missing.
      ValueError: no such environment, no such argument, or an action space that jaxrl does not have.
    """
    library = Jumanji.library
    library.require_name(name, library.load().registered_environments())
    require_arguments(f"jumanji:{name}", type(built(Jumanji, name, ())), options)
    return _adapted(name, sorted_options(options), None, max_steps)


def from_jumanji(env: Any, max_steps: int | None = None) -> Jumanji:
    """Adapts an environment object of jumanji, which can be trained on, but neither stored nor resumed.

    Args:
      env: without wrappers that reset episodes.
      max_steps: a time limit besides jumanji's; None for none.

    Raises:
      ImportError: jumanji is missing.
      TypeError: it is no environment of jumanji.
      ValueError: its action space is one that jaxrl does not have.
    """
    if not isinstance(env, Jumanji.library.load("env").Environment):
        raise TypeError(f"env = {env!r} must be an environment of jumanji, as jumanji.make gives")
    return _adapted(type(env.unwrapped).__name__, (), Instance(env), max_steps)


def _adapted(name: str, options: Any, instance: Instance | None, max_steps: int | None) -> Jumanji:
    env = Jumanji(name, options, instance, Jumanji.library.version)
    own = getattr(env.original.unwrapped, "time_limit", None)
    limit = max_steps if max_steps is not None else int(own) + 1 if own else WITHOUT_LIMIT
    env = Jumanji(name, options, instance, Jumanji.library.version, limit)
    _ = env.action_space  # Says at once what can't be played.
    return env


@functools.lru_cache(maxsize=64)
def _mask_shape(env: Any) -> tuple[int, ...] | None:
    """The shape of the mask in an environment's observations; None where there is none."""
    observation = jax.eval_shape(lambda key: plain(env.reset(key)[1].observation), jax.random.key(0))
    mask = observation.get("action_mask") if isinstance(observation, dict) else None
    return None if mask is None else mask.shape
