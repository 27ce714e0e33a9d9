"""Thousands of a jaxrl environment as one `gymnasium.vector.VectorEnv`."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymnasiumVectorEnv
from gymnasium.vector.utils import batch_space

from jaxrl.adapters.stepping import Batch, Outcome, checked_environment
from jaxrl.adapters.to_gymnasium import RENDER_MODES, bounds, checked_render_mode, gymnasium_dtypes, gymnasium_space
from jaxrl.arguments import LARGEST_SEED, flag, positive, shown, whole
from jaxrl.environment import Environment
from jaxrl.spaces import Box, Discrete

MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)


class VectorEnv(GymnasiumVectorEnv):
    """Environments side by side, all of them stepped by one compiled call.

    `metadata["autoreset_mode"]` says when an episode that is over is reset, as Gymnasium defines it. With NEXT_STEP,
    the step that ends it gives its last observation, and the next one ignores the action, earns 0 and gives the first
    observation of another episode. With SAME_STEP, the step that ends it gives that first observation, and the last
    one is `infos["final_obs"][i]`, where `infos["_final_obs"][i]`.

    `infos["action_mask"]`, bool[num_envs, n], has the allowed actions where not all are, of several choices one choice
    behind the other (`jaxrl.masks`).
    """

    def __init__(
        self,
        env: Environment | str,
        num_envs: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        copy: bool = True,
    ) -> None:
        self.num_envs = positive("num_envs", num_envs)
        self.render_mode = checked_render_mode(render_mode)
        self._copy = flag("copy", copy)
        self._env = checked_environment(env)
        self._mode = _mode_of(autoreset_mode)
        self.metadata = {"render_modes": [*RENDER_MODES], "autoreset_mode": self._mode}
        self.single_observation_space = gymnasium_space(self._env.observation_space)
        self.single_action_space = gymnasium_space(self._env.action_space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._dtypes = gymnasium_dtypes(self._env.observation_space)
        self._actions = Actions(self._env.action_space, self.num_envs)
        self._batch = Batch(self._env, self.num_envs, self._mode == AutoresetMode.NEXT_STEP)
        self._resets: np.ndarray | None = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode in every environment.

        Args:
          seed: one for all, or a list with one for the first episode of each (None: drawn).
          options: of no effect.
        """
        if isinstance(seed, Sequence):
            obs, mask = self._batch.begin(seeds=self._seeds(seed))
        else:
            super().reset(seed=None if seed is None else whole("seed", seed, 0))
            obs, mask = self._batch.begin(int(self.np_random.integers(2**32)))
        self._resets = np.zeros(self.num_envs, bool)
        return self._observations(obs), self._masks(mask)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Takes one step everywhere: observations, f32 rewards, terminations, truncations, infos; `[num_envs, ...]`.

        Raises:
          gymnasium.error.ResetNeeded: before the first reset.
          ValueError: the actions are of another shape, or not in the action space.
        """
        if self._resets is None:
            raise gymnasium.error.ResetNeeded("call reset before the first step")
        outcome = self._batch.step(self._actions(actions))
        reward, terminated, truncated = map(self._array, (outcome.reward, outcome.terminated, outcome.truncated))
        ended = terminated | truncated
        infos = self._infos(outcome, self._resets if self._mode == AutoresetMode.NEXT_STEP else ended)
        self._resets = ended
        return self._observations(outcome.obs), reward, terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Draws every state, u8[height, width, 3] each, where made with render_mode="rgb_array"."""
        if self.render_mode is None or self._resets is None:
            return None
        states = jax.device_get(self._batch.playing.actors.episodes.state.inner)
        return tuple(self._env.render(jax.tree.map(lambda x: x[i], states)) for i in range(self.num_envs))  # noqa: B023

    def _infos(self, outcome: Outcome, without: np.ndarray) -> dict[str, Any]:
        """As Gymnasium has them: every array beside a mask of who has one; `without`: who was reset in this step."""
        some = bool(without.any())
        masks = self._masks(outcome.mask)
        steps = {name: np.array(value) for name, value in outcome.info.items()}
        infos = {name: np.where(without, np.zeros_like(x), x) for name, x in steps.items()} if some else dict(steps)
        infos |= {f"_{name}": ~without for name in steps}
        if some and self._mode == AutoresetMode.SAME_STEP:
            infos |= {"final_obs": _objects(outcome.final_obs, without), "_final_obs": without}
            final = {name: np.where(without, x, np.zeros_like(x)) for name, x in steps.items()}
            final |= {f"_{name}": without.copy() for name in steps}
            infos |= {"final_info": final, "_final_info": without.copy()}
        return infos | masks

    def _masks(self, mask: Any) -> dict[str, np.ndarray]:
        if mask is None:
            return {}
        return {"action_mask": np.array(mask), "_action_mask": np.ones(self.num_envs, bool)}

    def _observations(self, obs: Any) -> Any:
        return jax.tree.map(lambda x, dtype: self._array(x).astype(dtype, copy=False), obs, self._dtypes)

    def _array(self, value: jax.Array) -> np.ndarray:
        return np.array(value) if self._copy else np.asarray(value)

    def _seeds(self, seeds: Sequence[int | None]) -> np.ndarray:
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"seed has {len(seeds)} numbers, and must have one for each of {self.num_envs} environments"
            )
        drawn = self.np_random.integers(2**32, size=self.num_envs)
        wanted = [drawn[i] if s is None else whole(f"seed[{i}]", s, 0, LARGEST_SEED) for i, s in enumerate(seeds)]
        return np.asarray(wanted, np.uint32)


class Actions:
    """Makes one array of the actions that a library gives, in the dtype of the environment, and checks it."""

    def __init__(self, space: Any, num_envs: int) -> None:
        self._shape = (num_envs, *space.shape)
        self._dtype = np.dtype(space.dtype)
        if isinstance(space, Box):
            self._low, self._high = bounds(space)
        else:
            counts = space.n if isinstance(space, Discrete) else space.counts
            self._low, self._high = np.asarray(0), np.asarray(counts) - 1

    def __call__(self, actions: Any) -> np.ndarray:
        """Raises a ValueError where they are of another shape, or outside of the space."""
        array = np.asarray(actions)
        if array.shape != self._shape:
            raise ValueError(f"actions have shape {array.shape}, and must have {self._shape}")
        if not ((array >= self._low) & (array <= self._high)).all():
            raise ValueError(f"actions must lie between {shown(self._low)} and {shown(self._high)}")
        return array.astype(self._dtype)


def _mode_of(mode: Any) -> AutoresetMode:
    for known in MODES:
        if mode == known or mode in (known.value, known.name):
            return known
    names = ", ".join(known.value for known in MODES)
    raise ValueError(f"autoreset_mode = {shown(mode)} must be one of {names}")


def _objects(rows: Any, where: np.ndarray) -> np.ndarray:
    """An array of objects: a row where bool[n] says so, None elsewhere."""
    objects = np.full(len(where), None, object)
    (places,) = np.nonzero(where)
    structure: Any
    leaves, structure = jax.tree.flatten(rows)
    chosen = [np.asarray(leaf)[places] for leaf in leaves]
    each = chosen[0] if isinstance(rows, jax.Array) else map(structure.unflatten, zip(*chosen, strict=True))
    objects[places] = np.fromiter(each, object, len(places))
    return objects
