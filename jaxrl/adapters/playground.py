"""MuJoCo Playground's environments.

As `mujoco_playground.registry.load` makes them: its wrappers for training would add a time limit and a reset of their
own. Those of the DM control suite need nothing but the package; the others download their robots when they are made.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.adapters.brax import Brax
from jaxrl.adapters.library import Instance, Library, built, require_options, sorted_options
from jaxrl.environment import TimeStep
from jaxrl.pytree import pytree

_TRAINERS = {"action_repeat": "jaxrl.wrappers.ActionRepeat(env, k)", "episode_length": "max_steps"}
"""Entries of a configuration that Playground's wrappers for training obey, and what does the same here."""


@pytree
class Playground(Brax):
    """An environment of MuJoCo Playground, whose interface is that of brax; the time limit is jaxrl's.

    Playground's `done` has two causes. Where a robot fell over, the episode terminates. Where the simulation went to
    numbers that are not finite, which is all that ends an episode of the DM control suite, nothing of the task has
    ended and no true successor exists: the episode is truncated with the last observation and no reward, and
    info["diverged"] says so.
    """

    library = Library("playground", "mujoco_playground")

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """The environment object of Playground, for JAX's own simulation where `impl` is not given."""
        # Playground's default, Warp, is for one GPU of NVIDIA: elsewhere it runs sequentially.
        return Playground.library.load().registry.load(name, config_overrides={"impl": "jax", **options})

    def advance(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """As Playground does, with the two ends apart."""
        after = self.original.step(state, action)
        diverged = ~(jnp.all(jnp.isfinite(after.data.qpos)) & jnp.all(jnp.isfinite(after.data.qvel)))
        obs = jax.tree.map(lambda last, obs: jnp.where(diverged, last, obs), state.obs, after.obs)
        reward = jnp.where(diverged, 0, after.reward)
        terminated = (after.done > 0) & ~diverged
        return after, TimeStep(obs, reward, terminated, diverged, {**after.metrics, "diverged": diverged})


def make(name: str, max_steps: int | None = None, **options: Any) -> Playground:
    """`jaxrl.make("playground:NAME", ...)`.

    Args:
      name: Playground's, such as "CartpoleBalance".
      max_steps: the time limit; None for the `episode_length` of Playground's configuration.
      **options: entries of its configuration, in place of theirs, such as ctrl_dt=0.02.

    Raises:
      ImportError: MuJoCo Playground is missing.
      ValueError: no such environment, or no such entry.
    """
    library = Playground.library
    registry = library.load().registry
    library.require_name(name, registry.ALL_ENVS)
    config = registry.get_default_config(name)
    for key in options.keys() & _TRAINERS.keys():
        raise ValueError(
            f"playground:{name} would ignore {key!r}, which Playground's own training obeys: use {_TRAINERS[key]}"
        )
    require_options(f"playground:{name}", [key for key in config if key not in _TRAINERS], options)
    built(Playground, name, sorted_options(options))
    limit = config.episode_length if max_steps is None else max_steps
    return Playground(name, sorted_options(options), None, library.version, limit)


def from_playground(env: Any, max_steps: int | None = None) -> Playground:
    """Adapts an environment object of MuJoCo Playground, which can be trained on, but neither stored nor resumed.

    Args:
      env: without wrappers that limit or reset episodes; made with `config_overrides={"impl": "jax"}` unless it is for
        one GPU of NVIDIA.
      max_steps: the time limit; None for that of its configuration.

    Raises:
      ImportError: MuJoCo Playground is missing.
      TypeError: it is no environment of Playground.
    """
    if not isinstance(env, Playground.library.load().MjxEnv):
        raise TypeError(
            f"env = {env!r} must be an environment of MuJoCo Playground, as mujoco_playground.registry.load gives"
        )
    limit = env.unwrapped._config.episode_length if max_steps is None else max_steps
    return Playground(type(env.unwrapped).__name__, (), Instance(env), Playground.library.version, limit)
