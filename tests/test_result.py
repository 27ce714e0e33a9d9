"""Results and their members: policies, the best member, greedy returns."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import LOG_POINTS, SEEDS, cart_pole, dqn, train

import jaxrl
from jaxrl.evaluation import RESERVED_SEED

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module")
def result() -> jaxrl.Result:
    """Three members in one block."""
    return train(seeds=SEEDS)


def test_a_member_acts_by_its_own_parameters(result: jaxrl.Result) -> None:
    obs = jnp.array([0.1, -0.2, 0.05, 0.3], jnp.float32)
    for place in (0, 2, -1):
        member = result.member(place)
        assert member.seed == SEEDS[place]
        values = numpy_network(member.params, np.asarray(obs))
        assert int(member.policy(obs)) == int(np.argmax(values))
        np.testing.assert_array_equal(member.log["loss"], result.log["loss"][place])
    explored = {int(result.member(0).policy(obs, jax.random.key(i))) for i in range(100)}
    assert explored == {0, 1}


@pytest.mark.parametrize("place", [3, -4, 100])
def test_there_is_no_such_member(result: jaxrl.Result, place: int) -> None:
    with pytest.raises(IndexError, match=f"member {place} is not there: the result has members 0 to 2"):
        result.member(place)


def test_the_best_member_has_the_greatest_mean_return(result: jaxrl.Result) -> None:
    returns = np.array([[10, 12], [3, 40], [20, 1]], np.float32)
    other = dataclasses.replace(result, greedy_returns=returns)
    assert other.best().index == 1
    other.log["diverged"] = np.zeros((3, LOG_POINTS), bool)
    other.log["diverged"][1, 4:] = True
    assert other.best().index == 0
    other.log["diverged"] = np.ones((3, LOG_POINTS), bool)
    assert other.best().index in range(3)


def numpy_network(params: Any, obs: np.ndarray) -> np.ndarray:
    """The values of the actions, by hand: one hidden ReLU layer and one head."""
    hidden, head = params["mlp/~/linear_0"], params["head_0"]
    return np.maximum(obs @ hidden["w"] + hidden["b"], 0) @ head["w"] + head["b"]


def numpy_cart_pole(env: Any, state: np.ndarray, action: int) -> np.ndarray:
    """Barto, Sutton and Anderson's equations, one Euler step, in float64."""
    _, x_dot, theta, theta_dot = state
    mass = env.cart_mass + env.pole_mass
    push = env.force if action == 1 else -env.force
    common = (push + env.pole_mass * env.length * theta_dot**2 * np.sin(theta)) / mass
    turning = (env.gravity * np.sin(theta) - np.cos(theta) * common) / (
        env.length * (4 / 3 - env.pole_mass * np.cos(theta) ** 2 / mass)
    )
    moving = common - env.pole_mass * env.length * turning * np.cos(theta) / mass
    return state + env.tau * np.array([x_dot, moving, theta_dot, turning])


def greedy_by_hand(env: Any, params: Any, start: np.ndarray) -> float:
    state, total = start.astype(np.float64), 0.0
    for _ in range(env.max_steps):
        state = numpy_cart_pole(env, state, int(np.argmax(numpy_network(params, state))))
        total += 1.0
        if abs(state[0]) > env.x_limit or abs(state[2]) > env.theta_limit:
            break
    return total


def test_evaluation_plays_what_a_plain_loop_plays(result: jaxrl.Result) -> None:
    episodes, seed = 6, 5
    longer = dataclasses.replace(result, agent=dqn(env=cart_pole(max_steps=10)))
    returns = jaxrl.evaluate(longer, episodes, seed)
    assert returns.shape == (3, episodes)
    assert returns.dtype == np.float32
    env = longer.agent.env
    for member in range(3):
        params = jax.tree.map(lambda x, member=member: x[member].astype(np.float64), result.params)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), RESERVED_SEED), SEEDS[member])
        starts = [np.asarray(env.reset(k)[1]) for k in jax.random.split(jax.random.split(key)[0], episodes)]
        assert [greedy_by_hand(env, params, start) for start in starts] == returns[member].tolist()
    assert returns.min() < 10  # some end by falling, some by the limit
    assert returns.max() == 10


def test_equal_seeds_evaluate_to_equal_numbers(result: jaxrl.Result) -> None:
    longer = dataclasses.replace(result, agent=dqn(env=cart_pole(max_steps=10)))
    first = jaxrl.evaluate(longer, 6, seed=1)
    np.testing.assert_array_equal(first, jaxrl.evaluate(longer, 6, seed=1))
    np.testing.assert_array_equal(first, jaxrl.evaluate(longer, 6, seed=1, block_size=2))
    assert not np.array_equal(first, jaxrl.evaluate(longer, 6, seed=2))
    with pytest.raises(ValueError, match="episodes = 0 must be at least 1"):
        jaxrl.evaluate(result, 0)


def test_a_policy_takes_an_observation_as_a_list(result: jaxrl.Result) -> None:
    member = result.member(0)
    obs = [0.0, 0.1, 0.0, -0.1]
    values, _ = member.agent.outputs(member.params, (), np.asarray([obs], np.float32))
    assert int(member.policy(obs)) == int(np.argmax(values))
    with pytest.raises(ValueError, match=r"obs has shape \(3,\), and one observation has shape \(4,\)"):
        member.policy(obs[:3])


def test_the_best_member_is_none_whose_returns_are_no_numbers(result: jaxrl.Result) -> None:
    assert result.best_index(np.asarray([[5.0, 5.0], [np.nan, 9.0], [7.0, 1.0]])) == 0
