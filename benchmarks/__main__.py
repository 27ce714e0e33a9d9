"""jaxrl beside its peers and beside the limits of the machine, in one run.

python -m benchmarks                     every part, jaxrl and what needs no installing
python -m benchmarks --peers all         the peers as well, each in a separate virtual environment
python -m benchmarks env dqn --rounds 5  some parts only
python -m benchmarks ppo-16 ppo-gru-1    some works only, by their keys

Contenders of one piece of work are separate processes that run by turns. Medians, extremes and ratios
go to `benchmarks/results/NAME` as JSON, Markdown and pictures; a part that is measured again replaces its
old figures there and leaves the others.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.environments import variables
from benchmarks.race import ROOT, Work, race
from benchmarks.starting import starting
from benchmarks.works import PARTS

FOLDER = Path(__file__).parent / "results"


def chosen(names: list[str], devices: int, rounds: int) -> list[Work]:
    """The works of the parts that are named, and those whose keys are."""
    works = [(part, work) for part, make in PARTS.items() for work in make(devices, rounds)]
    return [work for part, work in works if part in names or work.key in names]


def measure(parts: list[str], device: str, peers: bool, devices: int, rounds: int, results: dict[str, Any]) -> None:
    """Measures the parts and works that are named, adding to `results`."""
    for work in chosen(parts, devices, rounds):
        print(work.title, flush=True)
        results["works"][work.key] = race(work, device, peers) | {"machine": machine.description(device)}
    if "compile" in parts:
        print("starting", flush=True)
        results["starting"] = starting(rounds, device)
    if "sweep" in parts:
        results["sweep"] = [
            line for part in ("vary", "bookkeeping", "memory") for line in sweeping(part, device, rounds)
        ]


def sweeping(part: str, device: str, rounds: int) -> list[str]:
    """What a part of `benchmarks.sweep` prints, in a separate process: one of them looks at its peak of memory."""
    print(f"sweep {part}", flush=True)
    command = [sys.executable, "-m", "benchmarks.sweep", part, "--rounds", str(rounds)]
    done = subprocess.run(command, cwd=ROOT, env=variables(device), stdout=subprocess.PIPE, text=True, check=True)
    lines = done.stdout.splitlines()
    print(*lines, sep="\n", flush=True)
    return lines


def main() -> None:
    """Parses the command line, measures, and writes the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}, or a work's key; by default all"
    )
    parser.add_argument("--peers", choices=("none", "all"), default="none", help="other people's programs to run too")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--devices", type=int, default=None, help="how many; by default one a core, or one GPU")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs, by turns")
    parser.add_argument("--name", help="of the folder under benchmarks/results; by default the device")
    arguments = parser.parse_args()
    keys = {work.key for make in PARTS.values() for work in make(1, 1)}
    unknown = set(arguments.parts) - set(PARTS) - keys
    if unknown or arguments.rounds < 1:
        parser.error(f"unknown part {', '.join(unknown)}" if unknown else "--rounds must be at least 1")
    devices = arguments.devices or (1 if arguments.device == "gpu" else os.cpu_count() or 1)
    folder = FOLDER / (arguments.name or arguments.device)
    stored = folder / "results.json"
    results: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {"works": {}}
    results["machine"] = machine.description(arguments.device)
    parts = arguments.parts or list(PARTS)
    try:
        measure(parts, arguments.device, arguments.peers == "all", devices, arguments.rounds, results)
    finally:
        report.write(results, folder)
    print(f"written to benchmarks/results/{folder.name}")


if __name__ == "__main__":
    main()
