"""What the presets learn, over many seeds: the tables and curves of the documentation's pages.

python -m benchmarks.learning dqn-cartpole --seeds 16            one preset, seeds 5000 to 5015
python -m benchmarks.learning q-learning-taxi ppo-cartpole       several, one after the other

One JSON file a preset in `benchmarks/results/learning`, whole or not at all. Presets were tuned on other seeds.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import jaxrl
from benchmarks import machine
from jaxrl.config import to_config
from jaxrl.presets import PRESETS, Preset
from jaxrl.statistics import bootstrap_interval, interquartile_mean

FOLDER = Path(__file__).parent / "results" / "learning"
FIRST_SEED = 5_000
"""The first seed to measure with: presets are tuned on smaller ones."""
WORKS = PRESETS | {
    "reinforce-cartpole": Preset("reinforce", "CartPole-v1", {}, iterations=100, description="REINFORCE's defaults"),
}
"""What can be measured, by name."""
EPISODES = 64
"""Greedy episodes of every member."""
LOG_POINTS = 50
"""Points of a curve."""


def solved_share(solved: int, seeds: int) -> dict[str, Any]:
    """How many seeds solved the task, and the exact 95% interval of the share (Clopper and Pearson, 1934)."""
    from scipy.stats import binomtest

    interval = binomtest(solved, seeds).proportion_ci(0.95, method="exact")
    return {"seeds": solved, "low": float(interval.low), "high": float(interval.high)}


def curve(log: dict[str, np.ndarray]) -> list[list[float]]:
    """Rows (step, lower quartile, median, upper quartile) of the training return, where any member has one."""
    rows = []
    for point in range(log["step"].shape[1]):
        returns = log["episode_return"][:, point]
        returns = returns[~np.isnan(returns)]
        if returns.size:
            step = float(log["step"][:, point].mean())
            rows.append([step, *(round(float(x), 4) for x in np.percentile(returns, (25, 50, 75)))])
    return rows


def measured(preset: Preset, seeds: int, device: str) -> dict[str, Any]:
    """Trains a preset with so many seeds from `FIRST_SEED` on, and summarises it as plain data."""
    agent = preset.agent()
    chosen = list(range(FIRST_SEED, FIRST_SEED + seeds))
    result = jaxrl.train(agent, iterations=preset.iterations, seeds=chosen, log_points=LOG_POINTS)
    scores = jaxrl.evaluate(result, episodes=EPISODES).mean(axis=1).astype(np.float64)
    low, high = bootstrap_interval(scores)
    threshold = agent.env.solved_return
    return {
        "algorithm": preset.algorithm,
        "env": preset.env,
        "agent": to_config(agent),
        "steps": float(np.nanmax(result.log["step"])),
        "seeds": chosen,
        "episodes": EPISODES,
        "returns": [round(float(score), 4) for score in scores],
        "interquartile_mean": {"value": float(interquartile_mean(scores)), "low": low, "high": high},
        "solved_return": threshold,
        "solved": None if threshold is None else solved_share(int((scores >= threshold).sum()), seeds),
        "diverged": int(result.failed.sum()),
        "curve": curve(result.log),
        "seconds": round(result.seconds, 1),
        "compile_seconds": round(result.compile_seconds, 1),
        "machine": machine.description(device),
    }


def main() -> None:
    """Measures what is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="+", choices=sorted(WORKS), metavar="NAME", help=", ".join(WORKS))
    parser.add_argument("--seeds", type=int, default=16, metavar="N", help=f"how many, from {FIRST_SEED} on")
    options = parser.parse_args()
    jaxrl.use_cpu_cores()
    import jax

    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in options.presets:
        found = measured(WORKS[name], options.seeds, jax.default_backend())
        beside = FOLDER / f"{name}.json.part"
        lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
        beside.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        beside.replace(FOLDER / f"{name}.json")
        score = found["interquartile_mean"]
        print(f"{name}: {score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}], solved: {found['solved']}")


if __name__ == "__main__":
    main()
