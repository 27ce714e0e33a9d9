"""Kills at random times, and at or shortly after random operations on files.

What is resumed equals what was never interrupted.
"""

import dataclasses
import functools
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from tests.attack.jobs import JOBS, checksum, prepare
from tests.attack.workers import HANG_SECONDS, Fall, Verdict, attacked, forked

_EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree")


@dataclasses.dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
      operation: on files of the job's folder, from 1; 0 is the start of the program.
      seconds: after the operation has begun: writing to a file is none, and may be under way then.
    """

    operation: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Kill:
    """One case.

    Attributes:
      index: of the case, and its folder's name.
      job: one of `JOBS`.
      moments: one for each time that the job is begun or resumed.
    """

    index: int
    job: str
    moments: tuple[Moment, ...]


def kills(count: int, rng: random.Random, folder: Path, watched: Path) -> Iterator[Verdict]:
    """Kills jobs so many times in all, each at least once, and compares what is resumed after its last kill."""
    cache = folder / "cache"
    spans = {job: _span(job, folder, cache) for job in JOBS}
    cases: list[Kill] = []
    struck = drawn = 0
    while struck < count:
        job = list(JOBS)[drawn % len(JOBS)]
        seconds, operations = spans[job]
        after = [Moment(rng.randint(1, operations), 10 ** rng.uniform(-4, -2)) for _ in range(2)]
        draws = [*after, Moment(rng.randint(1, operations), 0.0), Moment(0, rng.uniform(0, seconds))]
        # Most jobs are killed once, some again while they resume.
        case = Kill(drawn, job, tuple(rng.choice(draws) for _ in range(rng.choice((1, 1, 1, 2, 3)))))
        drawn += 1
        # What is left to resume may be over before the moment of a later kill.
        if strikes := sum(killed(job, folder / str(case.index), cache, moment) for moment in case.moments):
            cases.append(case)
            struck += strikes
    print(f"kills: {struck} of {len(cases)} jobs", flush=True)
    references: dict[str, str] = {}
    yield from attacked("kills", cases, functools.partial(_compare, folder, cache, references), watched)


def _span(job: str, folder: Path, cache: Path) -> tuple[float, int]:
    """Seconds and operations on files of the whole job, its programs compiled before."""
    for out in ("first", "second"):
        note = folder / f"{job}-{out}.txt"
        pid = forked(functools.partial(_measure, job, folder / f"{job}-{out}", cache, note))
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError(f"the job {job!r} fails without any attack")
    seconds, operations = note.read_text().split()
    return float(seconds), int(operations)


def _measure(job: str, out: Path, cache: Path, note: Path) -> None:
    prepare(cache)
    count = [0]
    _on_operations(out, lambda: count.__setitem__(0, count[0] + 1))
    start = time.perf_counter()
    JOBS[job](out)
    note.write_text(f"{time.perf_counter() - start} {count[0]}")


def _on_operations(out: Path, action: Any) -> None:
    """Calls a function before every operation that may change what lies in a folder."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS:
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if str(out) in str(arguments[0]):
            action()

    sys.addaudithook(hook)


def killed(job: str, out: Path, cache: Path, moment: Moment) -> bool:
    """Runs a job until it is killed, or over; whether it was killed."""
    pid = forked(functools.partial(_doomed, job, out, cache, moment))
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.WIFSIGNALED(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise RuntimeError(f"the job {job!r} hangs")


def _doomed(job: str, out: Path, cache: Path, moment: Moment) -> None:
    prepare(cache)
    count = [0]

    def strike() -> None:
        if count[0] == moment.operation:
            if not moment.seconds:
                os.kill(os.getpid(), signal.SIGKILL)
            # Nobody handles SIGALRM: the kernel ends the process then and there, as by SIGKILL.
            signal.setitimer(signal.ITIMER_REAL, moment.seconds)
        count[0] += 1

    strike()
    _on_operations(out, strike)
    JOBS[job](out)


def _compare(folder: Path, cache: Path, references: dict[str, str], case: Kill) -> str:
    if not references:
        prepare(cache)
    if case.job not in references:
        references[case.job] = checksum(JOBS[case.job](folder / f"reference-{case.job}"))
    out = folder / str(case.index)
    if checksum(JOBS[case.job](out)) != references[case.job]:
        raise Fall("wrong numbers", "the resumed job differs from the uninterrupted one")
    left = [path.name for path in out.rglob("*") if ".partial" in path.name or path.name.endswith(".removed")]
    if left:
        raise Fall("outside", f"left behind: {left}")
    shutil.rmtree(out)
    jax.clear_caches()
    return "resumed"
