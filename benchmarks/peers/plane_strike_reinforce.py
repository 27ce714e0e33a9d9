"""REINFORCE on Plane Strike with Python games and a compiled network, the way that the published recipe works.

The same as in jaxrl's work: the game, the published network (128, 64, 64), one update from 64 whole games,
discount 0.5, Adam, no cell struck twice. Not the same: games are played one at a time by Python, one call
of the network a strike; no baseline but the batch's mean. The published recipe itself updates after every
game, with a network that is not compiled in its TensorFlow form.
"""

import importlib.metadata
import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.contender import Run, serve
from benchmarks.peers.plane_strike_python import SIZE, PlaneStrike

GAMES, DISCOUNT, WIDTHS = 64, 0.5, (64, 128, 64, 64, 64)
OPTIMIZER = optax.adam(2e-3)


def logits(params: list, boards: jax.Array) -> jax.Array:
    """f32[..., 64] for boards f32[..., 64]."""
    for weights, biases in params[:-1]:
        boards = jax.nn.relu(boards @ weights + biases)
    weights, biases = params[-1]
    return boards @ weights + biases


def loss(params: list, boards: jax.Array, cells: jax.Array, advantages: jax.Array) -> jax.Array:
    """The policy gradient's loss, with struck cells masked; rows of no game weigh 0."""
    chosen = jax.nn.log_softmax(jnp.where(boards == 0, logits(params, boards), -1e9))
    return -jnp.mean(jnp.take_along_axis(chosen, cells[:, None], 1)[:, 0] * advantages)


@jax.jit
def update(params: list, optimizer_state: Any, batch: tuple) -> tuple[list, Any]:
    """One step of Adam."""
    updates, optimizer_state = OPTIMIZER.update(jax.grad(loss)(params, *batch), optimizer_state)
    return optax.apply_updates(params, updates), optimizer_state


@jax.jit
def probabilities(params: list, board: jax.Array) -> jax.Array:
    """Of the untried cells of one board: f32[64]."""
    return jax.nn.softmax(jnp.where(board == 0, logits(params, board), -1e9))


def play(env: PlaneStrike, params: list, rng: np.random.Generator) -> tuple[list, list, np.ndarray]:
    """Plays one game: its boards, cells and discounted returns."""
    boards, cells, rewards, done = [], [], [], False
    observation = env.reset()
    while not done:
        board = observation.reshape(-1).astype(np.float32)
        cumulated = np.cumsum(np.asarray(probabilities(params, board)))
        cell = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        boards.append(board)
        cells.append(cell)
        observation, reward, done, _ = env.step(cell)
        rewards.append(reward)
    returns = np.zeros(len(rewards), np.float32)
    following = 0.0
    for step in reversed(range(len(rewards))):
        following = returns[step] = rewards[step] + DISCOUNT * following
    return boards, cells, returns


def prepare(updates: int) -> tuple[Run, dict[str, Any]]:
    """Compiles; every run is a training from new parameters."""
    rng, env = np.random.default_rng(0), PlaneStrike()
    rows = GAMES * SIZE * SIZE

    def new_params() -> list:
        shapes = itertools.pairwise(WIDTHS)
        return [(jnp.asarray(rng.normal(size=s) / np.sqrt(s[0]), jnp.float32), jnp.zeros(s[1])) for s in shapes]

    def run() -> dict[str, Any]:
        params, strikes = new_params(), 0
        optimizer_state = OPTIMIZER.init(params)
        for _ in range(updates):
            games = [play(env, params, rng) for _ in range(GAMES)]
            boards, cells, returns = (list(itertools.chain.from_iterable(part)) for part in zip(*games, strict=True))
            strikes += len(cells)
            advantages = (np.asarray(returns) - np.mean(returns)) / (np.std(returns) + 1e-6)
            params, optimizer_state = update(params, optimizer_state, padded(boards, cells, advantages, rows))
        jax.block_until_ready(params)
        total = updates * GAMES
        result = {"final_length": len(cells) / GAMES, "strikes_a_game": strikes / total}
        return {"steps": total, "updates": updates, **result}

    begin = time.perf_counter()
    params = new_params()
    update.lower(params, OPTIMIZER.init(params), padded([], [], np.zeros(0), rows)).compile()
    info = {"compile_seconds": time.perf_counter() - begin, "differs": ["one member, games played by Python"]}
    return run, {**info, "versions": {name: importlib.metadata.version(name) for name in ("jax", "optax")}}


def padded(boards: list, cells: list, advantages: np.ndarray, rows: int) -> tuple:
    """A batch of always the same number of rows; those that are filled up weigh 0."""
    batch = np.zeros((rows, SIZE * SIZE), np.float32), np.zeros(rows, np.int32), np.zeros(rows, np.float32)
    if boards:
        for whole, part in zip(batch, (np.asarray(boards), np.asarray(cells), advantages), strict=True):
            whole[: len(part)] = part
    return batch


if __name__ == "__main__":
    serve(prepare)
