"""Pictures of states, and an episode as a GIF; Pillow is imported only when something is drawn."""

import errno
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environment import Environment, start, take

Color = tuple[int, int, int]
Act = Callable[[Any, Any, jax.Array], Any]
"""A policy: (observation, mask or None, key) -> action."""

_OVERSAMPLING = 4
_FASTEST = 50
_take = jax.jit(take)


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


def episode_frames(env: Environment, act: Act, key: jax.Array) -> list[np.ndarray]:
    """Plays one episode and draws every state of it, the first and the last included.

    Args:
      env: an environment with `render`; its leaves are single numbers, not one a member.
      act: the policy, called outside of any traced code with the observation, the allowed actions
        (bool[n], None where the environment has no mask) and a key of its own. A policy that is
        slow without `jax.jit` should come jitted.
      key: sets the first state, the environment's and the policy's randomness.

    Returns:
      uint8[height, width, 3] a state: one more than the steps of the episode.
    """
    start_key, key = jax.random.split(key)
    episode = start(env, start_key)
    frames = [env.render(episode.state)]
    ended = False
    while not ended:
        key, act_key, step_key = jax.random.split(key, 3)
        action = jnp.asarray(act(episode.obs, episode.mask, act_key), env.action_space.dtype)
        episode, transition = _take(env, episode, action, step_key)
        frames.append(env.render(episode.state))
        ended = bool(transition.ended)
    return frames


def save_gif(path: str | os.PathLike[str], frames: Sequence[np.ndarray], frames_per_second: float = 30) -> None:
    """Writes frames as a GIF that plays again and again.

    It is written beside `path` and then renamed, so what was there before stays whole if the write
    is interrupted. A GIF counts time in hundredths of a second; each frame's time is rounded such
    that the rate holds over the whole. Equal frames in a row are stored as one that stays longer.

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

    path = pathlib.Path(path)
    _check_frames(path, frames, frames_per_second)
    ends = np.round(np.arange(len(frames) + 1) * 100 / frames_per_second).astype(int)
    durations = [int(time) * 10 for time in np.diff(ends)]
    first, *others = [Image.fromarray(np.asarray(frame)).quantize(256) for frame in frames]
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        first.save(beside, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
        os.replace(beside, path)
    except OSError as error:
        reason = "the folder does not exist" if not path.parent.exists() else error.strerror or str(error)
        raise OSError(error.errno, f"can't write the GIF: {reason}", str(path)) from error
    finally:
        if path.parent.is_dir():
            beside.unlink(missing_ok=True)


def _check_frames(path: pathlib.Path, frames: Sequence[np.ndarray], frames_per_second: float) -> None:
    if not len(frames):
        raise ValueError(f"no frames to write to {path}")
    if not 0 < frames_per_second <= _FASTEST:
        raise ValueError(f"frames_per_second = {frames_per_second!r} must be > 0 and <= {_FASTEST}")
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != frames[0].shape:
            raise ValueError(
                f"frame {index} for {path} is {frame.dtype}{list(frame.shape)}: "
                f"every frame must be uint8[height, width, 3] and shaped like the first, {list(frames[0].shape)}"
            )
