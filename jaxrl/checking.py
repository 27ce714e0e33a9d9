"""`check_env`: says what is wrong with an environment, before anything is trained on it.

Small checks run one after the other and collect findings. A check that can't run because of an
earlier finding is skipped and named in the report, so a mistake gives one finding and not ten.
"""

import contextlib
import copy
import dataclasses
import functools
import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.environment import Environment, TimeStep, start, take
from jaxrl.pytree import check_values, is_static
from jaxrl.spaces import Box, Discrete

_ERROR, _WARNING = "error", "warning"
_NUM_ENVS = 8
# Nothing here runs long enough to pay for optimised code: compiling takes a third of the time.
_compile = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
_NUMBERS = bool | int | float | np.bool_ | np.number | np.ndarray | jax.Array
_SCALAR = Box(-jnp.inf, jnp.inf, (), jnp.float32)
_FLAG = Box(False, True, (), jnp.bool_)

CODES: dict[str, tuple[str, str]] = {
    # The class, its fields and its spaces.
    "not-environment": (_ERROR, "pass an instance of a subclass of jaxrl.Environment"),
    "not-pytree": (_ERROR, "decorate the class with @jaxrl.pytree (every subclass needs it again)"),
    "max-steps": (_ERROR, "declare the most steps of one episode: max_steps: int = jaxrl.static(500, minimum=1)"),
    "field-type": (_ERROR, "fields that are not numbers must be hashable and declared with jaxrl.static"),
    "field-bounds": (_ERROR, "build the environment with a value inside the field's bounds"),
    "observation-space": (_ERROR, "make observation_space a property that returns a jaxrl.Box or jaxrl.Discrete"),
    "action-space": (_ERROR, "make action_space a property that returns a jaxrl.Discrete or jaxrl.Box"),
    # The methods, in plain Python, compiled and batched.
    "raises": (_ERROR, "call it yourself for the traceback; what changes during an episode belongs in the state"),
    "side-effect": (_ERROR, "keep nothing between calls: return everything that changes in the state"),
    "prints": (_WARNING, "compiled code prints once, while it is traced: use jax.debug.print, or take the print out"),
    "impure": (_ERROR, "draw random numbers with jax.random from the key alone, and read no state but the given one"),
    "jit": (_ERROR, "replace Python's if by jnp.where or lax.cond, its loops by lax.fori_loop, numpy by jax.numpy"),
    "jit-differs": (_WARNING, "let the result depend on nothing but the arguments and use jax.numpy throughout"),
    "leaf-traced": (_ERROR, "declare what sets a shape, a loop or a Python branch with jaxrl.static (all other fields "
                    "are traced), and let __post_init__ look at static fields only"),
    "vmap": (_ERROR, "use functions that can be batched; give jax.pure_callback a vmap_method"),
    "leaf-dtype": (_ERROR, "cast explicitly, as in .astype(jnp.float16): a swept leaf is an array and promotes"),
    "recompiles": (_WARNING, "give objects in static fields __eq__ and __hash__ by value, and the state one type"),
    # What the methods return.
    "reset-return": (_ERROR, "return the pair (state, observation)"),
    "step-return": (_ERROR, "return the pair (state, jaxrl.TimeStep(obs, reward, terminated, truncated, info))"),
    "not-array": (_ERROR, "hold only arrays and numbers, in tuples, dicts or classes decorated with @jaxrl.pytree"),
    "obs-shape": (_ERROR, "return one array with the shape of observation_space, or correct observation_space"),
    "obs-dtype": (_ERROR, "cast with .astype(self.observation_space.dtype), or correct observation_space"),
    "reward-shape": (_ERROR, "return one number, f32[]: sum over what is too many"),
    "reward-dtype": (_ERROR, "cast with jnp.float32(...)"),
    "flag-shape": (_ERROR, "return one bool[]: combine with jnp.any or jnp.all"),
    "flag-dtype": (_ERROR, "return a bool[], as comparisons do, or cast with .astype(bool)"),
    "info": (_ERROR, "return a dict from str to scalars, with the same names at every step"),
    "state-structure": (_ERROR, "return the same class with the same fields and static values at every step"),
    "state-shape": (_ERROR, "keep shapes fixed: reserve the largest size and count what is filled"),
    "state-dtype": (_ERROR, "cast to one dtype in reset and in step"),
    "weak-type": (_WARNING, "name the dtype, as in jnp.float32(0) or .astype(jnp.float32): weakly typed numbers, as "
                  "Python's are, change type along the way and cause silent recompilation"),
    "mask-space": (_ERROR, "return None, or make action_space a jaxrl.Discrete: only its actions can be masked"),
    "mask-shape": (_ERROR, "return one bool for each action: bool[action_space.n]"),
    "mask-dtype": (_ERROR, "return bool: True where the action is allowed"),
    # Random numbers.
    "key-reused": (_ERROR, "use a key once: key, draw_key = jax.random.split(key), and store the unused one, if any"),
    "key-ignored": (_WARNING, "draw the start from the key, unless every episode is meant to start the same"),
    # What happens in a random rollout.
    "obs-outside": (_ERROR, "widen observation_space (jaxrl.Box() has no bounds), or clip the observation"),
    "obs-not-finite": (_ERROR, "guard divisions, logarithms and roots, and end the episode before numbers overflow"),
    "reward-not-finite": (_ERROR, "guard divisions, logarithms and roots in the reward"),
    "state-nan": (_ERROR, "guard divisions, logarithms and roots where the state is computed"),
    "action-outside": (_ERROR, "correct action_space: low must not be above high, and its dtype must hold both"),
    "mask-empty": (_ERROR, "allow at least one action, or return terminated=True in the step that leads there"),
}  # fmt: skip
"""Every code that a finding can have, with its severity and what to do about it."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a stable code, "error" or "warning", and a message for people."""

    code: str
    severity: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity} [{self.code}] {self.message}"


