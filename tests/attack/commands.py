"""Command lines of random words: each ends in an exit code that `jaxrl --help` lists, and at most one line of error."""

import functools
import os
import random
from collections.abc import Iterator
from pathlib import Path

from tests.attack.jobs import JOBS, prepare
from tests.attack.workers import Fall, Verdict, attacked, captured, forked

_WILD = (
    *("", " ", "-1", "0", "-0", "nan", "inf", "-inf", "1e400", "2.5", "1e-400", str(2**31), str(2**63), str(2**64)),
    *("9" * 40, "-" + "9" * 40, "x", "None", "none", "True", "[]", "{}", "../..", "/dev/null", "/nowhere/x", "\x1b[2J"),
    *(
        "é",
        "😀",
        "a" * 5000,
        "1,2",
        "1 2",
        "0x10",
        "--",
        "-h",
        "=",
        ":",
        "best:0",
        "best:-1",
        "json:loads",
        "os:system",
    ),
)
_TINY = (
    *("--hidden", "8", "--batch-size", "4", "--buffer-size", "64", "--learning-starts", "8", "--log-points", "6"),
    *("--env-parameter", "max_steps=20", "--no-progress"),
)
_TRAIN = ("train", "dqn", "--env", "CartPole-v1", "--seeds", "2", "--steps", "120", "--out", "NEW", *_TINY)
_SWEEP = (
    *("sweep", "dqn", "--env", "CartPole-v1", "--seeds", "2", "--steps", "120", "--trials", "4", "--keep", "best:2"),
    *("--episodes", "2", "--space", "learning_rate=log:1e-3:1e-2", "--out", "NEW", *_TINY),
)
_BASES: tuple[tuple[str, ...], ...] = (
    *(_TRAIN, _TRAIN, _SWEEP, _SWEEP),
    ("train", "ppo", "--env", "Pendulum-v1", "--iterations", "1", "--hidden", "8", "--learning-rate", "1e-3"),
    (
        "train",
        "reinforce",
        "--env",
        "PlaneStrike-v0",
        "--iterations",
        "1",
        "--hidden",
        "8",
        "--checkpoint-seconds",
        "5",
    ),
    ("evaluate", "RUN", "--episodes", "4", "--seed", "1"),
    ("render", "RUN", "x.gif", "--member", "0", "--seed", "1", "--frames-per-second", "10"),
    ("export", "RUN", "x.tflite", "--member", "0", "--output", "logits", "--quantize", "none", "--batch", "1"),
    ("inspect", "RUN"),
    ("envs", "CartPole-v1"),
    ("check", "CartPole-v1", "--env-parameter", "length=0.7", "--steps", "100", "--seed", "0"),
    ("sweep-report", "SWEEP", "report.html"),
    ("evaluate", "SWEEP", "--episodes", "4"),
)
_CODES = (0, 1, 2, 130)


def commands(count: int, rng: random.Random, folder: Path, watched: Path) -> Iterator[Verdict]:
    """Tries so many command lines."""
    pid = forked(functools.partial(_build, folder))
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the run and the sweep to command can't be made")
    cases = [_words(rng) for _ in range(count)]
    yield from attacked("commands", cases, functools.partial(_command, folder), watched)


def _build(folder: Path) -> None:
    prepare(folder / "cache")
    JOBS["train"](folder / "run")
    JOBS["sweep"](folder / "sweep")


def _words(rng: random.Random) -> tuple[str, ...]:
    """A command that works, of which one or two words have changed, are gone, or are there twice."""
    words = list(rng.choice(_BASES))
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(1, len(words))
        change = rng.random()
        if change < 0.7 and not words[place].startswith("--"):
            prefix = words[place].split("=")[0] + "=" if "=" in words[place] and rng.random() < 0.7 else ""
            words[place] = prefix + rng.choice(_WILD)
        elif change < 0.85 and len(words) > 2:
            del words[place]
        else:
            words.insert(place, rng.choice((words[place], *_WILD)))
    return tuple(words)


def _command(folder: Path, words: tuple[str, ...]) -> str:
    from jaxrl.cli import main

    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    os.chdir(inside)
    places = {"NEW": str(inside / os.urandom(4).hex()), "RUN": str(folder / "run"), "SWEEP": str(folder / "sweep")}
    try:
        code, output = captured(lambda: main([places.get(word, word) for word in words]))
    except SystemExit as error:
        raise Fall("traceback", f"SystemExit {error.code}") from error
    lines = [line for line in output.splitlines() if line.startswith("jaxrl: error:")]
    if code not in _CODES or "Traceback" in output:
        raise Fall("traceback", f"exit code {code}: {output[-200:]!r}")
    if code == 2 and (len(lines) != 1 or len(lines[0]) < len("jaxrl: error: .")):
        raise Fall("traceback", f"{len(lines)} lines of error: {output[-200:]!r}")
    if "\x1b[2J" in output:
        raise Fall("outside", "an escape sequence reached the terminal")
    return f"exit code {code}"
