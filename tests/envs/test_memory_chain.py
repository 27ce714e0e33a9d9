"""MemoryChain against episodes recorded from bsuite's own (`bsuite/environments/memory_chain.py`, commit effafc0)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environment import Episode, start_episode, step_episode
from jaxrl.envs.memory_chain import MemoryChain, MemoryChainState

BSUITE = [
    # (length, context, query, answer, the last reward, all observations)
    (1, [1], 0, 0, -1, [[1, 0, 1], [1, 0, 1], [0, 0, 0]]),
    (3, [1], 0, 1, 1, [[1, 0, 1], [1, 0, 1], [2 / 3, 0, 0], [1 / 3, 0, 0], [0, 0, 0]]),
    (
        4,
        [0, 0, 0],
        1,
        0,
        1,
        [
            [1, 0, -1, -1, -1],
            [1, 0, -1, -1, -1],
            [0.75, 0, 0, 0, 0],
            [0.5, 0, 0, 0, 0],
            [0.25, 1, 0, 0, 0],
            [0, 0, 0, 0, 0],
        ],
    ),
]


@pytest.mark.parametrize(("length", "context", "query", "answer", "reward", "observations"), BSUITE)
def test_episodes_are_bsuites(length, context, query, answer, reward, observations):
    env = MemoryChain(length=length, num_bits=len(context))
    state = MemoryChainState(jnp.array(context), jnp.int32(query), jnp.int32(0))
    obs, rewards, ends = [env._observe(state)], [], []
    episode = Episode(state, obs[0], None, jnp.int32(0), jnp.float32(0))
    for _ in observations[1:]:
        episode, transition = step_episode(env, episode, jnp.int32(answer), jax.random.key(0))
        obs.append(transition.next_obs)
        rewards.append(float(transition.reward))
        ends.append((bool(transition.terminated), bool(transition.truncated)))
    np.testing.assert_allclose(np.stack(obs), observations, rtol=2e-7)
    assert rewards == [0] * length + [reward]
    # Its last step is its time limit's too.
    assert ends == [(False, False)] * length + [(True, True)]
    assert env.max_steps == length + 1


@pytest.mark.parametrize("query", range(4))
def test_the_bit_that_is_asked_for_is_the_one_that_counts(query):
    env = MemoryChain(length=5, num_bits=4, right_reward=3.0, wrong_reward=-2.0)
    context = jnp.array([1, 0, 0, 1])
    state = MemoryChainState(context, jnp.int32(query), jnp.int32(5))
    for answer in (0, 1):
        _, step = env.step(state, jnp.int32(answer), jax.random.key(0))
        assert float(step.reward) == (3 if answer == context[query] else -2)
        assert bool(step.terminated)


def test_start_draws_bits_and_query_uniformly_and_apart():
    episodes = jax.vmap(lambda key: start_episode(MemoryChain(num_bits=3), key))(
        jax.random.split(jax.random.key(0), 6000)
    )
    drawn = np.concatenate([episodes.state.context, episodes.state.query[:, None]], -1)
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 8 * 3
    np.testing.assert_allclose(counts, 250, atol=5 * np.sqrt(250))
    np.testing.assert_array_equal(episodes.obs[:, 2:], 2 * episodes.state.context - 1)


def test_the_observation_space_holds_what_it_shows():
    env = jaxrl.make("MemoryChain-v0", length=7, num_bits=3)
    np.testing.assert_array_equal(env.observation_space.low, [0, 0, -1, -1, -1])
    np.testing.assert_array_equal(env.observation_space.high, [1, 2, 1, 1, 1])


@pytest.mark.parametrize("env", [MemoryChain(), MemoryChain(length=1, num_bits=5)])
def test_it_passes_the_checker(env):
    assert not jaxrl.check_env(env).findings


def test_bad_lengths_are_refused_by_name():
    with pytest.raises(ValueError, match=r"MemoryChain.length = 0 must be >= 1"):
        MemoryChain(length=0)


def test_the_picture_shows_bits_while_they_are_seen():
    env = MemoryChain(num_bits=2)

    def picture(steps):
        drawn = env.render(MemoryChainState(np.array([0, 1]), np.int32(1), np.int32(steps)))
        assert (drawn.shape, drawn.dtype) == ((200, 600, 3), np.uint8)
        return drawn

    seen, hidden, asked = picture(1), picture(2), picture(10)
    blue, orange, green = (71, 101, 150), (226, 138, 67), (112, 168, 122)
    assert tuple(seen[60, 272]) == blue
    assert tuple(seen[60, 328]) == orange
    assert not (hidden == blue).all(-1).any()
    assert not (hidden == green).all(-1).any()
    assert np.nonzero((asked == green).all(-1))[1].mean() == pytest.approx(327.5, abs=1)
    # The dot that shows the time goes one place on.
    assert not np.array_equal(picture(3)[100:], hidden[100:])
