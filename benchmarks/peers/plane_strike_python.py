"""Plane Strike as a plain Python environment with two NumPy boards, played at random.

Rules and manner are those of the published environment (TensorFlow's examples, `gym_planestrike`), written
anew; the tests replay games recorded on the published one. A strike takes the same time as there, a new
game less, since the published one makes its spaces anew as well: together some 5 % ("choice") to 22 %
("shuffled") quicker.

The same as in jaxrl's work: the rules, the places that planes are drawn from, one step a strike, the game's
end at the eighth hit, and uniformly random play that never strikes a cell twice.

Not the same: one game at a time, in one process on one core, with float64 boards. The random order comes
from NumPy ("choice": a draw from the untried cells before every strike, which is how one writes legal play)
or from Python ("shuffled": the order of the cells, drawn before the game, which is the quickest there can be).
"""

import importlib.metadata
import random
from typing import Any

import numpy as np

from benchmarks.contender import Run, serve

SIZE = 8
HITS = 8
# By heading: the least and greatest row and column of the plane's core, and its tail's cells from there.
# The plane that flies up never uses the last column, as published.
HEADINGS = {
    "right": ((1, 6), (2, 6), ((-1, -2), (0, -2), (1, -2))),
    "up": ((1, 5), (1, 5), ((2, -1), (2, 0), (2, 1))),
    "left": ((1, 6), (1, 5), ((-1, 2), (0, 2), (1, 2))),
    "down": ((2, 6), (1, 6), ((-2, -1), (-2, 0), (-2, 1))),
}
PLACES = list(HEADINGS.values())
CROSS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
DIFFERS = [
    "one game at a time, in one process on one core",
    "float64 NumPy boards, indexed by Python",
    "legal strikes come from outside the environment, as in the published training script",
]


def draw_board() -> np.ndarray:
    """Draws the heading, then the place: f64[8, 8], 1 where the plane is."""
    rows, columns, tail = PLACES[random.randint(0, 3)]
    row, column = random.randint(*rows), random.randint(*columns)
    board = np.zeros((SIZE, SIZE))
    for down, right in CROSS + tail:
        board[row + down][column + right] = 1
    return board


class PlaneStrike:
    """Strike the cells of a board until the hidden plane's eight are hit.

    Observation: f64[8, 8]; 0 untried, 1 hit, -1 miss. It is one array a game, changed by every step.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> np.ndarray:
        """Hides a new plane."""
        self.hits = 0
        self.hidden_board = draw_board()
        self.observation = np.zeros((SIZE, SIZE))
        return self.observation

    def step(self, action: int) -> tuple[np.ndarray, int, bool, dict[str, Any]]:
        """Strikes cell `action`, counted by rows: 1 for a new hit, -1 for a hit struck again, 0 for a miss."""
        if self.hits == HITS:
            return self.observation, 0, True, {}
        row, column = divmod(action, SIZE)
        if self.hidden_board[row][column] == 0:
            self.observation[row][column] = -1
            return self.observation, 0, False, {}
        if self.observation[row][column] == 1:
            return self.observation, -1, False, {}
        self.observation[row][column] = 1
        self.hits += 1
        return self.observation, 1, self.hits == HITS, {}


def play_choice(env: PlaneStrike) -> int:
    """Plays one game, drawing each strike from the untried cells; returns its length."""
    observation = env.reset()
    length, done = 0, False
    while not done:
        observation, _, done, _ = env.step(np.random.choice(np.flatnonzero(observation == 0)))
        length += 1
    return length


def play_shuffled(env: PlaneStrike) -> int:
    """Plays one game through the cells in a random order; returns its length."""
    env.reset()
    cells = list(range(SIZE * SIZE))
    random.shuffle(cells)
    done = False
    while not done:
        _, _, done, _ = env.step(cells.pop())
    return SIZE * SIZE - len(cells)


PLAYERS = {"choice": play_choice, "shuffled": play_shuffled}


def prepare(games: int, player: str = "choice") -> tuple[Run, dict[str, Any]]:
    """Makes the environment.

    Args:
      games: games of one run.
      player: "choice" or "shuffled".

    Returns:
      The work and information about it.
    """
    env, play = PlaneStrike(), PLAYERS[player]

    def run() -> dict[str, Any]:
        steps = sum(play(env) for _ in range(games))
        return {"steps": steps, "games": games, "episode_length": steps / games}

    return run, {"versions": {"numpy": importlib.metadata.version("numpy")}, "differs": DIFFERS, "player": player}


if __name__ == "__main__":
    serve(prepare)
