"""CartPole against Gymnasium's own, transition by transition and in whole episodes."""

import functools
import math

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl.envs
from jaxrl.environment import Episode, start_episode, step_episode
from jaxrl.envs.cartpole import CartPole, CartPoleState
from jaxrl.registry import make

UNIT = 2.0**-24
"""Largest relative error of rounding a number to float32."""

ROUNDINGS = 32
"""At least the roundings on the longest path from a state to an acceleration: 14 to `push` (state 3,
sin 2, constants 4, operations 5), 12 more to the pole's (cos 2, constants 3, operations 7) and 6 more
to the cart's."""

OTHER_PHYSICS = [
    {"gravity": 3.7},
    {"length": 1.3},
    {"pole_mass": 0.45},
    {"cart_mass": 2.5, "force": 17.0},
    {"tau": 0.011},
    {"theta_limit": 0.35, "x_limit": 0.6},
    {
        "gravity": 12.0,
        "cart_mass": 0.6,
        "pole_mass": 0.3,
        "length": 0.8,
        "force": 6.0,
        "tau": 0.03,
        "theta_limit": 0.5,
        "x_limit": 1.5,
    },
]


def set_physics(env, **physics):
    """Sets the same physics on Gymnasium's environment, the derived quantities included."""
    inner = env.unwrapped
    names = {
        "cart_mass": "masscart",
        "pole_mass": "masspole",
        "force": "force_mag",
        "theta_limit": "theta_threshold_radians",
        "x_limit": "x_threshold",
    }
    for name, value in physics.items():
        attribute = names.get(name, name)
        assert hasattr(inner, attribute)
        setattr(inner, attribute, value)
    inner.total_mass = inner.masscart + inner.masspole
    inner.polemass_length = inner.masspole * inner.length


def balance(state, random):
    x, x_dot, theta, theta_dot = state
    return int(theta + 0.4 * theta_dot + 0.05 * x + 0.1 * x_dot > 0)


def play_randomly(state, random):
    return int(random.integers(2))


def record(name, policy, episodes, seed=0, **physics):
    """Plays whole episodes of Gymnasium's environment; one array a quantity, over all steps."""
    env = gymnasium.make(name)
    set_physics(env, **physics)
    random = np.random.default_rng(seed)
    rows = []
    for episode in range(episodes):
        env.reset(seed=seed + episode)
        for step in range(10_000):
            before = env.unwrapped.state.copy()
            action = policy(before, random)
            obs, reward, terminated, truncated, _ = env.step(action)
            rows.append((episode, step, before, action, env.unwrapped.state.copy(), obs, reward, terminated, truncated))
            if terminated or truncated:
                break
        else:
            raise AssertionError("the episode does not end")
    env.close()
    columns = zip(*rows, strict=True)
    keys = ("episode", "step", "before", "action", "after", "obs", "reward", "terminated", "truncated")
    return {key: np.array(column) for key, column in zip(keys, columns, strict=True)}


@functools.cache
def recorded(name, kind):
    policy, episodes = {"random": (play_randomly, 300), "balance": (balance, 12)}[kind]
    return record(name, policy, episodes)


def as_state(values):
    return CartPoleState(*(values[..., i] for i in range(4)))


@jax.jit
def take_all(env, before, length, action):
    """One step with the time limit from every recorded state: (next states, transitions)."""

    def one(before, length, action):
        episode = Episode(as_state(before), before, None, length, jnp.zeros((), jnp.float32))
        return step_episode(env, episode, action, jax.random.key(0))

    episode, transition = jax.vmap(one)(before, length, action)
    state = episode.state
    return jnp.stack([state.x, state.x_dot, state.theta, state.theta_dot], -1), transition


def tolerance(env, before, after):
    """How far float32 may be off, f64[steps, 4]: a bound on the rounding errors of one step.

    A rounding on the way to an acceleration changes it by at most UNIT times A, the sum of the
    absolute values of the terms it is made of (they may cancel, so its own value would not do). A
    new velocity v' = v + tau a is then off by UNIT (|v| + |v'| + ROUNDINGS tau A): v was rounded,
    v' is rounded, and tau a carries the rest. A new position holds three roundings of tau v.
    """
    sin, cos = abs(np.sin(before[:, 2])), abs(np.cos(before[:, 2]))
    total = env.cart_mass + env.pole_mass
    moment = env.pole_mass * env.length
    push = (abs(env.force) + moment * before[:, 3] ** 2 * sin) / total
    # The 4/3 and the term taken from it make the denominator's relative error at most twice a rounding's.
    theta_acc = (env.gravity * sin + cos * push) / (env.length * (4 / 3 - env.pole_mass * cos**2 / total))
    x_acc = push + moment * theta_acc * cos / total
    moved = np.stack([3 * abs(before[:, 1]), ROUNDINGS * x_acc, 3 * abs(before[:, 3]), ROUNDINGS * theta_acc], -1)
    return UNIT * (abs(before) + abs(after) + env.tau * moved)


def check_transitions(env, games):
    """Compares every recorded transition with a step of `env` from Gymnasium's own state."""
    before = games["before"].astype(np.float32)
    after, transition = take_all(env, before, games["step"].astype(np.int32), games["action"].astype(np.int32))
    after, transition = jax.tree.map(np.asarray, (after, transition))
    error = abs(after.astype(np.float64) - games["after"])
    assert np.all(error <= tolerance(env, games["before"], games["after"]))
    np.testing.assert_array_equal(transition.next_obs, after)
    np.testing.assert_array_equal(transition.reward, games["reward"])
    np.testing.assert_array_equal(transition.terminated, games["terminated"])
    # Gymnasium reports both flags where an episode ends by itself on its very last step; so does jaxrl.
    np.testing.assert_array_equal(transition.truncated, games["truncated"])
    assert after.dtype == transition.reward.dtype == np.float32
    return error.max()


