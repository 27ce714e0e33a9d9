"""The command `jaxrl`: training, evaluating, drawing and checking from a shell."""

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
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import jax
import tyro

from jaxrl import registry
from jaxrl.agents import ALGORITHMS
from jaxrl.arguments import LARGEST_SEED, positive, whole, writable_file
from jaxrl.cli.export import Export, Inspect
from jaxrl.cli.options import MemberName, Parameters, Run, Trusted, Wraps, make_environment
from jaxrl.cli.sweep import SweepCommand, SweepReport, describe_sweep, expanded
from jaxrl.cli.tables import (
    choose_member,
    console,
    evaluation_rows,
    file_rows,
    load_run,
    print_environment,
    print_rows,
    print_wrappers,
)
from jaxrl.cli.train import INTERRUPTED, Train, algorithm_command, describe
from jaxrl.cli.words import REGISTRY, WordError
from jaxrl.devices import use_cpu_cores
from jaxrl.evaluation import evaluate
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


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Plays greedy episodes with every member of a run, and summarizes their returns."""

    examples: ClassVar[str] = "jaxrl evaluate runs/first\njaxrl evaluate runs/first --episodes 100 --seed 1"

    run: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN|FILE.tflite", help="Folder of a run, as given to --out, or a file of jaxrl export."),
    ]
    env: Annotated[
        str | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="NAME", help_behavior_hint="(needed for a file, and only there)"),
    ] = None
    """The environment that a file plays in."""
    env_parameter: Parameters = ()
    wrap: Wraps = ()
    episodes: Annotated[
        int | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: 32 a member, 100 of a file)"),
    ] = None
    """Episodes a member, or of a file."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the episodes; the same seed gives the same starts again."""
    trust: Trusted = ()

    def execute(self) -> int:
        """Prints the table."""
        if self.run.is_file():
            return self._evaluate_file()
        if self.env is not None or self.env_parameter or self.wrap:
            raise ValueError(f"--env is for files; {self.run} is a run, which has its environment")
        result = load_run(self.run, self.trust)
        returns = evaluate(result, 32 if self.episodes is None else self.episodes, self.seed)
        print_rows(f"{type(result.agent).__name__} in {self.run}", evaluation_rows(result, returns))
        return 0

    def _evaluate_file(self) -> int:
        from jaxrl.export.tflite_file import PolicyFile, evaluate_file

        if self.env is None:
            raise ValueError(f"{self.run} is a file: --env NAME says what it shall play")
        file, env = PolicyFile(self.run), make_environment(self.env, self.env_parameter, self.wrap)
        episodes = positive("episodes", 100 if self.episodes is None else self.episodes)
        returns = evaluate_file(file, env, episodes, self.seed)
        print_rows(f"{self.run} on {', '.join((self.env, *self.wrap))}", file_rows(file, env, returns))
        return 0


@dataclasses.dataclass(frozen=True)
class Render:
    """Plays one greedy episode with a member of a run, and writes it as a GIF."""

    examples: ClassVar[str] = "jaxrl render runs/first best.gif\njaxrl render runs/first third.gif --member 3 --seed 1"

    run: Run
    gif: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GIF", help="The file to write.")]
    member: MemberName = "best"
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the episode."""
    frames_per_second: Annotated[
        float | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: 2 to 50, so that it lasts about 10 seconds)"),
    ] = None
    """Pictures a second, at most 50."""
    trust: Trusted = ()

    def execute(self) -> int:
        """Writes the GIF."""
        from jaxrl.agents.base import policy_of
        from jaxrl.pytree import with_array_leaves
        from jaxrl.rendering import check_rate, episode_frames, save_gif

        if self.gif.suffix.lower() != ".gif":
            raise ValueError(f"{self.gif} must end in .gif")
        writable_file("GIF", self.gif)
        rate = self.frames_per_second
        if rate is not None:
            check_rate(rate)
        key = jax.random.key(whole("--seed", self.seed, 0, LARGEST_SEED))
        member, _ = choose_member(self.run, self.member, self.trust)
        env = member.agent.env
        policy = policy_of(with_array_leaves(member.agent), member.params, 1)
        frames = episode_frames(env, policy, key)
        save_gif(self.gif, frames, min(50.0, max(2.0, len(frames) / 10)) if rate is None else rate)
        what = f"member {member.index} (seed {member.seed}), {len(frames) - 1} steps"
        console().print(f"{self.gif}: {what}", soft_wrap=True)
        return 0


@dataclasses.dataclass(frozen=True)
class Environments:
    """Lists the environments with their spaces, parameters and defaults, and the wrappers."""

    examples: ClassVar[str] = "jaxrl envs\njaxrl envs CartPole-v1"

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(metavar="[NAME ...]", help="Which ones.", help_behavior_hint="(default: all registered ones)"),
    ] = ()

    def execute(self) -> int:
        """Prints the tables."""
        for name in self.names or registry.names():
            print_environment(name)
        if not self.names:
            print_wrappers()
        return 0


@dataclasses.dataclass(frozen=True)
class Check:
    """Checks that an environment keeps the contract that training relies on; exit code 1 where it finds errors."""

    examples: ClassVar[str] = "jaxrl check my_module:MyEnvironment\njaxrl check CartPole-v1 --env-parameter length=0.7"

    env: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="ENV", help="module:Class, looked for in this folder too, or a registered name."),
    ]
    env_parameter: Parameters = ()
    wrap: Wraps = ()
    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 1000
    """Environment steps of the random rollout."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the random keys and actions."""

    def execute(self) -> int:
        """Prints the findings."""
        from jaxrl.env_checker import check_env

        env = make_environment(self.env, self.env_parameter, self.wrap)
        report = check_env(env, seed=self.seed, steps=self.steps, raise_errors=False)
        console().print(str(report), soft_wrap=True)
        return 1 if report.errors else 0


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
    if words[:1] == ["sweep"]:
        words = ["sweep", *expanded(words[1:])]
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
    cli: Any = functools.partial(tyro.cli, registry=REGISTRY)
    if len(words) > 1 and words[0] in _BY_ALGORITHM and words[1] in ALGORITHMS:
        base, describes = _BY_ALGORITHM[words[0]]
        command = algorithm_command(base, words[1], words[1:])
        text = describes(words[1], command, words[1:])
        return cli(command, prog=f"jaxrl {words[0]} {words[1]}", description=text, args=words[2:])
    if words and words[0] in _COMMANDS:
        kind = _COMMANDS[words[0]]
        about = "\n".join([f"{kind.__doc__}", "", "Examples:", *(f"  {line}" for line in kind.examples.splitlines())])
        return cli(kind, prog=f"jaxrl {words[0]}", description=about, args=words[1:])
    # An overview, a wrong word, or tyro's own options for completion in the shell.
    return cli(_every_command(), prog="jaxrl", description=_ABOUT, args=words)


def _every_command() -> Any:
    """All commands as one type."""

    def union(kinds: dict[str, Any]) -> Any:
        return functools.reduce(
            operator.or_, [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in kinds.items()]
        )

    def group(name: str, doc: str) -> Any:
        flat: Any = tyro.conf.OmitSubcommandPrefixes
        algorithms = union({each: algorithm_command(_BY_ALGORITHM[name][0], each) for each in ALGORITHMS})
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
