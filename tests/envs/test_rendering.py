"""Pictures, episodes as frames, and GIFs that survive interruption."""

import errno
import itertools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxrl.environment import Environment
from jaxrl.envs.cartpole import CartPole, CartPoleState
from jaxrl.envs.plane_strike import PlaneStrike
from jaxrl.rendering import episode_frames, save_gif
from jaxrl.rollout import Policy

KEY = jax.random.key(3)


def cartpole_state(x=0.0, theta=0.0):
    return CartPoleState(jnp.float32(x), jnp.float32(0), jnp.float32(theta), jnp.float32(0))


def orange(picture):
    """Where the pole is, bool[height, width]."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return (red > 200) & (abs(green - 138) < 25) & (blue < 110)


def frames_of(colors, height=12, width=16):
    return [np.full((height, width, 3), color, np.uint8) for color in colors]


def test_cartpole_picture_follows_the_state():
    env = CartPole()
    pictures = {
        name: env.render(state)
        for name, state in {
            "middle": cartpole_state(),
            "right": cartpole_state(x=1.0),
            "tilted": cartpole_state(theta=0.2),
        }.items()
    }
    for picture in pictures.values():
        assert (picture.shape, picture.dtype, picture.flags.writeable) == ((300, 600, 3), np.uint8, True)
    columns = {name: np.nonzero(orange(picture))[1].mean() for name, picture in pictures.items()}
    assert columns["middle"] == pytest.approx(299.5, abs=1)
    # 1 m to the right, where 2.4 m and a margin of a fifth fill half of 600 pixels.
    assert columns["right"] - columns["middle"] == pytest.approx(300 / 2.88, abs=1)
    tip = np.nonzero(orange(pictures["tilted"])[:100])[1].mean()
    assert tip - columns["middle"] == pytest.approx(300 / 2.88 * np.sin(0.2), abs=3)


def test_cartpole_picture_follows_the_physics_and_warns_in_red():
    short, long = (
        np.nonzero(orange(CartPole(length=length).render(cartpole_state())))[0]
        for length in (np.float32(0.25), jnp.float32(0.75))
    )
    assert np.ptp(long) - np.ptp(short) == pytest.approx(300 / 2.88, abs=2)
    # A pole longer than the picture is high still shows its tip.
    assert 5 < np.nonzero(orange(CartPole(length=1e6).render(cartpole_state())))[0].min() < 100
    assert not orange(CartPole().render(cartpole_state(theta=0.3))).any()
    posts = [CartPole().render(cartpole_state(x))[235, 48:52].astype(int).mean(0) for x in (2.3, 2.41)]
    assert posts[0][0] < posts[0][2]
    assert posts[1][0] > posts[1][2] + 50


def test_plane_strike_picture_tells_the_five_kinds_of_cells_and_lamps_apart():
    env = PlaneStrike()
    state, _ = env.begin(0)
    cells = np.flatnonzero(env.placements[0])
    water = np.flatnonzero(~env.placements[0].reshape(-1))

    def corner(picture, cell):
        row, column = divmod(int(cell), 8)
        return tuple(picture[16 + 44 * row + 12, 16 + 44 * column + 6].tolist())

    empty = env.render(state)
    assert (empty.shape, empty.dtype) == ((410, 384, 3), np.uint8)
    for cell in (cells[0], water[0]):
        state, _ = env.step(state, jnp.int32(cell), KEY)
    picture = env.render(state)
    kinds = [corner(picture, cell) for cell in (cells[0], cells[1], water[0], water[1])]
    assert len(set(kinds)) == 4
    assert kinds[1] == corner(empty, cells[0])
    # The hidden plane is there to be seen, but discreetly.
    assert 0 < max(abs(a - b) for a, b in zip(kinds[1], kinds[3], strict=True)) < 30
    assert not np.array_equal(picture[390:], empty[390:])


@pytest.mark.parametrize("size", [5, 10])
def test_plane_strike_picture_grows_with_the_board(size):
    env = PlaneStrike(size=size)
    assert env.render(env.begin(1)[0]).shape == (44 * size + 58, 44 * size + 32, 3)


def test_episode_frames_show_every_state_of_a_cartpole_episode():
    right = Policy(lambda carry, episodes, noise: (jnp.ones(1, jnp.int32), carry, ()))
    frames = episode_frames(CartPole(), right, KEY)
    assert 9 <= len(frames) <= 12
    # The first push moves the cart by less than a pixel.
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(frames[1:]))
    assert orange(frames[-2]).any()
    assert not orange(frames[-1]).any()
    assert len(episode_frames(CartPole(max_steps=4), right, KEY)) == 5


def test_episode_frames_pass_the_policy_what_it_needs():
    env = PlaneStrike(size=5)
    seen = []

    def act(carry, games, noise):
        assert noise is None
        jax.debug.callback(lambda *step: seen.append(step), carry, games.obs, games.mask, ordered=True)
        return jnp.argmax(games.mask, axis=-1).astype(jnp.int32), carry + 1, ()

    policy = Policy(act, jnp.zeros(1, jnp.int32))
    frames = episode_frames(env, policy, KEY)
    jax.effects_barrier()
    steps = len(frames) - 1
    assert 8 <= steps <= 25
    # The policy is asked once for every step.
    assert [int(carry[0]) for carry, _, _ in seen] == list(range(steps))
    assert [mask.sum() for _, _, mask in seen] == [25 - step for step in range(steps)]
    assert all(np.array_equal(obs.reshape(-1) == 0, mask[0]) for _, obs, mask in seen)
    np.testing.assert_array_equal(frames, episode_frames(env, policy, KEY))


def test_an_environment_without_render_says_so():
    class Blind(CartPole):
        render = Environment.render

    with pytest.raises(NotImplementedError, match="Blind has no render"):
        Blind().render(None)


def test_gif_round_trip(tmp_path):
    frames = [PlaneStrike(size=5).render(PlaneStrike(size=5).begin(plane)[0]) for plane in range(4)]
    save_gif(tmp_path / "game.gif", frames, frames_per_second=12)
    with Image.open(tmp_path / "game.gif") as gif:
        assert (gif.format, gif.n_frames, gif.info["loop"]) == ("GIF", 4, 0)
        for index, frame in enumerate(frames):
            gif.seek(index)
            # A GIF has 256 colours; edges lose a little.
            assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - frame).max() <= 12
    assert os.listdir(tmp_path) == ["game.gif"]


@pytest.mark.parametrize("rate", [7, 30, 50])
def test_gif_keeps_its_rate_on_the_whole(tmp_path, rate):
    path = str(tmp_path / "rate.gif")
    save_gif(path, frames_of(range(0, 200, 2)), frames_per_second=rate)
    with Image.open(path) as gif:
        total = 0
        for index in range(gif.n_frames):
            gif.seek(index)
            total += gif.info["duration"]
    assert total == pytest.approx(100 * 1000 / rate, abs=10)


def test_gif_accepts_one_frame_and_equal_frames(tmp_path):
    for frames in (frames_of([9]), frames_of([9, 9, 9])):
        save_gif(tmp_path / "still.gif", frames)
        with Image.open(tmp_path / "still.gif") as gif:
            assert gif.size == (16, 12)


def test_bad_frames_and_rates_are_refused_by_name(tmp_path):
    path = tmp_path / "bad.gif"
    bad = {
        "no frames": [],
        r"frame 1 .*uint8\[5, 16, 3\]": [*frames_of([1]), *frames_of([1], height=5)],
        r"frame 0 .*float64": [np.zeros((4, 4, 3))],
        r"frame 0 .*uint8\[4, 4\]": [np.zeros((4, 4), np.uint8)],
    }
    for message, frames in bad.items():
        with pytest.raises(ValueError, match=f"(?s)(?=.*bad.gif)(?=.*{message})"):
            save_gif(path, frames)
    for rate in (0, -3, 51, float("nan")):
        with pytest.raises(ValueError, match="frames_per_second"):
            save_gif(path, frames_of([1]), rate)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder does not exist.*missing/a\.gif"):
        save_gif(tmp_path / "missing" / "a.gif", frames_of([1]))
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError, match=r"file/a\.gif"):
        save_gif(tmp_path / "file" / "a.gif", frames_of([1]))
    with pytest.raises(IsADirectoryError, match="is a folder"):
        save_gif(tmp_path, frames_of([1]))
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    def refused(self, target, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(target))

    # Not by chmod: root may write anywhere.
    monkeypatch.setattr(Image.Image, "save", refused)
    with pytest.raises(PermissionError, match=r"can't write the GIF: Permission denied: '.*/a\.gif'"):
        save_gif(tmp_path / "a.gif", frames_of([1]))


@pytest.mark.parametrize("moment", ["save", "replace"])
def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path, monkeypatch, moment):
    path = tmp_path / "kept.gif"
    save_gif(path, frames_of([1, 2]))
    before = path.read_bytes()

    def interrupted_save(self, target, **options):
        target.write(b"GIF89a half of")
        raise KeyboardInterrupt

    def interrupted_replace(source, target):
        raise KeyboardInterrupt

    if moment == "save":
        monkeypatch.setattr(Image.Image, "save", interrupted_save)
    else:
        monkeypatch.setattr(os, "replace", interrupted_replace)
    with pytest.raises(KeyboardInterrupt):
        save_gif(path, frames_of([3, 4]))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["kept.gif"]


def test_importing_draws_in_no_picture_library():
    heavy = "('PIL', 'matplotlib', 'pandas', 'tensorflow')"
    program = f"import sys, jaxrl, jaxrl.envs, jaxrl.rendering; sys.exit(str([m for m in {heavy} if m in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == "[]"
