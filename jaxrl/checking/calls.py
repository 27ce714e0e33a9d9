"""Examines one method of an environment in every way that training calls it."""

import contextlib
import functools
import io
import re
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.checking.exam import Exam, compiled
from jaxrl.checking.values import NUMBERS, arrays, describe, first_line, same
from jaxrl.checking.watch import watched
from jaxrl.environment import TimeStep


def examine(exam: Exam, method: str, *arguments: Any) -> None:
    """Examines a method, up to the first examination that finds an error.

    Where none does, `exam.abstract` and `exam.results` have what the method returns.
    """
    count = exam.error_count
    for examination in (_abstractly,) if exam.abstractly else (_leaks, _plain_python, _tracing, _batching, _compiling):
        examination(exam, method, *arguments)
        if exam.error_count > count:
            return


def caller(method: str) -> functools.partial:
    """A new function of (environment, arguments of the method) that calls the method."""
    return functools.partial(_call, method)


def _call(method: str, env: Any, *arguments: Any) -> Any:
    return getattr(env, method)(*arguments)


class _JudgedError(Exception):
    """What a method gave is wrong already: there is nothing to trace."""


def _abstractly(exam: Exam, method: str, *arguments: Any) -> None:
    """Traces a method twice, with the environment's leaves: it must work, give what is due, and be the same program."""

    def call(env: Any, *arguments: Any) -> Any:
        result, mutated = _watching_arguments(method, env, *arguments)
        if mutated:
            exam.add("mutates", f"{method} changed what it was given")
        _judge_result(exam, method, result)
        if exam.error_count > count:
            raise _JudgedError
        return result

    def trace(function: Any, *arguments: Any) -> tuple[Any, Any]:
        # A new function, because what was traced before is not traced again.
        program, shapes = jax.make_jaxpr(lambda *a: function(*a), return_shape=True)(*arguments)
        return program, jax.tree.unflatten(jax.tree.structure(shapes), map(_shape, program.out_avals))

    count = exam.error_count
    try:
        program, shapes = trace(call, exam.env, *arguments)
        again, _ = trace(call, exam.env, *arguments)
    except _JudgedError:
        return
    except Exception as error:
        try:
            trace(functools.partial(call, exam.env), *arguments)
        except Exception:
            if isinstance(error, jax.errors.ConcretizationTypeError):
                exam.add("jit", f"tracing {method} raised {first_line(error)}")
            else:
                exam.add("raises", f"{method} raised {first_line(error)}")
        else:
            exam.add("leaf-traced", f"{method} with the environment's fields traced raised {first_line(error)}")
        return
    if _program(program) != _program(again):
        exam.add("impure", f"{method} became two programs when it was traced twice")
        return
    exam.abstract[method] = exam.results[method] = shapes


def _shape(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _program(program: Any) -> tuple[str, list[bytes]]:
    """What a traced program does, to be compared: its text without addresses, and its constants."""
    return re.sub("0x[0-9a-f]+", "", str(program)), [array.tobytes() for array in arrays(program.consts)]


def _watching_arguments(method: str, *arguments: Any) -> tuple[Any, bool]:
    """What a method of the first argument gives, and whether it changed one of the arguments."""
    before: Any = jax.tree.flatten(arguments)
    result = _call(method, *arguments)
    after: Any = jax.tree.flatten(arguments)
    same_leaves = len(before[0]) == len(after[0]) and all(x is y for x, y in zip(before[0], after[0], strict=True))
    return result, before[1] != after[1] or not same_leaves


def _leaks(exam: Exam, method: str, *arguments: Any) -> None:
    """Traces a method for what it does besides returning; other exceptions are for the next examination."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), jax.checking_leaks():
            mutated = []
            jax.eval_shape(lambda *a: mutated.append(_watching_arguments(method, exam.env, *a)[1]), *arguments)
            if any(mutated):
                exam.add("mutates", f"{method} changed what it was given")
    except Exception as error:
        if "Leaked" in str(error):
            exam.add("side-effect", f"{method} keeps a traced value after it returned")
    if printed.getvalue():
        exam.add("prints", f"{method} prints {printed.getvalue().strip()[:40]!r}")


def _plain_python(exam: Exam, method: str, *arguments: Any) -> None:
    """Calls a method twice in plain Python: what comes back must be arrays, and the same."""
    before, outside = dict(vars(exam.env)), watched(exam.env)
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
    after = watched(exam.env)
    touched = [name for name, value in outside.items() if name in after and after[name] != value]
    if exam.error_count == count and touched:
        exam.add("side-effect", f"{method} changed {', '.join(touched)}")
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
