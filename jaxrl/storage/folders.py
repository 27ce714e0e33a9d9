"""The folder of a run or a sweep: for one process at a time, with no link out of it, and its configuration."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxrl.storage.atomic import is_leftover, write_file
from jaxrl.storage.checksums import DamagedFileError, intact, to_json


class RunDirectoryError(ValueError):
    """A run directory is missing, damaged, foreign, or of another run."""


@contextlib.contextmanager
def exclusive(path: str | os.PathLike[str]) -> Iterator[None]:
    """Holds a folder, made where it is missing, for one process at a time.

    Raises:
      RunDirectoryError: another process holds it, it can't be written, or a link in it leads out of it.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise RunDirectoryError(f"out = {folder} is a file: give a folder that is new or empty")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RunDirectoryError(f"out = {folder} can't be written: {error.strerror}") from error
    try:
        with contextlib.suppress(OSError):  # Some network file systems lock no folders.
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunDirectoryError(f"out = {folder} is in use: another training run writes to it") from None
        _refuse_links(folder)
        yield
    finally:
        os.close(handle)


def _refuse_links(folder: Path) -> None:
    """Raises where a run or a sweep, perhaps a stranger's, would have something written outside of its folder."""
    if not (folder / "config.json").exists():
        return  # It must be empty.
    inside = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise RunDirectoryError(
                    f"{path} is a link that leads out of the folder, in which this would write: put what it stands "
                    "for in its place"
                )


def read_config(folder: Path, kind: str, form: str) -> dict[str, Any]:
    """The configuration of a "run" or a "sweep" as it stands in its folder.

    Args:
      folder: of the run or sweep.
      kind: as error messages name it, such as "run".
      form: the format that it must be of.

    Raises:
      RunDirectoryError: there is none, it can't be read, is of another format, or not as it was written.
    """
    config = _parsed(folder, kind)
    file = folder / "config.json"
    if not isinstance(config, dict) or config.get("format") != form:
        raise RunDirectoryError(f"{file} is not of a {kind} that this jaxrl knows ({form!r}): {folder} is left alone")
    try:
        return intact(config)
    except DamagedFileError as error:
        raise RunDirectoryError(f"{file} is damaged or was changed: put back the one that was written") from error


def stored_format(folder: Path) -> Any:
    """The format that the configuration in a folder says it is of; None where there is none."""
    with contextlib.suppress(RunDirectoryError, AttributeError):
        return _parsed(folder, "run").get("format")
    return None


def _parsed(folder: Path, kind: str) -> Any:
    file = folder / "config.json"
    if not file.is_file():
        raise RunDirectoryError(f"{folder} holds no {kind}: it has no config.json")
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{file} can't be read: {error}") from error


def require_empty(folder: Path) -> None:
    """Checks that a folder is new or empty, but for what a kill may have left while the configuration was written.

    Raises:
      RunDirectoryError: it holds something, is a file, or can't be read.
    """
    try:
        if folder.exists() and any(not is_leftover(item.name) for item in folder.iterdir()):
            raise RunDirectoryError(f"out = {folder} holds other files: give a folder that is new or empty")
    except NotADirectoryError as error:
        raise RunDirectoryError(f"out = {folder} is a file: give a folder that is new or empty") from error
    except OSError as error:
        raise RunDirectoryError(f"out = {folder} can't be read: {error.strerror}") from error


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Writes the configuration of a run or a sweep into a folder that is there and empty.

    Raises:
      RunDirectoryError: it holds something, or can't be written.
    """
    require_empty(folder)
    try:
        write_file(folder / "config.json", to_json(config, indent=2))
    except OSError as error:
        raise RunDirectoryError(f"out = {folder} can't be written: {error.strerror}") from error
