"""Q-learning against hand-computed numbers and value iteration in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_environments import Corridor

import jaxrl
from jaxrl import lookup
from jaxrl.agents.base import Clock
from jaxrl.environment import Transition

TABLE = jnp.asarray([[0.0, 3.0], [1.0, 2.0], [7.0, 5.0], [0.0, 0.0]])


def played(next_mask=None, terminated=False, count=1):
    def each(value):
        return jnp.asarray([value] * count)

    return Transition(
        obs=each(0),
        mask=None,
        action=each(1),
        reward=each(1.0),
        next_obs=each(2),
        next_mask=None if next_mask is None else each(next_mask),
        terminated=each(terminated),
        truncated=each(False),
        length=each(1),
        episode_return=each(1.0),
    )


@pytest.mark.parametrize(
    ("fields", "step", "target"),
    [
        ({}, {}, 1 + 0.9 * 7),
        ({}, {"terminated": True}, 1),
        ({}, {"next_mask": [False, True]}, 1 + 0.9 * 5),
        # Half of the time at random: 0.5 * 7 + 0.5 * (7 + 5) / 2.
        ({"expected_sarsa": True}, {}, 1 + 0.9 * 6.5),
        ({"expected_sarsa": True}, {"terminated": True}, 1),
        ({"expected_sarsa": True}, {"next_mask": [False, True]}, 1 + 0.9 * 5),
    ],
)
def test_errors_are_those_computed_by_hand(fields, step, target):
    agent = jaxrl.QLearning(Corridor(), discount=0.9, **fields)
    assert agent.errors(TABLE, played(**step), jnp.float32(0.5)) == pytest.approx(target - 3.0)


def test_environments_in_one_state_move_its_value_by_their_mean_error():
    agent = jaxrl.QLearning(Corridor(), num_envs=4)
    steps = played(count=4)
    steps = Transition(**{**vars(steps), "obs": jnp.asarray([0, 2, 0, 0]), "action": jnp.asarray([1, 0, 1, 0])})
    moves = 0.5 * jnp.asarray([1.0, 2.0, 3.0, 8.0])
    table, counts = agent.update(TABLE, agent.no_counts(TABLE), steps, moves)
    np.testing.assert_array_equal(counts, np.zeros(8))
    expected = np.array(TABLE)
    expected[0, 1] += 0.5 * (1 + 3) / 2
    expected[2, 0] += 0.5 * 2
    expected[0, 0] += 0.5 * 8
    np.testing.assert_allclose(table, expected, rtol=1e-6)


@pytest.mark.parametrize("batched", [(0, 0), (None, 0), (0, None)])
def test_tables_of_many_members_are_read_and_added_to_as_numpy_does(batched):
    random = np.random.default_rng(0)
    tables, states = random.normal(size=(3, 5, 2)).astype(np.float32), random.integers(0, 5, (3, 7), np.int32)
    given = [x if axis == 0 else x[0] for x, axis in zip((tables, states), batched, strict=True)]
    read = jax.vmap(lookup.rows, in_axes=batched)(*given)
    whole = np.broadcast_to(given[0], tables.shape), np.broadcast_to(given[1], states.shape)
    np.testing.assert_array_equal(read, [table[rows] for table, rows in zip(*whole, strict=True)])
    values = random.normal(size=(3, 7)).astype(np.float32)
    flat = given[0].reshape(*given[0].shape[:-2], 10)
    added = jax.vmap(lookup.add, in_axes=(*batched, 0))(flat, given[1], values)
    expected = np.array(whole[0].reshape(3, 10), np.float64)
    for member in range(3):
        np.add.at(expected[member], whole[1][member], values[member])
    np.testing.assert_allclose(added, expected, rtol=1e-5, atol=1e-6)


def test_an_iteration_learns_step_by_step():
    """Walking without exploring: the table of a corridor after one episode, by hand."""
    env = Corridor(cells=3, max_steps=5)
    agent = jaxrl.QLearning(
        env, learning_rate=0.5, schedule="constant", discount=0.5, epsilon_start=0, epsilon_end=0,
        initial_value=4.0, rollout_steps=3,
    )  # fmt: skip
    state, metrics = jax.jit(agent.iterate)(agent.init(jax.random.key(0)), Clock(jnp.int32(0), jnp.int32(1)))
    # Staying in cell 0 moves its value to (4 + 0 + 0.5 * 4) / 2 = 3; walking, now better, likewise; staying in cell 1.
    expected = np.full((4, 2), 4.0)
    expected[0] = 3.0
    expected[1, 0] = 0.5 * 4 + 0.5 * (1 + 0.5 * 4)
    np.testing.assert_allclose(state.params, expected)
    assert metrics["steps"].total == 3
    assert metrics["loss"].total / metrics["loss"].count == pytest.approx(0.5 * (4 + 4 + 1) / 3)


@functools.cache
def optimal(name, discount):
    """The exact values f64[states, actions], by value iteration."""
    model = jaxrl.make(name).model
    values = np.zeros(model.successor.shape[:2])
    for _ in range(10_000):
        following = np.where(model.terminated, 0, values.max(1)[model.successor])
        after = (model.probability * (model.reward + discount * following)).sum(-1)
        if abs(after - values).max() < 1e-12:
            return after
        values = after
    raise AssertionError("value iteration does not converge")


def states_on_the_way(name, table):
    """Those that the greedy policy of a table can come to, and act in."""
    env = jaxrl.make(name)
    model, seen, frontier = env.model, set(), list(env.starts)
    while frontier:
        state = int(frontier.pop())
        if state not in seen:
            seen.add(state)
            action = int(table[state].argmax())
            ways = zip(model.successor[state, action], model.terminated[state, action], strict=True)
            frontier += [int(successor) for successor, over in ways if not over]
    return sorted(seen)


@pytest.mark.parametrize(
    ("name", "steps", "fields", "close"),
    [
        ("FrozenLake-v1", 400_000, {"learning_rate": 0.2, "num_envs": 8, "epsilon_end": 0.2}, 0.05),
        ("CliffWalking-v1", 40_000, {"num_envs": 4, "schedule": "constant"}, 1e-3),
        ("Taxi-v4", 400_000, {"num_envs": 8, "schedule": "constant", "epsilon_end": 0.2}, 0.05),
    ],
)
def test_the_greedy_policy_is_value_iterations(name, steps, fields, close):
    values = optimal(name, 0.99)
    result = jaxrl.train(jaxrl.QLearning(jaxrl.make(name), **fields), steps, seeds=4, progress=False)
    for table in np.asarray(result.params):
        way = states_on_the_way(name, table)
        # As good as the best action, wherever the policy comes to: that is the best policy.
        chosen = values[way, table[way].argmax(1)]
        np.testing.assert_allclose(chosen, values[way].max(1), atol=2e-3)
        np.testing.assert_allclose(table[way].max(1), values[way].max(1), atol=close)


def test_observations_that_are_no_numbers_are_refused():
    with pytest.raises(
        TypeError,
        match=r"QLearning on CartPole: a table needs Discrete observations, and these are a Box of shape \[4\]: choose",
    ):
        jaxrl.QLearning(jaxrl.make("CartPole-v1"))


def test_a_table_becomes_a_file_that_plays_the_same(tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert")
    from jaxrl.export import to_saved_model, to_tflite
    from jaxrl.export.tflite_file import PolicyFile

    agent = jaxrl.QLearning(jaxrl.make("Taxi-v4"), num_envs=8, schedule="constant")
    result = jaxrl.train(agent, 50_000, seeds=1, progress=False)
    for options in ({}, {"batch": "dynamic"}, {"output": "action"}):
        report = to_tflite(result, tmp_path / "taxi.tflite", **options)
        assert (report.equal_actions, report.greatest_difference) == (1.0, 0.0)
    to_tflite(result, tmp_path / "taxi.tflite")
    file = PolicyFile(tmp_path / "taxi.tflite")
    np.testing.assert_array_equal(file(np.arange(500, dtype=np.int32)), result.params[0])
    assert any("GATHER" in name for name in file.operations)
    assert to_saved_model(result, tmp_path / "taxi").equal_actions == 1.0
