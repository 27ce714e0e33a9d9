"""`jaxrl.train`: members, blocks, devices, the log, interruptions and bad input.

Runs are tiny and short. Members that should have equal numbers are compared with a tolerance of
1e-5 (relative and absolute): other batch sizes add up in another order, in the last of float32's 24
bits, and over the 120 steps of these runs that grows to some 1e-7. Over tens of thousands of steps
it would grow until another action is chosen, so longer runs would compare luck. What must not
depend on rounding at all is compared bit for bit.
"""

import dataclasses
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import loop
from jaxrl.evaluation import RESERVED_SEED
from jaxrl.plan import make_plan
from jaxrl.progress import Progress
from jaxrl.pytree import field_bounds, is_static

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
STEPS, SLOTS = 120, 12
SEEDS = [7, 3, 11]


@pytest.fixture(scope="module", autouse=True)
def _fast_compilation() -> Iterator[None]:
    """Compiles in half the time; what is tested here does not depend on it."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def cart_pole(**parameters: Any) -> jaxrl.Environment:
    return jaxrl.make("CartPole-v1", **{"max_steps": 20, **parameters})


def dqn(**fields: Any) -> jaxrl.DQN:
    small = {"hidden": (8,), "batch_size": 4, "buffer_size": 64, "learning_starts": 8, "epsilon_decay_steps": 60.0}
    return jaxrl.DQN(**{"env": cart_pole(), **small, **fields})


def reinforce(**fields: Any) -> jaxrl.Reinforce:
    return jaxrl.Reinforce(**{"env": cart_pole(), "hidden": (8,), "num_envs": 2, "episodes_per_update": 3, **fields})


def train(agent: Any = None, steps: int | None = STEPS, **arguments: Any) -> jaxrl.Result:
    return jaxrl.train(agent or dqn(), steps, **{"slots": SLOTS, "progress": False, "devices": 1, **arguments})


@pytest.fixture(scope="module")
def result() -> jaxrl.Result:
    """Three members in one block."""
    return train(seeds=SEEDS)


def numbers(result: Any, member: int) -> dict[str, np.ndarray]:
    """All that a member's training gave: parameters, optimizer, environments and log."""
    state = jax.tree.map(
        lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x, result.state
    )
    found = {
        jax.tree_util.keystr(path): np.asarray(x)[member] for path, x in jax.tree_util.tree_leaves_with_path(state)
    }
    return found | {name: values[member] for name, values in result.log.items()}


def assert_close(result: Any, member: int, other: Any, other_member: int) -> None:
    ours, theirs = numbers(result, member), numbers(other, other_member)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], **TOLERANCE, err_msg=name)


def assert_identical(result: Any, member: int, other: Any, other_member: int) -> None:
    ours, theirs = numbers(result, member), numbers(other, other_member)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)


# Members.


def test_members_learn_and_differ(result: jaxrl.Result) -> None:
    params = numbers(result, 0)
    assert not all(np.array_equal(values, numbers(result, 1)[name], equal_nan=True) for name, values in params.items())
    assert np.isfinite(result.log["loss"][:, -1]).all()
    assert len(np.unique(result.log["loss"][:, -1])) == len(SEEDS)


def test_seeds_as_a_number_are_the_first_ones(result: jaxrl.Result) -> None:
    counted = train(seeds=3)
    listed = train(seeds=np.array([2, 0, 1], np.uint8))
    assert counted.seeds.tolist() == [0, 1, 2]
    assert listed.seeds.tolist() == [2, 0, 1]
    for place, seed in enumerate([2, 0, 1]):
        assert_identical(counted, seed, listed, place)
    assert result.seeds.tolist() == SEEDS


def test_a_member_alone_equals_itself_among_others(result: jaxrl.Result) -> None:
    alone = train(seeds=[3])
    assert_close(result, SEEDS.index(3), alone, 0)


def test_a_reinforce_member_alone_equals_itself_among_others() -> None:
    agent = reinforce()
    together = train(agent, None, iterations=6, slots=6, seeds=SEEDS)
    alone = train(agent, None, iterations=6, slots=6, seeds=[3])
    # All members collect until the last one has its episodes, so this share is of the block, not of the member.
    for result in (together, alone):
        assert (result.log.pop("used_fraction") > 0).all()
    assert_close(together, SEEDS.index(3), alone, 0)
    assert len(np.unique(together.log["episode_length"][:, -1])) > 1


