"""Examines one method of an environment in every way that training calls it."""

import contextlib
import functools
import io
import re
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.checking.exam import Exam, compiled
from jaxrl.checking.values import NUMBERS, describe, first_line, same
from jaxrl.environment import TimeStep


def examine(exam: Exam, method: str, *arguments: Any) -> None:
    """Examines a method, up to the first examination that finds an error.

    Where none does, `exam.abstract` and `exam.results` have what the method returns.
    """
    count = exam.error_count
    for examination in (_leaks, _plain_python, _tracing, _batching, _compiling):
        examination(exam, method, *arguments)
        if exam.error_count > count:
            return


def caller(method: str) -> functools.partial:
    """A new function of (environment, arguments of the method) that calls the method."""
    return functools.partial(_call, method)


def _call(method: str, env: Any, *arguments: Any) -> Any:
    return getattr(env, method)(*arguments)


def _leaks(exam: Exam, method: str, *arguments: Any) -> None:
    """Traces a method for what it does besides returning; other exceptions are for the next examination."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), jax.checking_leaks():
            jax.eval_shape(functools.partial(caller(method), exam.env), *arguments)
    except Exception as error:
        if "Leaked" in str(error):
            exam.add("side-effect", f"{method} keeps a traced value after it returned")
    if printed.getvalue():
        exam.add("prints", f"{method} prints {printed.getvalue().strip()[:40]!r}")


def _plain_python(exam: Exam, method: str, *arguments: Any) -> None:
    """Calls a method twice in plain Python: what comes back must be arrays, and the same."""
    before = dict(vars(exam.env))
    try:
        result, again = (_call(method, exam.env, *arguments) for _ in range(2))
    except Exception as error:
        exam.add("raises", f"{method} raised {first_line(error)}")
        return
    changed = [name for name, value in vars(exam.env).items() if name not in before or before[name] is not value]
    if changed:
        exam.add("side-effect", f"{method} set the environment's {', '.join(changed)}")
    count = exam.error_count
    _judge_result(exam, method, result)
    if exam.error_count == count and not same(result, again):
        exam.add("impure", f"{method} gave two results for the same arguments")
    exam.results[method] = result


def _judge_result(exam: Exam, method: str, result: Any) -> None:
    """Looks at what came back in plain Python: a pair where one is due, and arrays only."""
    pair = isinstance(result, tuple) and len(result) == 2
    if method == "reset" and not pair:
        exam.add("reset-return", f"reset returned {describe(result)}")
    elif method == "step" and not (pair and isinstance(result[1], TimeStep)):
        exam.add("step-return", f"step returned {describe(result)}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(result):
        if not isinstance(leaf, NUMBERS):
            exam.add("not-array", f"{method} returned {leaf!r} at {jax.tree_util.keystr(path) or 'the top'}")


def _tracing(exam: Exam, method: str, *arguments: Any) -> None:
    """Traces a method twice, then with the environment's leaves traced as well."""

    def trace() -> str:
        program = jax.make_jaxpr(functools.partial(caller(method), exam.env))(*arguments)
        return re.sub("0x[0-9a-f]+", "", str(program))

    programs = exam.attempt("jit", f"compiling {method}", lambda: {trace(), trace()})
    if programs is None:
        return
    if len(programs) > 1:
        exam.add("impure", f"{method} became two programs when it was traced twice")
        return
    doing = f"{method} with the environment's fields traced"
    exam.abstract[method] = exam.attempt("leaf-traced", doing, jax.eval_shape, caller(method), exam.env, *arguments)


def _batching(exam: Exam, method: str, *arguments: Any) -> None:
    """Batches a method over everything, the environment included."""

    def widen(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct((2, *jnp.shape(leaf)), jnp.result_type(leaf))

    batched = jax.tree.map(widen, (exam.env, *arguments))
    exam.attempt("vmap", f"{method} under jax.vmap", jax.eval_shape, jax.vmap(caller(method)), *batched)


def _compiling(exam: Exam, method: str, *arguments: Any) -> None:
    """Compiles a method; it must return what it returned in plain Python, to rounding."""
    plain = exam.results[method]
    result = exam.attempt("raises", f"compiled {method}", compiled(caller(method)), exam.env, *arguments)
    if result is not None and not same(plain, result, tolerance=1e-3):
        exam.add("jit-differs", f"{method} gives other numbers when compiled, beyond rounding")
    exam.results[method] = result
