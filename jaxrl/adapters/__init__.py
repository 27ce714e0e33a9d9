"""Environments of other libraries for jaxrl's agents, and jaxrl's environments for other libraries' agents.

Nothing of them is imported before it is asked for.
"""

from typing import TYPE_CHECKING, Any

from jaxrl.adapters.brax import from_brax
from jaxrl.adapters.gymnasium import from_gymnasium
from jaxrl.adapters.gymnax import from_gymnax
from jaxrl.adapters.jumanji import from_jumanji
from jaxrl.adapters.library import Library
from jaxrl.adapters.pgx import from_pgx
from jaxrl.adapters.playground import from_playground
from jaxrl.environment import Environment

if TYPE_CHECKING:
    from jaxrl.adapters.to_gymnasium import GymnasiumEnv
    from jaxrl.adapters.to_gymnasium_vector import VectorEnv
    from jaxrl.adapters.to_stable_baselines3 import StableBaselines3Env

_GYMNASIUM = Library("gymnasium")
_STABLE_BASELINES3 = Library("stable-baselines3", "stable_baselines3")


def gymnasium_env(env: Environment | str, render_mode: str | None = None) -> "GymnasiumEnv":
    """A jaxrl environment as a `gymnasium.Env`.

    Args:
      env: an environment, or its name.
      render_mode: None or "rgb_array".

    Raises:
      ImportError: Gymnasium is missing.
      TypeError: it is no environment.
      ValueError: an argument is none of those.
    """
    _GYMNASIUM.load()
    from jaxrl.adapters.to_gymnasium import GymnasiumEnv

    return GymnasiumEnv(env, render_mode)


def gymnasium_vector_env(env: Environment | str, num_envs: int, **options: Any) -> "VectorEnv":
    """Many of a jaxrl environment as one `gymnasium.vector.VectorEnv`, stepped by one compiled call.

    Args:
      env: an environment, or its name.
      num_envs: how many.
      **options: `autoreset_mode` ("NextStep", as by default, or "SameStep"), `render_mode` (None or "rgb_array"), and
        `copy`: whether the arrays that a step gives may be written to; else they are JAX's own where those lie in the
        host's memory, and read-only.

    Raises:
      ImportError: Gymnasium is missing.
      TypeError: it is no environment.
      ValueError: an argument is none of those.
    """
    _GYMNASIUM.load()
    from jaxrl.adapters.to_gymnasium_vector import VectorEnv

    return VectorEnv(env, num_envs, **options)


def stable_baselines3_env(
    env: Environment | str, num_envs: int, render_mode: str | None = None
) -> "StableBaselines3Env":
    """Many of a jaxrl environment as one `VecEnv` of Stable-Baselines3, stepped by one compiled call.

    Args:
      env: an environment, or its name.
      num_envs: how many.
      render_mode: None or "rgb_array".

    Raises:
      ImportError: Stable-Baselines3 is missing.
      TypeError: it is no environment.
      ValueError: an argument is none of those.
    """
    _STABLE_BASELINES3.load()
    from jaxrl.adapters.to_stable_baselines3 import StableBaselines3Env

    return StableBaselines3Env(env, num_envs, render_mode)


__all__ = [
    "from_brax",
    "from_gymnasium",
    "from_gymnax",
    "from_jumanji",
    "from_pgx",
    "from_playground",
    "gymnasium_env",
    "gymnasium_vector_env",
    "stable_baselines3_env",
]
