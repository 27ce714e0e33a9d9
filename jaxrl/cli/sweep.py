"""The commands `jaxrl sweep ALGORITHM` and `jaxrl sweep-report`."""

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro
from rich import box
from rich.table import Table

from jaxrl.agents import Agent
from jaxrl.cli.options import (
    CommonOptions,
    OutFolder,
    Trusted,
    choose_preset,
    parse_wrap,
    plain_value,
    seeds_wanted,
    trusted,
)
from jaxrl.cli.sweep_file import SweepFile
from jaxrl.cli.tables import console, print_rows
from jaxrl.cli.train import INTERRUPTED, AlgorithmCommand, environments_and_presets, example_environment, has_layers
from jaxrl.config import named_modules, to_config
from jaxrl.pytree import annotation, field_at
from jaxrl.sweeps import (
    SpaceError,
    Sweep,
    SweepConfig,
    choice,
    integers,
    log_uniform,
    plan_sweep,
    sweep,
    uniform,
)
from jaxrl.sweeps.api import load_sweep
from jaxrl.sweeps.config import MAX_COMPILATIONS
from jaxrl.sweeps.space import field_paths, value_text
from jaxrl.text import printable

_DISTRIBUTIONS = {"log": log_uniform, "uniform": uniform, "int": integers}
_BEST = 10


@dataclasses.dataclass(frozen=True)
class SweepOptions(CommonOptions):
    """What a sweep has besides."""

    space: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(
            metavar="FIELD=VALUES",
            help="A field and what to try, once for each field: a grid (batch_size=32,64 or hidden=64-64,128-128), or "
            "something to sample: log:1e-4:1e-2, uniform:0.9:1, int:1:8, choice:relu,tanh.",
        ),
    ] = ()
    trials: Annotated[
        int | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: all points of the grids)"),
    ] = None
    """Samples to draw, where anything is to be sampled."""
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N ...]")] = (16,)
    """Seeds of every trial: one number is a count, several are the seeds themselves."""
    out: OutFolder = None
    """Folder of the sweep; the same command again resumes it."""
    sampler: Annotated[str, tyro.conf.arg(metavar="sobol|random|tpe")] = "sobol"
    """How to sample: a scrambled Sobol sequence, independently, or by Optuna's TPE (extra `optuna`)."""
    sample_seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the samples."""
    rungs: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Stages of successive halving; 1 trains all trials to the end."""
    eta: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """One in so many trials continues after each rung."""
    keep: Annotated[str, tyro.conf.arg(metavar="none|all|best:N")] = "none"
    """Whose parameters to keep, to play or export: nobody's, everybody's, or those of the N best trials."""
    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 16
    """Greedy episodes of every member at the end."""
    threshold: Annotated[
        float | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="RETURN", help_behavior_hint="(default: the environment's, if it has one)"),
    ] = None
    """The training return whose step is noted."""
    executor: Annotated[str, tyro.conf.arg(metavar="local|ray")] = "local"
    """Who trains: this process, or the workers of a Ray cluster (extra `ray`)."""
    yes: tyro.conf.FlagCreatePairsOff[bool] = False
    """Compile as many programs as it takes, even more than the 32 that are allowed without it."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the plan, and do nothing."""


@dataclasses.dataclass(frozen=True)
class SweepCommand(AlgorithmCommand):
    """`jaxrl sweep ALGORITHM`."""

    options = SweepOptions

    def execute(self) -> int:
        """Sweeps, and prints the best trials."""
        options: SweepOptions = self.run
        chosen = choose_preset(self.algorithm, options.env, options.preset)
        agent = self.build(chosen[1].fields if chosen else {})
        file_space = {} if self.file is None else self.file.space
        space = parse_space(agent, options.space, file_space)
        refuse_fixed(space, options, self.words, self.file)
        same = [field.name for field in dataclasses.fields(SweepConfig) if field.init and hasattr(options, field.name)]
        arguments: dict[str, Any] = {
            **{name: getattr(options, name) for name in same},
            **options.length(agent, chosen[1] if chosen else None),
            "space": space,
            "seeds": seeds_wanted(options.seeds),
            "max_compilations": 2**31 if options.yes else MAX_COMPILATIONS,
        }
        if options.dry_run:
            plan = plan_sweep(SweepConfig(agent, **arguments))
            print_rows(f"{type(agent).__name__} on {options.game}: the plan", plan.rows())
            return 0
        result = sweep(agent, **arguments)
        print_sweep(f"{type(agent).__name__} on {options.game}", result)
        out = console()
        if options.out is None:
            out.print("Nothing was kept: --out FOLDER keeps the sweep.")
        elif not result.complete:
            out.print(f"To go on: {shlex.join(['jaxrl', 'sweep', *self.words])}", soft_wrap=True)
        else:
            modules = {
                name for name in named_modules(to_config(agent)) if name.partition(".")[0] not in ("jaxrl", "jax")
            }
            own = "".join(f" --trust {name}" for name in sorted(modules))
            out.print(f"To look at it: jaxrl sweep-report {shlex.quote(str(options.out))}{own}", soft_wrap=True)
        return 0 if result.complete else INTERRUPTED


@dataclasses.dataclass(frozen=True)
class SweepReport:
    """Writes a page about a sweep that opens in any browser, without a network."""

    examples: ClassVar[str] = "jaxrl sweep-report runs/sweep\njaxrl sweep-report runs/sweep page.html"

    sweep: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SWEEP", help="Folder of a sweep.")]
    page: Annotated[
        tyro.conf.Positional[Path | None],
        tyro.conf.DisallowNone,
        tyro.conf.arg(metavar="FILE.html", help="What to write.", help_behavior_hint="(default: report.html in it)"),
    ] = None
    trust: Trusted = ()

    def execute(self) -> int:
        """Writes the page."""
        page = self.page or self.sweep / "report.html"
        result = load_sweep(self.sweep, trusted(self.trust))
        result.report(page)
        console().print(f"{page}: {len(result.ranking()):,} trials", soft_wrap=True)
        return 0


