"""The command `jaxrl`: it parses what a shell gives, and turns errors into one line and an exit code."""

import contextlib
import dataclasses
import functools
import io
import operator
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Annotated, Any, Protocol

import jax
import tyro

from jaxrl.agents import ALGORITHMS
from jaxrl.cli.commands import Check, Environments, Evaluate, Render
from jaxrl.cli.export import Export, Inspect
from jaxrl.cli.fields import agent_rule
from jaxrl.cli.sweep import SweepCommand, SweepOptions, SweepReport, describe_sweep
from jaxrl.cli.sweep_file import read_sweep_file
from jaxrl.cli.train import INTERRUPTED, Train, algorithm_command, describe
from jaxrl.cli.words import WordError, values_registry
from jaxrl.devices import use_cpu_cores
from jaxrl.text import printable

WRONG_USE = 2
"""The exit code after bad input."""
TRACEBACK = "JAXRL_TRACEBACK"
"""The environment variable that shows where an error came from."""

_USER_ERRORS = (
    *(ValueError, TypeError, IndexError, ImportError, OSError, EOFError),
    *(OverflowError, MemoryError, NotImplementedError),
    jax.errors.JaxRuntimeError,
)
_ABOUT = f"""Trains thousands of reinforcement-learning agents at once, in one compiled JAX program.

Examples:
  jaxrl train dqn --env CartPole-v1 --seeds 64 --steps 50000 --out runs/first
  jaxrl sweep dqn --env CartPole-v1 --space learning_rate=log:1e-4:1e-2 --trials 64 --seeds 8 --out runs/sweep
  jaxrl evaluate runs/first
  jaxrl render runs/first best.gif
  jaxrl check my_module:MyEnvironment

`jaxrl COMMAND --help` explains a command, `jaxrl --version` the version.
Exit codes: 0 done, 1 a check failed, 2 bad input, 130 interrupted.
With {TRACEBACK}=1 in the environment, an error shows where it came from."""


class Command(Protocol):
    """What tyro parses a command into."""

    def execute(self) -> int:
        """Does it, and returns the exit code."""


_BY_ALGORITHM: dict[str, tuple[type[Any], Callable[..., str]]] = {
    "train": (Train, describe),
    "sweep": (SweepCommand, describe_sweep),
}
_COMMANDS: dict[str, type[Any]] = {
    "evaluate": Evaluate,
    "sweep-report": SweepReport,
    "render": Render,
    "export": Export,
    "inspect": Inspect,
    "envs": Environments,
    "check": Check,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
      argv: the words after `jaxrl`; by default those of the process.

    Returns:
      The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        print(f"jaxrl {metadata.version('jaxrl')}")
        return 0
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _guarded(functools.partial(_parse_and_execute, words))


def _guarded(action: Callable[[], int]) -> int:
    """Does something, and turns what a user can cause into one line and an exit code."""
    try:
        code = action()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        print(f"jaxrl: {str(error) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has gone: nothing is wrong, and Python must not flush at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        # Of a kind that nobody raises for a user's mistake: a custom environment's own, or a defect.
        kind = "" if isinstance(error, _USER_ERRORS) else f"{type(error).__name__}: "
        place = "" if isinstance(error, _USER_ERRORS) else f" ({TRACEBACK}=1 in the environment shows where)"
        print(f"jaxrl: error: {kind}{_one_line(error)}{place}", file=sys.stderr)
        return WRONG_USE


def _parse_and_execute(words: list[str]) -> int:
    # Before anything can start JAX; where it has started, as in a notebook, its devices are as they are.
    with contextlib.suppress(RuntimeError):
        use_cpu_cores()
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command = _parse(words)
    except WordError as error:
        raise ValueError(error.in_words(words)) from None
    except SystemExit as stop:  # tyro's, after a help text or one of its own errors, which it draws in a box.
        if not stop.code:
            return 0
        raise ValueError(re.sub("[─━│┃╭╮╰╯├┤]", " ", complaint.getvalue())) from None
    return command.execute()


def _parse(words: list[str]) -> Command:
    file = None
    if words[:1] == ["sweep"] and len(words) > 1 and words[1].endswith(".toml"):
        file = read_sweep_file(words[1], SweepOptions)
    if file is not None or (len(words) > 1 and words[0] in _BY_ALGORITHM and words[1] in ALGORITHMS):
        base, describes = _BY_ALGORITHM[words[0]]
        algorithm = words[1] if file is None else file.algorithm
        command, defaults = algorithm_command(base, algorithm, words[1:], file)
        text = describes(algorithm, command, words[1:])
        return _cli(command, defaults, prog=f"jaxrl {words[0]} {words[1]}", description=text, args=words[2:])
    if words and words[0] in _COMMANDS:
        kind = _COMMANDS[words[0]]
        about = "\n".join([f"{kind.__doc__}", "", "Examples:", *(f"  {line}" for line in kind.examples.splitlines())])
        return _cli(kind, {}, prog=f"jaxrl {words[0]}", description=about, args=words[1:])
    # An overview, a wrong word, or tyro's own options for completion in the shell.
    return _cli(_every_command(), {}, prog="jaxrl", description=_ABOUT, args=words)


def _cli(kind: Any, agent_defaults: dict[str, Any], **options: Any) -> Command:
    registry = values_registry()
    registry.struct_rule(agent_rule(agent_defaults))
    return tyro.cli(kind, registry=registry, **options)


def _every_command() -> Any:
    """All commands as one type."""

    def union(kinds: dict[str, Any]) -> Any:
        return functools.reduce(
            operator.or_, [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in kinds.items()]
        )

    def group(name: str, doc: str) -> Any:
        flat: Any = tyro.conf.OmitSubcommandPrefixes
        algorithms = union({each: algorithm_command(_BY_ALGORITHM[name][0], each)[0] for each in ALGORITHMS})
        return dataclasses.make_dataclass(name, [("algorithm", flat[algorithms])], namespace={"__doc__": doc})

    groups = {
        "train": group("train", "Trains many agents at once; `jaxrl train dqn --help` lists the options."),
        "sweep": group("sweep", "Trains many configurations; `jaxrl sweep dqn --help` lists the options."),
    }
    return union({**groups, **_COMMANDS})


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return printable(" ".join(text.split()))


def _show_warning(message: Any, *place: Any, **more: Any) -> None:
    print(f"jaxrl: warning: {_one_line(message)}", file=sys.stderr)
