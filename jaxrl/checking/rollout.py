"""The check that plays: random allowed actions, in a batch, over many episodes."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import random_bits
from jaxrl.checking.exam import Exam, compiled
from jaxrl.checking.values import arrays
from jaxrl.environment import Environment, Episode, start, take

_NUM_ENVS = 8


def check_rollout(exam: Exam) -> None:
    """Plays in environments whose leaves are batched too, and reports the first step that went wrong."""
    length = -(-exam.steps // _NUM_ENVS)
    envs = jax.tree.map(lambda leaf: np.stack([leaf] * _NUM_ENVS), exam.env)
    start_keys, play_keys = jax.random.split(exam.keys(8), (2, _NUM_ENVS))
    first = exam.attempt("raises", "a random rollout", compiled(jax.vmap(start)), envs, start_keys)
    if first is None:
        return
    if all(np.all(leaf == leaf[:1]) for leaf in arrays((first.state, first.obs))):
        exam.add("key-ignored", f"reset gave the same state and observation for {_NUM_ENVS} keys")
    play = compiled(jax.vmap(functools.partial(_play, length=length)))
    judged = exam.attempt("raises", "a random rollout", play, envs, first, play_keys)
    if judged is not None:
        _report(exam, jax.device_get(judged))


def _play(env: Environment, first: Episode, key: jax.Array, length: int) -> dict[str, Any]:
    """Plays from the start of an episode, through its end into the next ones; judges every step."""

    def one(episode: Episode, keys: jax.Array) -> tuple[Episode, dict[str, Any]]:
        action_key, step_key, reset_key = keys
        if episode.mask is None:
            action = env.action_space.sample(action_key)
        else:
            action = env.random_action(episode.state, random_bits.bits(action_key, ()))
        following, transition = take(env, episode, action, step_key)
        judged = _judge(env, episode, following, action, transition.reward)
        # What `advance` does, which would hide the last state of an episode.
        fresh = start(env, reset_key)
        return jax.tree.map(lambda new, old: jnp.where(transition.ended, new, old), fresh, following), judged

    return jax.lax.scan(one, first, jax.random.split(key, (length, 3)))[1]


def _judge(env: Environment, before: Episode, after: Episode, action: Any, reward: jax.Array) -> dict[str, Any]:
    """Judges one step: for each code whether it applies, and the lowest and highest of what it looks at."""
    obs = jnp.stack([before.obs, after.obs])
    finite = jnp.all(jnp.isfinite(obs))
    inside = env.observation_space.contains(before.obs) & env.observation_space.contains(after.obs)
    floats = [leaf for leaf in jax.tree.leaves((before.state, after.state)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    mask, allowed = (jnp.ones((1,), bool), True) if before.mask is None else (before.mask, before.mask[action])
    judged = {
        "obs-not-finite": (~finite, obs),
        "obs-outside": (finite & ~inside, obs),
        "reward-not-finite": (~jnp.isfinite(reward), reward),
        "state-nan": (jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in floats] or [False])), jnp.nan),
        "action-outside": (~env.action_space.contains(action), action),
        "mask-empty": (~jnp.any(mask), mask),
        "action-forbidden": (jnp.any(mask) & ~allowed, action),
    }
    return {code: (flag, jnp.min(value), jnp.max(value)) for code, (flag, value) in judged.items()}


def _report(exam: Exam, judged: dict[str, Any]) -> None:
    """Adds a finding for each code that applies anywhere, with the first place: arrays are [environment, step]."""
    spaces = {"obs-outside": exam.env.observation_space, "action-outside": exam.env.action_space}
    for code, (flags, lows, highs) in judged.items():
        if not flags.any():
            continue
        step, member = np.argwhere(flags.T)[0]
        seen = f"{code.partition('-')[0]} between {lows[member, step]:g} and {highs[member, step]:g}"
        if code in spaces:
            seen += f", outside {' '.join(str(spaces[code]).split())}"
        exam.add(code, f"step {step + 1} of {flags.shape[1]} of a random rollout: {seen}")
