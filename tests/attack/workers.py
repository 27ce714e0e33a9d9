"""Forked processes that attack case by case, so that an abort, a kill or a hang costs one case and no other."""

import dataclasses
import json
import os
import select
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

HANG_SECONDS = 300.0
"""No case takes as long, the first of a process with all its compilations included."""
FALLS = ("wrong numbers", "traceback", "abort", "hang", "outside")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of one case.

    Attributes:
      part: of the attack.
      case: what was tried.
      fall: one of `FALLS`; "" where nothing fell.
      detail: what was seen.
    """

    part: str
    case: str
    fall: str = ""
    detail: str = ""


class Fall(Exception):  # noqa: N818
    """Something fell: the kind, one of `FALLS`, and what was seen."""


Attack = Callable[[Any], str]
"""Tries one case; returns a detail, or raises `Fall`. Any other exception is a traceback."""


def attacked(part: str, cases: Sequence[Any], attack: Attack, watched: Path) -> Iterator[Verdict]:
    """Tries all cases in one warm process, and in another one wherever that ends.

    Args:
      part: for the verdicts.
      cases: with a `repr` that repeats them.
      attack: of one case.
      watched: a folder in which nothing may change.
    """
    left = list(cases)
    while left:
        done = yield from _one_process(part, left, attack, watched)
        left = left[done:]


def forked(action: Callable[[], Any]) -> int:
    """Starts a quiet process that does something and ends; gives its id. An exception is exit code 1."""
    pid = os.fork()
    if pid:
        return pid
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        action()
    except BaseException:
        os._exit(1)
    os._exit(0)


def _one_process(part: str, cases: Sequence[Any], attack: Attack, watched: Path) -> Iterator[Verdict]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        for case in cases:
            line = json.dumps(_tried(case, attack, watched))
            os.write(writer, line.encode() + b"\n")
        os._exit(0)
    os.close(writer)
    done, content = 0, b""
    try:
        while done < len(cases):
            ready, _, _ = select.select([reader], [], [], HANG_SECONDS)
            if not ready:
                yield Verdict(part, repr(cases[done]), "hang", f"{HANG_SECONDS:.0f} s")
                return done + 1
            chunk = os.read(reader, 1 << 16)
            if not chunk:
                yield Verdict(part, repr(cases[done]), "abort", "the process ended")
                return done + 1
            *lines, content = (content + chunk).split(b"\n")
            for line in lines:
                yield Verdict(part, repr(cases[done]), *json.loads(line))
                done += 1
        return done
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _tried(case: Any, attack: Attack, watched: Path) -> tuple[str, str]:
    before = listing(watched)
    fall, detail = "", ""
    try:
        detail = attack(case)
    except Fall as error:
        fall, detail = error.args
    except BaseException as error:
        fall, detail = "traceback", f"{type(error).__name__}: {str(error)[:300]}"
    if listing(watched) != before:
        fall, detail = "outside", f"{sorted(set(listing(watched)) ^ set(before))[:3]}"
    return fall, detail


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file below a folder."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def captured(action: Callable[[], Any]) -> tuple[Any, str]:
    """What a function returns, and what it and the libraries below it write to standard error; output is dropped."""
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as errors, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        try:
            result = action()
        finally:
            for number, before in zip((1, 2), kept, strict=True):
                os.dup2(before, number)
                os.close(before)
        errors.seek(0)
        return result, errors.read().decode(errors="replace")
