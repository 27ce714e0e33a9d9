"""gymnax's environments beside gymnax itself, of whichever version is installed."""

import importlib.metadata
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.config import differences, from_config, to_config
from jaxrl.pytree import replace_at, with_array_leaves
from jaxrl.wrappers import FlattenObservation, TimeAware

gymnax = pytest.importorskip("gymnax")

NEW = hasattr(gymnax.environments.environment.Environment, "is_truncated")
"""Version 1.0, in which termination and truncation are apart."""
CANNOT = {
    "GaussianBandit-misc": "obs-outside: declares rewards from 0, which are normal numbers",
    "MemoryChain-bsuite": "obs-outside: declares 0 to 2, and shows -1 too",
    "MetaMaze-misc": "obs-outside: declares rewards up to 1, and the goal pays 10",
    "MNISTBandit-bsuite": "downloads its data when it is made",
} | ({} if NEW else {"SimpleBandit-bsuite": "fails in gymnax: reads an element of a number"})
"""The environments that do not pass `check_env`, and why."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(gymnax.registered_envs)))
def test_environments_pass_the_check(name):
    if name == "MNISTBandit-bsuite":
        pytest.skip(CANNOT[name])
    report = jaxrl.check_env(jaxrl.make(f"gymnax:{name}"), raise_errors=False)
    reason = CANNOT.get(name)
    if reason is None:
        assert not report.errors, report
    else:
        assert report.errors, f"{name} passes: take it off the list"
        assert reason.startswith("fails") or [result.code for result in report.errors] == [reason.split(":")[0]]


def test_one_passes_the_check():
    assert not jaxrl.check_env(jaxrl.make("gymnax:Catch-bsuite"), steps=80, raise_errors=False).errors


def test_parameters_that_are_arrays_are_read_at_traced_indices():
    env = with_array_leaves(jaxrl.make("gymnax:Acrobot-v1"))
    state, _ = env.reset(jax.random.key(0))
    assert jax.eval_shape(env.step, state, jnp.int32(2), jax.random.key(0))[1].obs.shape == (6,)


@pytest.mark.parametrize(
    ("name", "steps"), [("CartPole-v1", 60), ("Pendulum-v1", 210), ("Breakout-MinAtar", 40), ("Catch-bsuite", 12)]
)
def test_steps_are_those_of_gymnax(name, steps):
    """In 1.0 beside its public `step`, which keeps the last observation in its info; before, beside `step_env`."""
    theirs, params = gymnax.make(name)
    ours = jaxrl.make(f"gymnax:{name}")
    key = jax.random.key(3)
    (state, obs), (their_obs, their_state) = ours.reset(key), theirs.reset_env(key, params)
    np.testing.assert_array_equal(obs, their_obs)
    our_step, their_step = jax.jit(ours.step), jax.jit(theirs.step if NEW else theirs.step_env)
    ended = False
    for number in range(steps):
        key, step_key, action_key = jax.random.split(key, 3)
        action = ours.action_space.sample(action_key)
        own_key = jax.random.split(step_key)[0] if NEW else step_key
        state, step = our_step(state, action, own_key)
        their_obs, their_state, reward, *flags, info = their_step(step_key, their_state, action, params)
        np.testing.assert_allclose(step.obs, info["final_observation"] if NEW else their_obs, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(step.reward, reward, rtol=1e-5)
        ended = bool(step.terminated | step.truncated)
        assert ended == any(map(bool, flags))
        if NEW:
            assert [bool(step.terminated), bool(step.truncated)] == list(map(bool, flags))
        if ended:
            assert bool(step.truncated) == (number + 1 == ours.max_steps)
            break
    assert ended or steps < 100


def test_the_time_limit_truncates_and_a_fall_terminates():
    env = jaxrl.make("gymnax:CartPole-v1", max_steps=5)
    state, _ = env.reset(jax.random.key(0))
    for number in range(5):
        state, step = env.step(state, number % 2, jax.random.key(1))
    assert (bool(step.terminated), bool(step.truncated)) == (False, True)
    falling = state.replace(theta=jnp.float32(1.0), time=jnp.int32(0))
    _, step = env.step(falling, 1, jax.random.key(1))
    assert (bool(step.terminated), bool(step.truncated)) == (True, False)


def test_minatar_is_not_terminated_by_its_time_limit():
    """Its state keeps a flag that the time limit of gymnax 0.0.9 raises too."""
    env = jaxrl.make("gymnax:Freeway-MinAtar", max_steps=2)
    state, _ = env.reset(jax.random.key(0))
    for _ in range(2):
        state, step = env.step(state, 0, jax.random.key(1))
    assert (bool(step.terminated), bool(step.truncated)) == (False, True)


def test_parameters_are_leaves_that_differ_between_members():
    env = jaxrl.make("gymnax:CartPole-v1")
    lengths = jnp.asarray([0.5, 5.0])
    envs = jax.vmap(lambda length: replace_at(env, "params.length", length))(lengths)
    state, _ = env.reset(jax.random.key(0))
    after, _ = jax.vmap(lambda env: env.step(state, 1, jax.random.key(1)))(envs)
    theirs, params = gymnax.make("CartPole-v1")
    for index, length in enumerate(lengths):
        _, expected, *_ = theirs.step_env(jax.random.key(1), state, 1, params.replace(length=length))
        np.testing.assert_allclose(after.theta_dot[index], expected.theta_dot, rtol=1e-6)
    assert abs(float(after.theta_dot[0] - after.theta_dot[1])) > 0.1


def test_it_trains_is_stored_and_comes_back(tmp_path):
    agent = jaxrl.PPO(jaxrl.make("gymnax:Catch-bsuite", rows=6), num_envs=8, rollout_steps=16)
    vary = {"env.params.max_steps_in_episode": [100, 3]}
    result = jaxrl.train(agent, steps=256, seeds=2, vary=vary, out=tmp_path / "run", progress=False)
    assert result.log["episode_length"][1].max() <= 3 < np.nanmax(result.log["episode_length"][0])
    resumed = jaxrl.train(agent, steps=256, seeds=2, vary=vary, out=tmp_path / "run", resume=True, progress=False)
    np.testing.assert_array_equal(resumed.returns, result.returns)
    loaded = jaxrl.load(tmp_path / "run")
    assert loaded.agent.env.options == (("rows", 6),)
    assert differences(to_config(loaded.agent), to_config(agent)) == []
    np.testing.assert_array_equal(jaxrl.evaluate(loaded, episodes=4), jaxrl.evaluate(result, episodes=4))


def test_another_version_is_named():
    config = to_config(jaxrl.make("gymnax:Catch-bsuite"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_config(config)
    config["fields"]["version"] = "0.0.1"
    installed = importlib.metadata.version("gymnax")
    with pytest.warns(UserWarning, match=rf"stored with gymnax 0\.0\.1, and {installed} is installed"):
        from_config(config)
    assert differences(config, to_config(jaxrl.make("gymnax:Catch-bsuite"))) == [
        f"Gymnax.version: '0.0.1' there, '{installed}' here"
    ]


def test_objects_of_gymnax_keep_their_name():
    env, params = gymnax.make("Catch-bsuite", rows=7)
    ours = jaxrl.adapters.from_gymnax(env, params.replace(max_steps_in_episode=9))
    assert (ours.name, dict(ours.options)["rows"], ours.instance, ours.max_steps) == ("Catch-bsuite", 7, None, 9)


def test_custom_objects_train_and_are_not_stored(tmp_path):
    class Mine(type(gymnax.make("CartPole-v1")[0])):
        pass

    env = jaxrl.adapters.from_gymnax(Mine())
    agent = jaxrl.PPO(env, num_envs=2, rollout_steps=8)
    assert jaxrl.train(agent, steps=16, progress=False).log["episode_return"].shape[0] == 1
    with pytest.raises(TypeError, match=r"Mine made by hand, which can't be stored: train it without out="):
        jaxrl.train(agent, steps=16, out=tmp_path / "run", progress=False)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("CartPol-v1", {}, r"has no environment 'CartPol-v1' \(did you mean 'CartPole-v1'\?\)"),
        ("CartPole-v1", {"lenght": 1.0}, r"has no parameter 'lenght' \(did you mean 'length'\?\)"),
    ],
)
def test_bad_input(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.make(f"gymnax:{name}", **parameters)


def test_wrappers_hold_it():
    env = TimeAware(FlattenObservation(jaxrl.make("gymnax:Catch-bsuite", rows=6)))
    vary = {"env.env.env.params.max_steps_in_episode": [100, 3]}
    agent = jaxrl.PPO(env, num_envs=4, rollout_steps=16, epochs=1)
    result = jaxrl.train(agent, steps=128, seeds=2, vary=vary, progress=False)
    assert result.log["episode_length"][1].max() <= 3
    assert to_config(from_config(to_config(env))) == to_config(env)
