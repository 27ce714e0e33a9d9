"""The commands that evaluate, draw, list and check: `jaxrl evaluate`, `render`, `envs` and `check`."""

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar

import jax
import tyro

from jaxrl import registry
from jaxrl.arguments import LARGEST_SEED, positive, whole, writable_file
from jaxrl.cli.options import MemberName, Parameters, Run, Trusted, Wraps, make_environment
from jaxrl.cli.tables import (
    choose_member,
    console,
    evaluation_rows,
    file_rows,
    load_run,
    member_label,
    print_environment,
    print_rows,
    print_wrappers,
)
from jaxrl.evaluation import evaluate


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
        what = f"{member_label(self.run, member)}, {len(frames) - 1} steps"
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
