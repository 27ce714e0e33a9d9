"""How the trials of a space are drawn: all points of its grids, a Sobol sequence, independently, or by Optuna."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.arguments import positive
from jaxrl.pytree import field_at, is_static
from jaxrl.sweeps.space import Distribution, Integers, Space, SpaceError, Uniform, as_python


def _sobol(trials: int, fields: int, rng: np.random.Generator) -> np.ndarray:
    from scipy.stats import qmc

    # All of a power of two are drawn: a shorter start of the sequence is less even, and scipy warns of it.
    exponent = max(int(np.ceil(np.log2(trials))), 0)
    return qmc.Sobol(fields, rng=rng).random_base2(exponent)[:trials]


def _independent(trials: int, fields: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((trials, fields))


SAMPLERS: dict[str, Callable[[int, int, np.random.Generator], np.ndarray]] = {"sobol": _sobol, "random": _independent}
"""How distributions are sampled: a scrambled Sobol sequence (Owen, 1998), which spreads evenly, or independently. Each
gives points in the unit cube, f64[trials, fields]."""


def import_optuna() -> Any:
    """Optuna.

    Raises:
      ImportError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError(f"this sampler needs Optuna ({error}): pip install 'jaxrl[optuna]'") from error
    return optuna


def tpe_sampler(seed: int) -> Any:
    """Optuna's tree-structured Parzen estimator (Bergstra et al., 2011).

    Raises:
      ImportError: Optuna is not installed.
    """
    # The members of a round are asked for before any of them is done: a pretended result keeps them apart.
    return import_optuna().samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)


def grid_size(space: Space) -> int:
    """How many points the grids of a space have together."""
    return int(
        np.prod([len(values) for values in space.values() if not isinstance(values, Distribution)], dtype=object)
    )


def draw(space: Space, trials: int | None, sampler: str, seed: int) -> list[dict[str, Any]]:
    """The trials of a space: values by path.

    A space of grids alone gives all their points. One with distributions gives `trials` samples, dealt evenly
    over the points of its grids, in an order drawn by `seed`.

    Raises:
      SpaceError: `trials` is missing, is given where the grids decide, or is too few for the grids.
      TypeError: it is no whole number.
    """
    points = grid_size(space)
    sampled = [path for path, values in space.items() if isinstance(values, Distribution)]
    if trials is not None:
        trials = positive("trials", trials)
    if not sampled:
        if trials not in (None, points):
            raise SpaceError(
                f"trials = {trials}, and the grids have {points} points: leave trials out, or sample a field with "
                "jaxrl.choice(...)"
            )
        return [_point(space, place) for place in range(points)]
    if trials is None:
        raise SpaceError(f"space has distributions ({', '.join(sampled)}): trials says how many samples to draw")
    if trials < points:
        raise SpaceError(
            f"trials = {trials} are fewer than the {points} points of the grids: give at least {points}, or sample "
            "fields with jaxrl.choice(...)"
        )
    shares = SAMPLERS[sampler](trials, len(sampled), np.random.default_rng([seed, 0]))
    dealt = np.random.default_rng([seed, 1]).permutation(np.arange(trials) % points)
    drawn = []
    for row, place in zip(shares, dealt, strict=True):
        values = _point(space, int(place))
        for path, share in zip(sampled, row, strict=True):
            entry = space[path]
            assert isinstance(entry, Distribution)
            values[path] = as_python(entry.at(float(share)))
        drawn.append({path: values[path] for path in space})
    return drawn


def _point(space: Space, place: int) -> dict[str, Any]:
    """The point of the grids at a place; the last field changes fastest."""
    values: dict[str, Any] = {}
    for path, grid in reversed(space.items()):
        if not isinstance(grid, Distribution):
            place, index = divmod(place, len(grid))
            values[path] = grid[index]
    return dict(reversed(values.items()))


def every_program(agent: Agent, space: Space, most: int) -> list[dict[str, Any]]:
    """Values, by path, that between them have every combination of those that decide the program.

    Fields that are leaves have one value each, and None where they may have that.

    Raises:
      SpaceError: a static field has a continuous distribution, or there are more than `most` of them.
    """
    options = {path: _deciding(path, entry, is_static(field_at(agent, path))) for path, entry in space.items()}
    count = math.prod(len(values) for values in options.values())
    if count > most:
        paths = ", ".join(sorted(path for path, values in options.items() if len(values) > 1))
        raise too_many_programs(count, paths, most)
    return [dict(zip(options, point, strict=True)) for point in itertools.product(*options.values())]


def too_many_programs(count: int, paths: str, most: int) -> SpaceError:
    """What to raise where a sweep would compile more programs than it may."""
    return SpaceError(
        f"this sweep compiles {count} programs, one for each combination of {paths}, and may {most}: give fewer "
        "values, or allow it by max_compilations (--yes)"
    )


def _deciding(path: str, entry: list[Any] | Distribution, fixed: bool) -> Sequence[Any]:
    if isinstance(entry, Integers) and fixed:
        return range(entry.low, entry.high + 1)
    if isinstance(entry, Uniform) and fixed:
        raise SpaceError(f"space[{path!r}] = {entry!r}, and {path} is static: give a list of values")
    values = entry.values_to_check() if isinstance(entry, Distribution) else entry
    if fixed:
        return values
    numbers = [value for value in values if value is not None]
    return numbers[:1] + ([None] if len(numbers) < len(values) else [])