@pytest.mark.parametrize("block", [1, 2, 64])
def test_the_size_of_blocks_changes_nothing(result: jaxrl.Result, block: int) -> None:
    # Blocks of 2 leave one member in the last one, which is filled up; the filling must not be reported.
    other = train(seeds=SEEDS, block=block)
    assert other.members == 3
    assert all(values.shape[0] == 3 for values in [*other.log.values(), *jax.tree.leaves(other.state)])
    for member in range(3):
        assert_close(result, member, other, member)


def test_several_devices_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "devices.txt"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    child = subprocess.run(
        [sys.executable, __file__, str(file)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert child.returncode == 0, child.stderr
    assert file.read_text() == "compared 5 members"


def compare_devices() -> str:
    """Runs in a process of its own, because the number of devices is fixed when JAX starts."""
    jaxrl.use_cpu_cores(4)
    assert jax.local_device_count() == 4
    members = {"seeds": [7, 3, 11, 0, 5], "vary": {"learning_rate": np.linspace(1e-3, 5e-3, 5)}}
    one = train(**members, devices=1)
    # A whole block of 4, a member to a device, and another with one member and three to fill it up.
    four = train(**members, block=4, devices=None)
    assert {values.shape[0] for values in [*four.log.values(), *jax.tree.leaves(four.state)]} == {5}
    for member in range(5):
        assert_close(one, member, four, member)
    return "compared 5 members"


# Fields that differ between members.


VARY = {
    "learning_rate": [1e-3, 2e-3, 5e-3],
    "discount": [0.9, 0.99, 0.5],
    "epsilon_end": [0.0, 0.5, 1.0],
    "env.length": [0.4, 0.5, 0.7],
}


@pytest.fixture(scope="module")
def varied() -> jaxrl.Result:
    return train(seeds=SEEDS, vary=VARY)


def with_values(number: int) -> jaxrl.DQN:
    mine = {path: values[number] for path, values in VARY.items()}
    return dqn(env=cart_pole(length=mine.pop("env.length")), **mine)


@pytest.mark.parametrize("member", range(3))
def test_varied_members_equal_agents_with_those_values(varied: jaxrl.Result, member: int) -> None:
    alone = train(with_values(member), seeds=[SEEDS[member]])
    assert_close(varied, member, alone, 0)
    assert varied.member(member).agent.learning_rate == pytest.approx(VARY["learning_rate"][member])
    assert varied.member(member).agent.env.length == pytest.approx(VARY["env.length"][member])


def test_varying_changes_the_numbers(varied: jaxrl.Result, result: jaxrl.Result) -> None:
    for member in range(3):
        with pytest.raises(AssertionError):
            assert_close(varied, member, result, member)


def test_a_diverging_member_is_flagged_and_changes_no_other(varied: jaxrl.Result) -> None:
    broken = train(seeds=SEEDS, vary=VARY | {"learning_rate": [1e-3, 1e37, 5e-3]})
    assert broken.log["diverged"][:, -1].tolist() == [False, True, False]
    np.testing.assert_array_equal(broken.log["diverged"], np.maximum.accumulate(broken.log["diverged"], axis=1))
    assert not varied.log["diverged"].any()
    for member in (0, 2):
        assert_identical(varied, member, broken, member)
    broken.remember_returns(np.array([[1], [9], [2]], np.float32))
    assert broken.best().number == 2


# Compilation.


def test_nothing_is_compiled_again(result: jaxrl.Result, compilations: Any) -> None:
    train(seeds=[*SEEDS, 1, 2], block=3)  # what JAX compiles by the way, such as a slice of keys
    before, programs = compilations(), loop.run._cache_size()
    train(seeds=[0, 1, 2])
    train(steps=3 * STEPS + 7, seeds=SEEDS)
    train(dqn(learning_rate=3e-3, tau=0.5, discount=1, env=cart_pole(gravity=np.float64(3), force=7)), seeds=SEEDS)
    train(dqn(hidden=(4 + 4,)), seeds=SEEDS)
    train(seeds=[*SEEDS, 4, 5], block=3)
    assert compilations() == before
    assert loop.run._cache_size() == programs


# The log.


def test_the_log_counts_exactly() -> None:
    # A pole can't fall within 7 steps, so every episode lasts 7; 2 environments play 2 steps an iteration.
    agent = dqn(env=cart_pole(max_steps=7), num_envs=2, train_every=2)
    result = train(agent, 63, seeds=2, slots=7)
    edges = np.array([slot * 15 // 7 for slot in range(8)])
    assert result.iterations == 15
    assert {values.shape for values in result.log.values()} == {(2, 7)}
    assert result.log["step"].dtype == np.float64
    np.testing.assert_array_equal(result.log["step"], np.tile(4 * edges[1:], (2, 1)))
    ended = [any((t + 1) % 7 == 0 for t in range(2 * a, 2 * b)) for a, b in itertools.pairwise(edges)]
    assert 0 < sum(ended) < 7
    expected = np.tile(np.where(ended, 7.0, np.nan), (2, 1))
    np.testing.assert_array_equal(result.log["episode_return"], expected)
    np.testing.assert_array_equal(result.log["episode_length"], expected)
    # 8 steps must be there before the first update: after the second iteration.
    assert np.isnan(result.log["loss"][:, 0]).all() == (edges[1] < 2)
    assert np.isfinite(result.log["loss"][:, 1:]).all()
    assert result.log["diverged"].dtype == bool
    assert result.complete


def test_slots_change_no_member(result: jaxrl.Result) -> None:
    other = train(seeds=SEEDS, slots=5)
    other.log.clear()
    kept = dataclasses.replace(result, log={})
    for member in range(3):
        assert_identical(kept, member, other, member)


def test_slots_are_no_more_than_iterations() -> None:
    agent = dqn(env=cart_pole(max_steps=7), num_envs=2, train_every=2)
    result = train(agent, None, iterations=7, seeds=2, slots=1000)
    np.testing.assert_array_equal(result.log["step"], np.tile(4 * np.arange(1, 8), (2, 1)))


def test_a_log_never_counts_beyond_float32() -> None:
    sizes = {"steps": None, "seeds": 1, "vary": None, "block": None, "devices": 1, "memory_limit": None}
    with pytest.raises(ValueError, match=r"slots = 1 of 20000000 iterations .* at least slots = 2"):
        make_plan(dqn(), iterations=20_000_000, slots=1, **sizes)
    assert make_plan(dqn(), iterations=20_000_000, slots=2, **sizes).slots == 2


# Memory.


@pytest.mark.parametrize("block", [None, 3])
@pytest.mark.parametrize("limit", [2 * 2**20, 123_456, 80_000])
def test_a_run_that_cannot_fit_is_refused_with_the_number_that_fits(
    limit: int, block: int | None, never_compiled: None
) -> None:
    agent = dqn(buffer_size=500)
    with pytest.raises(ValueError, match=r"seeds = 100000 members need .* MiB") as caught:
        train(agent, seeds=100_000, memory_limit=limit, block=block)
    message = str(caught.value)
    fits = int(re.search(r"at most seeds = (\d+) would fit", message).group(1))
    assert len(re.findall(r"[\d,.]+ MiB", message)) == 4
    assert 0 < fits < 100_000
    sizes = {"vary": None, "iterations": None, "slots": SLOTS, "block": block, "devices": 1, "memory_limit": limit}
    assert make_plan(agent, steps=STEPS, seeds=fits, **sizes).members == fits
    with pytest.raises(ValueError, match=f"at most seeds = {fits} would fit"):
        make_plan(agent, steps=STEPS, seeds=fits + 1, **sizes)


def test_not_even_one_member_fits(never_compiled: None) -> None:
    with pytest.raises(ValueError, match="not even one member fits"):
        train(dqn(buffer_size=100_000), seeds=2, memory_limit=10_000)
    # Refused before anything of that length is made.
    with pytest.raises(ValueError, match="members need"):
        train(seeds=4_000_000_000, memory_limit=2**30)


def test_blocks_shrink_before_a_run_is_refused() -> None:
    sizes = {"vary": None, "iterations": None, "slots": SLOTS, "block": None, "devices": 1}
    agent = dqn(buffer_size=2_000)
    roomy = make_plan(agent, steps=STEPS, seeds=32, memory_limit=2**30, **sizes)
    tight = make_plan(agent, steps=STEPS, seeds=32, memory_limit=1_200_000, **sizes)
    assert roomy.block == 16
    assert 1 < tight.block < 16


# Interruptions.


@pytest.mark.parametrize(("slot", "block"), [(5, None), (17, 1)])
def test_ctrl_c_keeps_what_is_done(
    slot: int, block: int | None, result: jaxrl.Result, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = []

    def advance(self: Progress, slots: int, *_: float) -> None:
        shown.append(slots)
        if sum(shown) >= slot and len(shown) > 0 and not interrupted:
            interrupted.append(True)
            signal.raise_signal(signal.SIGINT)

    interrupted: list[bool] = []
    monkeypatch.setattr(Progress, "advance", advance)
    monkeypatch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
    handler = signal.getsignal(signal.SIGINT)
    partial = train(seeds=SEEDS, block=block, progress=True, out=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler
    assert not partial.complete
    # Of three blocks of one member, the first was done and the second was under way.
    assert partial.seeds.tolist() == (SEEDS if block is None else SEEDS[:2])
    reached = np.isfinite(partial.log["step"])
    assert reached.sum() == (3 * slot if block is None else slot)
    for name in ("step", "loss", "episode_return"):
        ours, whole = partial.log[name], result.log[name][: partial.members]
        np.testing.assert_allclose(np.where(reached, ours, 0), np.where(reached, whole, 0), **TOLERANCE)
        assert np.isnan(ours[~reached]).all()
    if block is None:
        resumed = train(seeds=SEEDS, out=tmp_path / "run", resume=True)
        for member in range(3):
            assert_identical(resumed, member, result, member)


def test_ctrl_c_before_anything_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(jaxrl.training.Trainer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(jaxrl.training, "Trainer", Interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(seeds=SEEDS)


# Results.


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
    other = dataclasses.replace(result)
    other.remember_returns(np.array([[10, 12], [3, 40], [20, 1]], np.float32))
    assert other.best().number == 1
    other.log["diverged"] = np.zeros((3, SLOTS), bool)
    other.log["diverged"][1, 4:] = True
    assert other.best().number == 0
    other.log["diverged"] = np.ones((3, SLOTS), bool)
    assert other.best().number in range(3)


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
    np.testing.assert_array_equal(first, jaxrl.evaluate(longer, 6, seed=1, block=2))
    assert not np.array_equal(first, jaxrl.evaluate(longer, 6, seed=2))
    with pytest.raises(ValueError, match="episodes = 0 must be at least 1"):
        jaxrl.evaluate(result, 0)


# Bad input. Nothing of it may reach the training program.


@pytest.fixture
def never_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("bad input came as far as the training program")

    monkeypatch.setattr(loop, "run", refuse)
    monkeypatch.setattr(loop, "init", refuse)


def outside(field: dataclasses.Field) -> list[Any]:
    """Values that a field must not accept, by its own declaration."""
    bounds = field_bounds(field)
    if bounds.choices is not None:
        return ["nonsense", None]
    wrong = [] if bounds.minimum is None else [bounds.minimum - 1]
    wrong += [] if bounds.above is None else [bounds.above, bounds.above - 1]
    wrong += [] if bounds.maximum is None else [bounds.maximum + 1]
    if field.type == tuple[int, ...]:
        return [(8, 0), (8, 8.5), (8, True), [8], 8, None]
    if is_static(field):
        return [*wrong, 1.5, 32.0, True, "4", None] if field.type is int else wrong
    return [*wrong, float("nan"), float("inf"), 1e39, "4", True, np.array([0.5, 0.25])]


def bad_fields() -> Iterator[Any]:
    for cls in (jaxrl.DQN, jaxrl.Reinforce, type(cart_pole())):
        for field in dataclasses.fields(cls):
            for value in outside(field) if field.name != "env" else ["CartPole-v1", jaxrl.DQN, 3]:
                name = f"{cls.__name__}.{field.name}={value!r}"
                yield pytest.param(cls, field.name, value, id=name)


@pytest.mark.parametrize(("cls", "name", "value"), list(bad_fields()))
def test_a_bad_field_is_named(cls: Any, name: str, value: Any, never_compiled: None) -> None:
    build = {jaxrl.DQN: dqn, jaxrl.Reinforce: reinforce}.get(cls, lambda **fields: dqn(env=cart_pole(**fields)))
    with pytest.raises((TypeError, ValueError)) as caught:
        train(build(**{name: value}))
    message = str(caught.value)
    assert message.startswith(f"{cls.__name__}.{name} = {value!r} "), message
    assert "must be " in message, message


def test_more_environments_than_episodes(never_compiled: None) -> None:
    with pytest.raises(ValueError, match=r"Reinforce.num_envs = 4 must be at most episodes_per_update = 3"):
        train(reinforce(num_envs=4, episodes_per_update=3))


@jaxrl.pytree
class Continuous(jaxrl.Environment):
    max_steps: int = jaxrl.static(default=5)
    observation_space = jaxrl.Box(-1.0, 1.0, (1,), jnp.float32)
    action_space = jaxrl.Box(-1.0, 1.0, (1,), jnp.float32)

    def reset(self, key: Any) -> Any:
        return jnp.zeros(1), jnp.zeros(1)

    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state, jaxrl.TimeStep(state, jnp.float32(0), jnp.bool_(False), jnp.bool_(False))


@jaxrl.pytree
class Discretised(Continuous):
    action_space = jaxrl.Discrete(2)


@jaxrl.pytree
class WrongObservation(Discretised):
    def reset(self, key: Any) -> Any:
        return jnp.zeros(1), jnp.zeros(2)


@jaxrl.pytree
class WrongReward(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state, jaxrl.TimeStep(state, jnp.int32(0), jnp.bool_(False), jnp.bool_(False))


@jaxrl.pytree
class Raising(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return [][state.shape[0]]


@jaxrl.pytree
class OtherState(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state.astype(jnp.int32), super().step(state, action, key)[1]


@jaxrl.pytree
class OtherStructure(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return {"x": state}, super().step(state, action, key)[1]


@jaxrl.pytree
class WrongTruncated(Discretised):
    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state, jaxrl.TimeStep(state, jnp.float32(0), jnp.bool_(False), jnp.float32(0))


@jaxrl.pytree
class WrongMask(Discretised):
    def action_mask(self, state: Any) -> Any:
        return jnp.ones(1, bool)


@jaxrl.pytree
class FloatMask(Discretised):
    def action_mask(self, state: Any) -> Any:
        return jnp.ones(2)


@jaxrl.pytree
class Endless(Discretised):
    max_steps: int = jaxrl.static(default=0)


@pytest.mark.parametrize("algorithm", [jaxrl.DQN, jaxrl.Reinforce])
def test_continuous_actions_do_not_suit(algorithm: Any, never_compiled: None) -> None:
    with pytest.raises(
        TypeError, match=f"{algorithm.__name__} needs a Discrete action space, and Continuous has .*Box"
    ):
        train(algorithm(Continuous()))


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (WrongObservation, "WrongObservation fails its contract: reset's observation"),
        (WrongReward, "WrongReward fails its contract: reward"),
        (OtherState, r"the state .*float32.* after reset and .*int32.* after step"),
        (OtherStructure, "the state .* after reset and .*'x'.* after step"),
        (WrongTruncated, r"truncated is .*float32.*must be bool\[\]"),
        (WrongMask, r"reset's action mask is .* must be bool\[2\]"),
        (FloatMask, r"reset's action mask is .*float32.* must be bool\[2\]"),
        (Raising, "Raising fails its contract: IndexError"),
        (Endless, "Endless.max_steps = 0"),
    ],
)
def test_an_environment_that_breaks_its_contract(env: Any, words: str, never_compiled: None) -> None:
    with pytest.raises(ValueError, match=words):
        train(dqn(env=env()))


ARGUMENTS = [
    ({"steps": 0}, ValueError, "steps = 0 must be at least 1"),
    ({"steps": -5}, ValueError, "steps = -5 must be at least 1"),
    ({"steps": 1e5}, TypeError, "steps = 100000.0 must be a whole number"),
    ({"steps": True}, TypeError, "steps = True must be a whole number"),
    ({"steps": None}, ValueError, "give either steps"),
    ({"iterations": 5}, ValueError, "give either steps"),
    ({"steps": 2**31}, ValueError, r"iterations = 2147483648 must be at most 2\^31 - 1"),
    ({"seeds": 0}, ValueError, "seeds = 0 must be at least 1"),
    ({"seeds": -3}, ValueError, "seeds = -3 must be at least 1"),
    ({"seeds": True}, TypeError, "seeds = True"),
    ({"seeds": 2.0}, TypeError, "seeds = 2.0"),
    ({"seeds": [1.0, 2.0]}, TypeError, r"seeds = \[1.0, 2.0\]"),
    ({"seeds": [True, False]}, TypeError, r"seeds = \[True, False\]"),
    ({"seeds": []}, TypeError, r"seeds = \[\]"),
    ({"seeds": "12"}, TypeError, "seeds = '12'"),
    ({"seeds": None}, TypeError, "seeds = None"),
    ({"seeds": [1, [2, 3]]}, TypeError, r"seeds = \[1, \[2, 3\]\]"),
    ({"seeds": [[1, 2]]}, TypeError, r"seeds = \[\[1, 2\]\]"),
    ({"seeds": [4, 1, 4]}, ValueError, r"seeds repeat \[4\]"),
    ({"seeds": [0, -1]}, ValueError, r"between 0 and 4294967294, and \[0, -1\] are not"),
    ({"seeds": [2**32 - 1]}, ValueError, "between 0 and 4294967294"),
    ({"seeds": 2**32}, ValueError, "seeds = 4294967296 are more than there can be"),
    ({"slots": 0}, ValueError, "slots = 0 must be at least 1"),
    ({"slots": 2.5}, TypeError, "slots = 2.5 must be a whole number"),
    ({"block": 0}, ValueError, "block = 0 must be at least 1"),
    ({"devices": 0}, ValueError, "devices = 0 must be at least 1"),
    ({"devices": "2"}, TypeError, "devices = '2' must be a whole number"),
    ({"memory_limit": "8GB"}, TypeError, "memory_limit = '8GB' must be a whole number"),
    ({"checkpoint_seconds": "60"}, TypeError, "checkpoint_seconds = '60' must be a number"),
    ({"checkpoint_seconds": float("nan")}, ValueError, "checkpoint_seconds = nan must be at least 0"),
    ({"steps": 7}, ValueError, "DQN.learning_starts = 8 must be at most the run's 7 steps"),
    ({"devices": 4096}, ValueError, "devices = 4096 must be between 1 and"),
    ({"resume": True}, ValueError, "resume=True needs out"),
    ({"vary": [1]}, TypeError, r"vary = \[1\] must be a dict"),
    ({"vary": {"learning_rat": [1, 2]}}, ValueError, "'learning_rat' .did you mean 'learning_rate'"),
    ({"vary": {"env.lenght": [1, 2]}}, ValueError, "'env.lenght' .did you mean 'env.length'"),
    ({"vary": {"env": [1, 2]}}, ValueError, "vary has no leaf 'env'"),
    ({"vary": {"batch_size": [8, 9]}}, ValueError, "vary has no leaf 'batch_size'"),
    ({"vary": {"max_grad_norm": [8, 9]}}, ValueError, "vary has no leaf 'max_grad_norm'"),
    (
        {"vary": {"learning_rate": [1e-3]}},
        ValueError,
        r"vary\['learning_rate'\] has shape \(1,\) and must have .*\(2,\)",
    ),
    ({"vary": {"learning_rate": 1e-3}}, ValueError, r"vary\['learning_rate'\] has shape \(\)"),
    ({"vary": {"learning_rate": [[1e-3], [1, 2]]}}, TypeError, r"vary\['learning_rate'\].*must be numbers"),
    ({"vary": {"learning_rate": ["a", "b"]}}, TypeError, r"vary\['learning_rate'\].*must be numbers"),
    ({"vary": {"learning_rate": [1e-3, 0]}}, ValueError, "DQN.learning_rate = .*must be > 0"),
    ({"vary": {"learning_rate": [1e-3, np.nan]}}, ValueError, "DQN.learning_rate = .*nan.* must be"),
    ({"vary": {"env.gravity": [9.8, np.inf]}}, ValueError, r"vary\['env.gravity'\] = .*inf.* must be finite"),
    ({"vary": {"env.gravity": [9.8, 1e300]}}, ValueError, r"vary\['env.gravity'\] = .*must be finite"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), ARGUMENTS, ids=[repr(a) for a, *_ in ARGUMENTS])
def test_a_bad_argument_is_named(arguments: Any, error: Any, words: str, never_compiled: None) -> None:
    with pytest.raises(error, match=words):
        train(**{"seeds": 2, **arguments})


def test_steps_that_are_less_than_an_iteration(never_compiled: None) -> None:
    with pytest.raises(
        ValueError, match=r"steps = 59 is less than one iteration of Reinforce, .* 60 environment steps"
    ):
        train(reinforce(), 59)
    with pytest.raises(ValueError, match="steps = 7 is less than one iteration of DQN"):
        train(dqn(num_envs=4, train_every=2), 7)


def test_iterations_that_vary_in_length_are_told_of() -> None:
    with pytest.warns(UserWarning, match="steps = 130 makes 2 iterations of at most 60 steps each"):
        result = train(reinforce(), 130)
    assert result.iterations == 2


def test_the_bar_tells_steps_rate_and_return(capfd: pytest.CaptureFixture[str]) -> None:
    result = train(reinforce(), None, iterations=5, seeds=2, progress=True)
    last = capfd.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    steps = f"{np.nanmax(result.log['step'], axis=1).sum():,.0f}"
    assert re.match(rf"Reinforce, 2 members: 100%.*, {steps} steps, [\d,]+ steps/s, return [\d.]+", last)


def test_a_policy_takes_an_observation_as_a_list(result: jaxrl.Result) -> None:
    member = result.member(0)
    obs = [0.0, 0.1, 0.0, -0.1]
    values = member.agent.outputs(member.params, np.asarray(obs, np.float32))
    assert int(member.policy(obs)) == int(np.argmax(values))
    with pytest.raises(ValueError, match=r"obs has shape \(3,\), and one observation has shape \(4,\)"):
        member.policy(obs[:3])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"episodes": 0}, ValueError, "episodes = 0 must be at least 1"),
        ({"episodes": 2.5}, TypeError, "episodes = 2.5 must be a whole number"),
        ({"block": 0}, ValueError, "block = 0 must be at least 1"),
        ({"seed": "a"}, TypeError, "seed = 'a' must be a whole number"),
    ],
)
def test_bad_arguments_of_evaluate(arguments: Any, error: Any, words: str, result: jaxrl.Result) -> None:
    with pytest.raises(error, match=words):
        jaxrl.evaluate(result, **arguments)


def test_the_best_member_is_none_whose_returns_are_no_numbers(result: jaxrl.Result) -> None:
    assert result.best_number(np.asarray([[5.0, 5.0], [np.nan, 9.0], [7.0, 1.0]])) == 0


@pytest.mark.parametrize("agent", [None, "dqn", jaxrl.DQN, 3])
def test_what_is_no_agent(agent: Any, never_compiled: None) -> None:
    with pytest.raises(TypeError, match=r"agent = .* must be an agent such as jaxrl.DQN"):
        jaxrl.train(agent, 10)


def test_seeds_may_repeat_where_members_vary(varied: jaxrl.Result) -> None:
    # The same numbers in another order of members, one seed twice.
    repeated = train(seeds=[7, 7, 11], vary={path: [values[0], values[1], values[2]] for path, values in VARY.items()})
    assert_identical(varied, 0, repeated, 0)
    assert_identical(varied, 2, repeated, 2)
    with pytest.raises(AssertionError):
        assert_close(varied, 0, repeated, 1)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(compare_devices())
