"""Reward shaping by "the nearer, the better": three ways in which it fails, and the shaping that does not.

A maze rewards nothing but its goal. To help, each step may earn a signal besides. An agent that is paid so learns

- greed: it stays in the dead end beside the goal, and earns for ever, in place of going the long way around;
- fear: it never passes the trap that the way leads by, because being near it costs more than the goal is worth;
- recklessness: it falls into the trap at once, because being far from the goal costs more than the end.

The same signals as potentials (Ng, Harada and Russell, 1999) leave the optimal policy as it is.

    python examples/reward_shaping.py
"""

import argparse
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl.envs.maze import nearness
from jaxrl.wrappers import PotentialShaping, Wrapper


def near_trap(env, state):
    """-2 beside the trap, else 0."""
    here, trap = jnp.stack(jnp.divmod(state.cell, env.cells.shape[1])), np.argwhere(env.cells == "T")
    return jnp.where(jnp.abs(here - trap).sum() == 1, -2.0, 0.0)


def far_from_goal(env, state):
    """0 at the goal, -1 across the maze; `nearness` is 1 at the goal, and 0 across the maze."""
    return nearness(env, state) - 1


@jaxrl.pytree
class Bonus(Wrapper):
    """Pays a signal in every step."""

    signal: object = jaxrl.static()

    def step(self, state, action, key):
        """Takes one step."""
        state, step = self.env.step(state, action, key)
        return state, dataclasses.replace(step, reward=step.reward + self.signal(self.env, state))


def outcome(maze, policy):
    """How a greedy episode ends."""
    state, cell = maze.reset(jax.random.key(0))
    for steps in range(1, maze.max_steps + 1):
        state, step = maze.step(state, policy(cell), None)
        cell = step.obs
        if step.terminated:
            return f"{'goal' if step.reward > 0 else 'trap'} (step {steps})"
    return "still in row {}, column {} (step {})".format(*divmod(int(cell), maze.cells.shape[1]), steps)


def main():
    """Trains in each maze without shaping, with a signal as a bonus, and with the signal as a potential."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--iterations", type=int, default=500)
    options = parser.parse_args()
    for failure, layout, signal in (
        ("greed", "S..#G/.###./.###./.###./.....", nearness),
        ("fear", "S.../###./##T./###./G...", near_trap),
        ("recklessness", "ST.#G/.###./.###./.###./.....", far_from_goal),
    ):
        maze = jaxrl.make("Maze-v0", layout=layout, observation="cell", max_steps=50)
        shaped = {"none": maze, "bonus": Bonus(maze, signal), "potential": PotentialShaping(maze, signal)}
        for shaping, env in shaped.items():
            agent = jaxrl.QLearning(env, num_envs=16, schedule="constant", epsilon_end=0.3, discount=0.95)
            member = jaxrl.train(agent, **vars(options), progress=False).member(0)
            print(f"{failure:14} shaping: {shaping:11} {outcome(maze, member.policy)}", flush=True)


if __name__ == "__main__":
    main()
