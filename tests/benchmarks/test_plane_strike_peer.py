"""The benchmark's plain Python Plane Strike against 400 recorded games of the published environment."""

import collections
import pathlib
import random

import numpy as np
import pytest

from benchmarks.peers.plane_strike_python import PLAYERS, PlaneStrike

GAMES = pathlib.Path(__file__).parents[1] / "data" / "plane_strike_games.npz"
RESETS = 20_000
PLACES = {"right": 30, "up": 25, "left": 30, "down": 30}


@pytest.fixture(scope="module")
def games():
    with np.load(GAMES) as data:
        return dict(data)


def heading(board):
    """The heading of a plane: from nose to tail its rows or columns have 1, 3, 1 and 3 cells."""
    rows, columns = board.sum(1), board.sum(0)
    for name, cells in (("up", rows), ("down", rows[::-1]), ("left", columns), ("right", columns[::-1])):
        if np.array_equal(np.trim_zeros(cells), [1, 3, 1, 3]):
            return name
    raise AssertionError(f"not a plane:\n{board}")


def test_replays_the_recorded_games(games):
    env = PlaneStrike()
    for game, length in enumerate(games["length"].tolist()):
        np.testing.assert_array_equal(env.reset(), games["observation"][game, 0])
        env.hidden_board = games["hidden"][game].astype(float)
        for t in range(length):
            observation, reward, done, _ = env.step(int(games["action"][game, t]))
            np.testing.assert_array_equal(observation, games["observation"][game, t + 1])
            assert (reward, done) == (games["reward"][game, t], games["done"][game, t])


def test_a_finished_game_stays_finished(games):
    env = PlaneStrike()
    env.hidden_board = games["hidden"][0].astype(float)
    for action in range(64):
        env.step(action)
    struck = env.observation.copy()
    for action in range(64):
        observation, reward, done, _ = env.step(action)
        assert (reward, done) == (0, True)
        np.testing.assert_array_equal(observation, struck)


def test_planes_are_those_of_the_published_environment(games):
    random.seed(0)
    env = PlaneStrike()
    drawn: collections.Counter[bytes] = collections.Counter()
    for _ in range(RESETS):
        env.reset()
        drawn[env.hidden_board.astype(np.int8).tobytes()] += 1
    assert {board.tobytes() for board in games["hidden"]} <= set(drawn)

    places: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    for board, count in drawn.items():
        name = heading(np.frombuffer(board, np.int8).reshape(8, 8))
        places[name] += 1
        counts[name] += count
    assert places == PLACES
    deviation = (RESETS * 1 / 4 * 3 / 4) ** 0.5
    assert all(abs(count - RESETS / 4) < 4 * deviation for count in counts.values())
    # Within one heading every place is as likely.
    for board, count in drawn.items():
        expected = RESETS / 4 / PLACES[heading(np.frombuffer(board, np.int8).reshape(8, 8))]
        assert abs(count - expected) < 5 * expected**0.5


@pytest.mark.parametrize("player", PLAYERS)
def test_random_play_takes_as_long_as_it_must(player):
    random.seed(0)
    np.random.seed(0)
    lengths = [PLAYERS[player](PlaneStrike()) for _ in range(500)]
    assert min(lengths) >= 8
    assert max(lengths) <= 64
    # The last of 8 cells in a random order of 64 stands at 8 * 65 / 9 on average.
    assert abs(np.mean(lengths) - 8 * 65 / 9) < 4 * np.std(lengths) / 500**0.5
