"""The check that no random key is used twice."""

from collections.abc import Callable
from typing import Any

import jax

from jaxrl.checking.exam import Exam
from jaxrl.checking.values import first_line


def check_keys(exam: Exam) -> None:
    """Lets JAX follow every key through an episode, where the state may carry keys from step to step."""

    def episode(reset_key: jax.Array, *step_keys: jax.Array) -> Any:
        state, obs = exam.env.reset(reset_key)
        for step_key in step_keys:
            state, step = exam.env.step(state, exam.action, step_key)
            obs = step.obs
        return state, obs

    try:
        reuse = _find_reuse(episode, exam.keys(5), exam.keys(6), exam.keys(7))
        alone = reuse and _find_reuse(lambda key: exam.env.reset(key), exam.keys(5))
    except Exception as error:
        exam.skipped.append(f"reuse of random keys (JAX's checker raised {first_line(error)})")
        return
    if reuse:
        doing = "reset" if alone else "step, or reset and step together,"
        exam.add("key-reused", f"{doing} used a random key twice, so draws repeat ({reuse})")


def _find_reuse(function: Callable, *keys: jax.Array) -> str:
    """What JAX says about a key that a function uses twice, "" where there is none; compiles nothing."""
    try:
        with jax.debug_key_reuse(True):
            jax.jit(function).trace(*keys)
    except jax.errors.KeyReuseError as error:
        return first_line(error)
    return ""