@pytest.mark.parametrize("kind", ["random", "balance"])
@pytest.mark.parametrize(("name", "limit"), [("CartPole-v1", 500), ("CartPole-v0", 200)])
@pytest.mark.filterwarnings("ignore:.*CartPole-v0 is out of date.*")
def test_every_transition_equals_gymnasiums(name, limit, kind):
    games = recorded(name, kind)
    assert check_transitions(make(name), games) < 5e-7
    # The data holds what the test is about: both endings, whole episodes, all of them rewarded.
    assert games["truncated"].any() == (kind == "balance")
    assert games["terminated"].any() == (kind == "random")
    assert games["step"].max() + 1 == limit if kind == "balance" else games["step"].max() < limit
    assert np.all(games["reward"] == 1)


@pytest.mark.parametrize("physics", OTHER_PHYSICS, ids=lambda physics: "-".join(physics))
def test_other_physics_equal_gymnasiums(physics):
    games = record("CartPole-v1", play_randomly, 40, seed=100, **physics)
    check_transitions(CartPole(**physics), games)


def test_physics_may_differ_from_member_to_member():
    games = [record("CartPole-v1", play_randomly, 3, seed=5, **physics) for physics in OTHER_PHYSICS[:3]]
    steps = min(len(game["step"]) for game in games)
    envs = [CartPole(**physics) for physics in OTHER_PHYSICS[:3]]
    batched = jax.tree.map(lambda *leaves: jnp.asarray(leaves, jnp.float32), *envs)
    before = np.stack([game["before"][:steps] for game in games]).astype(np.float32)
    action = np.stack([game["action"][:steps] for game in games]).astype(np.int32)
    after, _ = jax.vmap(take_all)(batched, before, np.zeros(action.shape, np.int32), action)
    for env, game, own in zip(envs, games, np.asarray(after, np.float64), strict=True):
        bound = tolerance(env, game["before"][:steps], game["after"][:steps])
        assert np.all(abs(own - game["after"][:steps]) <= bound)


@pytest.mark.parametrize("kind", ["random", "balance"])
def test_free_running_play_equals_gymnasiums_in_float64(kind):
    """Left alone from one of Gymnasium's states, the whole path of float64 states is the same.

    Random episodes run from start to end. The balanced ones run in pieces of 100 steps: the pole is
    unstable, so with the actions fixed a difference grows by exp(0.02 sqrt(9.8 / 0.62)) = 1.08 a step
    and rounding errors of 1e-16 fill the whole state after 500 steps, in any two programs.
    """
    games = recorded("CartPole-v1", kind)
    first = np.flatnonzero(games["step"] % 100 == 0)
    lengths = np.diff(np.append(first, len(games["step"])))
    with jax.enable_x64(True):
        env = CartPole()

        def run(before, actions):
            def one(state, action):
                state, step = env.step(state, action, jax.random.key(0))
                return state, (step.obs, step.terminated)

            return jax.lax.scan(one, as_state(before), actions)[1]

        pieces = [np.pad(games["action"][i : i + n], (0, 100 - n)) for i, n in zip(first, lengths, strict=True)]
        obs, terminated = jax.jit(jax.vmap(run))(games["before"][first], np.stack(pieces))
        assert obs.dtype == np.float64
    for own, ends, i, n in zip(np.asarray(obs), np.asarray(terminated), first, lengths, strict=True):
        np.testing.assert_allclose(own[:n], games["after"][i : i + n], rtol=0, atol=1e-11)
        np.testing.assert_array_equal(ends[:n], games["terminated"][i : i + n])


def test_an_episode_may_end_in_both_ways_at_once():
    env = CartPole(max_steps=3)
    leaning = jnp.array([0.0, 0.0, 0.2094, 1.0], jnp.float32)
    for length, truncated in ((1, False), (2, True)):
        _, transition = take_all(env, leaning[None], jnp.array([length]), jnp.array([1]))
        assert bool(transition.terminated[0])
        assert bool(transition.truncated[0]) is truncated


def test_start_draws_all_four_numbers_uniformly():
    episodes = jax.vmap(lambda key: start_episode(CartPole(), key))(jax.random.split(jax.random.key(0), 4000))
    values = np.asarray(episodes.obs, np.float64)
    assert values.shape == (4000, 4)
    assert values.min() >= -0.05
    assert values.max() < 0.05
    np.testing.assert_allclose(values.mean(0), 0, atol=4 * 0.1 / math.sqrt(12 * 4000))
    np.testing.assert_allclose(values.std(0), 0.1 / math.sqrt(12), rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(values.T), np.eye(4), atol=4 / math.sqrt(4000))


def test_observation_space_is_gymnasiums():
    theirs = gymnasium.make("CartPole-v1").observation_space
    ours = CartPole().observation_space
    np.testing.assert_array_equal(ours.low, theirs.low)
    np.testing.assert_array_equal(ours.high, theirs.high)
    assert (ours.shape, np.dtype(ours.dtype)) == (theirs.shape, theirs.dtype)


def test_names():
    assert {"CartPole-v0", "CartPole-v1", "PlaneStrike-v0"} <= set(jaxrl.envs.names())
    assert make("CartPole-v0").max_steps == 200
    assert make("CartPole-v1").max_steps == 500
