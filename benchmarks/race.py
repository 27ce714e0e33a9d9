"""Contenders of one piece of work, run in turns: medians, spreads and ratios."""

import contextlib
import dataclasses
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.environments import AbsentError, python_of, variables

ROOT = Path(__file__).parents[1]
OURS, BOUND, PEER = "jaxrl", "bound", "peer"


@dataclasses.dataclass(frozen=True)
class Contender:
    """A program that does a piece of work.

    Attributes:
      name: as the tables show it.
      module: under `benchmarks`, as in "peers.rejax_dqn".
      options: what it is told to do.
      role: OURS, PEER, or BOUND: not the work itself, but a limit that the machine sets.
      peer: whose virtual environment it runs in; None: our own.
      note: what is not the same, besides what the contender says itself.
    """

    name: str
    module: str
    options: dict[str, Any]
    role: str = PEER
    peer: str | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Work:
    """A piece of work, and who does it.

    Attributes:
      key: a short name, unique.
      title: a line for people.
      unit: what is counted, in the plural.
      contenders: in the order of the table.
      rounds: how often each runs, by turns.
    """

    key: str
    title: str
    unit: str
    contenders: tuple[Contender, ...]
    rounds: int = 3


def member_count(count: int) -> str:
    """A number of members, for titles."""
    return f"{count:,} member{'s' * (count > 1)}"


class Process:
    """A contender's process, ready to run: `info` says what it found out while it prepared."""

    def __init__(self, contender: Contender, device: str):
        python = python_of(contender.peer, device)
        command = [str(python), "-m", f"benchmarks.{contender.module}", json.dumps(contender.options)]
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115  Open as long as the process is.
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables(device),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.info = self._answer()

    def go(self) -> dict[str, Any]:
        """Runs once: at least `seconds` and `steps`; raises AbsentError where the process has ended."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise AbsentError("it ended with: " + " ".join(self._errors.read().strip().splitlines()[-1:])[-300:])
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._errors.close()


def race(work: Work, device: str, peers: bool) -> dict[str, Any]:
    """Runs the contenders of one work by turns.

    Returns:
      The record of the work: `rows`, one for each contender, with the median and the extremes of its speed in
      units a second, or `absent` with the reason; `ratio`, the median over the rounds of our speed over that of the
      best peer, and `fractions`, our speed as a fraction of each bound.

    Raises:
      RuntimeError: our own contender failed.
    """
    runners: dict[str, Process] = {}
    rows: dict[str, dict[str, Any]] = {}
    runs: dict[str, list[dict[str, Any]]] = {}
    roles = {contender.name: contender.role for contender in work.contenders}

    def attempt(name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except AbsentError as reason:
            if roles[name] == OURS:
                raise RuntimeError(f"{work.title}: {name} failed: {reason}") from reason
            rows[name]["absent"] = str(reason)

    try:
        for contender in work.contenders:
            if contender.role == PEER and contender.peer and not peers:
                continue
            name = contender.name
            rows[name], runs[name] = {"role": contender.role, "note": contender.note}, []
            attempt(name, lambda c=contender: runners.update({c.name: Process(c, device)}))  # type: ignore[misc]
        for _ in range(work.rounds):
            for name in [name for name in runners if "absent" not in rows[name]]:
                attempt(name, lambda n=name: runs[n].append(runners[n].go()))  # type: ignore[misc]
    finally:
        for process in runners.values():
            process.close()
    for name in [name for name in runners if "absent" not in rows[name]]:
        rows[name] |= {**runners[name].info, **_speeds(runs[name]), **_found(runs[name][-1])}
        print(f"  {name}: {rows[name]['speed']:,.0f} {work.unit}/s", flush=True)
    return {"title": work.title, "unit": work.unit, "rows": rows, **_compared(rows)}


def _speeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    speeds = [run["steps"] / run["seconds"] for run in runs]
    return {"speed": statistics.median(speeds), "slowest": min(speeds), "fastest": max(speeds), "speeds": speeds}


def _found(run: dict[str, Any]) -> dict[str, Any]:
    """What the last run found besides its time."""
    return {name: value for name, value in run.items() if name != "seconds"}


def _compared(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Our speed beside the best peer's and beside the bounds; rounds are compared pair by pair."""
    ours = next(row for row in rows.values() if row["role"] == OURS)

    def ratio(row: dict[str, Any]) -> float:
        return statistics.median(a / b for a, b in zip(ours["speeds"], row["speeds"], strict=True))

    present = {name: row for name, row in rows.items() if "speeds" in row}
    for row in present.values():
        row["ours_to_this"] = ratio(row)
    peers = {name: row for name, row in present.items() if row["role"] == PEER}
    best = max(peers, key=lambda name: peers[name]["speed"], default=None)
    bounds = {name: row["ours_to_this"] for name, row in present.items() if row["role"] == BOUND}
    return {"best_peer": best, "ratio": best and peers[best]["ours_to_this"], "fractions": bounds}
