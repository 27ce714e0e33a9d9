"""Where a sweep keeps its batches: the folder of a sweep.

    config.json            what was asked for, the trials, and what it ran on; written first
    checkpoint.npz         the block under way, if it takes long (gone at the end)
    batches/SSS-NNNNNN/    a finished batch: results.parquet, curves.parquet, and what is kept of its members
    results.parquet        one row a trial and seed; written at the end, from the batches
    curves.parquet         one row a trial, seed and log point
    checksums.json         of the tables, here and in every batch
    rounds.json            the trials of every round that a sampler of Optuna proposed
    optuna.db              the study of such a sampler
    report.html            the page that `jaxrl sweep-report` writes

Every part appears whole or not at all, so a sweep may be killed at any moment.
"""

import contextlib
import functools
import io
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxrl import checkpoints
from jaxrl.config import differences, from_config, to_config
from jaxrl.provenance import warn_of_other_settings
from jaxrl.storage import (
    DamagedFileError,
    RunDirectoryError,
    checksum_of,
    clear_leftovers,
    content_of,
    file_checksum,
    from_json,
    new_file,
    new_folder,
    read_config,
    require_as_written,
    require_empty,
    stored_format,
    to_json,
    write_checksums,
    write_config,
    write_file,
)
from jaxrl.sweeps.batches import Batch
from jaxrl.sweeps.tables import joined, members_of
from jaxrl.sweeps.task import Outcome

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "jaxrl sweep, version 7"
_MADE = ("made_with", "format")
_ROUNDS = "rounds.json"
_REMOVED = ".removed"
_REMEDY = "remove {}, and run the sweep again"


