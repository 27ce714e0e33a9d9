"""Sweeps whose next trials depend on the last ones: by a sampler of Optuna, a batch of trials at a time.

The study is in memory. A sweep that is resumed asks and tells it anew from the beginning, which costs little: the
sampler then has drawn what it had drawn, and proposes what it would have proposed. Nothing of a sampler is on disk.
The trials that it proposed are, before they are trained, so that a sampler that draws differently each time, such as
one without a seed, resumes with the trials that it began with. `optuna.db` is a copy of the study, for Optuna's
dashboard; it is never read.
"""

import contextlib
import copy
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrl.sweeps.folder import SweepFolder
from jaxrl.sweeps.memory_store import MemoryStore
from jaxrl.sweeps.samplers import import_optuna
from jaxrl.sweeps.space import Distribution, Integers, Space, Uniform

STUDY = "sweep"
"""The study's name in its database."""


class OptunaStudy:
    """Proposes trials by a sampler of Optuna, which is told their scores."""

    def __init__(self, space: Space, sampler: Any, store: SweepFolder | MemoryStore) -> None:
        """Begins a study.

        Args:
          space: checked.
          sampler: of Optuna; a copy of it is used.
          store: of the sweep.

        Raises:
          ImportError: Optuna is not installed.
          RunDirectoryError: what was proposed is damaged.
        """
        self._optuna = optuna = import_optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._sampler = sampler
        with contextlib.suppress(Exception):  # Of any class; one that can't be copied is used up by one sweep.
            self._sampler = copy.deepcopy(sampler)
        self._labels = {name: _labels(entry) for name, entry in space.items()}
        self._distributions = {name: _distribution(optuna, entry, self._labels[name]) for name, entry in space.items()}
        self._study = self._new_study()
        self._store = store
        self._stored = store.rounds()
        self.reproducible = True
        """Whether the sampler has proposed again what it had proposed, as far as that is stored."""
        self._rounds: list[list[dict[str, Any]]] = []
        self._scores: list[list[float]] = []
        self._copy: Any = None
        if (folder := store.path) is not None:
            self._copying(lambda: _database(optuna, folder))

    def ask(self, count: int) -> list[dict[str, Any]]:
        """The values of the trials of the next round, by path.

        Args:
          count: how many; a round that a sweep on disk has begun keeps its own trials.
        """
        index = len(self._rounds)
        if index == len(self._stored):
            self._stored.append(self._drawn(count))
            self._store.save_rounds(self._stored)
        elif self.reproducible and self._drawn(len(self._stored[index])) != self._stored[index]:
            # This sampler does not draw the same again: it resumes from the results alone.
            self.reproducible = False
            self._study = self._new_study()
            for values, scores in zip(self._rounds, self._scores, strict=True):
                self._tell(self._adopt(values), scores)
            self._adopt(self._stored[index])
        elif not self.reproducible:
            self._adopt(self._stored[index])
        self._rounds.append(self._stored[index])
        return self._stored[index]

    def tell(self, scores: list[float]) -> None:
        """The scores of the trials that were proposed last, in order; NaN, as of one that diverged, is the worst."""
        self._scores.append(scores)
        first = len(self._study.get_trials(deepcopy=False)) - len(scores)
        indices = range(first, first + len(scores))
        self._tell(indices, scores)
        if self._copy is not None:
            trials = self._study.get_trials(deepcopy=False)
            self._copying(lambda: self._copied([trials[index] for index in indices]))

    def _copied(self, trials: list[Any]) -> Any:
        self._copy.add_trials(trials)
        return self._copy

    def _copying(self, act: Callable[[], Any]) -> None:
        """Does something with the copy of the study, which no sweep ends for."""
        try:
            self._copy = act()
        except Exception as error:  # Of the database: such as a full disk.
            self._copy = None
            reason = " ".join(str(error.__cause__ or error).split())
            warnings.warn(f"optuna.db can't be written, and the sweep continues without it: {reason}", stacklevel=2)

    def _new_study(self) -> Any:
        return self._optuna.create_study(study_name=STUDY, sampler=self._sampler, direction="maximize")

    def _drawn(self, count: int) -> list[dict[str, Any]]:
        proposed = [self._study.ask(self._distributions) for _ in range(count)]
        return [{name: self._value(name, trial.params[name]) for name in self._labels} for trial in proposed]

    def _adopt(self, values: list[dict[str, Any]]) -> range:
        """Takes trials that were asked for before into the study: their indices."""
        first = len(self._study.get_trials(deepcopy=False))
        for trial in values:
            params = {name: _param(value, self._labels[name]) for name, value in trial.items()}
            running = self._optuna.trial.TrialState.RUNNING
            self._study.add_trial(
                self._optuna.trial.create_trial(state=running, params=params, distributions=self._distributions)
            )
        return range(first, first + len(values))

    def _tell(self, indices: range, scores: list[float]) -> None:
        # Not as a failed trial, of which samplers take no notice: they would propose its like again and again.
        for index, score in zip(indices, scores, strict=True):
            self._study.tell(index, -math.inf if math.isnan(score) else score)

    def _value(self, name: str, value: Any) -> Any:
        labels = self._labels[name]
        return value if labels is None else labels[value]


def _param(value: Any, labels: dict[str, Any] | None) -> Any:
    """A value as Optuna holds it."""
    return value if labels is None else str(value)


def _database(optuna: Any, folder: Path) -> Any:
    """A study in a new database, in place of an older one."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        (folder / f"optuna.db{suffix}").unlink(missing_ok=True)
    storage = f"sqlite:///{folder / 'optuna.db'}"
    return optuna.create_study(study_name=STUDY, storage=storage, direction="maximize")


def _labels(entry: list[Any] | Distribution) -> dict[str, Any] | None:
    """Values that Optuna can't hold, such as tuples, by a text for each; None for ranges."""
    if isinstance(entry, Uniform | Integers):
        return None
    values = entry.values_to_check() if isinstance(entry, Distribution) else entry
    return {str(value): value for value in values}


def _distribution(optuna: Any, entry: Any, labels: dict[str, Any] | None) -> Any:
    kinds = optuna.distributions
    if isinstance(entry, Uniform):
        return kinds.FloatDistribution(entry.low, entry.high, log=entry.log)
    if isinstance(entry, Integers):
        return kinds.IntDistribution(entry.low, entry.high)
    assert labels is not None
    return kinds.CategoricalDistribution(list(labels))
