"""Attacks runs, sweeps, exports, command lines and calls; prints a table, and ends with 1 where anything fell."""

import argparse
import os
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

# Before JAX starts: the programs run for a moment only.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.attack.calls import calls
from tests.attack.commands import commands
from tests.attack.flips import flips
from tests.attack.kills import kills
from tests.attack.workers import FALLS, Verdict

PARTS = {"kills": (kills, 100), "flips": (flips, 500), "commands": (commands, 500), "calls": (calls, 300)}
"""Each attack, and how many cases it has by default."""


def main() -> int:
    """Attacks, and prints what fell."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--part", choices=list(PARTS), action="append", help="one of the attacks (default: all)")
    parser.add_argument("--count", type=int, help="cases of each part (default: 100, 500, 500, 300)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of all cases (default: random)")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rows, fell = [], []
    with tempfile.TemporaryDirectory() as scratch:
        watched = _surroundings(Path(scratch))
        for part in options.part or PARTS:
            attack, count = PARTS[part]
            folder = Path(scratch, part)
            folder.mkdir()
            start = time.monotonic()
            verdicts = []
            rng = random.Random(f"{options.seed} {part}")
            for verdict in attack(options.count or count, rng, folder, watched):
                verdicts.append(verdict)
                if verdict.fall:
                    print(f"{part}: {verdict.fall}: {verdict.case}: {verdict.detail}", flush=True)
            rows.append(_row(part, verdicts, time.monotonic() - start))
            fell += [verdict for verdict in verdicts if verdict.fall]
    print("\n".join([_line("part", "cases", *FALLS, "seconds"), *rows]))
    return 1 if fell else 0


def _surroundings(scratch: Path) -> Path:
    """Makes a home and a folder for temporary files that must stay as they are."""
    watched = scratch / "outside"
    for name in ("home", "temporary"):
        (watched / name).mkdir(parents=True)
    (watched / "canary").write_text("alive")
    os.environ["HOME"] = str(watched / "home")
    return watched


def _row(part: str, verdicts: list[Verdict], seconds: float) -> str:
    counts = [sum(verdict.fall == fall for verdict in verdicts) for fall in FALLS]
    return _line(part, len(verdicts), *counts, f"{seconds:.0f}")


def _line(*cells: object) -> str:
    return "".join(f"{cell!s:>15}" for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
