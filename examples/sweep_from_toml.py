"""A sweep described by a file: runs `sweep.toml` as the command line does, and reads the results in Python.

    python examples/sweep_from_toml.py

Kill it and run it again: it goes on with the blocks that are missing.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import jaxrl


def main():
    """Runs the sweep, prints its ranking and the best trial, and writes the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="runs/sweep")
    options, others = parser.parse_known_args()  # Others override the file: --trials 4 --steps 2000
    file = Path(__file__).parent / "sweep.toml"
    subprocess.run([sys.executable, "-m", "jaxrl", "sweep", file, "--out", options.out, *others], check=True)

    sweep = jaxrl.load(options.out)  # Another process, another day: all of it is on disk.
    print(sweep.ranking().head(5).round(4).to_string(index=False))
    best = sweep.best()
    print("best:", best)
    curve = sweep.curves([best.index]).groupby("step")["episode_return"].mean()  # over its seeds
    print("its learning curve:", curve.dropna().iloc[:: max(1, len(curve) // 5)].round(0).to_dict())
    print("an action of its best member:", int(sweep.member().policy([0.0, 0.0, 0.05, 0.0])))
    sweep.report(Path(options.out) / "sweep.html")
    print("report:", Path(options.out) / "sweep.html")


if __name__ == "__main__":
    main()
