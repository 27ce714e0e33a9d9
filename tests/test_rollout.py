"""Playing many environments side by side: no two episodes share a start, each step is played once, and the statistics
are those of the game."""

import dataclasses

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rollout_environments
from rollout_environments import Called, Host, Short, start_numbers, steps_of_start
from sample_environments import MaskedRandomWalk
from scipy import stats

import jaxrl
from jaxrl import random_bits
from jaxrl.actors import actors_at, start_actors
from jaxrl.environment import episode_from
from jaxrl.envs import CartPole
from jaxrl.rollout import Policy, random_rollout, rollout

KEY = jax.random.key(5)
STILL = Policy(lambda carry, episodes, row: (row, carry, ()))
"""Takes its noise for actions."""
EVERY_RESET = [{}, {"costly_reset": True}, {"distinct_starts": 7}]
every_reset = pytest.mark.parametrize("resets", EVERY_RESET, ids=["spares", "reserve", "distinct"])


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr(rollout_environments, "HOST", Host())
    return rollout_environments.HOST


def played(env, steps, num_envs, key=KEY):
    """(actors after, transitions [steps, num_envs]) of random play."""
    start_key, play_key = jax.random.split(key)
    go = jax.jit(lambda a: random_rollout(env, a, steps, play_key, lambda step: step.transition))
    actors, transitions = go(start_actors(env, start_key, num_envs))
    return jax.tree.map(np.asarray, (dataclasses.replace(actors, key=()), transitions))


def starts_of(actors, transitions):
    """The start of every episode, and of those that begin at the end: u32[episodes]."""
    obs = transitions.obs[transitions.length == 1]
    return start_numbers(np.concatenate([obs, actors.episodes.obs[actors.episodes.length == 0]]))


@pytest.mark.parametrize("costly", [False, True])
@pytest.mark.parametrize(("longest", "steps"), [(1, 17), (2, 48), (3, 47), (40, 100)])
def test_no_two_episodes_share_a_start_however_long_they_are(longest, steps, costly):
    actors, transitions = played(Short(longest=longest, costly_reset=costly), steps, num_envs=40)
    assert transitions.length.shape == (steps, 40)
    starts = starts_of(actors, transitions)
    assert len(starts) > steps * 40 / longest
    assert len(np.unique(starts)) == len(starts)


@every_reset
@pytest.mark.parametrize("longest", [1, 3, 20])
def test_the_next_decision_is_made_from_the_state_after_the_reset(longest, resets):
    env = Short(longest=longest, **resets)
    actors, rows = played(env, steps=32, num_envs=16)
    episodes, ended = actors.episodes, rows.terminated | rows.truncated
    following = np.concatenate([rows.obs[1:], episodes.obs[None]])
    lengths = np.concatenate([rows.length[1:], episodes.length[None] + 1])
    # Within an episode the observation stays; an episode that ends, and no other, hands over to another one.
    np.testing.assert_array_equal(rows.obs, rows.next_obs)
    np.testing.assert_array_equal(lengths, np.where(ended, 1, rows.length + 1))
    np.testing.assert_array_equal(ended, rows.length == steps_of_start(env, start_numbers(rows.obs)))
    kept = (following == rows.next_obs).all(-1)
    assert kept[~ended].all()
    if env.distinct_starts is None:
        assert not kept[ended].any()


@every_reset
@pytest.mark.parametrize("longest", [1, 2, 9])
def test_every_step_is_played_once(longest, resets, host):
    """Where episodes end at once, several times before spares are drawn; an environment may call its host."""
    _, rows = played(Called(longest=longest, **resets), steps=25, num_envs=6)
    jax.effects_barrier()
    expected = zip(start_numbers(rows.obs).ravel().tolist(), (rows.length - 1).ravel().tolist(), strict=True)
    assert sorted(host.steps) == sorted(expected)
    assert len(host.steps) == 25 * 6


def test_the_host_s_record_would_show_a_step_that_is_played_twice(host):
    env = Called()

    def twice(state):
        return env.step(state, 0, KEY)[0], env.step(state, 0, KEY)[0]

    jax.jit(twice)(env.begin(jnp.uint32(5))[0])
    jax.effects_barrier()
    assert host.steps == [(5, 0), (5, 0)]


@every_reset
def test_an_environment_s_numbers_depend_on_no_other_one(resets):
    """The first ends once; whether the second ends more often decides when spares are drawn.

    Starts from a reserve are taken in the order of need, so there only the first episode and the time of its end are
    the same.
    """
    env = Short(longest=8, **resets)

    def rows(second):
        states = jax.vmap(env.begin)(jnp.uint32([5, second]))
        actors = actors_at(env, jax.vmap(lambda *s: episode_from(env, *s))(*states), KEY)
        noise = jnp.zeros((8, 2), jnp.int32)
        return jax.jit(lambda a: rollout(env, a, STILL, noise, KEY, lambda step: step.transition)[1])(actors)

    early, late = rows(0), rows(7)
    ends = np.asarray(early.terminated).sum(0), np.asarray(late.terminated).sum(0)
    assert ends[0][0] == ends[1][0] == 1
    assert ends[0][1] > ends[1][1] == 1
    until = 6 if resets else 8
    for a, b in zip(jax.tree.leaves(early), jax.tree.leaves(late), strict=True):
        np.testing.assert_array_equal(a[:until, 0], b[:until, 0])


