"""The options that commands share, and what their words mean: environments, wrappers, presets."""

import ast
import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxrl import presets, registry
from jaxrl.agents import Agent
from jaxrl.periodic_evaluation import DEFAULT_EPISODES
from jaxrl.wrappers import make_wrapper

DEFAULT_STEPS = 50_000
"""Environment steps of every member where neither steps, nor iterations, nor a preset say how many."""
LEAST_ITERATIONS = 300
"""The least iterations that the default number of steps may mean."""
NO_PRESET = "none"
"""The name that switches presets off."""

Parameters = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(
        metavar="NAME=VALUE",
        help="A field of the environment in place of its default, such as length=0.7 or placement=published; "
        "`jaxrl envs` lists them.",
    ),
]
"""The type of `--env-parameter`, in every command that has it."""

Wraps = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(
        metavar="NAME[:FIELD=VALUE,...]",
        help="A wrapper around the environment, such as FrameStack:k=4; once for each, from the inside out. "
        "`jaxrl envs` lists them; module:Class is a custom one.",
    ),
]
"""The type of `--wrap`, in every command that takes the name of an environment."""


Run = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="Folder of a run or a sweep, as given to --out.")
]
"""The type of a run's folder, in every command that reads one."""

Trusted = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(
        metavar="MODULE",
        help="A module that the run's own agent or environment is in, looked for in this folder too. It is imported, "
        "which runs its code; without this, only jaxrl's own modules are.",
    ),
]
"""The type of `--trust`, in every command that reads a run or a sweep."""

MemberName = Annotated[
    str,
    tyro.conf.arg(
        metavar="best|N|TRIAL:SEED",
        help="Which member: the best, or the one at that place, from 0; of a sweep that kept it, TRIAL or TRIAL:SEED.",
    ),
]
"""The type of `--member`."""


OutFolder = Annotated[
    Path | None,
    tyro.conf.DisallowNone,
    tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: keep nothing)"),
]
"""The type of `--out`."""


@dataclasses.dataclass(frozen=True)
class CommonOptions:
    """What is trained, for how long, on what: for one run, and for a sweep."""

    env: Annotated[str, tyro.conf.arg(metavar="NAME")] = tyro.MISSING
    """The environment to learn in: a registered name (`jaxrl envs` lists them), or module:Class for a custom one."""
    env_parameter: Parameters = ()
    wrap: Wraps = ()
    preset: Annotated[str | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Settings known to work; other options override them. If --env has a preset, it is taken unless this is none."""
    steps: Annotated[
        int | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(
            metavar="STEPS",
            help_behavior_hint="(default: of the preset; else 50,000, or 300 iterations if more)",
        ),
    ] = None
    """Environment steps of every member, rounded down to whole iterations; the most, where those vary."""
    iterations: Annotated[
        int | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: as --steps says)"),
    ] = None
    """Iterations of every member, in place of --steps; one iteration collects steps and learns from them."""
    log_points: Annotated[int, tyro.conf.arg(metavar="N")] = 100
    """Rows of the log, which are the points of the learning curves."""
    evaluate_every: Annotated[
        int | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="STEPS", help_behavior_hint="(default: not in training)"),
    ] = None
    """Play greedy episodes after every so many environment steps of a member, at the end of a row of the log."""
    evaluation_episodes: Annotated[int, tyro.conf.arg(metavar="N")] = DEFAULT_EPISODES
    """Greedy episodes of a member each time that --evaluate-every has them played."""
    keep_best: tyro.conf.FlagCreatePairsOff[bool] = False
    """Keep the parameters of every member's best evaluation in place of the last ones; needs --evaluate-every."""
    block_size: Annotated[
        int | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: what suits the devices)"),
    ] = None
    """Members trained at once; the others wait their turn. It changes speed and memory, not results."""
    devices: Annotated[
        int | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: all; every CPU core is one)"),
    ] = None
    """How many devices to train on."""
    progress: bool = True
    """Draw a progress bar."""

    @property
    def game(self) -> str:
        """The environment with its wrappers, for people."""
        return ", ".join((self.env, *self.wrap))

    def evaluation(self) -> dict[str, Any]:
        """The arguments of evaluation in training."""
        return {name: getattr(self, name) for name in ("evaluate_every", "evaluation_episodes", "keep_best")}

    def length(self, agent: Agent, chosen: presets.Preset | None) -> dict[str, Any]:
        """The arguments "steps" and "iterations" that the words mean."""
        if self.steps is not None or self.iterations is not None:
            return {"steps": self.steps, "iterations": self.iterations}
        enough = max(DEFAULT_STEPS // agent.steps_per_iteration, LEAST_ITERATIONS)
        return {"steps": None, "iterations": chosen.iterations if chosen else enough}


@dataclasses.dataclass(frozen=True)
class RunOptions(CommonOptions):
    """What one run has besides."""

    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N ...]")] = (1,)
    """One number: how many members are trained, with the seeds 0, 1, 2, and so on. Several numbers: these seeds."""
    out: OutFolder = None
    """New or empty folder for the configuration, members, metrics, learning curves and checkpoints."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in --out where it was stopped or killed. Give the same options again."""
    checkpoint_seconds: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 60.0
    """Least time between two checkpoints in --out."""


