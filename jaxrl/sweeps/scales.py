"""A ranking of trials as arrays for the figures, and each hyperparameter's values as places along an axis."""

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas

    from jaxrl.sweeps.report import Axis

_FEW = 12  # distinct values; a column of more is a range rather than a list
_NONE = "none"


@dataclasses.dataclass(frozen=True)
class Scale:
    """One hyperparameter's values, as numbers along an axis.

    Attributes:
      path: the field's name.
      log: whether the axis is logarithmic; never where a value is zero or less.
      positions: f64[trials], the value itself, or the category's number. A missing value among numbers lies a step
        below the smallest.
      texts: str[trials], the values as people read them.
      categories: the categories' texts, where the values are no numbers; else none.
      missing: bool[trials], where there is no value.
    """

    path: str
    log: bool
    positions: np.ndarray
    texts: list[str]
    categories: tuple[str, ...]
    missing: np.ndarray

    @property
    def linear(self) -> np.ndarray:
        """f64[trials], the positions along the axis as it is drawn: log10 of them on a logarithmic one."""
        return np.log10(self.positions) if self.log else self.positions

    @property
    def few(self) -> bool:
        """Whether the values are a list, each of at least two trials on average, rather than a range."""
        count = len(np.unique(self.positions))
        return bool(self.categories) or count <= min(_FEW, len(self.positions) / 2)

    def levels(self) -> tuple[np.ndarray, list[str]]:
        """The distinct positions, f64[levels], from the smallest, and their texts."""
        positions, first = np.unique(self.positions, return_index=True)
        return positions, [self.texts[place] for place in first]

    @property
    def named(self) -> bool:
        """Whether its ticks are its values rather than a ruler's: few, and not too close for their texts."""
        gaps = np.diff(np.unique(self.linear))
        return bool(self.categories) or (len(gaps) < 8 and bool((gaps >= gaps.sum() / 14).all()))

    def ticks(self) -> tuple[np.ndarray, list[str]]:
        """Positions f64[ticks] to mark, and their texts."""
        levels, texts = self.levels()
        if self.named:
            return levels, texts
        numbers = self.positions[~self.missing]
        ruler = _log_ruler(*_ends(numbers)) if self.log else linear_ruler(*_ends(numbers))
        marks, names = list(ruler), [value_text(float(mark)) for mark in ruler]
        if self.missing.any():
            marks, names = [levels[0], *marks], [_NONE, *names]
        return np.asarray(marks), names

    def bins(self, most: int) -> np.ndarray:
        """Which trials belong together.

        Args:
          most: how many bins a range may have; a list of values has one bin a value.

        Returns:
          i64[trials], bins of about as many trials each, numbered along the axis.
        """
        if self.few:
            return np.unique(self.positions, return_inverse=True)[1]
        numbers = self.positions[~self.missing]
        edges = np.quantile(numbers, np.linspace(0, 1, most + 1)[1:-1])
        return np.where(self.missing, -1, np.searchsorted(edges, self.positions, side="right"))


@dataclasses.dataclass(frozen=True)
class Trials:
    """The ranking, best first, as arrays over trials.

    Attributes:
      number: i64[trials], what the trials are called.
      score: f64[trials], interquartile mean over seeds; NaN where there is none.
      low: f64[trials], the lower end of its 95% interval; NaN where there is none.
      high: f64[trials], the upper end.
      probability: f64[trials], of being the best; NaN where it was not computed.
      seeds: i64[trials], how many.
      diverged: i64[trials], how many of the seeds.
      steps: i64[trials], environment steps a seed.
      early: bool[trials], whether successive halving stopped it before others.
      scales: one a hyperparameter.
    """

    number: np.ndarray
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    probability: np.ndarray
    seeds: np.ndarray
    diverged: np.ndarray
    steps: np.ndarray
    early: np.ndarray
    scales: list[Scale]

    def __len__(self) -> int:
        return len(self.number)

    def settings(self, place: int) -> str:
        """What one trial's hyperparameters are, as text."""
        return ", ".join(f"{scale.path}={scale.texts[place]}" for scale in self.scales)

    def take(self, places: np.ndarray) -> "Trials":
        """Those trials alone: i64[taken] or bool[trials]."""
        kept = np.arange(len(self))[places]
        scales = [
            dataclasses.replace(
                scale,
                positions=scale.positions[kept],
                texts=[scale.texts[place] for place in kept],
                missing=scale.missing[kept],
            )
            for scale in self.scales
        ]
        arrays = {
            field.name: getattr(self, field.name)[kept] for field in dataclasses.fields(self) if field.name != "scales"
        }
        return Trials(**arrays, scales=scales)


