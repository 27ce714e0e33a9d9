"""jumanji's environments.

An episode is over at a step of the type LAST: terminated where its discount is 0, truncated where it is not.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.adapters.library import Adapted, Instance, Library, built, require_arguments, sorted_options
from jaxrl.adapters.spaces import action_space_of
from jaxrl.environment import TimeStep
from jaxrl.pytree import pytree
from jaxrl.spaces import Box, Discrete, MultiDiscrete, Space

WITHOUT_LIMIT = 10_000
"""The time limit of environments that declare none: all of them end by themselves long before."""


@pytree
class Jumanji(Adapted):
    """An environment of jumanji.

    The observation is jumanji's without its mask, which becomes `action_mask` where it has a flag for each of the
    actions (those of several numbers have no mask): where the rest is one array, that array; else its parts joined,
    f32[n]. Time limits are jumanji's, most of which terminate; `max_steps`, which
    truncates, lies beyond them unless it is given.
    """

    costly_reset = True
    library = Library("jumanji", "jumanji")

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """The environment object of jumanji."""
        return Jumanji.library.load().make(name, **options)

    @property
    def action_space(self) -> Space:
        """As jumanji has it."""
        spec = self.original.action_spec
        if getattr(spec, "num_values", None) is not None and len(spec.shape) < 2:
            counts = np.asarray(spec.num_values)
            return MultiDiscrete(tuple(counts.tolist())) if counts.ndim else Discrete(int(counts))
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
        after, step = self.original.step(state[0], action)
        obs, mask = self._parts(step.observation)
        last, goes_on = step.last(), jnp.any(step.discount > 0)
        return (after, mask), TimeStep(obs, step.reward, last & ~goes_on, last & goes_on, step.extras or {})

    def action_mask(self, state: Any) -> jax.Array | None:
        """The mask in the observation, where that is one of the actions."""
        return state[1]

    def _parts(self, observation: Any) -> tuple[Any, Any]:
        """An observation without its mask, and the mask."""
        names = getattr(observation, "_fields", None) or getattr(observation, "__dataclass_fields__", None)
        if names is None or "action_mask" not in names:
            return observation, None
        mask, space = observation.action_mask, self.action_space
        rest = {name: getattr(observation, name) for name in names if name != "action_mask"}
        fits = isinstance(space, Discrete) and mask.shape == (space.n,)
        return rest, mask.astype(bool) if fits else None


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
