"""Where a sweep without a folder keeps its batches."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax

from jaxrl.sweeps.batches import Batch
from jaxrl.sweeps.task import Outcome

if TYPE_CHECKING:
    import pyarrow as pa


class MemoryStore:
    """Has what a `SweepFolder` has, in memory."""

    path = checkpoint = None
    complete = False

    def __init__(self) -> None:
        self._batches: dict[str, tuple[Batch, Outcome]] = {}

    def has(self, batch: Batch) -> bool:
        """Whether a batch is finished."""
        return batch.name in self._batches

    def save(self, batch: Batch, outcome: Outcome) -> None:
        """Stores a finished batch."""
        self._batches[batch.name] = batch, outcome

    def results(self, batch: Batch) -> "pa.Table":
        """The results of a finished batch."""
        return self._batches[batch.name][1].results

    def paused(self, batch: Batch, template: Any) -> Any:
        """The whole states `[members, ...]` of a batch from which a later rung continues."""
        return self._batches[batch.name][1].paused

    def drop_paused(self, batch: Batch) -> None:
        """Removes the states of a batch from which nothing continues any more."""
        self.save(batch, dataclasses.replace(self._batches[batch.name][1], paused=None))

    def tables(self, kind: str, trials: list[int] | None = None) -> Iterator["pa.Table"]:
        """The "results" or "curves" of all finished batches, or their rows of some trials."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for _, outcome in self._batches.values():
            table = getattr(outcome, kind)
            yield table if trials is None else table.filter(pc.is_in(table["trial"], pa.array(trials, pa.int32())))

    def params_of(self, trial: int, seed: int, template: Any) -> Any:
        """The parameters of one member after its last rung; None where they were not kept."""
        for batch, outcome in reversed(self._batches.values()):
            if (trial, seed) in batch.members and outcome.params is not None:
                place = batch.members.index((trial, seed))
                return jax.tree.map(lambda x, place=place: x[place], outcome.params)
        return None

    def rounds(self) -> list[list[dict[str, Any]]]:
        """None that are stored."""
        return []

    def save_rounds(self, rounds: list[list[dict[str, Any]]]) -> None:
        """Nothing resumes them."""

    def finish(self, results: "pa.Table") -> None:
        """Nothing is left to write."""

    def tidy(self, kept: set[tuple[int, int]] | None) -> None:
        """Nothing takes up space on disk."""