def parse_space(agent: Agent, words: Sequence[str], defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Reads "field=values" words.

    Args:
      agent: whose fields they are.
      words: of the command line.
      defaults: of a file, by path: text as in a word, or a list of values; words count more.

    Raises:
      SpaceError: a word is not of that form, or a field comes twice.
    """
    given: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        path = path.strip().replace("-", "_")
        if not equals or not path or not text.strip():
            raise SpaceError(f"--space {word!r} must be of the form FIELD=VALUES, such as learning_rate=log:1e-4:1e-2")
        if path in given:
            raise SpaceError(f"--space {path} is given twice")
        given[path] = text.strip()
    every = {path: values for path, values in (defaults or {}).items() if path not in given} | given
    return {path: _values(agent, path, values) for path, values in every.items()}


def refuse_fixed(
    space: dict[str, Any], options: CommonOptions, words: Sequence[str], file: SweepFile | None = None
) -> None:
    """Checks that no field has both a fixed value and values to try.

    Args:
      space: the values to try, by path.
      options: that were given.
      words: of the command line, whose flags are those of the agent's fields.
      file: that describes the sweep, or None.

    Raises:
      SpaceError: one has.
    """
    given = {word.partition("=")[0][2:].replace("-", "_") for word in words if word.startswith("--")}
    given |= {name.removeprefix("no_") for name in given}
    names = [*options.env_parameter]
    if file is not None:
        given |= set(file.fields)
        names += file.environment
    # The outermost wrapper is the agent's environment.
    layers = ["env." * depth for depth in range(len(options.wrap) + 1, 0, -1)]
    given |= {layers[0] + name.partition("=")[0].strip().replace("-", "_") for name in names}
    given |= {
        layer + name for layer, word in zip(layers[1:], options.wrap, strict=True) for name in parse_wrap(word)[1]
    }
    for path in space:
        if path in given:
            raise SpaceError(f"{path} is both fixed and in the space: leave out one of them")


def _values(agent: Agent, path: str, values: Any) -> Any:
    """What to try of a field: of a word's text, or of a file's list."""
    if isinstance(values, list):
        return [_value(agent, path, value) for value in values]
    if not isinstance(values, str):
        return [values]
    text = values
    kind, colon, rest = text.partition(":")
    if colon and kind in _DISTRIBUTIONS:
        ends = [plain_value(end) for end in rest.split(":")]
        if len(ends) != 2:
            raise SpaceError(f"--space {path}={text} must be {kind}:LOW:HIGH")
        return _DISTRIBUTIONS[kind](*ends)
    words = re.split(r",(?![^()]*\))", rest if kind == "choice" and colon else text)
    parsed = [_value(agent, path, word.strip()) for word in words]
    return choice(parsed) if kind == "choice" and colon else parsed


def _value(agent: Agent, path: str, text: Any) -> Any:
    if not isinstance(text, str):  # Of a file.
        return tuple(text) if isinstance(text, list) else text
    kind = annotation(field_at(agent, path)) if path in field_paths(agent) else ""
    if kind == "str":
        return text
    if "tuple" in kind and re.fullmatch(r"\d+(-\d+)*", text):
        return tuple(map(int, text.split("-")))
    return plain_value(text)


def print_sweep(title: str, result: Sweep) -> None:
    """Prints what came of a sweep."""
    print_rows(title if result.complete else f"{title}, interrupted", result.summary())
    table = Table(
        title="best trials, by interquartile mean of the greedy return", title_justify="left", box=box.ROUNDED
    )
    ranking = result.ranking()
    lost = ["diverged"] if ranking["diverged"].any() else []
    for column in ("trial", *result.values[0], "return (95% interval)", "probability best", *lost):
        table.add_column(printable(column), overflow="fold")
    for place in range(min(_BEST, len(ranking))):
        trial = result.best(place)
        settings = [value_text(value) for value in trial.values.values()]
        several = trial.low == trial.low
        interval = f" ({trial.low:.2f} to {trial.high:.2f})" if several else ""
        sure = f"{trial.probability_best:.0%}" if several else ""
        score = f"{trial.score:.2f}{interval}" if trial.score == trial.score else "none"
        count = [f"{trial.diverged} of {len(result.seeds)}" for _ in lost]
        table.add_row(*map(printable, (trial.index, *settings, score, sure, *count)))
    console().print(table)


def describe_sweep(algorithm: str, command: type[AlgorithmCommand], words: Sequence[str]) -> str:
    """The text above the options in `jaxrl sweep ALGORITHM --help`."""
    begin = f"  jaxrl sweep {algorithm} --env {example_environment(algorithm)}"
    static = "hidden=64-64,128-128" if has_layers(algorithm) else "num_envs=4,8"
    lines = [
        f"{command.__doc__} Many configurations, each with many seeds, in few compilations.",
        "",
        "What a sweep shares is given as in `jaxrl train`, what it tries by --space. After Ctrl-C, a crash",
        "or a kill the same command goes on, from the last checkpoint of the batch under way.",
        "",
        "Examples:",
        f"{begin} --space learning_rate=log:1e-4:1e-2 --space discount=0.9,0.99 --trials 64 --seeds 8 --out runs/sweep",
        f"{begin} --space {static} --space learning_rate=1e-3,3e-3 --dry-run",
        "  jaxrl sweep sweep.toml --out runs/sweep",
    ]
    return "\n".join([*lines, *environments_and_presets(algorithm, words)])