@dataclasses.dataclass(frozen=True)
class EnvironmentReport:
    """What `check_env` found.

    Attributes:
      environment: the name of the environment's class.
      findings: in the order of the checks.
      skipped: the checks that could not run because of an earlier finding.
    """

    environment: str
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that training can't live with."""
        return tuple(finding for finding in self.findings if finding.severity == _ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that may be meant so."""
        return tuple(finding for finding in self.findings if finding.severity == _WARNING)

    def __str__(self) -> str:
        counts = f"{len(self.errors)} errors, {len(self.warnings)} warnings"
        lines = [f"{self.environment}: {counts if self.findings else 'nothing found'}"]
        lines += [f"  {finding}" for finding in self.findings]
        if self.skipped:
            lines.append(f"  not checked because of the above: {', '.join(self.skipped)}")
        return "\n".join(lines)


class EnvironmentCheckError(ValueError):
    """An environment fails its contract; `report` is the whole `EnvironmentReport`."""

    def __init__(self, report: EnvironmentReport):
        super().__init__(str(report))
        self.report = report


def check_env(env: Any, *, seed: int = 0, steps: int = 1000, raise_errors: bool = True) -> EnvironmentReport:
    """Checks that an environment keeps the contract that training relies on.

    Looks at the class, the spaces, the methods (in plain Python, compiled, batched, with traced
    leaves), everything they return, their random keys, and a random rollout over many episodes.
    `CODES` lists all that it can find. Mutable globals that no result depends on stay unseen.

    Args:
      env: the environment.
      seed: of the random keys and actions.
      steps: environment steps of the random rollout, shared among 8 environments.
      raise_errors: raise where there are errors, and pass warnings to `warnings.warn`; when False,
        do neither.

    Returns:
      The report.

    Raises:
      EnvironmentCheckError: there are errors; its message lists them all.
      ValueError: `steps` is smaller than 1.
    """
    if steps < 1:
        raise ValueError(f"steps = {steps} must be at least 1")
    exam = _Exam(env, seed, steps)
    passed: set[str] = set()
    for name, (check, needs) in _CHECKS.items():
        if not passed.issuperset(needs):
            exam.skipped.append(name)
            continue
        count = exam.error_count
        check(exam)
        if exam.error_count == count:
            passed.add(name)
    report = EnvironmentReport(type(env).__name__, tuple(exam.findings), tuple(exam.skipped))
    if raise_errors:
        for finding in report.warnings:
            warnings.warn(f"{report.environment}: {finding}", stacklevel=2)
        if report.errors:
            raise EnvironmentCheckError(report)
    return report


class _Exam:
    """One run of the checks: the findings so far, and results that later checks look at."""

    def __init__(self, env: Any, seed: int, steps: int):
        self.env, self.steps = env, steps
        self.findings: list[Finding] = []
        self.skipped: list[str] = []
        self.keys = functools.partial(jax.random.fold_in, jax.random.key(seed))
        self.action: Any = None
        self.abstract: dict[str, Any] = {}  # what each method returns: shapes, dtypes and weak types
        self.results: dict[str, Any] = {}  # what each method returned when compiled
        self.compiled: dict[str, Callable] = {}
        self.traces: dict[str, int] = {}

    @property
    def error_count(self) -> int:
        return sum(finding.severity == _ERROR for finding in self.findings)

    def add(self, code: str, seen: str) -> None:
        """Adds a finding, once for each code and thing seen; the remedy comes from `CODES`."""
        severity, remedy = CODES[code]
        finding = Finding(code, severity, f"{seen}: {remedy}")
        if finding not in self.findings:
            self.findings.append(finding)

    def attempt(self, code: str, doing: str, function: Callable, *arguments: Any) -> Any:
        """Calls a function that may run the user's code; its exception becomes a finding, and None comes back."""
        try:
            return function(*arguments)
        except Exception as error:
            self.add(code, f"{doing} raised {_first_line(error)}")
            return None


def _check_class(exam: _Exam) -> None:
    env, name = exam.env, type(exam.env).__name__
    if not isinstance(env, Environment):
        exam.add("not-environment", f"{env!r} is of type {name}")
    elif not dataclasses.is_dataclass(env) or jax.tree_util.all_leaves([env]):
        exam.add("not-pytree", f"{name} is not registered as a pytree")


def _check_max_steps(exam: _Exam) -> None:
    steps = getattr(exam.env, "max_steps", None)
    if type(steps) is not int or steps < 1:
        exam.add("max-steps", f"max_steps = {steps!r} is not an int of at least 1")
    elif any(field.name == "max_steps" and not is_static(field) for field in dataclasses.fields(exam.env)):
        exam.add("max-steps", f"max_steps = {steps} is a leaf, not static")


def _check_fields(exam: _Exam) -> None:
    try:
        check_values(exam.env)
    except (TypeError, ValueError) as error:
        exam.add("field-type" if isinstance(error, TypeError) else "field-bounds", str(error))
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(exam.env):
        if not isinstance(leaf, _NUMBERS):
            exam.add("field-type", f"{type(exam.env).__name__}{jax.tree_util.keystr(path)} = {leaf!r} is not a number")
            return
    rebuild = functools.partial(jax.tree.map, lambda leaf: leaf)
    exam.attempt("leaf-traced", "building the environment with traced fields", jax.eval_shape, rebuild, exam.env)


def _check_spaces(exam: _Exam) -> None:
    for name in ("observation_space", "action_space"):
        code = name.replace("_", "-")
        doing = name
        try:
            space = getattr(exam.env, name)
            if not isinstance(space, Discrete | Box):
                exam.add(code, f"{name} is of type {type(space).__name__}")
                continue
            doing = f"{name}.sample(key)"
            value = space.sample(exam.keys(0))
            code, doing = "leaf-traced", f"{name} with the environment's fields traced"
            jax.eval_shape(functools.partial(_contains, name), exam.env, value)
        except Exception as error:
            exam.add(code, f"{doing} raised {_first_line(error)}")
            continue
        exam.action = value  # the last one, of the action space, stays


def _contains(space: str, env: Any, value: Any) -> Any:
    return getattr(env, space).contains(value)


def _check_reset(exam: _Exam) -> None:
    _examine(exam, "reset", exam.keys(1))


def _check_first_observation(exam: _Exam) -> None:
    state, obs = exam.abstract["reset"]
    _compare_array(exam, "obs", "reset's observation", obs, exam.env.observation_space)
    _report_weak_types(exam, "reset", state=state, obs=obs)


def _check_step(exam: _Exam) -> None:
    _examine(exam, "step", exam.results["reset"][0], exam.action, exam.keys(2))


def _check_time_step(exam: _Exam) -> None:
    state, step = exam.abstract["step"]
    _compare_array(exam, "obs", "step's observation", step.obs, exam.env.observation_space)
    _compare_array(exam, "reward", "reward", step.reward, _SCALAR)
    for name in ("terminated", "truncated"):
        _compare_array(exam, "flag", name, getattr(step, name), _FLAG)
    _report_weak_types(exam, "step", state=state, obs=step.obs, reward=step.reward)
    if not isinstance(step.info, dict):
        exam.add("info", f"info is {_describe(step.info)}")
        return
    for name, value in step.info.items():
        if not isinstance(name, str) or getattr(value, "shape", None) != ():
            exam.add("info", f"info[{name!r}] is {_describe(value)}")


def _check_action_mask(exam: _Exam) -> None:
    _examine(exam, "action_mask", exam.results["reset"][0])
    mask = exam.abstract.get("action_mask")
    space = exam.env.action_space
    if mask is not None and not isinstance(space, Discrete):
        exam.add("mask-space", f"action_mask gives {_describe(mask)} for the action space {type(space).__name__}")
    elif mask is not None:
        _compare_array(exam, "mask", "action_mask", mask, Box(False, True, (space.n,), jnp.bool_))


def _check_state(exam: _Exam) -> None:
    first, second = exam.abstract["reset"][0], exam.abstract["step"][0]
    if not _compare_states(exam, first, second, "from reset to step"):
        return
    arguments = (second, exam.action, exam.keys(3))
    result = exam.attempt("raises", "a second step", jax.eval_shape, functools.partial(_call, "step"), exam.env,
                          *arguments)  # fmt: skip
    if result is not None:
        _compare_states(exam, second, result[0], "from one step to the next")


def _check_recompilation(exam: _Exam) -> None:
    step, state = exam.compiled["step"], exam.results["step"][0]
    arguments = (exam.action, exam.keys(4))
    state, _ = step(exam.env, state, *arguments)
    count = exam.traces["step"]
    weak = any(finding.code == "weak-type" for finding in exam.findings)  # says the same, and which number it is
    if count > 1 and not weak:
        exam.add("recompiles", "step was compiled again for the state that it returned itself")
    with contextlib.suppress(Exception):  # a static field that can't be copied says nothing about equality
        step(copy.deepcopy(exam.env), state, *arguments)
        if exam.traces["step"] > count:
            exam.add("recompiles", "step was compiled again for a copy of the environment with the same fields")


def _check_keys(exam: _Exam) -> None:
    """Lets JAX follow every key through an episode, where the state may carry keys from step to step."""

    def episode(reset_key: jax.Array, *step_keys: jax.Array) -> Any:
        state, obs = exam.env.reset(reset_key)
        for step_key in step_keys:
            state, step = exam.env.step(state, exam.action, step_key)
            obs = step.obs
        return state, obs

    try:
        with jax.debug_key_reuse(True):
            _compile(episode)(*(exam.keys(5 + i) for i in range(3)))
    except jax.errors.KeyReuseError as error:
        alone = _raises_key_reuse(lambda: _compile(lambda key: exam.env.reset(key))(exam.keys(5)))
        doing = "reset" if alone else "step, or reset and step together,"
        exam.add("key-reused", f"{doing} used a random key twice, so draws repeat ({_first_line(error)})")
    except Exception as error:
        exam.skipped.append(f"reuse of random keys (JAX's checker raised {_first_line(error)})")


def _raises_key_reuse(function: Callable) -> bool:
    try:
        with jax.debug_key_reuse(True):
            function()
    except jax.errors.KeyReuseError:
        return True
    return False


def _check_rollout(exam: _Exam) -> None:
    """Plays random allowed actions, batched over environments whose leaves are batched too."""
    length = -(-exam.steps // _NUM_ENVS)

    def repeat(leaf: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(leaf, jnp.result_type(leaf)), (_NUM_ENVS, *np.shape(leaf)))

    play = _compile(jax.vmap(functools.partial(_rollout, length=length)))
    keys = jax.random.split(exam.keys(9), _NUM_ENVS)
    outcome = exam.attempt("raises", "a random rollout", play, jax.tree.map(repeat, exam.env), keys)
    if outcome is None:
        return
    first, flags, ranges = outcome
    if all(np.all(leaf == leaf[:1]) for leaf in _arrays(first)):
        exam.add("key-ignored", f"reset gave the same state and observation for {_NUM_ENVS} keys")
    for code, flag in jax.device_get(flags).items():
        if flag.any():
            time = int(np.argmax(flag.any(axis=0)))
            member = int(np.argmax(flag[:, time]))
            low, high = (float(side[member, time]) for side in ranges[code])
            what = f"{code.partition('-')[0]} between {low:g} and {high:g}"
            exam.add(code, f"step {time + 1} of {length} of a random rollout: {what}{_where(exam, code)}")


def _rollout(env: Any, key: jax.Array, length: int) -> Any:
    """Returns the first (state, obs), and for each code bool[length] flags and the range of the values seen."""
    start_key, rollout_key = jax.random.split(key)
    first = start(env, start_key)

    def one(episode: Any, keys: jax.Array) -> Any:
        action_key, step_key, reset_key = keys
        if episode.mask is None:
            action = env.action_space.sample(action_key)
        else:
            action = jax.random.categorical(action_key, jnp.where(episode.mask, 0.0, -jnp.inf))
        following, transition = take(env, episode, action, step_key)
        fresh = start(env, reset_key)
        after = jax.tree.map(lambda new, old: jnp.where(transition.ended, new, old), fresh, following)
        return after, _inspect(env, episode, following, action, transition.reward)

    _, (flags, ranges) = jax.lax.scan(one, first, jax.random.split(rollout_key, (length, 3)))
    return (first.state, first.obs), flags, ranges


def _inspect(env: Any, before: Any, after: Any, action: Any, reward: Any) -> tuple[dict, dict]:
    """Judges one step: a flag for each code, and the range of what it looks at."""
    space = env.observation_space
    obs = jnp.stack([before.obs, after.obs])
    finite = jnp.all(jnp.isfinite(obs))
    inside = space.contains(before.obs) & space.contains(after.obs)
    floats = [leaf for leaf in jax.tree.leaves((before.state, after.state)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    mask = jnp.ones((1,), bool) if before.mask is None else before.mask
    judged = {
        "obs-not-finite": (~finite, obs),
        "obs-outside": (finite & ~inside, obs),
        "reward-not-finite": (~jnp.isfinite(reward), reward),
        "state-nan": (jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in floats] or [False])), jnp.nan),
        "action-outside": (~env.action_space.contains(action), action),
        "mask-empty": (~jnp.any(mask), mask),
    }
    ranges = {code: (jnp.min(value), jnp.max(value)) for code, (_, value) in judged.items()}
    return {code: flag for code, (flag, _) in judged.items()}, ranges


def _where(exam: _Exam, code: str) -> str:
    spaces = {"obs-outside": exam.env.observation_space, "action-outside": exam.env.action_space}
    return f", outside {' '.join(str(spaces[code]).split())}" if code in spaces else ""


def _examine(exam: _Exam, method: str, *arguments: Any) -> None:
    """Calls a method in every way that training will, and stops at the first that fails."""
    count = exam.error_count
    for examine in (_examine_leaks, _examine_python, _examine_tracing, _examine_batching, _examine_compiled):
        examine(exam, method, *arguments)
        if exam.error_count > count:
            return


def _call(method: str, env: Any, *arguments: Any) -> Any:
    return getattr(env, method)(*arguments)


def _examine_leaks(exam: _Exam, method: str, *arguments: Any) -> None:
    """Traces a method for what it does besides returning; other exceptions are for the next examination."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), jax.checking_leaks():
            jax.eval_shape(functools.partial(_call, method, exam.env), *arguments)
    except Exception as error:
        if "Leaked" in str(error):
            exam.add("side-effect", f"{method} keeps a traced value after it returned")
    if printed.getvalue():
        exam.add("prints", f"{method} prints {printed.getvalue().strip()[:40]!r}")


def _examine_python(exam: _Exam, method: str, *arguments: Any) -> None:
    """Calls a method twice in plain Python: what comes back must be arrays, and the same."""
    before = dict(vars(exam.env))
    results = []
    for _ in range(2):
        try:
            results.append(_call(method, exam.env, *arguments))
        except Exception as error:
            exam.add("raises", f"{method} raised {_first_line(error)}")
            return
    changed = [name for name, value in vars(exam.env).items() if name not in before or before[name] is not value]
    if changed:
        exam.add("side-effect", f"{method} set the environment's {', '.join(changed)}")
    count = exam.error_count
    _judge_result(exam, method, results[0])
    if exam.error_count == count and not _same(*results):
        exam.add("impure", f"{method} gave two results for the same arguments")
    exam.results[method] = results[0]


def _judge_result(exam: _Exam, method: str, result: Any) -> None:
    """Looks at what came back in plain Python: a pair where one is due, and arrays only."""
    pair = isinstance(result, tuple) and len(result) == 2
    if method == "reset" and not pair:
        exam.add("reset-return", f"reset returned {_describe(result)}")
    elif method == "step" and not (pair and isinstance(result[1], TimeStep)):
        exam.add("step-return", f"step returned {_describe(result)}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(result):
        if not isinstance(leaf, _NUMBERS):
            exam.add("not-array", f"{method} returned {leaf!r} at {jax.tree_util.keystr(path) or 'the top'}")


def _examine_tracing(exam: _Exam, method: str, *arguments: Any) -> None:
    """Traces a method twice, then with the environment's leaves traced as well."""

    def trace() -> Any:
        return jax.make_jaxpr(functools.partial(_call, method, exam.env))(*arguments)

    first = exam.attempt("jit", f"compiling {method}", trace)
    if first is None:
        return
    texts = [re.sub("0x[0-9a-f]+", "", str(jaxpr)) for jaxpr in (first, trace())]
    if texts[0] != texts[1]:
        exam.add("impure", f"{method} became two programs when it was traced twice")
        return
    doing = f"{method} with the environment's fields traced"
    call = functools.partial(_call, method)
    exam.abstract[method] = exam.attempt("leaf-traced", doing, jax.eval_shape, call, exam.env, *arguments)


def _examine_batching(exam: _Exam, method: str, *arguments: Any) -> None:
    """Batches a method over everything, environment included; that may change no shape and no dtype."""

    def widen(leaf: Any, weak: bool = False) -> Any:
        return jax.ShapeDtypeStruct((2, *jnp.shape(leaf)), jnp.result_type(leaf), weak_type=weak)

    # Fields become arrays as in a sweep; the arguments stay as weakly typed as the method got them.
    fields = jax.tree.map(widen, exam.env)
    batched = (fields, *jax.tree.map(lambda leaf: widen(leaf, getattr(leaf, "weak_type", False)), arguments))
    call = jax.vmap(functools.partial(_call, method))
    result = exam.attempt("vmap", f"{method} under jax.vmap", jax.eval_shape, call, *batched)
    single = jax.tree_util.tree_leaves_with_path(exam.abstract[method])
    for (path, one), many in zip(single, jax.tree.leaves(result), strict=False):
        if (one.shape, one.dtype) != (many.shape[1:], many.dtype):
            where = f"{method}{jax.tree_util.keystr(path)}"
            exam.add("leaf-dtype", f"{where} is {_describe(one)}, but {many.dtype} with the fields as arrays")


def _examine_compiled(exam: _Exam, method: str, *arguments: Any) -> None:
    """Compiles a method; it must return what it returned in plain Python, to rounding."""

    def call(env: Any, *arguments: Any) -> Any:
        exam.traces[method] = exam.traces.get(method, 0) + 1
        return _call(method, env, *arguments)

    plain = exam.results[method]
    exam.compiled[method] = _compile(call)
    exam.results[method] = exam.attempt("raises", f"compiled {method}", exam.compiled[method], exam.env, *arguments)
    if exam.results[method] is not None and not _same(plain, exam.results[method], tolerance=1e-3):
        exam.add("jit-differs", f"{method} gives other numbers when compiled, beyond rounding")


def _compare_array(exam: _Exam, kind: str, name: str, value: Any, space: Any) -> None:
    if getattr(value, "shape", None) != space.shape:
        exam.add(f"{kind}-shape", f"{name} is {_describe(value)}, not an array of shape {space.shape}")
    elif value.dtype != space.dtype:
        exam.add(f"{kind}-dtype", f"{name} is {_describe(value)}, not {jnp.dtype(space.dtype).name}")


def _compare_states(exam: _Exam, first: Any, second: Any, moment: str) -> bool:
    """Whether two states agree in structure, shapes and dtypes; adds findings where they don't."""
    count = len(exam.findings)
    structures: list[Any] = [jax.tree.structure(first), jax.tree.structure(second)]
    if structures[0] != structures[1]:
        exam.add("state-structure", f"the state changes {moment}, {_describe(first)} to {_describe(second)}")
        return False
    for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        for kind in ("shape", "dtype"):
            if getattr(old, kind) != getattr(new, kind):
                where = f"state{jax.tree_util.keystr(path)}"
                exam.add(f"state-{kind}", f"{where} changes {moment}, {_describe(old)} to {_describe(new)}")
    return len(exam.findings) == count


def _report_weak_types(exam: _Exam, method: str, **parts: Any) -> None:
    for name, part in parts.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            if leaf.weak_type:
                exam.add("weak-type", f"{name}{jax.tree_util.keystr(path)} of {method} is weakly typed {leaf.dtype}")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else ''}"


