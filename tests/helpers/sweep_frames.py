"""Frames as a finished sweep has them, for the tests of its report."""

from types import SimpleNamespace

import numpy as np
import pytest

import jaxrl
from jaxrl.statistics import interquartile_mean

pandas = pytest.importorskip("pandas")

SPACE = {
    "learning_rate": jaxrl.log_uniform(1e-5, 10**-1.5),
    "discount": jaxrl.uniform(0.9, 0.999),
    "batch_size": [32, 64, 128],
    "double": [False, True],
    "hidden": jaxrl.choice([(64, 64), (128, 128)]),
}


def make_sweep(trials=24, seeds=5, log_points=6, space=None, seed=0, **columns):
    """Frames as a sweep makes them; every learning rate of at least 0.01 diverges, and the best is near 0.001."""
    draw = np.random.default_rng(seed)
    values = {
        "learning_rate": 10 ** draw.uniform(-5, -1.5, trials),
        "discount": draw.uniform(0.9, 0.999, trials),
        "batch_size": draw.choice([32, 64, 128], trials).tolist(),
        "double": (draw.random(trials) < 0.5).tolist(),
        "hidden": [[(64, 64), (128, 128)][place] for place in draw.integers(2, size=trials)],
    } | columns
    space = SPACE if space is None else space
    values = {path: values[path] for path in space}
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
            "score": score,
            "low": score - half,
            "high": score + half / 2,
            "probability_best": np.nan if seeds == 1 else np.linspace(0, 1, trials),
            "seeds": seeds,
            "diverged": np.isnan(returns).sum(1),
            "steps": 1_000 * log_points,
            "rung": 0,
        }
    ).sort_values("score", ascending=False, ignore_index=True)
    points = [{path: column[trial] for path, column in values.items()} for trial in range(trials)]
    return SimpleNamespace(results=results, curves=curves, ranking=ranking, space=space, values=points)
