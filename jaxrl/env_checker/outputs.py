"""Checks of what an environment's methods return, at first and during a random rollout."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import masks
from jaxrl.actors import Actors, start_actors
from jaxrl.env_checker.context import CheckContext, arrays, compiled, describe
from jaxrl.env_checker.methods import caller, check_method
from jaxrl.environment import Environment, Episode
from jaxrl.rollout import Step, random_rollout
from jaxrl.spaces import ArraySpace, Box, array_names, array_spaces, arrays_of, is_array_space

_NUMBER = Box(shape=(), dtype=jnp.float32)
_FLAG = Box(shape=(), dtype=jnp.bool_)


def check_reset(context: CheckContext) -> None:
    """`reset` can be called."""
    check_method(context, "reset", context.keys(1))


def check_first_observation(context: CheckContext) -> None:
    """`reset` returns an observation as declared."""
    state, obs = context.abstract["reset"]
    _compare_observation(context, "reset's observation", obs)
    _report_weak_types(context, "reset", state=state, obs=obs)


def check_step(context: CheckContext) -> None:
    """`step` can be called."""
    check_method(context, "step", context.results["reset"][0], context.action, context.keys(2))


def check_time_step(context: CheckContext) -> None:
    """`step` returns an observation as declared, a reward, two flags and an info."""
    state, step = context.abstract["step"]
    _compare_observation(context, "step's observation", step.obs)
    _compare_array(context, "reward", "reward", step.reward, _NUMBER)
    for name in ("terminated", "truncated"):
        _compare_array(context, "flag", name, getattr(step, name), _FLAG)
    _report_weak_types(context, "step", state=state, obs=step.obs, reward=step.reward)
    if not isinstance(step.info, dict):
        context.add("info", f"info is {describe(step.info)}")
        return
    for name, value in step.info.items():
        if not isinstance(name, str) or getattr(value, "shape", None) != ():
            context.add("info", f"info[{name!r}] is {describe(value)}")


def check_action_mask(context: CheckContext) -> None:
    """`action_mask` can be called, and returns None or a flag for each discrete action, or each of several choices."""
    check_method(context, "action_mask", context.results["reset"][0])
    mask = context.abstract.get("action_mask")
    space = context.env.action_space
    if mask is not None and not masks.is_maskable(space):
        context.add("mask-space", f"action_mask gives {describe(mask)} for the action space {type(space).__name__}")
    elif mask is not None:
        _compare_array(context, "mask", "action_mask", mask, Box(shape=(sum(masks.counts_of(space)),), dtype=jnp.bool_))


def check_first_mask(context: CheckContext) -> None:
    """An episode begins with an action that is allowed, or one for each choice."""
    if context.abstract.get("action_mask") is not None:

        def allowed(env: Any, key: jax.Array) -> jax.Array:
            space: Any = env.action_space
            return masks.allows_any(space, env.action_mask(env.reset(key)[0]))

        result = context.attempt("raises", "the first mask", compiled(allowed), context.env, context.keys(1))
        if result is not None and not result:
            context.add("mask-empty", "the mask after reset allows no action")


def check_state(context: CheckContext) -> None:
    """The state keeps its structure, shapes and dtypes for two steps."""
    first, second = context.abstract["reset"][0], context.abstract["step"][0]
    if not _compare_states(context, first, second, "from reset to step"):
        return
    arguments = (context.env, second, context.action, context.keys(3))
    result = context.attempt("raises", "a second step", jax.eval_shape, caller("step"), *arguments)
    if result is not None:
        _compare_states(context, second, result[0], "from one step to the next")


def _compare_observation(context: CheckContext, name: str, obs: Any) -> None:
    space = context.env.observation_space
    if is_array_space(space):
        _compare_array(context, "obs", name, obs, space)
        return
    structure: Any = jax.tree.structure(arrays_of(space), is_leaf=is_array_space)
    if structure != jax.tree.structure(obs):
        names = ", ".join(array_names(arrays_of(space), "obs"))
        context.add("obs-structure", f"{name} is {describe(obs)}, and observation_space is made of {names}")
        return
    parts = zip(array_spaces(space), jax.tree.leaves(obs), array_names(obs, name), strict=True)
    for part, value, path in parts:
        _compare_array(context, "obs", path, value, part)


def _compare_array(context: CheckContext, kind: str, name: str, value: Any, space: ArraySpace) -> None:
    if getattr(value, "shape", None) != space.shape:
        context.add(f"{kind}-shape", f"{name} is {describe(value)}, not an array of shape {space.shape}")
    elif value.dtype != space.dtype:
        context.add(f"{kind}-dtype", f"{name} is {describe(value)}, not {jnp.dtype(space.dtype).name}")


def _compare_states(context: CheckContext, first: Any, second: Any, moment: str) -> bool:
    """Whether two states agree in structure, shapes and dtypes; adds findings where they don't."""
    structure: Any = jax.tree.structure(first)
    if structure != jax.tree.structure(second):
        context.add("state-structure", f"the state changes {moment}, {describe(first)} to {describe(second)}")
        return False
    agree = True
    for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        for kind in ("shape", "dtype"):
            if getattr(old, kind) != getattr(new, kind):
                where = f"state{jax.tree_util.keystr(path)}"
                context.add(f"state-{kind}", f"{where} changes {moment}, {describe(old)} to {describe(new)}")
                agree = False
    return agree


