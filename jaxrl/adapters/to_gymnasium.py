"""A jaxrl environment as a `gymnasium.Env`."""

from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces

from jaxrl.adapters.stepping import Informed, checked_environment
from jaxrl.arguments import shown
from jaxrl.environment import Environment, start_episode, step_episode
from jaxrl.masks import split_choices
from jaxrl.random_bits import split
from jaxrl.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple, map_arrays

RENDER_MODES, RENDER_FPS = ("rgb_array",), 30


def gymnasium_space(space: Space) -> gymnasium.Space:
    """The same space in Gymnasium's classes."""
    if isinstance(space, Dict):
        return spaces.Dict({name: gymnasium_space(part) for name, part in space.spaces.items()})
    if isinstance(space, Tuple):
        return spaces.Tuple(list(map(gymnasium_space, space.spaces)))
    if isinstance(space, Discrete):
        return spaces.Discrete(space.n)
    if isinstance(space, MultiDiscrete):
        return spaces.MultiDiscrete(np.asarray(space.counts))
    if np.dtype(space.dtype) == np.bool_:
        return spaces.MultiBinary(space.shape)
    kind: Any = np.dtype(space.dtype).type
    low, high = bounds(space)
    return spaces.Box(low, high, dtype=kind)


def gymnasium_dtypes(space: Space) -> Any:
    """The dtypes of the arrays of an element in Gymnasium, in its structure: its discrete numbers have 64 bits."""
    return map_arrays(lambda part: np.dtype(gymnasium_space(part).dtype), space)


def bounds(space: Box) -> list[np.ndarray]:
    """Both bounds as arrays of the space's shape and dtype."""
    return [np.broadcast_to(np.asarray(x, space.dtype), space.shape) for x in (space.low, space.high)]


def checked_render_mode(mode: Any) -> str | None:
    """Raises a ValueError where it is neither None nor "rgb_array"."""
    if mode is not None and mode not in RENDER_MODES:
        raise ValueError(f"render_mode = {shown(mode)} must be None or 'rgb_array'")
    return mode


class GymnasiumEnv(gymnasium.Env):
    """One environment, with NumPy on the outside.

    The time limit truncates; `info` has what the environment says of a step, and "action_mask" where not all actions
    are allowed: i8[n] as `Discrete.sample` takes it, a tuple with one for each choice as `MultiDiscrete.sample` does.
    """

    metadata = {"render_modes": [*RENDER_MODES], "render_fps": RENDER_FPS}  # noqa: RUF012  As Gymnasium declares it.

    def __init__(self, env: Environment | str, render_mode: str | None = None) -> None:
        self.render_mode = checked_render_mode(render_mode)
        self._env = checked_environment(env)
        self.observation_space = gymnasium_space(self._env.observation_space)
        self.action_space = gymnasium_space(self._env.action_space)
        self._episode: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; the same seed gives the same one."""
        super().reset(seed=seed)
        self._key = jax.random.key(int(self.np_random.integers(2**32)))
        self._key, self._episode = _start(self._env, self._key)
        return self._observation(), self._with_mask({})

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes one step.

        Raises:
          gymnasium.error.ResetNeeded: before the first reset.
          ValueError: the action is not in the action space.
        """
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("call reset before the first step")
        space: Any = self._env.action_space
        action = np.asarray(action, space.dtype)
        if action.shape != space.shape or not bool(space.contains(action)):
            raise ValueError(f"action = {shown(action)} is not in {self.action_space}")
        self._key, self._episode, transition = _step(self._env, self._episode, action, self._key)
        info = {name: value.item() for name, value in jax.device_get(self._episode.state.extra).items()}
        flags = bool(transition.terminated), bool(transition.truncated)
        return self._observation(), float(transition.reward), *flags, self._with_mask(info)

    def render(self) -> np.ndarray | None:
        """Draws the state, u8[height, width, 3], where the environment was made with render_mode="rgb_array"."""
        if self.render_mode is None or self._episode is None:
            return None
        return self._env.render(self._episode.state.inner)

    def _observation(self) -> Any:
        def of_gymnasium(space: Space, array: jax.Array) -> Any:
            return int(array) if isinstance(space, Discrete) else np.array(array)

        return map_arrays(of_gymnasium, self._env.observation_space, self._episode.obs)

    def _with_mask(self, info: dict[str, Any]) -> dict[str, Any]:
        if self._episode.mask is None:
            return info
        mask, space = self._episode.mask, self._env.action_space
        if isinstance(space, MultiDiscrete):
            mask = tuple(split_choices(mask, space))
        return {**info, "action_mask": jax.tree.map(lambda x: np.asarray(x, np.int8), mask)}


@jax.jit
def _start(env: Environment, key: jax.Array) -> tuple[jax.Array, Any]:
    following, start_key = split(key, 2)
    return following, start_episode(Informed(env), start_key)


@jax.jit
def _step(env: Environment, episode: Any, action: Any, key: jax.Array) -> tuple[jax.Array, Any, Any]:
    following, step_key = split(key, 2)
    return following, *step_episode(Informed(env), episode, action, step_key)
