"""Many of a jaxrl environment as one `VecEnv` of Stable-Baselines3."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from gymnasium.spaces import Box, Dict
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from jaxrl.adapters.stepping import Batch, checked_environment
from jaxrl.adapters.to_gymnasium import checked_render_mode, gymnasium_space
from jaxrl.adapters.to_gymnasium_vector import Actions
from jaxrl.arguments import positive
from jaxrl.environment import Environment
from jaxrl.spaces import ArraySpace, Space, array_names, array_spaces, arrays_of, is_array_space

_METHODS = ("action_masks", "render")


class StableBaselines3Env(VecEnv):
    """Environments side by side, all of them stepped by one compiled call.

    An episode that is over is reset by the step that ends it; the info of that step has "terminal_observation", and
    "TimeLimit.truncated" where it was cut off. `env_method("action_masks")` gives the allowed actions, as the
    maskable agents of sb3-contrib ask for them.

    Observations of several arrays are one dictionary of them, as Stable-Baselines3 has no others; the way to an array
    inside is its name ("lamps_0"). A single continuous number is an array of one, which its networks need.
    """

    def __init__(self, env: Environment | str, num_envs: int, render_mode: str | None = None) -> None:
        self._env = checked_environment(env)
        self._render_mode = checked_render_mode(render_mode)
        self._batch = Batch(self._env, positive("num_envs", num_envs), next_step=False)
        self._given: Any = None
        self._mask: Any = None
        observed = self._env.observation_space
        self._names = () if is_array_space(observed) else _names(observed)
        each = list(map(_space_of_array, array_spaces(observed)))
        self._dtypes, self._shapes = [space.dtype for space in each], [space.shape for space in each]
        space = Dict(dict(zip(self._names, each, strict=True))) if self._names else each[0]
        super().__init__(num_envs, space, gymnasium_space(self._env.action_space))
        self._actions = Actions(self._env.action_space, num_envs)

    def reset(self) -> Any:
        """Starts an episode in every environment, by the seeds of `seed`, if it was called."""
        drawn: Any = np.random.default_rng().integers(2**32, size=self.num_envs).tolist()
        seeds = [drawn[i] if seed is None else seed % 2**32 for i, seed in enumerate(self._seeds)]
        obs, self._mask = self._batch.begin(seeds=np.asarray(seeds, np.uint32))
        self.reset_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return self._observations(obs)

    def step_async(self, actions: np.ndarray) -> None:
        """Checks the actions, and begins a step.

        Raises:
          ValueError: they are of another shape, or not in the action space.
        """
        self._given = self._batch.step(self._actions(actions))

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Ends the step: observations, rewards f32[num_envs], dones bool[num_envs] and infos."""
        outcome = self._given
        self._mask = outcome.mask
        terminated, truncated = np.asarray(outcome.terminated), np.asarray(outcome.truncated)
        cut = (truncated & ~terminated).tolist()
        columns = {name: np.asarray(value).tolist() for name, value in outcome.info.items()}
        infos = [
            {**{name: column[i] for name, column in columns.items()}, "TimeLimit.truncated": cut[i]}
            for i in range(self.num_envs)
        ]
        dones = terminated | truncated
        if dones.any():
            final = self._observations(outcome.final_obs)
            for i in np.flatnonzero(dones).tolist():
                infos[i]["terminal_observation"] = jax.tree.map(lambda x: x[i], final)  # noqa: B023
        return self._observations(outcome.obs), np.array(outcome.reward), dones, infos

    def close(self) -> None:
        """There is nothing to close."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute of the environment, once for each index."""
        value = self._render_mode if attr_name == "render_mode" else getattr(self._env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Not possible.

        Raises:
          AttributeError: always.
        """
        raise AttributeError(
            f"{attr_name!r} can't be set, because the environments are compiled: make them with other parameters, as "
            "in jaxrl.make(name, length=0.7)"
        )

    def env_method(
        self, method_name: str, *method_args: Any, indices: int | Iterable[int] | None = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls "action_masks" (bool[n] for each index) or "render" (u8[height, width, 3] for each index).

        Raises:
          AttributeError: another method.
        """
        places = list(self._get_indices(indices))
        if method_name == "action_masks" and self._mask is not None:
            masks = np.asarray(self._mask)
            return [masks[i] for i in places]
        if method_name == "render":
            images = self.get_images()
            return [images[i] for i in places]
        raise AttributeError(f"environments have no method {method_name!r}; they have: {', '.join(_METHODS)}")

    def env_is_wrapped(self, wrapper_class: Any, indices: int | Iterable[int] | None = None) -> list[bool]:
        """Not in any wrapper of Gymnasium."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Draws every state where made with render_mode="rgb_array"."""
        if self._render_mode is None:
            return [None] * self.num_envs
        states = jax.device_get(self._batch.playing.actors.episodes.state.inner)
        return [self._env.render(jax.tree.map(lambda x: x[i], states)) for i in range(self.num_envs)]  # noqa: B023

    def _observations(self, obs: Any) -> Any:
        arrays = [np.array(x, dtype) for x, dtype in zip(jax.tree.leaves(obs), self._dtypes, strict=True)]
        arrays = [x.reshape(-1, *shape) for x, shape in zip(arrays, self._shapes, strict=True)]
        return dict(zip(self._names, arrays, strict=True)) if self._names else arrays[0]


def _space_of_array(space: ArraySpace) -> Any:
    theirs = gymnasium_space(space)
    if isinstance(theirs, Box) and theirs.shape == ():
        return Box(theirs.low.reshape(1), theirs.high.reshape(1), dtype=theirs.dtype.type)
    return theirs


def _names(space: Space) -> tuple[str, ...]:
    """A name for each array of a structured space: the way there."""
    return tuple(name.removeprefix("obs_") for name in array_names(arrays_of(space), "obs"))
