"""SIGKILL at random times and at random operations on files; what is resumed equals what was never interrupted."""

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
class Kill:
    """One case.

    Attributes:
      number: of the case, and its folder's name.
      job: one of `JOBS`.
      moments: one for each time that the job is begun or resumed: seconds (float) after the program starts to run,
        or the number (int) of an operation on files in its folder.
    """

    number: int
    job: str
    moments: tuple[float | int, ...]


def kills(count: int, rng: random.Random, folder: Path, watched: Path) -> Iterator[Verdict]:
    """Kills so many jobs, each at least once, and compares what is resumed after the last kill of each."""
    cache = folder / "cache"
    spans = {job: _span(job, folder, cache) for job in JOBS}
    cases: list[Kill] = []
    left = count  # jobs: at least as many kills
    while left:
        job = list(JOBS)[len(cases) % len(JOBS)]
        seconds, operations = spans[job]
        draws = [rng.uniform(0, seconds), rng.randint(1, operations)]
        # Most jobs are killed once, some again while they resume.
        moments = tuple(rng.choice(draws) for _ in range(rng.choice((1, 1, 1, 2, 3))))
        cases.append(Kill(len(cases), job, moments))
        left -= 1
    for case in cases:
        for moment in case.moments:
            _killed(case.job, folder / str(case.number), cache, moment)
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


def _killed(job: str, out: Path, cache: Path, moment: float | int) -> None:
    """Runs a job until it is killed, or over."""
    pid = forked(functools.partial(_doomed, job, out, cache, moment if isinstance(moment, int) else None))
    end = time.monotonic() + (moment if isinstance(moment, float) else HANG_SECONDS)
    while time.monotonic() < end:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _doomed(job: str, out: Path, cache: Path, operation: int | None) -> None:
    prepare(cache)
    if operation is not None:
        count = [0]

        def strike() -> None:
            count[0] += 1
            if count[0] == operation:
                os.kill(os.getpid(), signal.SIGKILL)

        _on_operations(out, strike)
    JOBS[job](out)


def _compare(folder: Path, cache: Path, references: dict[str, str], case: Kill) -> str:
    if not references:
        prepare(cache)
    if case.job not in references:
        references[case.job] = checksum(JOBS[case.job](folder / f"reference-{case.job}"))
    out = folder / str(case.number)
    if checksum(JOBS[case.job](out)) != references[case.job]:
        raise Fall("wrong numbers", "the resumed job differs from the uninterrupted one")
    left = [path.name for path in out.rglob("*") if ".partial" in path.name or path.name.endswith(".removed")]
    if left:
        raise Fall("outside", f"left behind: {left}")
    shutil.rmtree(out)
    jax.clear_caches()
    return "resumed"