@every_reset
def test_members_are_played_as_if_alone_and_the_branch_stays_one(resets):
    env = Short(longest=9, **resets)
    members = jax.random.split(KEY, 6)

    def one(key):
        start_key, play_key = jax.random.split(key)
        actors = start_actors(env, start_key, 4)
        return random_rollout(env, actors, 40, play_key, lambda step: step.transition)

    together = jax.jit(jax.vmap(one)).lower(members).compile()
    # Of drawing spares, and of drawing a reserve.
    assert together.as_text().count(" conditional(") == (2 if resets else 1)
    result = together(members)
    for number, key in enumerate(members):
        for a, b in zip(jax.tree.leaves(result[1]), jax.tree.leaves(jax.jit(one)(key)[1]), strict=True):
            np.testing.assert_array_equal(a[number], b)


@pytest.mark.parametrize("costly", [False, True])
def test_numbers_of_physics_are_those_of_playing_alone(costly):
    """Of CartPoles that fall at once, so that spares are drawn often."""

    @jaxrl.pytree
    class Falling(CartPole):
        costly_reset: bool = jaxrl.static(default=costly)

    env = Falling(theta_limit=0.06)
    members = jax.random.split(KEY, 5)

    def one(key):
        return random_rollout(env, start_actors(env, key, 1), 16, key, lambda step: step.transition)[1]

    together = jax.jit(jax.vmap(one))(members)
    for number, key in enumerate(members):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(jax.jit(one)(key)), strict=True):
            np.testing.assert_allclose(a[number], b, rtol=1e-5, atol=1e-6)


def test_a_reserve_s_starts_are_taken_in_order_and_few_are_computed_in_vain(host):
    """Long episodes and few environments: without a reserve about every draw of spares would be for one of them."""
    env = Called(longest=60, max_steps=100, costly_reset=True)
    start_key, _ = jax.random.split(KEY)
    actors, rows = played(env, steps=600, num_envs=16)
    jax.effects_barrier()
    used = starts_of(actors, rows)
    taken = int(actors.reserve.taken)
    keys = jax.vmap(lambda i: random_bits.bits_and_keys(start_key, i, bits=0, keys=1)[1][0])(jnp.arange(taken))
    spares = start_numbers(actors.spare.obs[~actors.spare_used])
    in_order = start_numbers(jax.vmap(Short().reset)(keys)[1])
    np.testing.assert_array_equal(np.sort(np.concatenate([used, spares])), np.sort(in_order))
    # The first ones begin the first episodes.
    np.testing.assert_array_equal(start_numbers(rows.obs[0]), in_order[:16])
    computed = len(host.resets) - taken  # The test's own calls of `Short.reset` call no host.
    assert len(used) > 250
    assert computed < 1.0 * len(used)

    host.resets.clear()
    played(dataclasses.replace(env, costly_reset=False), steps=600, num_envs=16)
    jax.effects_barrier()
    assert len(host.resets) > len(used)


def test_starts_that_may_be_shared_are_drawn_once_and_are_no_more_than_that(host):
    env = Called(longest=3, distinct_starts=5)
    actors, rows = played(env, steps=60, num_envs=8)
    jax.effects_barrier()
    starts, counts = np.unique(starts_of(actors, rows), return_counts=True)
    assert len(starts) == 5
    # Each as often as the others, but for those that are spares.
    assert counts.max() - counts.min() <= 8
    assert len(host.resets) == 8 + 5


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_bad_number_of_distinct_starts_is_refused(value):
    with pytest.raises((ValueError, TypeError), match=rf"Short.distinct_starts = {value!r} must be"):
        Short(distinct_starts=value)


COUNTING = Policy(
    lambda carry, episodes, row: (row, carry + 1, {"before": carry, "obs": episodes.obs}), jnp.zeros(6, jnp.int32)
)
"""A policy that remembers how many observations of the episode it has seen."""


@every_reset
@pytest.mark.parametrize("longest", [1, 4])
def test_the_carry_begins_anew_with_every_episode_and_travels_within_one(longest, resets):
    env = Short(longest=longest, **resets)
    noise = jnp.zeros((30, 6), jnp.int32)

    def go(actors):
        return rollout(env, actors, COUNTING, noise, KEY, lambda step: step)

    actors, steps = jax.jit(go)(start_actors(env, KEY, 6, COUNTING.initial_carry))
    # What is recorded is from before the reset: the carry has seen every observation that was decided from.
    np.testing.assert_array_equal(steps.extras["before"], steps.transition.length - 1)
    np.testing.assert_array_equal(steps.carry, steps.transition.length)
    np.testing.assert_array_equal(actors.carry, actors.episodes.length)
    # So are the successor and the episode after the step.
    np.testing.assert_array_equal(steps.extras["obs"], steps.transition.obs)
    np.testing.assert_array_equal(steps.following.obs, steps.transition.next_obs)
    np.testing.assert_array_equal(steps.following.length, steps.transition.length)
    np.testing.assert_array_equal(steps.following.state.start, steps.before.state.start)
    np.testing.assert_array_equal(steps.before.length, steps.transition.length - 1)
    assert np.asarray(steps.transition.ended).sum() > 30


