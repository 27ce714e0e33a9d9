"""Run directories: the configuration, finished blocks, the block under way, and the reports.

    config.json            what was asked for, and what it ran on; written first
    blocks/0000.npz        a finished block: what its members keep, and their log
    checkpoint.npz         the block under way: the whole state, to go on from (gone at the end)
    greedy_returns.npz     "returns" f32[members, episodes], and which run they are of
    metrics.parquet, tensorboard/, curves.png
    checksums.json         of the line above; written last

Every part appears whole or not at all, so a run may be killed at any moment.
"""

import contextlib
import dataclasses
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl import checkpoints
from jaxrl.agents.base import Agent
from jaxrl.config import differences, from_config, to_config
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.plan import Plan
from jaxrl.provenance import made_with, warn_of_local_classes, warn_of_other_settings
from jaxrl.storage import (
    CHECKSUMS,
    DamagedFileError,
    RunDirectoryError,
    checksum_of,
    clear_leftovers,
    file_checksum,
    is_as_written,
    new_file,
    read_checksums,
    read_config,
    write_checksums,
    write_config,
)
from jaxrl.trust import Trust

_FORMAT = "jaxrl run, version 8"
_RETURNS = "greedy_returns.npz"
_REPORTS = ("metrics.parquet", "tensorboard", "curves.png")
_REQUEST = ("agent", "vary", "seeds", "iterations", "log_points", "evaluation")