def _report_weak_types(context: CheckContext, method: str, **parts: Any) -> None:
    for name, part in parts.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            if leaf.weak_type:
                context.add("weak-type", f"{name}{jax.tree_util.keystr(path)} of {method} is weakly typed {leaf.dtype}")


_NUM_ENVS = 8
_STARTS = 64


def check_rollout(context: CheckContext) -> None:
    """Plays in environments whose leaves are batched too, and reports the first step that went wrong."""
    steps = -(-context.steps // _NUM_ENVS)
    envs = jax.tree.map(lambda leaf: np.stack([leaf] * _NUM_ENVS), context.env)
    start_keys, play_keys = jax.random.split(context.keys(8), (2, _NUM_ENVS))
    begin = compiled(jax.vmap(lambda env, key: start_actors(env, key, 1)))
    actors = context.attempt("raises", "a random rollout", begin, envs, start_keys)
    if actors is None:
        return
    first = actors.episodes
    starts = _range_of_starts(context)
    if all(np.all(leaf == leaf[:1]) for leaf in arrays((first.state, first.obs))):
        context.add("key-ignored", f"reset gave the same state and observation for {_NUM_ENVS} keys")

    def play(env: Environment, actors: Actors, key: jax.Array) -> Any:
        def judge(step: Step) -> Any:
            return _judge(env, step), _judge_restart(step, starts)

        return random_rollout(env, actors, steps, key, jax.vmap(judge))[1]

    judged = context.attempt("raises", "a random rollout", compiled(jax.vmap(play)), envs, actors, play_keys)
    if judged is not None:
        judged, restarts = jax.tree.map(lambda x: x[..., 0], jax.device_get(judged))
        _report(context, judged)
        _report_restarts(context, restarts)


def _range_of_starts(context: CheckContext) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lowest and highest number of each place in states and observations after a reset, with some margin."""
    starts = compiled(jax.vmap(context.env.reset))(jax.random.split(context.keys(9), _STARTS))
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


def _report_restarts(context: CheckContext, judged: dict[str, Any]) -> None:
    """Adds a finding where episodes end in what looks like the start of another one, and not on the way there."""
    ended = judged["ended"]
    if ended.any() and judged["after"][ended].mean() >= 0.9 and judged["before"][ended].mean() <= 0.5:
        context.add("resets-itself", "step returned what is like the start of another episode when it ended one")


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


def _report(context: CheckContext, judged: dict[str, Any]) -> None:
    """Adds a finding for each code that applies anywhere, with the first place: arrays are [environment, step]."""
    spaces = {"obs-outside": context.env.observation_space, "action-outside": context.env.action_space}
    for code, (flags, lows, highs) in judged.items():
        if not flags.any():
            continue
        step, member = np.argwhere(flags.T)[0]
        seen = f"{code.partition('-')[0]} between {lows[member, step]:g} and {highs[member, step]:g}"
        if code in spaces:
            seen += f", outside {' '.join(str(spaces[code]).split())}"
        context.add(code, f"step {step + 1} of {flags.shape[1]} of a random rollout: {seen}")
