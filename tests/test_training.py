"""`jaxrl.train`: members, blocks, devices, the log and interruptions.

Runs are tiny and short. Members that should have equal numbers are compared with a tolerance of
1e-5 (relative and absolute): other batch sizes add up in another order, in the last of float32's 24
bits, and over the 120 steps of these runs that grows to some 1e-7. Over tens of thousands of steps
it would grow until another action is chosen, so longer runs would compare luck. What must not
depend on rounding at all is compared bit for bit.
"""

import contextlib
import dataclasses
import gc
import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from small_runs import SEEDS, STEPS, cart_pole, dqn, reinforce, train

import jaxrl
from jaxrl import loop
from jaxrl.plan import make_plan
from jaxrl.progress import Progress
from jaxrl.train_config import TrainConfig

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module")
def result() -> jaxrl.Result:
    """Three members in one block."""
    return train(seeds=SEEDS)


def numbers(result: Any, member: int) -> dict[str, np.ndarray]:
    """All that a member's training gave: parameters, optimizer, environments and log."""
    state = jax.tree.map(
        lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x, result.state
    )
    actual = {
        jax.tree_util.keystr(path): np.asarray(x)[member] for path, x in jax.tree_util.tree_leaves_with_path(state)
    }
    return actual | {name: values[member] for name, values in result.log.items()}


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
    together = train(agent, None, iterations=6, log_points=6, seeds=SEEDS)
    alone = train(agent, None, iterations=6, log_points=6, seeds=[3])
    # All members collect until the last one has its episodes, so this share is of the block, not of the member.
    for result in (together, alone):
        assert (result.log.pop("used_fraction") > 0).all()
    assert_close(together, SEEDS.index(3), alone, 0)
    assert len(np.unique(together.log["episode_length"][:, -1])) > 1


@pytest.mark.parametrize("block_size", [1, 2, 64])
def test_the_size_of_blocks_changes_nothing(result: jaxrl.Result, block_size: int) -> None:
    # Blocks of 2 leave one member in the last one, which is filled up; the filling must not be reported.
    other = train(seeds=SEEDS, block_size=block_size)
    assert other.members == 3
    assert all(values.shape[0] == 3 for values in [*other.log.values(), *jax.tree.leaves(other.state)])
    for member in range(3):
        assert_close(result, member, other, member)


def test_several_devices_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "devices.txt"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),  # with the tests' helpers
    }
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
    four = train(**members, block_size=4, devices=None)
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
    broken = dataclasses.replace(broken, greedy_returns=np.array([[1], [9], [2]], np.float32))
    assert broken.best().index == 2


# Compilation.


def test_nothing_is_compiled_again(result: jaxrl.Result, compilations: Any) -> None:
    train(seeds=[*SEEDS, 1, 2], block_size=3)  # what JAX compiles by the way, such as a slice of keys
    before, programs = compilations(), loop.run._cache_size()
    train(seeds=[0, 1, 2])
    train(steps=3 * STEPS + 7, seeds=SEEDS)
    train(dqn(learning_rate=3e-3, tau=0.5, discount=1, env=cart_pole(gravity=np.float64(3), force=7)), seeds=SEEDS)
    train(dqn(hidden=(4 + 4,)), seeds=SEEDS)
    train(seeds=[*SEEDS, 4, 5], block_size=3)
    assert compilations() == before
    assert loop.run._cache_size() == programs


# The log.


