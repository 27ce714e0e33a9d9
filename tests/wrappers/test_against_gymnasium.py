"""Wrappers against Gymnasium's of the same purpose, step by step through whole episodes from equal states."""

from types import SimpleNamespace

import gymnasium
import gymnasium.wrappers as theirs
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl import random_bits
from jaxrl import wrappers as ours
from jaxrl.envs.cartpole import CartPoleState
from jaxrl.envs.pendulum import PendulumState

STATES = {"CartPole-v1": CartPoleState, "Pendulum-v1": PendulumState}
CASES = {
    "flatten discrete": (
        "FrozenLake-v1",
        {"success_rate": None},
        {"is_slippery": False},
        lambda env: ours.FlattenObservation(env),
        lambda env: theirs.FlattenObservation(env),
    ),
    "rescale observation": (
        "Pendulum-v1",
        {},
        {},
        lambda env: ours.RescaleObservation(env, low=-2.0, high=5.0),
        lambda env: theirs.RescaleObservation(env, np.float32(-2), np.float32(5)),
    ),
    "frame stack": (
        "CartPole-v1",
        {},
        {},
        lambda env: ours.FrameStack(env, k=3),
        lambda env: theirs.FrameStackObservation(env, 3),
    ),
    "time aware": (
        "CartPole-v1",
        {},
        {},
        lambda env: ours.TimeAware(env),
        lambda env: theirs.TimeAwareObservation(env, normalize_time=True),
    ),
    "time aware over frame stack": (
        "Pendulum-v1",
        {},
        {},
        lambda env: ours.TimeAware(ours.FrameStack(env, k=2)),
        lambda env: theirs.TimeAwareObservation(theirs.FrameStackObservation(env, 2), normalize_time=True),
    ),
    "rescale action": (
        "Pendulum-v1",
        {},
        {},
        lambda env: ours.RescaleAction(env, low=-1.0, high=3.0),
        lambda env: theirs.RescaleAction(env, np.float32(-1), np.float32(3)),
    ),
    "discretize action": (
        "Pendulum-v1",
        {},
        {},
        lambda env: ours.DiscretizeAction(env, bins=5),
        lambda env: theirs.DiscretizeAction(env, bins=5),
    ),
    "repeat": (
        "CartPole-v1",
        {},
        {},
        lambda env: ours.ActionRepeat(env, k=3),
        lambda env: theirs.RepeatAction(env, 3),
    ),
    "repeat beyond the limit": (
        "Pendulum-v1",
        {},
        {},
        lambda env: ours.ActionRepeat(env, k=7),
        lambda env: theirs.RepeatAction(env, 7),
    ),
    "clip reward": (
        "Pendulum-v1",
        {},
        {},
        lambda env: ours.ClipReward(env, low=-3.0, high=-0.5),
        lambda env: theirs.ClipReward(env, -3.0, -0.5),
    ),
    "transform reward": (
        "Pendulum-v1",
        {},
        {},
        lambda env: ours.TransformReward(env, function=jnp.tanh),
        lambda env: theirs.TransformReward(env, np.tanh),
    ),
    "scale reward": (
        "CartPole-v1",
        {},
        {},
        lambda env: ours.ScaleReward(env, scale=0.1),
        lambda env: theirs.TransformReward(env, lambda reward: 0.1 * reward),
    ),
    "no velocities": (
        "CartPole-v1",
        {},
        {},
        lambda env: ours.ObservationMask(env, keep=(0, 2)),
        lambda env: theirs.TransformObservation(env, lambda obs: obs[[0, 2]], gymnasium.spaces.Box(-5, 5, (2,))),
    ),
    "transform observation": (
        "CartPole-v1",
        {},
        {},
        lambda env: ours.TransformObservation(env, function=jnp.square),
        lambda env: theirs.TransformObservation(env, np.square, gymnasium.spaces.Box(0, np.inf, (4,))),
    ),
}
EPISODES = 2
LIMITS = {"Pendulum-v1": 30, "CartPole-v1": 500, "FrozenLake-v1": 100}


def state_of(name, gym):
    """Gymnasium's state as ours."""
    if name in STATES:
        return STATES[name](*(jnp.float32(x) for x in gym.unwrapped.state))
    return jnp.int32(gym.unwrapped.s)