def _describe(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, int | float | str | None):
        return repr(value)
    return f"a {type(value).__name__} of {len(jax.tree.leaves(value))} leaves ({jax.tree.structure(value)})"


def _arrays(tree: Any) -> list[np.ndarray]:
    leaves = map(jnp.asarray, jax.tree.leaves(tree))
    keyed = (jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf for leaf in leaves)
    return [np.asarray(leaf) for leaf in keyed]


def _same(first: Any, second: Any, tolerance: float = 0.0) -> bool:
    """Whether two results hold the same numbers; only floating-point ones get the tolerance."""
    firsts, seconds = _arrays(first), _arrays(second)
    if [leaf.shape for leaf in firsts] != [leaf.shape for leaf in seconds]:
        return False
    for one, other in zip(firsts, seconds, strict=True):
        slack = tolerance if jnp.issubdtype(one.dtype, jnp.floating) else 0.0
        if not np.allclose(one.astype(np.float64), other.astype(np.float64), slack, slack, equal_nan=True):
            return False
    return True


_CHECKS: dict[str, tuple[Callable[[_Exam], None], tuple[str, ...]]] = {
    "class": (_check_class, ()),
    "max_steps": (_check_max_steps, ("class",)),
    "fields": (_check_fields, ("class",)),
    "spaces": (_check_spaces, ("fields",)),
    "reset": (_check_reset, ("spaces",)),
    "the first observation": (_check_first_observation, ("reset",)),
    "step": (_check_step, ("reset",)),
    "the time step": (_check_time_step, ("step",)),
    "action_mask": (_check_action_mask, ("reset",)),
    "the state": (_check_state, ("step",)),
    "recompilation": (_check_recompilation, ("the state",)),
    "random keys": (_check_keys, ("step",)),
    "a random rollout": (
        _check_rollout,
        ("max_steps", "the first observation", "the time step", "action_mask", "the state"),
    ),
}
"""The checks in order, each with those that must have passed before it."""
