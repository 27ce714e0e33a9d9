"""Whether shaping keeps the optimal policy: value iteration on small mazes, by the wrapped environments' own steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environment import Episode, step_episode
from jaxrl.envs.maze import Maze, MazeState, nearness
from jaxrl.wrappers import PotentialShaping, TransformReward, Wrapper, WrapperState

LAYOUT = "S..../.###./.#G#./.#.#./...../.T..."
DISCOUNT = 0.9
KEY = jax.random.key(0)


def uneven(env, state):
    """A potential as wild as any: it leads nowhere near the goal, and is large there."""
    return 7.0 * jnp.sin(state.cell.astype(jnp.float32)) + 5.0 * (state.cell == 12)


def tables(env, length):
    """What the engine gives an agent for every action in every cell at some length of an episode."""

    def one(cell, action):
        state = MazeState(cell, None)
        if isinstance(env, PotentialShaping):
            state = WrapperState(state, jnp.float32(env.potential(env.unwrapped, state)))
        episode = Episode(state, jnp.int32(0), None, jnp.int32(length), jnp.float32(0))
        after, transition = step_episode(env, episode, action, KEY)
        inner = after.state.inner if isinstance(env, PotentialShaping) else after.state
        return inner.cell, transition.reward, transition.terminated, transition.truncated

    actions = jax.vmap(one, in_axes=(None, 0))
    cells = env.unwrapped.cells.size if isinstance(env, Wrapper) else env.cells.size
    result = jax.jit(jax.vmap(actions, in_axes=(0, None)))(jnp.arange(cells), jnp.arange(4))
    return [np.asarray(column) for column in result]


def action_values(env, length, rounds=400):
    """The optimal action values f64[cells, actions]: a termination stops bootstrapping, a truncation never does."""
    successor, reward, terminated, truncated = tables(env, length)
    assert truncated.all() == (length == env.max_steps - 1)
    values = np.zeros(reward.shape)
    for _ in range(rounds):
        values = reward + DISCOUNT * np.where(terminated, 0, values.max(1)[successor])
    return values


def best(values):
    """Which actions are optimal, to rounding."""
    return values > values.max(1, keepdims=True) - 1e-4


@pytest.fixture(scope="module")
def maze():
    return Maze(layout=LAYOUT, observation="cell", max_steps=20)


@pytest.fixture(scope="module")
def floor(maze):
    """The cells in which an episode goes on."""
    return np.isin(maze.cells.reshape(-1), ["S", "."])


@pytest.mark.parametrize("length", [0, 19], ids=["on the way", "at the truncation"])
@pytest.mark.parametrize("potential", [nearness, uneven])
def test_potential_based_shaping_keeps_the_optimal_policy(maze, floor, potential, length):
    plain = action_values(maze, length)
    shaped = action_values(PotentialShaping(maze, potential=potential, discount=DISCOUNT), length)
    np.testing.assert_array_equal(best(shaped)[floor], best(plain)[floor])
    # More than that: values are less by the potential of the cell.
    height = np.array([float(potential(maze, MazeState(jnp.int32(cell), None))) for cell in range(maze.cells.size)])
    np.testing.assert_allclose(shaped[floor], (plain - height[:, None])[floor], atol=2e-5)
    assert not best(plain)[floor].all()


@pytest.mark.parametrize("wrong", ["discount", "termination", "truncation"])
def test_what_the_paper_asks_for_is_needed(maze, floor, wrong):
    """With another discount, or without 0 after a termination, or with 0 after a truncation, policies do change."""

    @jaxrl.pytree
    class Wrong(PotentialShaping):
        def step(self, state, action, key):
            after, step = super().step(state, action, key)
            missing = DISCOUNT * self._potential(after.inner)
            if wrong == "termination":
                return after, dataclasses.replace(step, reward=step.reward + jnp.where(step.terminated, missing, 0))
            return after, dataclasses.replace(step, reward=step.reward - (missing if wrong == "truncation" else 0))

    shaping = Wrong if wrong != "discount" else PotentialShaping
    env = shaping(maze, potential=uneven, discount=0.5 if wrong == "discount" else DISCOUNT)
    plain, changed = action_values(maze, 19), action_values(env, 19)
    assert (best(plain) != best(changed))[floor].any()


def test_a_bonus_for_being_near_changes_the_optimal_policy(maze, floor):
    """The nearer, the better: beside the goal it pays to stay for ever, and not to end the episode."""

    @jaxrl.pytree
    class Bonus(Wrapper):
        def step(self, state, action, key):
            state, step = self.env.step(state, action, key)
            return state, dataclasses.replace(step, reward=step.reward + nearness(self.env, state))

    plain, greedy = action_values(maze, 0), action_values(Bonus(maze), 0)
    changed = (best(plain) != best(greedy))[floor]
    assert changed.any()
    below = 17  # Below the goal: up is the goal.
    assert best(plain)[below].tolist() == [False, False, False, True]
    assert not best(greedy)[below, 3]


def tenfold(reward):
    return 10 * reward


def test_the_discount_is_the_agents():
    env = PotentialShaping(
        TransformReward(Maze(layout="S.G", observation="cell"), function=tenfold), potential=nearness
    )
    agent = jaxrl.QLearning(env, num_envs=2, discount=0.75)
    result = jaxrl.train(agent, iterations=3, seeds=2, progress=False)
    assert result.agent.env.discount == 0.75
    result = jaxrl.train(agent, iterations=3, seeds=2, vary={"discount": [0.5, 0.9]}, progress=False)
    assert [float(result.member(number).agent.env.discount) for number in (0, 1)] == [0.5, np.float32(0.9)]
    assert float(result.member(1).agent.discount) == np.float32(0.9)


@pytest.mark.usefixtures("never_compiled")
def test_another_discount_is_refused_before_compiling():
    env = PotentialShaping(Maze(layout="S.G", observation="cell"), potential=nearness, discount=0.9)
    with pytest.raises(ValueError, match=r"env.discount = 0.9 must be the discount of QLearning, which is 0.75: leave"):
        jaxrl.train(jaxrl.QLearning(env, discount=0.75), iterations=3)
    agent = jaxrl.QLearning(dataclasses.replace(env, discount=None), discount=0.75)
    with pytest.raises(
        ValueError, match=r"vary\['env.discount'\] must be the members' discount: vary 'discount' alone"
    ):
        jaxrl.train(agent, iterations=3, seeds=2, vary={"env.discount": [0.75, 0.8]})


def test_a_sweep_over_the_discount_shapes_by_each_trials_own():
    env = PotentialShaping(Maze(layout="S.G", observation="cell"), potential=nearness)
    agent = jaxrl.QLearning(env, num_envs=2)
    result = jaxrl.sweep(
        agent, {"discount": [0.5, 0.9]}, seeds=2, iterations=200, episodes=2, keep="all", progress=False
    )
    assert [float(result.member(trial, 0).agent.env.discount) for trial in (0, 1)] == [0.5, np.float32(0.9)]
    # Of two steps, the first leads from a potential of 0 to one of 0.5: 0.5 discount - 0 + 1 - 0.5.
    np.testing.assert_allclose(result.table()["greedy_return"], [0.75, 0.75, 0.95, 0.95], rtol=1e-6)
