"""Frames as a finished sweep has them, for the tests of its report."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxrl.statistics import interquartile_mean
from jaxrl.sweeps.report import Axis

pandas = pytest.importorskip("pandas")

AXES = (
    Axis("learning_rate", log=True, categorical=False),
    Axis("discount", log=False, categorical=False),
    Axis("batch_size", log=False, categorical=False),
    Axis("double", log=False, categorical=True),
    Axis("hidden", log=False, categorical=True),
)


def make_sweep(trials=24, seeds=5, log_points=6, axes=AXES, seed=0, **columns):
    """Frames as a sweep makes them; every learning rate of at least 0.01 diverges, and the best is near 0.001."""
    draw = np.random.default_rng(seed)
    values = {
        "learning_rate": 10 ** draw.uniform(-5, -1.5, trials),
        "discount": draw.uniform(0.9, 0.999, trials),
        "batch_size": draw.choice([32, 64, 128], trials),
        "double": draw.random(trials) < 0.5,
        "hidden": draw.choice(["64-64", "128-128"], trials),
    } | columns
    values = {axis.path: values[axis.path] for axis in axes}
    rates = np.asarray(values.get("learning_rate", np.full(trials, 1e-3)), np.float64)
    returns = 400 - 100 * np.abs(np.log10(rates) + 3)[:, None] + draw.normal(0, 10, (trials, seeds))
    diverged = rates >= 0.01
    returns[diverged, 0] = np.nan
    trial, member = np.repeat(np.arange(trials), seeds), np.tile(np.arange(seeds), trials)
    rows = {"trial": trial, "seed": member} | {path: [list_[t] for t in trial] for path, list_ in values.items()}
    results = pandas.DataFrame(
        rows
        | {
            "greedy_return": returns.ravel(),
            "area_under_curve": returns.ravel() / 2,
            "steps_to_threshold": np.where(returns.ravel() > 350, 3_000.0 + member, np.nan),
            "diverged": np.isnan(returns.ravel()),
            "steps": 1_000 * log_points,
            "rung": 0,
            "seconds": 1.5,
        }
    )
    curves = pandas.DataFrame(
        {
            "trial": np.repeat(trial, log_points),
            "seed": np.repeat(member, log_points),
            "step": np.tile(np.arange(1, log_points + 1) * 1_000, trials * seeds),
            "episode_return": draw.uniform(0, 400, trials * seeds * log_points),
        }
    )
    curves.loc[draw.random(len(curves)) < 0.2, "episode_return"] = np.nan
    score = interquartile_mean(returns)
    half = np.full(trials, np.nan) if seeds == 1 else returns.std(1)
    ranking = pandas.DataFrame(
        {"trial": np.arange(trials)}
        | values
        | {
            "interquartile_mean": score,
            "low": score - half,
            "high": score + half / 2,
            "probability_best": np.nan if seeds == 1 else np.linspace(0, 1, trials),
            "seeds": seeds,
            "diverged": np.isnan(returns).sum(1),
            "steps": 1_000 * log_points,
            "rung": 0,
        }
    ).sort_values("interquartile_mean", ascending=False, ignore_index=True)
    return SimpleNamespace(results=results, curves=curves, ranking=ranking, axes=list(axes))
