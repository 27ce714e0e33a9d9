"""brax's environments.

As `brax.envs.get_environment` makes them: `create` would add a time limit and a reset of its own. A reset computes
the physics of a whole start, so starts come from the reserve.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.adapters.library import Adapted, Instance, Library, built, require_arguments, sorted_options
from jaxrl.environment import TimeStep
from jaxrl.pytree import pytree
from jaxrl.spaces import Box

DEFAULT_MAX_STEPS = 1000
"""The time limit that brax's own training uses."""


@pytree
class Brax(Adapted):
    """An environment of brax; its state is brax's, and the time limit is jaxrl's, 1,000 steps by default.

    Observations in several parts are a dictionary of them.
    """

    costly_reset = True
    library = Library("brax")

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """The environment object of brax."""
        return Brax.library.load("envs").get_environment(name, **options)

    @property
    def action_space(self) -> Box:
        """From -1 to 1, as brax's agents act; environments scale it themselves."""
        return Box(-1.0, 1.0, (self.original.action_size,), jnp.float32)

    def begin(self, key: jax.Array) -> tuple[Any, Any]:
        """As brax does."""
        state = self.original.reset(key)
        return state, state.obs

    def advance(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """As brax does: every end terminates."""
        after = self.original.step(state, action)
        return after, TimeStep(after.obs, after.reward, after.done, False, after.metrics)


def make(name: str, max_steps: int = DEFAULT_MAX_STEPS, **options: Any) -> Brax:
    """`jaxrl.make("brax:NAME", ...)`.

    Args:
      name: brax's, such as "ant".
      max_steps: the time limit.
      **options: arguments of the environment's class, such as backend="spring".

    Raises:
      ImportError: brax is missing.
      ValueError: no such environment, or no such argument.
    """
    library = Brax.library
    known = library.load("envs")._envs
    library.require_name(name, known)
    require_arguments(f"brax:{name}", known[name], {k: v for k, v in options.items() if k not in _PIPELINE})
    built(Brax, name, sorted_options(options))
    return Brax(name, sorted_options(options), None, library.version, max_steps)


def from_brax(env: Any, max_steps: int = DEFAULT_MAX_STEPS) -> Brax:
    """Adapts an environment object of brax, which can be trained on, but neither stored nor resumed.

    Args:
      env: without wrappers that limit or reset episodes.
      max_steps: the time limit.

    Raises:
      ImportError: brax is missing.
      TypeError: it is no environment of brax.
    """
    if not isinstance(env, Brax.library.load("envs").Env):
        raise TypeError(f"env = {env!r} must be an environment of brax, as brax.envs.get_environment gives")
    name = type(env.unwrapped).__name__
    return Brax(name, (), Instance(env), Brax.library.version, max_steps)


_PIPELINE = ("backend", "n_frames", "debug")
"""Arguments that the classes pass on to their base."""
