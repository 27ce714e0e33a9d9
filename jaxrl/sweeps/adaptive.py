"""Sweeps whose next trials depend on the last ones: by a sampler of Optuna, a block of trials at a time.

The study lies in the sweep's folder (`optuna.db`, for Optuna's dashboard), or in memory. What was asked for is
written down before it is trained, so that a sweep that was killed goes on with the same trials.
"""

import base64
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrl.config import from_config, to_config
from jaxrl.runs import write_whole
from jaxrl.sweeps.space import Distribution, Integers, Space, Uniform

STUDY = "sweep"
"""The study's name in its database."""
ROUNDS = "rounds.json"
"""The file with the trials of every round."""


class Advisor:
    """Asks a study of Optuna for trials, and tells it what came of them."""

    def __init__(self, space: Space, sampler: Any, path: Path | None) -> None:
        """Opens the study, or makes it.

        Args:
          space: checked.
          sampler: of Optuna.
          path: of the sweep's folder, or None.

        Raises:
          ImportError: Optuna is not installed.
        """
        optuna = import_optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = None if path is None else f"sqlite:///{path / 'optuna.db'}"
        self._study = optuna.create_study(
            study_name=STUDY, storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
        )
        self._state = optuna.trial.TrialState
        self._file = None if path is None else path / ROUNDS
        self._labels = {name: _labels(entry) for name, entry in space.items()}
        self._distributions = {name: _distribution(optuna, entry, self._labels[name]) for name, entry in space.items()}
        stored = _stored(self._file)
        if stored:
            # A sampler draws, so it goes on from where it was; what it asked for since was written nowhere.
            self._study.sampler = pickle.loads(base64.b64decode(stored[-1]["sampler"]))
            known = {number for entry in stored for number in entry["numbers"]}
            for trial in self._study.get_trials(deepcopy=False, states=(self._state.RUNNING,)):
                if trial.number not in known:
                    self._study.tell(trial.number, state=self._state.FAIL)
        self.rounds: list[list[dict[str, Any]]] = [list(from_config(entry["values"])) for entry in stored]
        self._numbers: list[list[int]] = [entry["numbers"] for entry in stored]

    def ask(self, count: int) -> list[dict[str, Any]]:
        """The values of so many new trials, by path."""
        asked = [self._study.ask(self._distributions) for _ in range(count)]
        values = [{name: self._value(name, trial.params[name]) for name in self._labels} for trial in asked]
        self.rounds.append(values)
        self._numbers.append([trial.number for trial in asked])
        if self._file is not None:
            # Of earlier rounds no sampler is gone on from.
            sampler = base64.b64encode(pickle.dumps(self._study.sampler)).decode()
            samplers = [""] * (len(self.rounds) - 1) + [sampler]
            rounds = zip(self.rounds, self._numbers, samplers, strict=True)
            content = [{"values": to_config(each), "numbers": n, "sampler": sampler} for each, n, sampler in rounds]
            write_whole(self._file, json.dumps(content).encode())
        return values

    def tell(self, number: int, scores: list[float]) -> None:
        """The scores of a round's trials, in their order; NaN for one that failed. Told again, it changes nothing."""
        for trial, score in zip(self._numbers[number], scores, strict=True):
            failed = score != score
            state = self._state.FAIL if failed else self._state.COMPLETE
            self._study.tell(trial, None if failed else score, state=state, skip_if_finished=True)

    def _value(self, name: str, value: Any) -> Any:
        labels = self._labels[name]
        return value if labels is None else labels[value]


def _stored(file: Path | None) -> list[dict[str, Any]]:
    return json.loads(file.read_text()) if file is not None and file.exists() else []


def asked_for(folder: Path) -> list[dict[str, Any]]:
    """The values of all trials of a sweep on disk, by path."""
    return [values for entry in _stored(folder / ROUNDS) for values in from_config(entry["values"])]


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


def _labels(entry: list[Any] | Distribution) -> dict[str, Any] | None:
    """Values that Optuna can't hold, such as tuples, by a text for each; None for ranges."""
    if isinstance(entry, Uniform | Integers):
        return None
    values = entry.ends() if isinstance(entry, Distribution) else entry
    return {str(value): value for value in values}


def _distribution(optuna: Any, entry: Any, labels: dict[str, Any] | None) -> Any:
    kinds = optuna.distributions
    if isinstance(entry, Uniform):
        return kinds.FloatDistribution(entry.low, entry.high, log=entry.log)
    if isinstance(entry, Integers):
        return kinds.IntDistribution(entry.low, entry.high)
    assert labels is not None
    return kinds.CategoricalDistribution(list(labels))


Train = Callable[[int, list[dict[str, Any]]], list[float] | None]
"""(round, values of its trials) -> their scores, or None where it was interrupted."""


def adapt(advisor: Advisor, trials: int, at_once: int, train: Train) -> bool:
    """Asks, trains and tells, until there are as many trials as asked for; False where it was interrupted."""
    number, done = 0, 0
    while done < trials:
        if number == len(advisor.rounds):
            advisor.ask(min(at_once, trials - done))
        values = advisor.rounds[number]
        scores = train(number, values)
        if scores is None:
            return False
        advisor.tell(number, scores)
        done += len(values)
        number += 1
    return True