class RunDirectory:
    """One run on disk."""

    def __init__(self, path: str | os.PathLike[str], config: dict[str, Any]) -> None:
        self.path = Path(path)
        self.config = config

    @classmethod
    def create(cls, path: str | os.PathLike[str], plan: Plan) -> "RunDirectory":
        """Starts a run in an empty folder, which `exclusive` holds.

        Raises:
          RunDirectoryError: the folder holds something already, or can't be written.
        """
        folder = Path(path)
        if (folder / "config.json").exists():
            raise RunDirectoryError(
                f"out = {folder} holds a run: pass resume=True (--resume) to go on with it, or another folder"
            )
        run = cls(folder, {"format": _FORMAT, **request_of(plan), "made_with": made_with(plan)})
        warn_of_local_classes(run.config)
        write_config(folder, run.config)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunDirectory":
        """Opens a run that is there.

        Raises:
          RunDirectoryError: there is no run, or its configuration can't be read.
        """
        file = Path(path) / "config.json"
        config = read_config(Path(path), "run", _FORMAT)
        made = config.get("made_with")
        if not isinstance(made, dict) or type(made.get("block_size")) is not int or made["block_size"] < 1:
            raise RunDirectoryError(
                f"{file} is damaged: made_with.block_size is not a whole number; {path} is unchanged"
            )
        return cls(path, config)

    @classmethod
    def resume(cls, path: str | os.PathLike[str], plan: Plan) -> "RunDirectory":
        """Opens the run that `plan` describes, or starts it where there is none yet.

        Raises:
          RunDirectoryError: the folder holds another run, or something else.
        """
        if not (Path(path) / "config.json").exists():
            return cls.create(path, plan)
        run = cls.open(path)
        asked = request_of(plan)
        changes = differences({name: run.config.get(name) for name in asked}, asked)
        if changes:
            raise RunDirectoryError(f"{path} holds another run, and is left alone: " + "; ".join(changes))
        warn_of_other_settings(Path(path), run.config["made_with"], made_with(plan))
        return run

    @classmethod
    def stored_block_size(cls, path: str | os.PathLike[str]) -> int | None:
        """Members of one block of the run at `path`, or None where there is no run yet."""
        return cls.open(path).block_size() if (Path(path) / "config.json").exists() else None

    def block_size(self) -> int:
        """Members of one block of this run."""
        return self.config["made_with"]["block_size"]

    def request(self, trust: Trust) -> dict[str, Any]:
        """What was asked for, as arguments: agent, vary, seeds, iterations, log points, evaluation.

        Args:
          trust: the modules whose classes may be imported.

        Raises:
          RunDirectoryError: the configuration can't be used, such as one whose classes can't be imported.
        """
        try:
            agent, vary = from_config(self.config["agent"], trust, Agent), from_config(self.config["vary"], trust)
            evaluation = self.config.get("evaluation")
            if not isinstance(agent, Agent) or not isinstance(vary, dict):
                raise TypeError("it has no agent, or no vary")
            return {
                "agent": agent,
                "vary": vary,
                "seeds": np.asarray(self.config["seeds"], np.int64),
                "iterations": int(self.config["iterations"]),
                "log_points": int(self.config["log_points"]),
                "evaluation": None if evaluation is None else EvaluationPlan(**evaluation),
            }
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise RunDirectoryError(f"{self.path / 'config.json'} can't be used: {error}") from error

    def save_block(self, block: int, tree: Any, note: dict[str, Any]) -> None:
        """Keeps a finished block, and drops its checkpoint."""
        checkpoints.save(self._block(block), tree, note | {"run": self._identity})
        # Killed here, the checkpoint stays; its note shows that it is not of a later block.
        if note["block"] == self._checkpointed_block():
            self._checkpoint.unlink(missing_ok=True)

    def _checkpointed_block(self) -> int | None:
        with contextlib.suppress(checkpoints.DamagedCheckpointError):
            return checkpoints.read_note(self._checkpoint).get("block")
        return None

    def has_block(self, block: int) -> bool:
        """Whether a block is finished."""
        return self._block(block).exists()

    def load_block(self, block: int, template: Any) -> tuple[Any, dict[str, Any]]:
        """A finished block and its note.

        Raises:
          RunDirectoryError: it is damaged, or of another run.
        """
        stored = self._restore(self._block(block), block, template)
        if stored is None:
            raise RunDirectoryError(f"{self._block(block)} holds another block: put every block back in its place")
        return stored

    def save_checkpoint(self, tree: Any, note: dict[str, Any]) -> None:
        """Keeps the block under way; `note["block"]` says which it is."""
        checkpoints.save(self._checkpoint, tree, note | {"run": self._identity})

    def load_checkpoint(self, block: int, template: Any) -> tuple[Any, dict[str, Any]] | None:
        """The checkpoint of a block and its note, or None where there is none of this block.

        Raises:
          RunDirectoryError: it is damaged, or of another run.
        """
        return self._restore(self._checkpoint, block, template) if self._checkpoint.exists() else None

    def _restore(self, file: Path, block: int, template: Any) -> Any:
        try:
            note = checkpoints.read_note(file)
            if note.get("run") != self._identity:
                raise checkpoints.DamagedCheckpointError(
                    f"{file} is of another run, or {self.path / 'config.json'} was changed since"
                )
            if note.get("block") != block:
                return None
            return checkpoints.restore(file, template)
        except checkpoints.DamagedCheckpointError as error:
            raise RunDirectoryError(
                f"{error}; nothing was changed. Remove {file} and train with resume=True (--resume) to compute it again"
            ) from error

    @property
    def _identity(self) -> int:
        """Ties what is computed to what was asked for."""
        return checksum_of({name: self.config.get(name) for name in _REQUEST})

    @property
    def _checkpoint(self) -> Path:
        return self.path / "checkpoint.npz"

    def _block(self, block: int) -> Path:
        return self.path / "blocks" / f"{block:04d}.npz"

    def save_returns(self, returns: np.ndarray) -> None:
        """Keeps the greedy returns f32[members, episodes]."""
        with new_file(self.path / _RETURNS) as file:
            np.savez(file, returns=returns, run=self._identity)

    def load_returns(self, members: int) -> np.ndarray | None:
        """The greedy returns f32[members, episodes], or None before they were played.

        Raises:
          RunDirectoryError: the file is damaged.
        """
        file = self.path / _RETURNS
        if not file.is_file():
            return None
        try:
            with np.load(file) as content:  # Its checksums are looked at by reading.
                returns, run = content["returns"], content["run"]
            if returns.dtype.kind != "f" or returns.ndim != 2 or len(returns) != members or run != self._identity:
                raise ValueError(f"it holds {returns.dtype}{list(returns.shape)}, or is of another run")
        except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise RunDirectoryError(
                f"{file} is damaged ({error}): remove it and train with resume=True (--resume) to play them again"
            ) from error
        return returns

    def note_reports(self) -> None:
        """Writes the checksums of the report files, now that all of them are there."""
        roots = [self.path / name for name in _REPORTS]
        files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
        names = {str(file.relative_to(self.path)): file_checksum(file) for file in files if file.is_file()}
        write_checksums(self.path, self._identity, names)

    def has_reports(self) -> bool:
        """Whether the report files were ever completed."""
        return (self.path / CHECKSUMS).exists()

    def damaged_reports(self) -> list[str]:
        """The names of report files that are missing or differ from what was written."""
        try:
            noted = read_checksums(self.path, self._identity)
        except DamagedFileError:
            return [CHECKSUMS]
        return [name for name in noted if not is_as_written(self.path / name, noted[name])]

    def tidy(self) -> None:
        """Drops what a complete run has no use for, and what kills have left behind."""
        self._checkpoint.unlink(missing_ok=True)
        for folder in (self.path, self.path / "blocks"):
            clear_leftovers(folder)


def request_of(plan: Plan) -> dict[str, Any]:
    """What a plan asks for, as plain data."""
    return {
        "agent": to_config(plan.agent),
        "vary": to_config(plan.vary),
        "seeds": plan.seeds.tolist(),
        "iterations": plan.iterations,
        "log_points": plan.log_points,
        "evaluation": None if plan.evaluation is None else dataclasses.asdict(plan.evaluation),
    }
