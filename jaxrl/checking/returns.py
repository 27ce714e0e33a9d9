"""Checks of what an environment's methods return: observations, time steps, masks and states."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.checking.calls import caller, examine
from jaxrl.checking.exam import Exam, compiled
from jaxrl.checking.values import describe
from jaxrl.masks import allows_any, counts_of, is_maskable
from jaxrl.spaces import ArraySpace, Box, array_names, array_spaces, arrays_of, is_array_space

_NUMBER = Box(shape=(), dtype=jnp.float32)
_FLAG = Box(shape=(), dtype=jnp.bool_)


def check_reset(exam: Exam) -> None:
    """`reset` can be called."""
    examine(exam, "reset", exam.keys(1))


def check_first_observation(exam: Exam) -> None:
    """`reset` returns an observation as declared."""
    state, obs = exam.abstract["reset"]
    _compare_observation(exam, "reset's observation", obs)
    _report_weak_types(exam, "reset", state=state, obs=obs)


def check_step(exam: Exam) -> None:
    """`step` can be called."""
    examine(exam, "step", exam.results["reset"][0], exam.action, exam.keys(2))


def check_time_step(exam: Exam) -> None:
    """`step` returns an observation as declared, a reward, two flags and an info."""
    state, step = exam.abstract["step"]
    _compare_observation(exam, "step's observation", step.obs)
    _compare_array(exam, "reward", "reward", step.reward, _NUMBER)
    for name in ("terminated", "truncated"):
        _compare_array(exam, "flag", name, getattr(step, name), _FLAG)
    _report_weak_types(exam, "step", state=state, obs=step.obs, reward=step.reward)
    if not isinstance(step.info, dict):
        exam.add("info", f"info is {describe(step.info)}")
        return
    for name, value in step.info.items():
        if not isinstance(name, str) or getattr(value, "shape", None) != ():
            exam.add("info", f"info[{name!r}] is {describe(value)}")


def check_action_mask(exam: Exam) -> None:
    """`action_mask` can be called, and returns None or a flag for each discrete action, or each of several choices."""
    examine(exam, "action_mask", exam.results["reset"][0])
    mask = exam.abstract.get("action_mask")
    space = exam.env.action_space
    if mask is not None and not is_maskable(space):
        exam.add("mask-space", f"action_mask gives {describe(mask)} for the action space {type(space).__name__}")
    elif mask is not None:
        _compare_array(exam, "mask", "action_mask", mask, Box(shape=(sum(counts_of(space)),), dtype=jnp.bool_))


def check_first_mask(exam: Exam) -> None:
    """An episode begins with an action that is allowed, or one for each choice."""
    if exam.abstract.get("action_mask") is not None:

        def allowed(env: Any, key: jax.Array) -> jax.Array:
            return allows_any(env.action_space, env.action_mask(env.reset(key)[0]))

        found = exam.attempt("raises", "the first mask", compiled(allowed), exam.env, exam.keys(1))
        if found is not None and not found:
            exam.add("mask-empty", "the mask after reset allows no action")


def check_state(exam: Exam) -> None:
    """The state keeps its structure, shapes and dtypes for two steps."""
    first, second = exam.abstract["reset"][0], exam.abstract["step"][0]
    if not _compare_states(exam, first, second, "from reset to step"):
        return
    arguments = (exam.env, second, exam.action, exam.keys(3))
    result = exam.attempt("raises", "a second step", jax.eval_shape, caller("step"), *arguments)
    if result is not None:
        _compare_states(exam, second, result[0], "from one step to the next")


def _compare_observation(exam: Exam, name: str, obs: Any) -> None:
    space = exam.env.observation_space
    if is_array_space(space):
        _compare_array(exam, "obs", name, obs, space)
        return
    structure: Any = jax.tree.structure(arrays_of(space), is_leaf=is_array_space)
    if structure != jax.tree.structure(obs):
        names = ", ".join(array_names(arrays_of(space), "obs"))
        exam.add("obs-structure", f"{name} is {describe(obs)}, and observation_space is made of {names}")
        return
    parts = zip(array_spaces(space), jax.tree.leaves(obs), array_names(obs, name), strict=True)
    for part, value, path in parts:
        _compare_array(exam, "obs", path, value, part)


def _compare_array(exam: Exam, kind: str, name: str, value: Any, space: ArraySpace) -> None:
    if getattr(value, "shape", None) != space.shape:
        exam.add(f"{kind}-shape", f"{name} is {describe(value)}, not an array of shape {space.shape}")
    elif value.dtype != space.dtype:
        exam.add(f"{kind}-dtype", f"{name} is {describe(value)}, not {jnp.dtype(space.dtype).name}")


def _compare_states(exam: Exam, first: Any, second: Any, moment: str) -> bool:
    """Whether two states agree in structure, shapes and dtypes; adds findings where they don't."""
    structure: Any = jax.tree.structure(first)
    if structure != jax.tree.structure(second):
        exam.add("state-structure", f"the state changes {moment}, {describe(first)} to {describe(second)}")
        return False
    agree = True
    for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        for kind in ("shape", "dtype"):
            if getattr(old, kind) != getattr(new, kind):
                where = f"state{jax.tree_util.keystr(path)}"
                exam.add(f"state-{kind}", f"{where} changes {moment}, {describe(old)} to {describe(new)}")
                agree = False
    return agree


def _report_weak_types(exam: Exam, method: str, **parts: Any) -> None:
    for name, part in parts.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            if leaf.weak_type:
                exam.add("weak-type", f"{name}{jax.tree_util.keystr(path)} of {method} is weakly typed {leaf.dtype}")
