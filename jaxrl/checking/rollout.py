"""The check that plays: random allowed actions, in a batch, over many episodes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import masks
from jaxrl.checking.exam import Exam, compiled
from jaxrl.checking.values import arrays
from jaxrl.environment import Environment, Episode
from jaxrl.rollout import Actors, Step, random_rollout, start_actors

_NUM_ENVS = 8
_STARTS = 64


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
    starts = _range_of_starts(exam)
    if all(np.all(leaf == leaf[:1]) for leaf in arrays((first.state, first.obs))):
        exam.add("key-ignored", f"reset gave the same state and observation for {_NUM_ENVS} keys")

    def play(env: Environment, actors: Actors, key: jax.Array) -> Any:
        def judge(step: Step) -> Any:
            return _judge(env, step), _judge_restart(step, starts)

        return random_rollout(env, actors, steps, key, jax.vmap(judge))[1]

    judged = exam.attempt("raises", "a random rollout", compiled(jax.vmap(play)), envs, actors, play_keys)
    if judged is not None:
        judged, restarts = jax.tree.map(lambda x: x[..., 0], jax.device_get(judged))
        _report(exam, judged)
        _report_restarts(exam, restarts)


def _range_of_starts(exam: Exam) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lowest and highest number of each place in states and observations after a reset, with some margin."""
    starts = compiled(jax.vmap(exam.env.reset))(jax.random.split(exam.keys(9), _STARTS))
    ranges = []
    for leaf in map(np.asarray, _numbers(starts)):
        low, high = np.min(leaf, axis=0).astype(np.float64), np.max(leaf, axis=0).astype(np.float64)
        ranges.append((low - (high - low) / 4, high + (high - low) / 4))
    return ranges


def _numbers(tree: Any) -> list[Any]:
    """The arrays of a tree that are no random keys."""
    return [leaf for leaf in jax.tree.leaves(tree) if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]


def _judge_restart(step: Step, starts: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Whether the environment ended the episode, and whether it was like a start before this step and after it."""

    def like_a_start(episode: Episode) -> jax.Array:
        inside = [
            jnp.all((leaf >= low) & (leaf <= high))
            for leaf, (low, high) in zip(_numbers((episode.state, episode.obs)), starts, strict=True)
        ]
        return jnp.all(jnp.stack(inside))

    return {
        "ended": step.transition.terminated,
        "before": like_a_start(step.before),
        "after": like_a_start(step.following),
    }


def _report_restarts(exam: Exam, judged: dict[str, Any]) -> None:
    """Adds a finding where episodes end in what looks like the start of another one, and not on the way there."""
    ended = judged["ended"]
    if ended.any() and judged["after"][ended].mean() >= 0.9 and judged["before"][ended].mean() <= 0.5:
        exam.add("resets-itself", "step returned what is like the start of another episode when it ended one")


def _judge(env: Environment, step: Step) -> dict[str, Any]:
    """Judges one step: for each code whether it applies, and the lowest and highest of what it looks at."""
    before, after, action, reward = step.before, step.following, step.transition.action, step.transition.reward
    obs = jnp.concatenate([jnp.ravel(x).astype(jnp.float32) for x in jax.tree.leaves((before.obs, after.obs))])
    finite = jnp.all(jnp.isfinite(obs))
    inside = env.observation_space.contains(before.obs) & env.observation_space.contains(after.obs)
    floats = [leaf for leaf in jax.tree.leaves((before.state, after.state)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    space: Any = env.action_space
    mask = jnp.ones((1,), bool) if before.mask is None else before.mask
    some, allowed = jnp.bool_(True), jnp.bool_(True)
    if before.mask is not None:
        some, allowed = masks.allows_any(space, mask), masks.allows(space, mask, action)
    judged = {
        "obs-not-finite": (~finite, obs),
        "obs-outside": (finite & ~inside, obs),
        "reward-not-finite": (~jnp.isfinite(reward), reward),
        "state-nan": (jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in floats] or [False])), jnp.nan),
        "action-outside": (~env.action_space.contains(action), action),
        "mask-empty": (~some, mask),
        "action-forbidden": (some & ~allowed, action),
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