def with_inner(state, inner):
    """A wrapper's state with another state of the innermost environment."""
    if isinstance(state, ours.WrapperState):
        return ours.WrapperState(with_inner(state.inner, inner), state.extra)
    return inner


@pytest.mark.parametrize("case", CASES)
def test_episodes_equal_gymnasiums(case):
    name, parameters, options, wrap, gym_wrap = CASES[case]
    parameters = {**parameters, "max_steps": LIMITS[name]}
    env = wrap(jaxrl.make(name, **parameters))
    gym = gym_wrap(gymnasium.make(name, disable_env_checker=True, max_episode_steps=LIMITS[name], **options))
    assert env.observation_space.shape == gym.observation_space.shape or case == "flatten discrete"
    step = jax.jit(env.step)
    random = np.random.default_rng(0)
    begin = jax.jit(lambda key, inner: begin_at(wrap, name, parameters, inner, key))
    lengths = []
    for episode in range(EPISODES):
        gym_obs, _ = gym.reset(seed=episode)
        state, obs = begin(jax.random.key(0), state_of(name, gym))
        np.testing.assert_allclose(obs, gym_obs, rtol=1e-5, atol=1e-5)
        for length in range(1, env.max_steps + 1):
            action = drawn(env.action_space, random)
            # What physics rounds is no business of wrappers: each step begins from Gymnasium's state.
            state = with_inner(state, state_of(name, gym))
            state, given = step(state, action, jax.random.key(0))
            gym_obs, reward, terminated, truncated, _ = gym.step(action)
            np.testing.assert_allclose(given.obs, gym_obs, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(given.reward, reward, rtol=1e-4, atol=1e-5)
            assert bool(given.terminated) == terminated
            # The engine adds the limit.
            assert (bool(given.truncated) or length >= env.max_steps) == truncated
            if terminated or truncated:
                break
        lengths.append(length)
        assert terminated or truncated
    assert env.observation_space.contains(given.obs)
    assert max(lengths) > 3
    gym.close()


def begin_at(wrap, name, parameters, inner, key):
    """A start of the wrapped environment in a given state of the innermost one."""
    env = jaxrl.make(name, **parameters)

    class Begun(type(env)):
        def reset(self, key):
            if name == "FrozenLake-v1":
                return inner, inner
            obs = jnp.stack(jax.tree.leaves(inner)) if name == "CartPole-v1" else self._observe(inner)
            return inner, obs

    fields = {field: getattr(env, field) for field in env.__dataclass_fields__}
    return wrap(jaxrl.pytree(Begun)(**fields)).reset(key)


def drawn(space, random):
    if isinstance(space, jaxrl.Discrete):
        return int(random.integers(space.n))
    low, high = np.broadcast_to(space.low, space.shape), np.broadcast_to(space.high, space.shape)
    return random.uniform(low, high).astype(np.float32)


def test_sticky_actions_are_gymnasiums_where_the_same_steps_are_sticky():
    """Gymnasium's generator is told what ours drew."""
    env = ours.StickyAction(jaxrl.make("CartPole-v1"), p=0.4)
    gym = theirs.StickyAction(gymnasium.make("CartPole-v1", disable_env_checker=True), 0.4)
    step = jax.jit(env.step)
    keys = jax.random.split(jax.random.key(3), 60)
    for episode in range(4):
        gym.reset(seed=episode)
        state, _ = env.reset(jax.random.key(0))
        for number, key in enumerate(keys):
            uniform = float(random_bits.uniform(random_bits.key_bits(key, 0)))
            gym.unwrapped.np_random = SimpleNamespace(uniform=lambda: uniform, integers=lambda low, high: 1)  # noqa: B023
            state = with_inner(state, state_of("CartPole-v1", gym))
            action = (number // 2 + episode) % 2
            state, given = step(state, action, key)
            obs, _, terminated, _, _ = gym.step(action)
            np.testing.assert_allclose(given.obs, obs, rtol=1e-5, atol=1e-6)
            assert int(state.extra[0]) == gym.last_action
            if terminated:
                break
