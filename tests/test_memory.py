"""The memory plan: every large array is in it, so that what can't fit is refused before anything is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import dqn, ppo, reinforce, train

import jaxrl
from jaxrl import evaluation
from jaxrl.agents.base import Clock
from jaxrl.devices import NotEnoughMemoryError, bytes_of
from jaxrl.evaluation import episode_bytes, greedy_returns
from jaxrl.memory import member_bytes
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.pytree import with_array_leaves

pytestmark = pytest.mark.usefixtures("fast_compilation")
MEBI = 2**20


@pytest.fixture(scope="module")
def result() -> jaxrl.Result:
    return train(seeds=3)


@pytest.fixture
def never_played(never_compiled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that comes as far as a program that trains or evaluates."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("what can't fit came as far as a program")

    monkeypatch.setattr(evaluation, "_block_returns", refuse)


def temporary_bytes(function: Any, *arguments: Any) -> int:
    """What XLA's own plan of a program says of its scratch memory."""
    return jax.jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(
    "agent",
    [
        dqn(batch_size=20_000, hidden=(64, 64)),
        dqn(batch_size=20_000, hidden=(128,), dueling=True, double=False),
        dqn(env=jaxrl.make("PlaneStrike-v0"), batch_size=20_000, hidden=(64,)),
        dqn(num_envs=20_000, buffer_size=20_000, hidden=(64, 64)),
        reinforce(num_envs=500, episodes_per_update=500, gradient_chunk=20, hidden=(64, 64)),
    ],
    ids=["batch", "dueling", "masked", "environments", "episodes"],
)
def test_the_scratch_of_an_iteration_covers_what_xla_needs(agent: Any) -> None:
    agent = with_array_leaves(agent)
    state = jax.eval_shape(agent.init, jax.random.key(0))
    needed = temporary_bytes(lambda state: agent.iterate(state, Clock(jnp.int32(9), jnp.int32(100))), state)
    planned = bytes_of((agent.workspace(), agent.gradient_workspace())) + bytes_of(state)
    assert needed < 1.1 * planned < 6 * needed


@pytest.mark.parametrize(
    "agent",
    [
        dqn(hidden=(64, 64)),
        reinforce(env=jaxrl.make("PlaneStrike-v0"), hidden=(64, 64)),
        ppo(env=jaxrl.make("Pendulum-v1"), hidden=(64, 64)),
        ppo(memory="lstm", memory_size=32, num_envs=4),
    ],
    ids=["plain", "masked", "continuous", "memory"],
)
def test_the_bytes_of_episodes_cover_what_xla_needs(agent: Any) -> None:
    agent, episodes = with_array_leaves(agent), 10_000
    params = jax.eval_shape(lambda key: agent.params(agent.init(key)), jax.random.key(0))
    needed = temporary_bytes(lambda p, k: greedy_returns(agent, p, k, episodes), params, jax.random.key(0))
    assert needed < 1.1 * episode_bytes(agent, episodes) < 5 * needed


def test_a_batch_that_can_t_fit_is_refused(never_played: None) -> None:
    agent = dqn(batch_size=10**6, hidden=(64, 64))
    with pytest.raises(NotEnoughMemoryError, match=r"seeds = 1 members need [\d,.]+ MiB.*not even one member fits"):
        train(agent, memory_limit=100 * MEBI)
    assert member_bytes(agent, 10).training > 1000 * MEBI


def test_evaluation_in_training_counts_spares_and_carries() -> None:
    agent = ppo(memory="lstm", memory_size=32, num_envs=4)
    few, many = (member_bytes(agent, 10, EvaluationPlan(10, episodes, False)).workspace for episodes in (1_000, 2_000))
    # Observation, state and counters of an episode and of the spare start, and the carry: read and written.
    least = 2 * (2 * (4 + 4 + 1 + 1) + 2 * 32) * 4
    assert (many - few) / 1_000 > least


def test_too_many_episodes_are_refused(result: jaxrl.Result, never_played: None) -> None:
    with pytest.raises(ValueError, match="episodes = 99999999999 must be at most 2147483647"):
        jaxrl.evaluate(result, 99_999_999_999)
    with pytest.raises(NotEnoughMemoryError, match=r"episodes = 2147483647 played side by side need [\d,.]+ MiB"):
        jaxrl.evaluate(result, 2**31 - 1)


def test_the_number_of_episodes_that_fits_is_named(
    result: jaxrl.Result, monkeypatch: pytest.MonkeyPatch, never_played: None
) -> None:
    monkeypatch.setattr(evaluation, "free_device_memory", lambda mesh: MEBI)
    with pytest.raises(NotEnoughMemoryError, match=r"at most [0-9]+ would fit") as caught:
        jaxrl.evaluate(result, 1_000_000)
    fits = int(str(caught.value).rpartition("at most ")[2].split()[0])
    assert evaluation.players(result.agent, fits, 1, MEBI) == 1
    with pytest.raises(NotEnoughMemoryError):
        evaluation.players(result.agent, fits + 1, 1, MEBI)
    with pytest.raises(NotEnoughMemoryError, match="not even one fits"):
        evaluation.players(result.agent, 10, 1, 100)


def test_fewer_members_play_at_once_where_memory_is_short(
    result: jaxrl.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = jaxrl.evaluate(result, 5)
    each = episode_bytes(result.agent, 5) + bytes_of(result.member(0).params)
    monkeypatch.setattr(evaluation, "free_device_memory", lambda mesh: 2.5 * each / evaluation.USABLE_MEMORY)
    sizes = []
    played = evaluation._block_returns
    monkeypatch.setattr(evaluation, "_block_returns", lambda *a: sizes.append(len(a[2])) or played(*a))
    np.testing.assert_array_equal(jaxrl.evaluate(result, 5), whole)
    assert sizes == [2, 2]


def test_episodes_of_a_sweep_are_planned(never_played: None) -> None:
    arguments = {"steps": 120, "seeds": 1, "log_points": 8, "progress": False}
    with pytest.raises(ValueError, match="episodes = 99999999999 must be at most 2147483647"):
        jaxrl.sweep(dqn(), {"discount": [0.9]}, episodes=99_999_999_999, **arguments)
    with pytest.raises(NotEnoughMemoryError, match="episodes = 1000000 played side by side need"):
        jaxrl.sweep(dqn(), {"discount": [0.9]}, episodes=1_000_000, memory_limit=10 * MEBI, **arguments)
