"""Checks one method of an environment in every way that training calls it, and that no random key is used twice."""

import contextlib
import functools
import io
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.env_checker.context import NUMBERS, CheckContext, arrays, compiled, describe, first_line, same, watched
from jaxrl.environment import TimeStep


def check_method(context: CheckContext, method: str, *arguments: Any) -> None:
    """Examines a method, up to the first check that finds an error.

    Where none does, `context.abstract` and `context.results` have what the method returns.
    """
    count = context.error_count
    for check in (_abstractly,) if context.abstractly else (_leaks, _plain_python, _tracing, _batching, _compiling):
        check(context, method, *arguments)
        if context.error_count > count:
            return


def caller(method: str) -> functools.partial:
    """A new function of (environment, arguments of the method) that calls the method."""
    return functools.partial(_call, method)


def _call(method: str, env: Any, *arguments: Any) -> Any:
    return getattr(env, method)(*arguments)


class _JudgedError(Exception):
    """What a method gave is wrong already: there is nothing to trace."""


def _abstractly(context: CheckContext, method: str, *arguments: Any) -> None:
    """Traces a method twice, with the environment's leaves: it must work, give what is due, and be the same program."""

    def call(env: Any, *arguments: Any) -> Any:
        result, mutated = _watching_arguments(method, env, *arguments)
        if mutated:
            context.add("mutates", f"{method} changed what it was given")
        _judge_result(context, method, result)
        if context.error_count > count:
            raise _JudgedError
        return result

    def trace(function: Any, *arguments: Any) -> tuple[Any, Any]:
        # A new function, because what was traced before is not traced again.
        program, shapes = jax.make_jaxpr(lambda *a: function(*a), return_shape=True)(*arguments)
        return program, jax.tree.unflatten(jax.tree.structure(shapes), map(_shape, program.out_avals))

    count = context.error_count
    try:
        program, shapes = trace(call, context.env, *arguments)
        again, _ = trace(call, context.env, *arguments)
    except _JudgedError:
        return
    except Exception as error:
        try:
            trace(functools.partial(call, context.env), *arguments)
        except Exception:
            if isinstance(error, jax.errors.ConcretizationTypeError):
                context.add("jit", f"tracing {method} raised {first_line(error)}")
            else:
                context.add("raises", f"{method} raised {first_line(error)}")
        else:
            context.add("leaf-traced", f"{method} with the environment's fields traced raised {first_line(error)}")
        return
    if _program(program) != _program(again):
        context.add("impure", f"{method} became two programs when it was traced twice")
        return
    context.abstract[method] = context.results[method] = shapes


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


def _leaks(context: CheckContext, method: str, *arguments: Any) -> None:
    """Traces a method for what it does besides returning; other exceptions are for the next check."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), jax.checking_leaks():
            mutated = []
            jax.eval_shape(lambda *a: mutated.append(_watching_arguments(method, context.env, *a)[1]), *arguments)
            if any(mutated):
                context.add("mutates", f"{method} changed what it was given")
    except Exception as error:
        if "Leaked" in str(error):
            context.add("side-effect", f"{method} keeps a traced value after it returned")
    if printed.getvalue():
        context.add("prints", f"{method} prints {printed.getvalue().strip()[:40]!r}")


def _plain_python(context: CheckContext, method: str, *arguments: Any) -> None:
    """Calls a method twice in plain Python: what comes back must be arrays, and the same."""
    before, outside = dict(vars(context.env)), watched(context.env)
    try:
        result, again = (_call(method, context.env, *arguments) for _ in range(2))
    except Exception as error:
        context.add("raises", f"{method} raised {first_line(error)}")
        return
    changed = [name for name, value in vars(context.env).items() if name not in before or before[name] is not value]
    if changed:
        context.add("side-effect", f"{method} set the environment's {', '.join(changed)}")
    count = context.error_count
    _judge_result(context, method, result)
    if context.error_count == count and not same(result, again):
        context.add("impure", f"{method} gave two results for the same arguments")
    after = watched(context.env)
    touched = [name for name, value in outside.items() if name in after and after[name] != value]
    if context.error_count == count and touched:
        context.add("side-effect", f"{method} changed {', '.join(touched)}")
    context.results[method] = result


def _judge_result(context: CheckContext, method: str, result: Any) -> None:
    """Looks at what came back in plain Python: a pair where one is due, and arrays only."""
    pair = isinstance(result, tuple) and len(result) == 2
    if method == "reset" and not pair:
        context.add("reset-return", f"reset returned {describe(result)}")
    elif method == "step" and not (pair and isinstance(result[1], TimeStep)):
        context.add("step-return", f"step returned {describe(result)}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(result):
        if not isinstance(leaf, NUMBERS):
            context.add("not-array", f"{method} returned {leaf!r} at {jax.tree_util.keystr(path) or 'the top'}")


def _tracing(context: CheckContext, method: str, *arguments: Any) -> None:
    """Traces a method twice, then with the environment's leaves traced as well."""

    def trace() -> str:
        program = jax.make_jaxpr(functools.partial(caller(method), context.env))(*arguments)
        return re.sub("0x[0-9a-f]+", "", str(program))

    programs = context.attempt("jit", f"compiling {method}", lambda: {trace(), trace()})
    if programs is None:
        return
    if len(programs) > 1:
        context.add("impure", f"{method} became two programs when it was traced twice")
        return
    doing = f"{method} with the environment's fields traced"
    shapes = context.attempt("leaf-traced", doing, jax.eval_shape, caller(method), context.env, *arguments)
    context.abstract[method] = shapes


def _batching(context: CheckContext, method: str, *arguments: Any) -> None:
    """Batches a method over everything, the environment included."""

    def widen(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct((2, *jnp.shape(leaf)), jnp.result_type(leaf))

    batched = jax.tree.map(widen, (context.env, *arguments))
    context.attempt("vmap", f"{method} under jax.vmap", jax.eval_shape, jax.vmap(caller(method)), *batched)


def _compiling(context: CheckContext, method: str, *arguments: Any) -> None:
    """Compiles a method; it must return what it returned in plain Python, to rounding."""
    plain = context.results[method]
    result = context.attempt("raises", f"compiled {method}", compiled(caller(method)), context.env, *arguments)
    if result is not None and not same(plain, result, tolerance=1e-3):
        context.add("jit-differs", f"{method} gives other numbers when compiled, beyond rounding")
    context.results[method] = result


def check_keys(context: CheckContext) -> None:
    """Lets JAX follow every key through an episode, where the state may carry keys from step to step."""

    def episode(reset_key: jax.Array, *step_keys: jax.Array) -> Any:
        state, obs = context.env.reset(reset_key)
        for step_key in step_keys:
            state, step = context.env.step(state, context.action, step_key)
            obs = step.obs
        return state, obs

    try:
        reuse = _find_reuse(episode, context.keys(5), context.keys(6), context.keys(7))
        alone = reuse and _find_reuse(lambda key: context.env.reset(key), context.keys(5))
    except Exception as error:
        context.skipped.append(f"reuse of random keys (JAX's checker raised {first_line(error)})")
        return
    if reuse:
        doing = "reset" if alone else "step, or reset and step together,"
        context.add("key-reused", f"{doing} used a random key twice, so draws repeat ({reuse})")


def _find_reuse(function: Callable, *keys: jax.Array) -> str:
    """What JAX says about a key that a function uses twice, "" where there is none; compiles nothing."""
    try:
        with jax.debug_key_reuse(True):
            jax.jit(function).trace(*keys)
    except jax.errors.KeyReuseError as error:
        return first_line(error)
    return ""
