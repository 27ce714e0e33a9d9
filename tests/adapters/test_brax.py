"""brax's environments beside brax itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.actors import LEAST_RESERVE, reserve_size
from jaxrl.config import from_config, to_config

envs = pytest.importorskip("brax.envs")

SPRING = {"backend": "spring"}
CANNOT = {"swimmer": 'brax has it for the backend "generalized" alone'}
"""The environments that can't be made with the backend "spring", with which all others pass `check_env`."""
GENERALIZED = "side-effect: jaxopt, which the backend uses, compiles functions that close over traced values"
"""Why those of the backend "generalized" do not; they can be trained on."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(envs._envs))
def test_environments_pass_the_check(name):
    if name in CANNOT:
        pytest.skip(CANNOT[name])
    options = {} if name == "fast" else SPRING
    report = jaxrl.check_env(jaxrl.make(f"brax:{name}", **options), steps=80, raise_errors=False)
    assert not report.errors, report


@pytest.mark.slow
def test_what_the_check_says_of_generalized():
    report = jaxrl.check_env(jaxrl.make("brax:inverted_pendulum", backend="generalized"), steps=80, raise_errors=False)
    assert [result.code for result in report.errors] == [GENERALIZED.split(":")[0]]


def test_one_passes_the_check():
    assert not jaxrl.check_env(jaxrl.make("brax:fast"), steps=16, raise_errors=False).errors


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inverted_pendulum", "ant"])
def test_steps_are_those_of_brax(name):
    theirs, ours = envs.get_environment(name, **SPRING), jaxrl.make(f"brax:{name}", max_steps=25, **SPRING)
    state, obs = jax.jit(ours.reset)(jax.random.key(0))
    their_state = jax.jit(theirs.reset)(jax.random.key(0))
    np.testing.assert_array_equal(obs, their_state.obs)
    our_step, their_step = jax.jit(ours.step), jax.jit(theirs.step)
    actions = np.random.default_rng(0).uniform(-1, 1, (25, theirs.action_size)).astype(np.float32)
    for action in actions:
        state, step = our_step(state, action, jax.random.key(1))
        their_state = their_step(their_state, action)
        np.testing.assert_allclose(step.obs, their_state.obs, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(step.reward, their_state.reward, rtol=1e-4)
        assert bool(step.terminated) == bool(their_state.done)
        assert not step.truncated
        assert step.info.keys() == their_state.metrics.keys()
        if step.terminated:
            break


def test_starts_come_from_the_reserve():
    assert reserve_size(jaxrl.make("brax:fast"), 4) == LEAST_RESERVE


def test_the_time_limit_is_jaxrls_and_truncates():
    env = jaxrl.make("brax:fast", max_steps=7)
    agent = jaxrl.PPO(env, num_envs=2, rollout_steps=16, epochs=1, minibatches=1)
    result = jaxrl.train(agent, steps=64, progress=False)
    assert np.nanmax(result.log["episode_length"]) == 7


def test_it_is_stored_by_name_and_options():
    env = jaxrl.make("brax:fast", max_steps=9)
    assert from_config(to_config(env)) == env


def test_objects_of_brax():
    env = jaxrl.adapters.from_brax(envs.get_environment("fast"))
    state, _ = env.reset(jax.random.key(0))
    after = functools.partial(env.step, state, jnp.zeros(1), jax.random.key(0))()[1]
    assert after.obs.shape == (2,)
    with pytest.raises(TypeError, match="made by hand, which can't be stored"):
        to_config(env)
    with pytest.raises(TypeError, match="must be an environment of brax"):
        jaxrl.adapters.from_brax("fast")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("antt", {}, r"has no environment 'antt' \(did you mean 'ant'\?\)"),
        ("ant", {"bakend": "spring"}, r"brax:ant has no parameter 'bakend'"),
    ],
)
def test_bad_input(name, options, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.make(f"brax:{name}", **options)
