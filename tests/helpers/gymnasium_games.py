"""Whole episodes of Gymnasium's environments, to hold ours against: step by step, and left alone."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environment import Episode, step_episode

UNIT = 2.0**-24
"""Largest relative error of rounding a number to float32."""


def record(name, policy, episodes, seed=0, **attributes):
    """Plays whole episodes of Gymnasium's environment; one array a quantity, over all steps.

    `policy(state, random)` gives an action; `attributes` are set on Gymnasium's environment before.
    """
    env = gymnasium.make(name, disable_env_checker=True)
    for attribute, value in attributes.items():
        assert hasattr(env.unwrapped, attribute)
        setattr(env.unwrapped, attribute, value)
    random = np.random.default_rng(seed)
    rows = []
    for episode in range(episodes):
        env.reset(seed=seed + episode)
        for step in range(env.spec.max_episode_steps):
            before = np.array(env.unwrapped.state, np.float64)
            action = policy(before, random)
            obs, reward, terminated, truncated, _ = env.step(action)
            after = np.array(env.unwrapped.state, np.float64)
            rows.append((episode, step, before, action, after, obs, reward, terminated, truncated))
            if terminated or truncated:
                break
        else:
            raise AssertionError("the episode does not end")
    env.close()
    keys = ("episode", "step", "before", "action", "after", "obs", "reward", "terminated", "truncated")
    return {key: np.array(column) for key, column in zip(keys, zip(*rows, strict=True), strict=True)}


@jax.jit(static_argnums=1)
def _take_all(env, state_class, before, length, action):
    def one(before, length, action):
        episode = Episode(state_class(*before), jnp.zeros(()), None, length, jnp.zeros((), jnp.float32))
        following, transition = step_episode(env, episode, action, jax.random.key(0))
        return jnp.stack(jax.tree.leaves(following.state)), transition

    return jax.vmap(one)(before, length, action)


def take_all(env, state_class, games):
    """One step of `env`, the time limit included, from every recorded state: (next states f32[steps, n], transitions).

    The fields of `state_class` are the numbers of Gymnasium's state, in its order.
    """
    length, before = games["step"].astype(np.int32), games["before"].astype(np.float32)
    action = games["action"].astype(env.action_space.dtype)
    return jax.tree.map(np.asarray, _take_all(env, state_class, before, length, action))


def check_ends_and_dtypes(transition, after, games):
    """Asserts that episodes end where Gymnasium's do, and that float32 stays float32."""
    np.testing.assert_array_equal(transition.terminated, games["terminated"])
    np.testing.assert_array_equal(transition.truncated, games["truncated"])
    assert after.dtype == transition.reward.dtype == transition.next_obs.dtype == np.float32


def play_alone(env, state_class, games, piece, dtype=np.float64):
    """Plays the recorded actions from every `piece`-th state of an episode, with no look at Gymnasium's in between.

    Returns the observations [steps, ...], rewards [steps] and ends [steps] as they were recorded.
    """
    first = np.flatnonzero(games["step"] % piece == 0)
    lengths = np.diff(np.append(first, len(games["step"])))
    actions = [games["action"][i : i + n] for i, n in zip(first, lengths, strict=True)]
    padded = np.stack([np.concatenate([a, np.repeat(a[-1:], piece - len(a), axis=0)]) for a in actions])
    with jax.enable_x64(dtype == np.float64):

        def run(before, actions):
            def one(state, action):
                state, step = env.step(state, action, jax.random.key(0))
                return state, (step.obs, step.reward, step.terminated)

            return jax.lax.scan(one, state_class(*before), actions)[1]

        played = jax.jit(jax.vmap(run))(games["before"][first].astype(dtype), padded)
        assert played[0].dtype == dtype
    return [np.concatenate([column[k, :n] for k, n in enumerate(lengths)]) for column in map(np.asarray, played)]
