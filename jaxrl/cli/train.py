"""The commands `jaxrl train dqn`, `jaxrl train reinforce`, and one for every other algorithm that there is."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import tyro

from jaxrl import registry
from jaxrl.agents import ALGORITHMS, Agent
from jaxrl.cli.options import (
    CommonOptions,
    RunOptions,
    choose_preset,
    make_environment,
    presets_of,
    seeds_wanted,
)
from jaxrl.cli.sweep_file import SweepFile
from jaxrl.cli.tables import console, print_rows
from jaxrl.result import Result
from jaxrl.run_report import exact_score_rows, summary_rows
from jaxrl.training import train

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell."""


@dataclasses.dataclass(frozen=True)
class AlgorithmCommand:
    """A parsed command; `algorithm_command` makes subclasses of such classes with the fields of one algorithm."""

    algorithm: ClassVar[str]
    words: ClassVar[Sequence[str]]
    options: ClassVar[type[CommonOptions]]
    file: ClassVar[SweepFile | None]

    run: Any
    agent: Any

    def build(self, preset_fields: dict[str, Any]) -> Agent:
        """The agent with its environment; raises as those do where a value is wrong."""
        parameters = {} if self.file is None else self.file.environment
        env = make_environment(self.run.env, self.run.env_parameter, self.run.wrap, parameters)
        # Fields of the preset that are no options would be lost without a word: with them, the agent complains.
        return self.agent.func(env=env, **{**preset_fields, **self.agent.keywords})


@dataclasses.dataclass(frozen=True)
class Train(AlgorithmCommand):
    """`jaxrl train ALGORITHM`."""

    options = RunOptions

    def execute(self) -> int:
        """Trains, and says what came of it."""
        options: RunOptions = self.run
        chosen = choose_preset(self.algorithm, options.env, options.preset)
        agent = self.build(chosen[1].fields if chosen else {})
        if chosen:
            without = f" (made for {chosen[1].env} without wrappers)" if options.wrap else ""
            console().print(f"preset {chosen[0]}: {chosen[1].description}{without}")
        result = train(
            agent,
            **options.length(agent, chosen[1] if chosen else None),
            seeds=seeds_wanted(options.seeds),
            out=options.out,
            resume=options.resume,
            log_points=options.log_points,
            **options.evaluation(),
            block_size=options.block_size,
            devices=options.devices,
            checkpoint_seconds=options.checkpoint_seconds,
            progress=options.progress,
        )
        self._report(result)
        return 0 if result.complete else INTERRUPTED

    def _report(self, result: Result) -> None:
        options: RunOptions = self.run
        returns, score = None, []
        try:
            if not result.complete:
                print("interrupted: playing greedy episodes with what there is (Ctrl-C skips them)", file=sys.stderr)
            returns = result.returns
            score = exact_score_rows(result) if result.complete else []
        except KeyboardInterrupt:  # The table comes without what could not be played.
            pass
        title = f"{type(result.agent).__name__} on {options.game}"
        rows = summary_rows(result, returns) + score
        if result.complete and options.out is not None:
            rows.append(("files", f"{options.out} (learning curves: {options.out / 'curves.png'})"))
        print_rows(title if result.complete else f"{title}, interrupted", rows)
        out = console()
        if options.out is None:
            out.print("Nothing was kept: --out FOLDER keeps the run.")
        elif not result.complete:
            again = [word for word in self.words if word != "--resume"]
            out.print(f"To go on: {shlex.join(['jaxrl', 'train', *again, '--resume'])}", soft_wrap=True)
        else:
            logs = shlex.quote(str(options.out / "tensorboard"))
            out.print(f"To look at it: tensorboard --logdir {logs}", soft_wrap=True)


def algorithm_command(
    base: type[AlgorithmCommand], algorithm: str, words: Sequence[str] = (), file: SweepFile | None = None
) -> tuple[type[Any], dict[str, Any]]:
    """The type of a command for an algorithm, and defaults of the agent's fields.

    They are those of the preset that the words mean, and in their place what a file says.

    Args:
      base: what it does.
      algorithm: such as "dqn".
      words: what follows `jaxrl train` on the command line, or nothing.
      file: that describes a sweep, or None.

    Raises:
      ValueError: the words name a preset that there is not.
    """
    agent_class = ALGORITHMS[algorithm]
    chosen = choose_preset(algorithm, *_named(words, file))
    run = base.options(**({"env": chosen[1].env} if chosen else {}) | ({} if file is None else file.options))
    flat: Any = tyro.conf.OmitArgPrefixes
    command = dataclasses.make_dataclass(
        f"{base.__name__}{agent_class.__name__}",
        [("run", flat[base.options], dataclasses.field(default=run)), ("agent", flat[agent_class])],
        bases=(base,),
        namespace={"algorithm": algorithm, "words": tuple(words), "file": file},
        frozen=True,
        kw_only=True,
    )
    command.__doc__ = (agent_class.__doc__ or agent_class.__name__).strip().splitlines()[0]
    return command, {**(chosen[1].fields if chosen else {}), **({} if file is None else file.fields)}


def describe(algorithm: str, command: type[AlgorithmCommand], words: Sequence[str]) -> str:
    """The text above the options in `jaxrl train ALGORITHM --help`."""
    begin = f"  jaxrl train {algorithm} --env {example_environment(algorithm)} --seeds"
    lines = [
        f"{command.__doc__}",
        "",
        "Trains all members at once, then prints a table: speed, and the members' greedy return.",
        "Ctrl-C ends early and keeps what is done (exit code 130).",
        "",
        "Examples:",
        f"{begin} 64 --out runs/first",
        f"{begin} 3 5 7 --learning-rate 5e-4{' --hidden 128 128' if has_layers(algorithm) else ''}",
        f"{begin} 64 --out runs/first --resume",
    ]
    return "\n".join([*lines, *environments_and_presets(algorithm, words)])


def example_environment(algorithm: str) -> str:
    """An environment for the examples of a help text: that of the algorithm's first preset."""
    return next(iter(presets_of(algorithm).values())).env


def has_layers(algorithm: str) -> bool:
    """Whether the algorithm's agents have hidden layers."""
    return any(field.name == "hidden" for field in dataclasses.fields(cast(Any, ALGORITHMS[algorithm])))


def environments_and_presets(algorithm: str, words: Sequence[str]) -> list[str]:
    """The lines of a help text about what there is to choose from."""
    chosen = choose_preset(algorithm, *_named(words, None))
    lines = ["", f"Environments: {', '.join(registry.names())}."]
    if chosen:
        lines += ["", f"The defaults below are those of the preset {chosen[0]}: {chosen[1].description}"]
    elif presets := presets_of(algorithm):
        lines += ["", "Presets (name one, or its environment, before --help to see its values as the defaults):"]
        lines += [f"  {name} for {preset.env}: {preset.description}" for name, preset in presets.items()]
    return lines


def _named(words: Sequence[str], file: SweepFile | None) -> tuple[str | None, str | None]:
    """The values of --env and --preset, looked up before the other options can be known."""
    options = {} if file is None else file.options
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--env", default=options.get("env"))
    parser.add_argument("--preset", default=options.get("preset"))
    try:
        known, _ = parser.parse_known_args(list(words))
    except argparse.ArgumentError:  # A value is missing, which the real parser reports.
        return None, None
    return known.env, known.preset
