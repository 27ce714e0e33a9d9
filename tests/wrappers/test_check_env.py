"""Every wrapper on every environment that comes with jaxrl: it passes the checks, or says why it can't wrap it."""

import functools

import jax.numpy as jnp
import pytest

import jaxrl
from jaxrl import wrappers
from jaxrl.env_checker import check_env, check_environment
from jaxrl.env_checker.context import COMPILER_OPTIONS
from jaxrl.registry import names
from jaxrl.spaces import Box


def unit(env, state):
    return jnp.ones((), jnp.float32)


def double(values):
    return 2 * values


WRAPS = {
    "FlattenObservation": {},
    "RescaleObservation": {},
    "ObservationMask": {"keep": (0,)},
    "TransformObservation": {"function": double},
    "FrameStack": {"k": 3},
    "TimeAware": {},
    "StickyAction": {"p": 0.3},
    "ActionRepeat": {"k": 3},
    "RescaleAction": {},
    "DiscretizeAction": {"bins": 3},
    "ClipReward": {},
    "ScaleReward": {"scale": 0.1},
    "TransformReward": {"function": jnp.tanh},
    "DelayedReward": {"k": 5},
    "PotentialShaping": {"potential": unit, "discount": 0.9},
}
SHIPPED = names()
TRACED = ("CartPole-v1", "Pendulum-v1", "PlaneStrike-v0", "Taxi-v4")
"""Discrete and continuous, with masks and without, arrays and numbers: the others are traced where there is time."""


def expected_refusal(wrapper, env):
    """Part of what a wrapper must say of an environment that it can't wrap; None where it can."""
    box, continuous = isinstance(env.observation_space, Box), isinstance(env.action_space, Box)
    if wrapper in ("RescaleObservation", "ObservationMask", "FrameStack", "TimeAware") and not box:
        return "needs Box observations"
    if wrapper == "RescaleObservation" and not wrappers.base.finite_bounds(env.observation_space).all():
        return "have no finite bounds"
    if wrapper == "ObservationMask" and len(env.observation_space.shape) != 1:
        return "FlattenObservation first"
    if wrapper == "ActionRepeat" and wrappers.base.has_masks(env):
        return "it masks actions"
    if wrapper in ("RescaleAction", "DiscretizeAction") and not continuous:
        return "needs continuous actions"
    return None


@functools.cache
def bare_codes(name):
    return {finding.code for finding in check_env(jaxrl.make(name), raise_errors=False, steps=64).findings}


def test_all_wrappers_are_here():
    assert set(WRAPS) == set(wrappers.WRAPPERS)


@pytest.mark.parametrize("wrapper", WRAPS)
def test_it_wraps_every_environment_or_says_why_not(wrapper):
    wrapped = 0
    for name in SHIPPED:
        env = jaxrl.make(name)
        refusal = expected_refusal(wrapper, env)
        if refusal is not None:
            with pytest.raises(TypeError, match=rf"{wrapper} can't wrap {type(env).__name__}: .*{refusal}"):
                wrappers.make_wrapper(wrapper, env, **WRAPS[wrapper])
        else:
            wrapped_env = wrappers.make_wrapper(wrapper, env, **WRAPS[wrapper])
            if name in TRACED:
                check_environment(wrapped_env)
            wrapped += 1
    assert wrapped > 0


@pytest.fixture
def hasty_compiler(monkeypatch):
    """Compiles in a quarter of the time, to code that nobody waits for here."""
    monkeypatch.setitem(COMPILER_OPTIONS, "xla_cpu_use_fusion_emitters", False)
    monkeypatch.setitem(COMPILER_OPTIONS, "xla_cpu_parallel_codegen_split_count", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("hasty_compiler")
@pytest.mark.parametrize("name", SHIPPED)
def test_every_wrapper_passes_the_whole_check_on_every_environment(name):
    env = jaxrl.make(name)
    for wrapper, parameters in WRAPS.items():
        if expected_refusal(wrapper, env) is None:
            report = check_env(wrappers.make_wrapper(wrapper, env, **parameters), raise_errors=False, steps=64)
            assert not report.errors, str(report)
            assert {finding.code for finding in report.findings} <= bare_codes(name), str(report)


STACKS = {
    "Pendulum-v1": (
        *("RescaleAction", "StickyAction", "DiscretizeAction", "RescaleObservation", "ActionRepeat", "ScaleReward"),
        *("DelayedReward", "PotentialShaping", "FrameStack", "TimeAware"),
    ),
    "Taxi-v4": (
        *("FlattenObservation", "ObservationMask", "TransformObservation", "ClipReward", "TransformReward"),
        *("StickyAction", "TimeAware"),
    ),
}


@pytest.mark.usefixtures("hasty_compiler")
@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_them_pass_the_whole_check(name):
    env = functools.reduce(
        lambda env, wrapper: wrappers.make_wrapper(wrapper, env, **WRAPS[wrapper]), STACKS[name], jaxrl.make(name)
    )
    assert env.layer == len(STACKS[name]) - 1
    report = check_env(env, raise_errors=False, steps=200)
    assert (report.findings, report.skipped) == ((), ())


def test_the_stacks_have_all_wrappers():
    assert {wrapper for stack in STACKS.values() for wrapper in stack} == set(WRAPS)