class SweepFolder:
    """One sweep on disk."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self._checked: set[Path] = set()

    @functools.cached_property
    def identity(self) -> int:
        """Ties what is computed to what was asked for."""
        return checksum_of({name: value for name, value in self.config.items() if name not in _MADE})

    @classmethod
    def begin(cls, path: Path, config: dict[str, Any]) -> "SweepFolder":
        """Starts a sweep in a new or empty folder, or opens the same one to resume it.

        Raises:
          RunDirectoryError: the folder holds another sweep, or something else.
        """
        folder = cls.check(path, config)
        if folder is None:
            write_config(path, config)
            return cls(path, config)
        warn_of_other_settings(path, folder.config["made_with"], config["made_with"])
        return folder

    @classmethod
    def check(cls, path: Path, config: dict[str, Any]) -> "SweepFolder | None":
        """The same sweep in its folder, or None where the folder is new or empty; nothing is written.

        Raises:
          RunDirectoryError: the folder holds another sweep, or something else, or is a file.
        """
        if not (path / "config.json").exists():
            require_empty(path)
            return None
        folder = cls.open(path)
        request = {name: value for name, value in config.items() if name not in _MADE}
        changes = differences({name: folder.config.get(name) for name in request}, request)
        if changes:
            raise RunDirectoryError(f"{path} holds another sweep, and is left alone: " + "; ".join(changes[:10]))
        return folder

    @classmethod
    def open(cls, path: Path) -> "SweepFolder":
        """Opens a sweep that is there.

        Raises:
          RunDirectoryError: there is none, or it can't be read.
        """
        return cls(path, read_config(path, "sweep", FORMAT))

    @staticmethod
    def is_sweep(path: Path) -> bool:
        """Whether the folder holds a sweep."""
        return str(stored_format(path)).startswith(FORMAT.partition(",")[0])

    def batch_sizes(self) -> list[int]:
        """Members of one batch of every group.

        Raises:
          RunDirectoryError: the configuration is damaged.
        """
        made = self.config.get("made_with")
        sizes = made.get("batch_sizes") if isinstance(made, dict) else None
        if not isinstance(sizes, list) or not all(type(size) is int and size > 0 for size in sizes):
            raise RunDirectoryError(
                f"{self.path / 'config.json'} is damaged: made_with.batch_sizes are no whole numbers"
            )
        return sizes

    @property
    def checkpoint(self) -> Path:
        """Where the block under way is kept."""
        return self.path / "checkpoint.npz"

    def _batch(self, name: str) -> Path:
        return self.path / "batches" / name

    def has(self, batch: Batch) -> bool:
        """Whether a batch is finished."""
        return self._batch(batch.name).exists()

    def save(self, batch: Batch, outcome: Outcome) -> None:
        """Stores a finished batch: its folder gets its name when all of it is on disk."""
        import pyarrow.parquet as pq

        (self.path / "batches").mkdir(exist_ok=True)
        with new_folder(self._batch(batch.name)) as folder:
            folder.mkdir()
            pq.write_table(outcome.results, folder / "results.parquet")
            pq.write_table(outcome.curves, folder / "curves.parquet")
            for name, tree in (("params", outcome.params), ("paused", outcome.paused)):
                if tree is not None:
                    with open(folder / f"{name}.npz", "wb") as file:
                        checkpoints.write_arrays(file, checkpoints.named_arrays(tree))
            checksums = {file.name: file_checksum(file) for file in folder.iterdir()}
            write_checksums(folder, self.identity, checksums)
        self.checkpoint.unlink(missing_ok=True)

    def results(self, batch: Batch) -> "pa.Table":
        """The results of a finished batch.

        Raises:
          RunDirectoryError: they are damaged, or of other members.
        """
        file = self._batch(batch.name) / "results.parquet"
        table = self._read(file)
        if members_of(table) != batch.members:
            raise RunDirectoryError(f"{file} is of other trials or seeds: remove its folder, and run the sweep again")
        return table

    def paused(self, batch: Batch, template: Any) -> Any:
        """The whole states `[members, ...]` from which a later rung continues, in the shapes of `template`."""
        return self._restored(self._batch(batch.name) / "paused.npz", template)

    def drop_paused(self, batch: Batch) -> None:
        """Removes the states of a batch from which nothing continues any more."""
        (self._batch(batch.name) / "paused.npz").unlink(missing_ok=True)

    def batch_names(self) -> list[str]:
        """Of all finished batches, in the order in which they are done."""
        folder = self.path / "batches"
        return sorted(p.name for p in folder.iterdir() if "." not in p.name) if folder.exists() else []

    def tables(self, kind: str, trials: list[int] | None = None) -> Iterator["pa.Table"]:
        """The "results" or "curves" of all finished batches; of the whole sweep, where that is over.

        Args:
          kind: of the table.
          trials: only rows of these; None for all.
        """
        whole = self.path / f"{kind}.parquet"
        if whole.exists():
            yield self._read(whole, trials)
            return
        for name in self.batch_names():
            yield self._read(self._batch(name) / f"{kind}.parquet", trials)

    def rounds(self) -> list[list[dict[str, Any]]]:
        """The values, by path, of the trials of every round that a sampler proposed.

        Raises:
          RunDirectoryError: the file is damaged, or of another sweep.
        """
        file = self.path / _ROUNDS
        if not file.exists():
            return []
        try:
            content = from_json(content_of(file))
            if content["of"] != self.identity:
                raise ValueError("it is of another sweep")
            return [list(from_config(trials)) for trials in content["rounds"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunDirectoryError(f"{file} is damaged ({error}): {_REMEDY.format(self.path)}") from error

    def save_rounds(self, rounds: list[list[dict[str, Any]]]) -> None:
        """Keeps what `rounds` gives."""
        content = {"of": self.identity, "rounds": [to_config(trials) for trials in rounds]}
        write_file(self.path / _ROUNDS, to_json(content))

    @property
    def complete(self) -> bool:
        """Whether the sweep is over; its results are written last."""
        return (self.path / "results.parquet").exists()

    def finish(self, results: "pa.Table") -> None:
        """Writes the tables of the whole sweep; curves first, batch by batch, never all in memory."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        curves = self.path / "curves.parquet"
        files = [self._batch(name) / "curves.parquet" for name in self.batch_names()]
        # Agents of different static fields may log different metrics.
        for file in files:
            self._require_as_written(file)
        schema = pa.unify_schemas([pq.read_schema(file) for file in files])
        with new_file(curves) as out, pq.ParquetWriter(out, schema) as writer:
            for file in files:
                writer.write_table(joined([schema.empty_table(), self._read(file)]))
        content = io.BytesIO()
        pq.write_table(results, content)
        table = content.getvalue()
        write_checksums(
            self.path, self.identity, {"curves.parquet": file_checksum(curves), "results.parquet": zlib.crc32(table)}
        )
        write_file(self.path / "results.parquet", table)

    def tidy(self, kept: set[tuple[int, int]] | None) -> None:
        """Drops the batches of a sweep that is over, but for the parameters of some members.

        Args:
          kept: (trial, seed) of members to keep the parameters of; None keeps all that there are.
        """
        for name in self.batch_names():
            folder = self._batch(name)
            members = members_of(self._read(folder / "results.parquet"))
            if (folder / "params.npz").exists() and (kept is None or kept.intersection(members)):
                for file in ("curves.parquet", "paused.npz"):
                    (folder / file).unlink(missing_ok=True)
            else:
                # A folder that is gone in part must not look like a batch.
                folder.rename(folder.with_name(folder.name + _REMOVED))
        for removed in (self.path / "batches").glob(f"*{_REMOVED}"):
            shutil.rmtree(removed, ignore_errors=True)
        self.checkpoint.unlink(missing_ok=True)
        for folder in (self.path, self.path / "batches"):
            clear_leftovers(folder)
        with contextlib.suppress(OSError):  # Not empty.
            (self.path / "batches").rmdir()

    def params_of(self, trial: int, seed: int, template: Any) -> Any:
        """The parameters of one member, as kept from its last batch; None where they were not."""
        for name in reversed(self.batch_names()):
            folder = self._batch(name)
            members = members_of(self._read(folder / "results.parquet"))
            if (trial, seed) in members and (folder / "params.npz").exists():
                place = members.index((trial, seed))
                return jax.tree.map(lambda x, place=place: x[place], self._restored(folder / "params.npz", template))
        return None

    def _read(self, path: Path, trials: list[int] | None = None) -> "pa.Table":
        """A table of the sweep or of a batch, or its rows of some trials."""
        import pyarrow.parquet as pq

        self._require_as_written(path)
        return pq.read_table(path, filters=None if trials is None else [("trial", "in", trials)])

    def _restored(self, path: Path, template: Any) -> Any:
        self._require_as_written(path)
        return checkpoints.from_named(template, checkpoints.read_arrays(path))

    def _require_as_written(self, path: Path) -> None:
        """Checks a file once, because all of it is read for that.

        Raises:
          RunDirectoryError: it is damaged, or of another sweep.
        """
        if path in self._checked:
            return
        try:
            require_as_written(path.parent, self.identity, path.name)
        except DamagedFileError as error:
            raise RunDirectoryError(f"{error}: {_REMEDY.format(path.parent)}") from error
        self._checked.add(path)
