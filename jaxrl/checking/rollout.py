"""The check that plays: random allowed actions, in a batch, over many episodes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.checking.exam import Exam, compiled
from jaxrl.checking.values import arrays
from jaxrl.environment import Environment
from jaxrl.rollout import Actors, Step, random_rollout, start_actors

_NUM_ENVS = 8


def check_rollout(exam: Exam) -> None:
    """Plays in environments whose leaves are batched too, and reports the first step that went wrong."""
    steps = -(-exam.steps // _NUM_ENVS)
    envs = jax.tree.map(lambda leaf: np.stack([leaf] * _NUM_ENVS), exam.env)
    start_keys, play_keys = jax.random.split(exam.keys(8), (2, _NUM_ENVS))
    begin = compiled(jax.vmap(lambda env, key: start_actors(env, key, 1)))
    actors = exam.attempt("raises", "a random rollout", begin, envs, start_keys)
    if actors is None:
        return
    first = actors.episodes
    if all(np.all(leaf == leaf[:1]) for leaf in arrays((first.state, first.obs))):
        exam.add("key-ignored", f"reset gave the same state and observation for {_NUM_ENVS} keys")

    def play(env: Environment, actors: Actors, key: jax.Array) -> Any:
        return random_rollout(env, actors, steps, key, jax.vmap(lambda step: _judge(env, step)))[1]

    judged = exam.attempt("raises", "a random rollout", compiled(jax.vmap(play)), envs, actors, play_keys)
    if judged is not None:
        _report(exam, jax.tree.map(lambda x: x[..., 0], jax.device_get(judged)))


def _judge(env: Environment, step: Step) -> dict[str, Any]:
    """Judges one step: for each code whether it applies, and the lowest and highest of what it looks at."""
    before, after, action, reward = step.before, step.following, step.transition.action, step.transition.reward
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