def test_the_log_counts_exactly() -> None:
    # A pole can't fall within 7 steps, so every episode lasts 7; 2 environments play 2 steps an iteration.
    agent = dqn(env=cart_pole(max_steps=7), num_envs=2, train_every=2)
    result = train(agent, 63, seeds=2, log_points=7)
    edges = np.array([log_point * 15 // 7 for log_point in range(8)])
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


def test_log_points_change_no_member(result: jaxrl.Result) -> None:
    other = train(seeds=SEEDS, log_points=5)
    other.log.clear()
    kept = dataclasses.replace(result, log={})
    for member in range(3):
        assert_identical(kept, member, other, member)


def test_log_points_are_no_more_than_iterations() -> None:
    agent = dqn(env=cart_pole(max_steps=7), num_envs=2, train_every=2)
    result = train(agent, None, iterations=7, seeds=2, log_points=1000)
    np.testing.assert_array_equal(result.log["step"], np.tile(4 * np.arange(1, 8), (2, 1)))


def test_a_log_never_counts_beyond_float32() -> None:
    sizes = {"steps": None, "seeds": 1, "vary": None, "block_size": None, "devices": 1, "memory_limit": None}
    with pytest.raises(ValueError, match=r"log_points = 1 of 20000000 iterations .* at least log_points = 2"):
        make_plan(dqn(), TrainConfig(iterations=20_000_000, log_points=1, **sizes))
    assert make_plan(dqn(), TrainConfig(iterations=20_000_000, log_points=2, **sizes)).log_points == 2


# Interruptions.


@pytest.mark.parametrize(("log_point", "block_size"), [(5, None), (17, 1)])
def test_ctrl_c_keeps_what_is_done(
    log_point: int, block_size: int | None, result: jaxrl.Result, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = []

    def advance(self: Progress, log_points: int, *_: float) -> None:
        shown.append(log_points)
        if sum(shown) >= log_point and len(shown) > 0 and not interrupted:
            interrupted.append(True)
            signal.raise_signal(signal.SIGINT)

    interrupted: list[bool] = []
    monkeypatch.setattr(Progress, "advance", advance)
    monkeypatch.setattr("jaxrl.trainer.PAUSE_SECONDS", 0.0)
    handler = signal.getsignal(signal.SIGINT)
    partial = train(seeds=SEEDS, block_size=block_size, progress=True, out=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler
    assert not partial.complete
    # Of three blocks of one member, the first was done and the second was under way.
    assert partial.seeds.tolist() == (SEEDS if block_size is None else SEEDS[:2])
    reached = np.isfinite(partial.log["step"])
    assert reached.sum() == (3 * log_point if block_size is None else log_point)
    for name in ("step", "loss", "episode_return"):
        ours, whole = partial.log[name], result.log[name][: partial.members]
        np.testing.assert_allclose(np.where(reached, ours, 0), np.where(reached, whole, 0), **TOLERANCE)
        assert np.isnan(ours[~reached]).all()
    if block_size is None:
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


def test_iterations_that_vary_in_length_are_told_of() -> None:
    with pytest.warns(UserWarning, match="steps = 130 makes 2 iterations of at most 60 steps each"):
        result = train(reinforce(), 130)
    assert result.iterations == 2


def test_the_bar_tells_steps_rate_and_return(capfd: pytest.CaptureFixture[str]) -> None:
    result = train(reinforce(), None, iterations=5, seeds=2, progress=True)
    last = capfd.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    steps = f"{np.nanmax(result.log['step'], axis=1).sum():,.0f}"
    assert re.match(rf"Reinforce, 2 members: 100%.*, {steps} steps, [\d,]+ steps/s, return [\d.]+", last)


def test_seeds_may_repeat_where_members_vary(varied: jaxrl.Result) -> None:
    # The same numbers in another order of members, one seed twice.
    repeated = train(seeds=[7, 7, 11], vary={path: [values[0], values[1], values[2]] for path, values in VARY.items()})
    assert_identical(varied, 0, repeated, 0)
    assert_identical(varied, 2, repeated, 2)
    with pytest.raises(AssertionError):
        assert_close(varied, 0, repeated, 1)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_python_collects_no_garbage_while_a_block_begins(
    enabled: bool, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    init, heard = loop.init, []

    def listen(*arguments: Any, **options: Any) -> Any:
        heard.append(gc.isenabled())
        return init(*arguments, **options, **({"unknown": 1} if fails else {}))

    monkeypatch.setattr(loop, "init", listen)
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(TypeError) if fails else contextlib.nullcontext():
            train()
        assert gc.isenabled() == enabled
        assert heard == [False]
    finally:
        gc.enable()


def test_random_keys_are_of_the_kind_that_is_the_default_now() -> None:
    kinds = []
    for kind in ("threefry2x32", "rbg", "threefry2x32"):
        with jax.default_prng_impl(kind):
            kinds.append(jax.random.key_impl(train().state.key))
    assert kinds == ["threefry2x32", "rbg", "threefry2x32"]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(compare_devices())