def seeds_wanted(seeds: Sequence[int]) -> int | list[int]:
    """The seeds as `jaxrl.train` takes them: one number is a count."""
    return seeds[0] if len(seeds) == 1 else list(seeds)


def parse_parameters(words: Sequence[str], option: str = "--env-parameter") -> dict[str, Any]:
    """Reads "name=value" words of an option: numbers, booleans and tuples as in Python, anything else as text.

    Raises:
      ValueError: a word is not of that form, or a name comes twice.
    """
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name.isidentifier():
            raise ValueError(f"{option} {word!r} must be of the form NAME=VALUE, such as length=0.7")
        if name in parameters:
            raise ValueError(f"{option} {name} is given twice")
        parameters[name] = plain_value(text.strip())
    return parameters


def plain_value(text: str) -> Any:
    """A value as in Python, or text."""
    for read in (ast.literal_eval, float):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def trusted(modules: Sequence[str]) -> Sequence[str]:
    """The modules that `--trust` names, which may lie in the current folder."""
    if modules:
        look_here()
    return modules


def look_here() -> None:
    """Lets Python find modules in the current folder, last; only where the user names one."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)


def make_environment(
    name: str, words: Sequence[str], wraps: Sequence[str] = (), parameters: Mapping[str, Any] | None = None
) -> Any:
    """The environment of that name with its "name=value" words, in its wrappers, from the inside out.

    Args:
      name: registered, or module:Class.
      words: parameters, as on the command line.
      wraps: wrappers, likewise.
      parameters: for those that no word gives.

    Raises:
      ValueError: it or a wrapper is unknown, or can't be built.
      TypeError: a parameter that it needs is missing, or a wrapper can't wrap it.
    """
    if any(":" in word for word in (name, *wraps)):
        look_here()
    what = f"environment {name!r}"
    try:
        env = registry.make(name, **{**(parameters or {}), **parse_parameters(words)})
        for word in wraps:
            what = f"--wrap {word}"
            kind, parameters = parse_wrap(word)
            env = make_wrapper(kind, env, **parameters)
        return env
    except (ValueError, TypeError, ImportError):
        raise
    except Exception as error:  # A custom module may fail in any way while it is imported.
        raise ValueError(f"{what} can't be built: {type(error).__name__}: {error}") from error


def parse_wrap(word: str) -> tuple[str, dict[str, Any]]:
    """Reads "Name:field=value,field=value": the wrapper's name, which may be module:Class, and its fields.

    Raises:
      ValueError: the word is not of that form, or a field comes twice.
    """
    form = re.fullmatch(r"([^:=,]+(?::[^:=,]+)?)(?::([^:=,]+=.*))?", word.strip())
    if form is None:
        raise ValueError(
            f"--wrap {word!r} must be of the form NAME or NAME:FIELD=VALUE,FIELD=VALUE, such as FrameStack:k=4"
        )
    fields = re.split(r",(?![^()]*\))", form[2]) if form[2] else []
    return form[1], parse_parameters(fields, "--wrap")


def presets_of(algorithm: str) -> dict[str, presets.Preset]:
    """The presets of an algorithm, by name."""
    return {name: preset for name, preset in presets.PRESETS.items() if preset.algorithm == algorithm}


def choose_preset(algorithm: str, env: str | None, name: str | None) -> tuple[str, presets.Preset] | None:
    """The name and the preset that the user's words mean, or None.

    Args:
      algorithm: such as "dqn".
      env: the name of the environment, if it was given.
      name: the preset's name, if it was given.

    Raises:
      ValueError: there is no such preset, or it is for another algorithm.
    """
    if name == NO_PRESET:
        return None
    if name is None:
        name = presets.default_preset(algorithm, env)
        return None if name is None else (name, presets.preset(name))
    chosen = presets.preset(name)
    if chosen.algorithm != algorithm:
        raise ValueError(
            f"preset {name!r} is for {chosen.algorithm}, not for {algorithm}: give {chosen.algorithm} for it"
        )
    return name, chosen
