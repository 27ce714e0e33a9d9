"""The commands `jaxrl sweep ALGORITHM` and `jaxrl sweep-report`."""

import dataclasses
import itertools
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro
from rich import box
from rich.table import Table

from jaxrl.agents import ALGORITHMS, Agent
from jaxrl.arguments import shown
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
from jaxrl.cli.tables import console, print_rows
from jaxrl.cli.train import INTERRUPTED, AlgorithmCommand, environments_and_presets, example_environment
from jaxrl.config import named_modules, to_config
from jaxrl.periodic_evaluation import checked_evaluation
from jaxrl.pytree import annotation, field_at
from jaxrl.sweeps import SpaceError, Sweep, choice, integers, log_uniform, plan_sweep, sweep, uniform
from jaxrl.sweeps.planning import MAX_COMPILATIONS, checked_sampler
from jaxrl.sweeps.result import text_of
from jaxrl.sweeps.space import field_paths
from jaxrl.sweeps.sweeping import check_destination, check_words
from jaxrl.text import printable

_DISTRIBUTIONS = {"log": log_uniform, "uniform": uniform, "int": integers}
_BEST = 10
_FLAGS = ("yes", "dry-run", "keep-best")
_TEXTS = ("env", "preset", "out", "sampler", "keep", "engine")


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
    """Folder of the sweep; with the same command again, it goes on there."""
    sampler: Annotated[str, tyro.conf.arg(metavar="sobol|random|tpe")] = "sobol"
    """How to sample: a scrambled Sobol sequence, independently, or by Optuna's TPE (extra `optuna`)."""
    sample_seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the samples."""
    rungs: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Stages of successive halving; 1 trains all trials to the end."""
    eta: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """One in so many trials goes on after each rung."""
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
    engine: Annotated[str, tyro.conf.arg(metavar="local|ray")] = "local"
    """Who trains: this process, or the workers of a Ray cluster (extra `ray`)."""
    yes: tyro.conf.FlagCreatePairsOff[bool] = False
    """Compile as many programs as it takes, even more than 32."""
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
        space = parse_space(agent, options.space)
        refuse_fixed(space, self.words, options.wrap)
        arguments: dict[str, Any] = {
            **options.length(agent, chosen[1] if chosen else None),
            "trials": options.trials,
            "seeds": seeds_wanted(options.seeds),
            "max_compilations": 2**31 if options.yes else MAX_COMPILATIONS,
            **{name: getattr(options, name) for name in ("sampler", "sample_seed", "rungs", "eta", "episodes")},
            **{name: getattr(options, name) for name in ("threshold", "log_points", "block_size", "devices")},
        }
        if options.dry_run:
            check_words(options.keep, options.engine)
            name, _ = checked_sampler(options.sampler, options.sample_seed)
            evaluation = checked_evaluation(**options.evaluation())
            plan = plan_sweep(agent, space, **(arguments | {"sampler": name}), evaluation=evaluation)
            check_destination(plan, options.keep, options.out)
            print_rows(f"{type(agent).__name__} on {options.game}: the plan", plan.rows())
            return 0
        result = sweep(
            agent,
            space,
            **arguments,
            **options.evaluation(),
            out=options.out,
            keep=options.keep,
            engine=options.engine,
            progress=options.progress,
        )
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
        from jaxrl.sweeps.sweeping import load_sweep

        page = self.page or self.sweep / "report.html"
        result = load_sweep(self.sweep, trusted(self.trust))
        result.report(page)
        console().print(f"{page}: {len(result.ranked.trials):,} trials", soft_wrap=True)
        return 0


def parse_space(agent: Agent, words: Sequence[str]) -> dict[str, Any]:
    """Reads "field=values" words.

    Raises:
      SpaceError: a word is not of that form, or a field comes twice.
    """
    space: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        path = path.strip().replace("-", "_")
        if not equals or not path or not text.strip():
            raise SpaceError(f"--space {word!r} must be of the form FIELD=VALUES, such as learning_rate=log:1e-4:1e-2")
        if path in space:
            raise SpaceError(f"--space {path} is given twice")
        space[path] = _values(agent, path, text.strip())
    return space


def refuse_fixed(space: dict[str, Any], words: Sequence[str], wraps: Sequence[str] = ()) -> None:
    """Checks that no field has both a fixed value on the command line and values to try.

    Raises:
      SpaceError: one has.
    """
    given = {word.partition("=")[0][2:].replace("-", "_") for word in words if word.startswith("--")}
    names = [word for flag, word in itertools.pairwise(words) if flag == "--env-parameter"]
    names += [word.removeprefix("--env-parameter=") for word in words if word.startswith("--env-parameter=")]
    # The outermost wrapper is the agent's environment.
    layers = ["env." * depth for depth in range(len(wraps) + 1, 0, -1)]
    given |= {layers[0] + name.partition("=")[0].strip().replace("-", "_") for name in names}
    given |= {layer + name for layer, word in zip(layers[1:], wraps, strict=True) for name in parse_wrap(word)[1]}
    for path in space:
        if path in given:
            raise SpaceError(f"{path} is both fixed and in the space: leave out one of them")


def _values(agent: Agent, path: str, text: str) -> Any:
    kind, colon, rest = text.partition(":")
    if colon and kind in _DISTRIBUTIONS:
        ends = [plain_value(end) for end in rest.split(":")]
        if len(ends) != 2:
            raise SpaceError(f"--space {path}={text} must be {kind}:LOW:HIGH")
        return _DISTRIBUTIONS[kind](*ends)
    words = re.split(r",(?![^()]*\))", rest if kind == "choice" and colon else text)
    values = [_value(agent, path, word.strip()) for word in words]
    return choice(values) if kind == "choice" and colon else values


