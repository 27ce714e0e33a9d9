"""MuJoCo Playground's environments beside Playground itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.actors import LEAST_RESERVE, reserve_size
from jaxrl.config import from_config, to_config
from jaxrl.env_checker import check_environment
from jaxrl.env_checker.context import CheckContext
from jaxrl.env_checker.methods import check_keys

playground = pytest.importorskip("mujoco_playground")

REUSED = "key-reused: its reset splits a key that it has used"
CANNOT = {name: REUSED for name in playground.dm_control_suite.ALL_ENVS if name.startswith(("Cartpole", "Finger"))}
"""The environments of the DM control suite that do not pass `check_env`, and why."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Data:
    """What Playground looks at of a simulation."""

    qpos: jax.Array
    qvel: jax.Array


class Walker(playground.MjxEnv):
    """Walks on by 1 with observations in two parts; action 1 falls over, and action -1 breaks the simulation."""

    xml_path = mj_model = mjx_model = None
    action_size = 1

    def __init__(self, breaks=True):
        self._breaks = breaks
        self._config = playground.registry.get_default_config("CartpoleBalance")

    def reset(self, rng):
        data = Data(jax.random.uniform(rng, (2,)), jnp.zeros(1))
        return playground.State(
            data, self._obs(data), jnp.zeros(()), jnp.zeros(()), {"reward/speed": jnp.zeros(())}, {}
        )

    def step(self, state, action):
        data = Data(state.data.qpos + jnp.where(self._breaks & (action[0] < 0), jnp.nan, 1.0), state.data.qvel)
        done = (jnp.isnan(data.qpos).any() | (action[0] > 0)).astype(jnp.float32)
        state.metrics["reward/speed"] = data.qpos[1]  # In place, as Playground does.
        return playground.State(data, self._obs(data), data.qpos[0], done, state.metrics, state.info)

    def _obs(self, data):
        return {"state": data.qpos, "privileged_state": jnp.concatenate([data.qpos, data.qvel])}


def test_a_fall_terminates_and_a_broken_simulation_truncates():
    env = jaxrl.adapters.from_playground(Walker())
    state, obs = env.reset(jax.random.key(0))
    for action, flags, diverged in [(0.0, (False, False), 0), (1.0, (True, False), 0), (-1.0, (False, True), 1)]:
        _, step = env.step(state, jnp.array([action]), jax.random.key(0))
        assert (bool(step.terminated), bool(step.truncated)) == flags
        assert step.info["diverged"] == diverged
        # The last numbers that there were, where there are none.
        expected = obs["state"] + 1 - diverged
        np.testing.assert_array_equal(step.obs["state"], expected)
        np.testing.assert_array_equal(step.obs["privileged_state"][:2], expected)
        assert step.reward == (0 if diverged else expected[0])


def test_observations_keep_their_parts():
    env = jaxrl.adapters.from_playground(Walker(breaks=False), max_steps=5)
    assert {name: part.shape for name, part in env.observation_space.spaces.items()} == {
        "state": (2,),
        "privileged_state": (3,),
    }
    assert jaxrl.check_env(env, steps=40, raise_errors=False).errors == ()
    with pytest.raises(TypeError, match="made by hand, which can't be stored"):
        to_config(env)


def test_no_number_of_a_broken_simulation_is_learnt_from():
    env = jaxrl.adapters.from_playground(Walker(), max_steps=5)
    result = jaxrl.train(
        jaxrl.PPO(env, hidden=(4,), num_envs=2, rollout_steps=8, minibatches=1), steps=64, progress=False
    )
    assert np.nanmin(result.log["episode_length"]) < 5  # Random actions break the simulation often.
    assert not result.log["fault"].any()
    assert not result.log["diverged"].any()


def test_it_is_stored_by_name_and_options():
    env = jaxrl.make("playground:CartpoleBalance", ctrl_dt=0.02)
    assert (env.max_steps, env.original.dt, env.original.mjx_model.impl.value) == (1000, 0.02, "jax")
    assert from_config(to_config(env)) == env
    assert jaxrl.make("playground:CartpoleBalance", max_steps=7).max_steps == 7
    assert reserve_size(env, 4) == LEAST_RESERVE


@pytest.mark.slow
@pytest.mark.parametrize("name", playground.dm_control_suite.ALL_ENVS)
def test_environments_pass_the_checks_that_tracing_makes(name):
    env = jaxrl.make(f"playground:{name}")
    check_environment(env)
    context = CheckContext(env, seed=0, steps=8)
    context.action = env.action_space.sample(jax.random.key(0))
    check_keys(context)
    reason = CANNOT.get(name)
    assert [finding.code for finding in context.findings] == ([] if reason is None else [reason.split(":")[0]])
    assert context.skipped == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CartpoleBalance", "PendulumSwingup"])  # Minutes each, for what XLA compiles.
def test_environments_pass_the_whole_check(name):
    report = jaxrl.check_env(jaxrl.make(f"playground:{name}"), steps=80, raise_errors=False)
    reason = CANNOT.get(name)
    assert [finding.code for finding in report.errors] == ([] if reason is None else [reason.split(":")[0]]), report


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CartpoleSwingup", "ReacherEasy"])
def test_steps_are_those_of_playground(name):
    theirs = playground.registry.load(name, config_overrides={"impl": "jax"})
    ours = jaxrl.make(f"playground:{name}")
    state, obs = jax.jit(ours.reset)(jax.random.key(0))
    their_state = jax.jit(theirs.reset)(jax.random.key(0))
    np.testing.assert_array_equal(obs, their_state.obs)
    our_step, their_step = jax.jit(ours.step), jax.jit(theirs.step)
    for action in np.random.default_rng(0).uniform(-1, 1, (25, theirs.action_size)).astype(np.float32):
        state, step = our_step(state, action, jax.random.key(1))
        their_state = their_step(their_state, action)
        np.testing.assert_allclose(step.obs, their_state.obs, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(step.reward, their_state.reward, rtol=1e-3, atol=1e-5)
        assert not (step.terminated)
        assert not (step.truncated)
        assert not (step.info["diverged"])
        assert step.info.keys() == {*their_state.metrics, "diverged"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("CartpoleBalanc", {}, r"has no environment 'CartpoleBalanc' \(did you mean 'CartpoleBalance'\?\)"),
        ("CartpoleBalance", {"ctrl_td": 0.1}, r"playground:CartpoleBalance has no parameter 'ctrl_td'.*'ctrl_dt'"),
        ("CartpoleBalance", {"action_repeat": 2}, r"would ignore 'action_repeat'.*use jaxrl.wrappers.ActionRepeat"),
    ],
)
def test_bad_input(name, options, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.make(f"playground:{name}", **options)


def test_what_is_no_environment_of_playground():
    with pytest.raises(TypeError, match="must be an environment of MuJoCo Playground"):
        jaxrl.adapters.from_playground("CartpoleBalance")