def make_trials(ranking: "pandas.DataFrame", axes: "Sequence[Axis]") -> Trials:
    """The arrays of a ranking; see `jaxrl.sweeps.report.write_report`."""

    def numbers(name: str) -> np.ndarray:
        return ranking[name].to_numpy(np.float64, na_value=np.nan)

    steps = numbers("steps").astype(np.int64)
    return Trials(
        number=numbers("trial").astype(np.int64),
        score=np.where(np.isfinite(numbers("interquartile_mean")), numbers("interquartile_mean"), np.nan),
        low=numbers("low"),
        high=numbers("high"),
        probability=numbers("probability_best"),
        seeds=numbers("seeds").astype(np.int64),
        diverged=numbers("diverged").astype(np.int64),
        steps=steps,
        early=numbers("rung") < numbers("rung").max(initial=0),
        scales=[make_scale(axis.path, plain_values(ranking[axis.path]), axis.log, axis.categorical) for axis in axes],
    )


def plain_values(column: "pandas.Series") -> list[Any]:
    """A column's values, None where one is missing."""
    return column.astype(object).where(column.notna(), None).tolist()


def make_scale(path: str, values: Sequence[Any], log: bool = False, categorical: bool = False) -> Scale:
    """Where values lie; values that are not all finite numbers are categories, whatever is asked for."""
    missing = np.array([value is None for value in values], bool)
    given = [value for value in values if value is not None]
    numeric = all(isinstance(value, int | float | np.number) and np.isfinite(value) for value in given)
    if categorical or not given or not numeric or any(isinstance(value, bool | np.bool_) for value in given):
        names = dict.fromkeys(value_text(value, 6) for value in sorted(values, key=_order))
        texts = [value_text(value, 6) for value in values]
        place = {name: float(index) for index, name in enumerate(names)}
        return Scale(path, False, np.array([place[text] for text in texts]), texts, tuple(names), missing)
    digits = 6 if len(set(given)) <= _FEW else 4
    least, most = _ends(np.array(given, np.float64))
    log = log and least > 0
    below = least - 0.12 * (most - least) if most > least else least - 1
    if log:
        below = least / (most / least) ** 0.12 if most > least else least / 10
    positions = np.array([below if value is None else value for value in values], np.float64)
    return Scale(path, log, positions, [value_text(value, digits) for value in values], (), missing)


def value_text(value: Any, digits: int = 4) -> str:
    """A hyperparameter's value as people read it."""
    if value is None:
        return _NONE
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.0f}" if number.is_integer() and abs(number) < 1e6 else f"{number:.{digits}g}"
    return str(value)


def score_text(value: float) -> str:
    """A return as people read it; nothing where there is none."""
    if not np.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def binned_medians(scale: Scale, score: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The median score of trials whose values lie near each other.

    Args:
      scale: of the same trials.
      score: f64[trials], no NaN.
      most: bins of a range; see `Scale.bins`.

    Returns:
      f64[bins] median positions, f64[bins] median scores, i64[bins] counts, along the axis.
    """
    bins = scale.bins(most)
    groups = [bins == number for number in np.unique(bins)]
    positions = np.array([np.median(scale.positions[group]) for group in groups])
    medians = np.array([np.median(score[group]) for group in groups])
    return positions, medians, np.array([group.sum() for group in groups], np.int64)


def explained(scale: Scale, score: np.ndarray) -> float:
    """How much a hyperparameter alone moves the score f64[trials]: the variance of its binned medians.

    A range has four bins only: medians of many small bins vary by chance.
    """
    if len(score) < 2:
        return 0.0
    _, medians, counts = binned_medians(scale, score, 4)
    return float(np.average((medians - np.average(medians, weights=counts)) ** 2, weights=counts))


def _ends(numbers: np.ndarray) -> tuple[float, float]:
    return float(numbers.min()), float(numbers.max())


def _order(value: Any) -> tuple[int, float, list[Any]]:
    """Sorts none first, then numbers, then texts, with the numbers in them as numbers: 64-64 before 128-128."""
    if value is None:
        return 0, 0.0, []
    if isinstance(value, int | float | np.number | np.bool_):
        return 1, float(value), []
    return 2, 0.0, [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(value))]


def _log_ruler(least: float, most: float) -> np.ndarray:
    """Powers of ten; 1, 2 and 5 of each where they span little; all where they would be fewer than two."""
    powers = 10.0 ** np.arange(np.floor(np.log10(least)), np.ceil(np.log10(most)) + 1)
    if most / least > 500:
        return powers[(powers >= least * 0.9) & (powers <= most * 1.1)]
    for multiples in ((1, 2, 5), range(1, 10)):
        marks = np.sort(np.outer(powers, multiples).ravel())
        marks = marks[(marks >= least * 0.9) & (marks <= most * 1.1)]
        if len(marks) > 2:
            return marks
    return np.linspace(least, most, 3) if most > least else np.array([least])


def linear_ruler(least: float, most: float) -> np.ndarray:
    """About five round numbers."""
    if most <= least:
        return np.array([least])
    rough = (most - least) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min(multiple for multiple in (1, 2, 5, 10) if multiple * power >= rough * (1 - 1e-9))
    return np.arange(np.ceil(least / step), np.floor(most / step + 1e-9) + 1) * step
