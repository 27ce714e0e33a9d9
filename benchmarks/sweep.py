"""What sweeping costs: members that differ against members that do not, bookkeeping, memory, and halving.

python -m benchmarks.sweep vary          1,024 members that differ in every leaf, beside seeds only
python -m benchmarks.sweep bookkeeping   1,024 members of 5,000 steps as a sweep on disk, beside one run
python -m benchmarks.sweep memory        10,000 members of short runs: the peak of this process
python -m benchmarks.sweep halving       a configuration that solves CartPole out of 256, with halving and without
                                         (half an hour; over an hour with --steps 50000)
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import jaxrl
from jaxrl.pytree import get_at, leaf_paths


def agent() -> jaxrl.DQN:
    """DQN's defaults on CartPole."""
    return jaxrl.DQN(jaxrl.make("CartPole-v1"))


def vary(members: int, steps: int, rounds: int) -> None:
    """Alternates runs that differ in seeds with runs that differ in every leaf, and prints the ratio."""
    rng, base = np.random.default_rng(0), agent()
    values = {path: float(get_at(base, path)) * rng.uniform(0.98, 1.0, members) for path in leaf_paths(base)}
    seconds: dict[str, list[float]] = {"seeds": [], "leaves": []}
    for _ in range(rounds):
        for name, varied in (("seeds", None), ("leaves", values)):
            result = jaxrl.train(base, steps, seeds=members, vary=varied, progress=False)
            seconds[name].append(result.seconds)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    print(f"{members} members, {steps} steps: seeds {medians['seeds']:.1f} s")
    print(f"the same with {len(values)} leaves that differ: {medians['leaves']:.1f} s")
    print(f"ratio {medians['leaves'] / medians['seeds']:.3f} (rounds: {seconds})")


def bookkeeping(members: int, steps: int, rounds: int) -> None:
    """Compares the whole time of a sweep on disk with the seconds that it trained, played and compiled."""
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            space = {"learning_rate": jaxrl.log_uniform(1e-3, 3e-3)}
            result = jaxrl.sweep(
                agent(), space, trials=members // 16, seeds=16, steps=steps, out=Path(folder) / "s", progress=False
            )
            swept = time.monotonic()
            result.report(Path(folder) / "report.html")
            whole, report = swept - begin, time.monotonic() - swept
            other = whole - result.seconds - result.compile_seconds
            print(
                f"{members} members, {steps} steps: {whole:.1f} s, of which training and playing {result.seconds:.1f}, "
                f"compiling {result.compile_seconds:.1f}, all else {other:.2f} ({other / whole:.1%}); "
                f"report {report:.1f} s ({report / whole:.1%})"
            )


def memory(members: int, steps: int, rounds: int) -> None:
    """Sweeps many members and prints this process's peak."""
    del rounds
    for count in (members // 100, members):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            space = {"learning_rate": jaxrl.log_uniform(1e-4, 1e-2)}
            jaxrl.sweep(agent(), space, trials=count // 4, seeds=4, steps=steps, out=Path(folder) / "s", progress=False)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)
            print(f"{count} members, {steps} steps: {time.monotonic() - begin:.0f} s, peak {peak:.2f} GiB")


def halving(members: int, steps: int, rounds: int) -> None:
    """Sweeps the same 256 configurations with and without successive halving."""
    del rounds
    space = {
        "learning_rate": jaxrl.log_uniform(1e-4, 3e-2),
        "discount": jaxrl.uniform(0.9, 0.999),
        "tau": jaxrl.log_uniform(1e-3, 1.0),
        "epsilon_end": jaxrl.uniform(0.0, 0.2),
    }
    best: dict[int, jaxrl.Trial] = {}
    for rungs in (3, 2, 1):
        begin = time.monotonic()
        result = jaxrl.sweep(
            agent(), space, trials=members // 16, seeds=16, steps=steps, rungs=rungs, eta=4, progress=False
        )
        best[rungs] = result.best()
        print(f"rungs {rungs}: {time.monotonic() - begin:.0f} s; {result.best()}; {dict(result.summary())}", flush=True)
    for rungs in (2, 3):
        print(f"rungs {rungs}: the same winner as with one: {best[rungs].index == best[1].index}")


PARTS: dict[str, tuple[Callable[[int, int, int], None], int, int]] = {
    "vary": (vary, 1024, 5_000),
    "bookkeeping": (bookkeeping, 1024, 5_000),
    "memory": (memory, 10_000, 1_500),
    "halving": (halving, 4096, 20_000),
}


def main() -> None:
    """Parses the command line, and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--members", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    jaxrl.use_cpu_cores()
    part, members, steps = PARTS[options.part]
    part(options.members or members, options.steps or steps, options.rounds)


if __name__ == "__main__":
    main()
