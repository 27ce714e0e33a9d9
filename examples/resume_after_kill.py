"""A run that is killed with no warning goes on, and ends with the very numbers of a run that was not.

    python examples/resume_after_kill.py

The training runs in a process of its own, which gets SIGKILL as soon as its first checkpoint is on disk.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import jaxrl


def train(out, steps, **options):
    """The same run, begun or gone on with: that depends on what `out` holds."""
    agent = jaxrl.DQN(jaxrl.make("CartPole-v1"), discount=0.98)
    return jaxrl.train(agent, steps=steps, seeds=4, out=out, resume=True, progress=False, **options)


def main():
    """Trains, kills, resumes and compares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=50_000, help="environment steps of every member")
    parser.add_argument("--out", type=Path, default=Path("runs/killed"))
    parser.add_argument("--child", action="store_true", help="only train, to be killed")
    options = parser.parse_args()
    if options.child:
        train(options.out, options.steps, checkpoint_seconds=0)
        return

    child = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--child"])
    while child.poll() is None and not (options.out / "checkpoint.npz").exists():
        time.sleep(0.01)
    child.kill()  # SIGKILL: no handler runs, nothing is tidied up.
    print("killed" if child.wait() else "finished before it could be killed: give more --steps", flush=True)

    resumed = train(options.out, options.steps)
    whole = train(options.out.with_name(options.out.name + "-whole"), options.steps)
    same = all(np.array_equal(resumed.log[name], whole.log[name], equal_nan=True) for name in whole.log)
    same &= np.array_equal(resumed.returns, whole.returns)
    print("resumed and uninterrupted runs are equal bit for bit" if same else "the runs differ")


if __name__ == "__main__":
    main()
