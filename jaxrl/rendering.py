"""Pictures of states, and an episode as a GIF; Pillow is imported only when something is drawn."""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxrl import arguments
from jaxrl.actors import start_actors
from jaxrl.environment import Environment
from jaxrl.rollout import Policy, Step, blank_rows, play_episodes
from jaxrl.storage import new_file

Color = tuple[int, int, int]

_OVERSAMPLING = 4
_FASTEST = 50
_SLOWEST = 1 / 600


def picture(width: int, height: int, background: Color, paint: Callable[[Any, int], None]) -> np.ndarray:
    """Draws a picture with smooth edges: uint8[height, width, 3].

    Args:
      width: pixels.
      height: pixels.
      background: red, green and blue, 0 to 255.
      paint: called as `paint(draw, pixel)` with a `PIL.ImageDraw.ImageDraw` several times as large
        as the picture, in which one pixel of the picture is `pixel` units long.
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), background)
    paint(ImageDraw.Draw(image), _OVERSAMPLING)
    return np.array(image.reduce(_OVERSAMPLING), np.uint8)


def episode_frames(env: Environment, policy: Policy, key: jax.Array) -> list[np.ndarray]:
    """Plays one episode on the device and draws every state of it, the first and the last included.

    Args:
      env: an environment with `render`; its leaves are single numbers, not one a member.
      policy: for one environment; it takes no noise.
      key: sets the first state and the environment's randomness.

    Returns:
      uint8[height, width, 3] a state: one more than the steps of the episode.
    """
    first, states, steps = jax.device_get(_played(env, policy, key))
    following = (jax.tree.map(lambda x, t=t: x[t, 0], states) for t in range(int(steps)))
    return [env.render(jax.tree.map(lambda x: x[0], first)), *map(env.render, following)]


def _played(env: Environment, policy: Policy, key: jax.Array) -> tuple[Any, Any, jax.Array]:
    """One episode: its first state `[1, ...]`, the states after its steps `[max_steps, 1, ...]`, and how many."""

    @jax.jit
    def play(env: Environment, key: jax.Array) -> tuple[Any, Any, jax.Array]:
        start_key, step_key = jax.random.split(key)
        actors = start_actors(env, start_key, 1, policy.initial_carry)

        def record(step: Step) -> Any:
            return step.following.state

        def write(states: Any, time: jax.Array, step: Step, active: jax.Array) -> Any:
            return jax.tree.map(lambda whole, part: whole.at[time].set(part), states, record(step))

        blank = blank_rows(env, actors, policy, None, record, env.max_steps)
        states, steps = play_episodes(env, actors, policy, 1, None, step_key, write, blank)
        return actors.episodes.state, states, steps

    return play(env, key)


def save_gif(path: str | os.PathLike[str], frames: Sequence[np.ndarray], frames_per_second: float = 30) -> None:
    """Writes frames as a GIF that plays again and again.

    What was there before stays whole if the write is interrupted. A GIF counts time in hundredths of a
    second; each frame's time is rounded such that the rate holds over the whole. Equal frames in a row are
    stored as one that stays longer.

    Args:
      path: the file; its folder must exist.
      frames: uint8[height, width, 3] each, all of one shape.
      frames_per_second: above 0, and at most 50: viewers show anything faster at 10.

    Raises:
      OSError: the folder is missing or can't be written to.
      ValueError: there are no frames, they differ in shape or aren't such pictures, or the rate is
        out of range.
    """
    from PIL import Image

    path = arguments.path("path", path)
    _check_frames(path, frames, frames_per_second)
    ends = np.round(np.arange(len(frames) + 1) * 100 / frames_per_second).astype(int)
    durations = [int(time) * 10 for time in np.diff(ends)]
    first, *others = [Image.fromarray(np.asarray(frame)).quantize(256) for frame in frames]
    try:
        with new_file(path) as file:
            first.save(file, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
    except OSError as error:
        reason = "the folder does not exist" if not path.parent.exists() else error.strerror or str(error)
        raise OSError(error.errno, f"can't write the GIF: {reason}", str(path)) from error


def check_rate(frames_per_second: float) -> None:
    """Checks that a GIF can show so many frames a second.

    Raises:
      ValueError: it can't.
    """
    if not _SLOWEST <= frames_per_second <= _FASTEST:
        raise ValueError(
            f"frames_per_second = {frames_per_second!r} must be > 0 and <= {_FASTEST}, and at least {_SLOWEST}: a GIF "
            "shows no frame for longer than 655 s"
        )


def _check_frames(path: pathlib.Path, frames: Sequence[np.ndarray], frames_per_second: float) -> None:
    if not len(frames):
        raise ValueError(f"no frames to write to {path}")
    check_rate(frames_per_second)
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != frames[0].shape:
            raise ValueError(
                f"frame {index} for {path} is {frame.dtype}{list(frame.shape)}: "
                f"every frame must be uint8[height, width, 3] and shaped like the first, {list(frames[0].shape)}"
            )