@every_reset
def test_two_rollouts_are_one_and_a_step_alone_is_the_first_of_many(resets):
    """`Short` takes no randomness of its own, so that only where a rollout is cut would differ."""
    env = Short(longest=4, **resets)
    noise = jnp.asarray(np.random.default_rng(0).integers(0, 2, (12, 5)), jnp.int32)

    def go(actors, noise):
        return jax.jit(lambda a, n: rollout(env, a, STILL, n, KEY, lambda step: step.transition))(actors, noise)

    whole = go(start_actors(env, KEY, 5), noise)[1]
    actors, rows = start_actors(env, KEY, 5), []
    for part in (noise[:1], noise[1:2], noise[2:7], noise[7:]):
        actors, some = go(actors, part)
        rows.append(some)
    parts = jax.tree.map(lambda *x: np.concatenate(x), *rows)
    jax.tree.map(np.testing.assert_array_equal, whole, parts)


def test_a_step_alone_draws_what_the_first_of_many_does():
    env = MaskedRandomWalk()
    actors, noise = start_actors(env, KEY, 5), jnp.zeros((4, 5), jnp.int32)
    many, one = (
        rollout(env, actors, STILL, n, jax.random.key(8), lambda step: step.transition)[1] for n in (noise, noise[:1])
    )
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:1], b), many, one)
    # And the environment's own randomness differs from step to step and from one environment to the next.
    assert len(np.unique(np.asarray(many.next_obs)[..., 0])) == 20


def test_random_actions_are_uniform_over_those_allowed():
    rows = played(MaskedRandomWalk(), steps=100, num_envs=200)[1]
    assert np.take_along_axis(rows.mask, rows.action[..., None], -1).all()
    assert set(rows.action.ravel()) == {0, 1, 2, 3}
    lower = (rows.action < 2).mean()
    assert abs(lower - 0.5) < 4 * 0.5 / np.sqrt(rows.action.size)
    actions = played(Short(), steps=100, num_envs=200)[1].action
    assert abs(actions.mean() - 0.5) < 4 * 0.5 / np.sqrt(actions.size)


@pytest.mark.parametrize("costly", [False, True])
def test_cartpole_starts_are_uniform_and_independent(costly):
    @jaxrl.pytree
    class Played(CartPole):
        costly_reset: bool = jaxrl.static(default=costly)

    _, rows = played(Played(), steps=512, num_envs=64)
    starts = rows.obs[rows.length == 1]
    assert len(starts) > 1000
    assert len(np.unique(starts[:, 0])) > 0.999 * len(starts)
    for column in starts.T:
        assert stats.kstest(column, "uniform", (-0.05, 0.1)).pvalue > 1e-3
    correlations = np.corrcoef(np.concatenate([starts[:-1], starts[1:]], axis=1).T)
    assert np.abs(correlations - np.eye(8)).max() < 5 / np.sqrt(len(starts))


def first_lengths(env, episodes):
    """The length of the first episode of many environments under random play."""
    _, rows = played(env, steps=160, num_envs=episodes)
    ended = rows.terminated | rows.truncated
    assert ended.any(0).all()
    return np.argmax(ended, axis=0) + 1


def test_random_play_lasts_as_long_as_on_gymnasium_s_own_cartpole():
    peer = gymnasium.make("CartPole-v1")
    actions = np.random.default_rng(0)
    lengths = []
    for number in range(1500):
        peer.reset(seed=number)
        steps, over = 0, False
        while not over:
            _, _, terminated, truncated, _ = peer.step(int(actions.integers(2)))
            steps, over = steps + 1, terminated or truncated
        lengths.append(steps)
    ours = first_lengths(jaxrl.make("CartPole-v1"), 6000)
    assert stats.ks_2samp(ours, lengths).pvalue > 1e-3


@pytest.mark.parametrize("num_envs", [1, 8])
def test_members_draw_their_spares_together(num_envs):
    """Sixteen members whose episodes last 1 to 8 steps: a reset in every step would be 4.5 an episode."""
    env, members, steps = Short(longest=8), 16, 200

    def play(key):
        actors, ended = random_rollout(
            env, start_actors(env, key, num_envs), steps, jax.random.fold_in(key, 1), lambda step: step.transition.ended
        )
        return jnp.sum(actors.drawn), jnp.sum(ended)

    drawn, episodes = jax.jit(jax.vmap(play))(jax.random.split(KEY, members))
    # What is drawn is the next start of an environment and no other: at most one spare each is left over.
    assert (drawn - episodes <= 2 * num_envs).all()
    assert (drawn >= episodes).all()