def _value(agent: Agent, path: str, text: str) -> Any:
    kind = annotation(field_at(agent, path)) if path in field_paths(agent) else ""
    if kind == "str":
        return text
    if "tuple" in kind and re.fullmatch(r"\d+(-\d+)*", text):
        return tuple(map(int, text.split("-")))
    return plain_value(text)


def expanded(words: Sequence[str]) -> list[str]:
    """The words of `jaxrl sweep`, with those that a TOML file stands for in its place.

    The file has the options by their names, "agent" for the algorithm, and the tables [space] and
    [environment]; options of the agent stand beside the others.

    Raises:
      ValueError: the file can't be read, or holds something else.
    """
    if not words or not words[0].endswith(".toml"):
        return list(words)
    try:
        content = tomllib.loads(Path(words[0]).read_text())
    except OSError as error:
        raise ValueError(f"{words[0]} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{words[0]} is no TOML: {error}") from error
    algorithm = content.pop("agent", None)
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ValueError(f"{words[0]}: agent = {shown(algorithm)} must be one of {', '.join(ALGORITHMS)}")
    options = [algorithm]
    # What the command line says of a field counts.
    overridden = {
        word.partition("=")[0] for flag, word in itertools.pairwise(words) if flag in ("--space", "--env-parameter")
    }
    for path, values in _table(words[0], content, "space").items():
        if path not in overridden:
            options += ["--space", f"{path}={_text_of_values(values)}"]
    for name, value in _table(words[0], content, "environment").items():
        if name not in overridden:
            options += ["--env-parameter", f"{name}={tuple(value) if isinstance(value, list) else value}"]
    options += [word for wrap in _wraps(words[0], content) for word in ("--wrap", wrap)]
    for name, value in content.items():
        options += _option(words[0], name.replace("_", "-"), value)
    return [*options, *words[1:]]


def _wraps(file: str, content: dict[str, Any]) -> list[str]:
    """The wrappers, one text or a list of them, from the inside out."""
    wraps = content.pop("wrap", [])
    wraps = [wraps] if isinstance(wraps, str) else wraps
    if not isinstance(wraps, list) or not all(isinstance(wrap, str) for wrap in wraps):
        raise ValueError(
            f"{file}: wrap = {shown(wraps)} must be a list of texts, such as ['FrameStack:k=4', 'TimeAware']"
        )
    return wraps


def _table(file: str, content: dict[str, Any], name: str) -> dict[str, Any]:
    table = content.pop(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{file}: {name} = {table!r} must be a table, [{name}]")
    # "env.length" is a table in a table to TOML, unless it is quoted.
    inner = {f"{key}.{path}": v for key, value in table.items() if isinstance(value, dict) for path, v in value.items()}
    return {key: value for key, value in table.items() if not isinstance(value, dict)} | inner


def _text_of_values(values: Any) -> str:
    return values if isinstance(values, str) else ",".join(map(_text, values if isinstance(values, list) else [values]))


def _text(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _option(file: str, name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        raise ValueError(f"{file}: [{name}] is no table that a sweep knows: [space] and [environment] are")
    if name in _TEXTS and not isinstance(value, str):
        raise ValueError(f"{file}: {name} = {shown(value)} must be text, in quotes")
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float):
            raise ValueError(f"{file}: {name} = {shown(value)} must be text, numbers, true or false, or a list of them")
    if isinstance(value, bool):
        absent = [] if name in _FLAGS else [f"--no-{name}"]
        return [f"--{name}"] if value else absent
    return [f"--{name}", *map(str, value if isinstance(value, list) else [value])]


def print_sweep(title: str, result: Sweep) -> None:
    """Prints what came of a sweep."""
    print_rows(title if result.complete else f"{title}, interrupted", result.facts())
    table = Table(
        title="best trials, by interquartile mean of the greedy return", title_justify="left", box=box.ROUNDED
    )
    lost = ["diverged"] if result.ranked.diverged.any() else []
    for column in ("trial", *result.values[0], "return (95% interval)", "best in", *lost):
        table.add_column(printable(column), overflow="fold")
    for place in range(min(_BEST, len(result.ranked.trials))):
        trial = result.best(place)
        settings = [text_of(value) for value in trial.values.values()]
        several = trial.low == trial.low
        interval = f" ({trial.low:.2f} to {trial.high:.2f})" if several else ""
        sure = f"{trial.probability_best:.0%}" if several else ""
        score = f"{trial.score:.2f}{interval}" if trial.score == trial.score else "none"
        count = [f"{trial.diverged} of {len(result.seeds)}" for _ in lost]
        table.add_row(*map(printable, (trial.number, *settings, score, sure, *count)))
    console().print(table)


def describe_sweep(algorithm: str, command: type[AlgorithmCommand], words: Sequence[str]) -> str:
    """The text above the options in `jaxrl sweep ALGORITHM --help`."""
    begin = f"  jaxrl sweep {algorithm} --env {example_environment(algorithm)}"
    lines = [
        f"{command.__doc__} Many configurations, each with many seeds, in few compilations.",
        "",
        "What a sweep shares is given as in `jaxrl train`, what it tries by --space. Ctrl-C or a crash loses the block",
        "under way; the same command goes on.",
        "",
        "Examples:",
        f"{begin} --space learning_rate=log:1e-4:1e-2 --space discount=0.9,0.99 --trials 64 --seeds 8 --out runs/sweep",
        f"{begin} --space hidden=64-64,128-128 --space learning_rate=1e-3,3e-3 --dry-run",
        "  jaxrl sweep sweep.toml --out runs/sweep",
    ]
    return "\n".join([*lines, *environments_and_presets(algorithm, words)])
