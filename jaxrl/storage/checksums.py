"""Checksums of a folder's files, in a file beside them, tied to the run or sweep that they are of."""

import errno
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxrl.storage.atomic import write_file

CHECKSUMS = "checksums.json"
_CHUNK = 1 << 20


class DamagedFileError(ValueError):
    """A file is not what was written."""


def checksum_of(data: Any) -> int:
    """The checksum (CRC-32) of plain data (as JSON has it)."""
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())


def content_of(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
      OSError: it can't be read, or is something else, such as a pipe, of which reading might never end.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "no file is there", str(path))
    return path.read_bytes()


def file_checksum(path: Path) -> int:
    """The checksum (CRC-32) of a file's content."""
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def write_checksums(folder: Path, owner: int, checksums: Mapping[str, int]) -> None:
    """Notes the checksums of files by their paths in a folder, and what they are of."""
    noted = {"of": owner, "files": dict(checksums)}
    write_file(folder / CHECKSUMS, json.dumps(noted | {"checksum": checksum_of(noted)}).encode())


def read_checksums(folder: Path, owner: int) -> dict[str, int]:
    """What `write_checksums` noted.

    Raises:
      DamagedFileError: it can't be read, or is of another owner.
    """
    path = folder / CHECKSUMS
    try:
        noted = json.loads(content_of(path))
        checksum, of, files = noted.pop("checksum"), noted["of"], noted["files"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DamagedFileError(f"{path} can't be read ({type(error).__name__})") from error
    if checksum != checksum_of(noted):
        raise DamagedFileError(f"{path} is damaged")
    if of != owner:
        raise DamagedFileError(f"{path} is of another run or sweep")
    return files


def is_as_written(path: Path, checksum: int) -> bool:
    """Whether a file is there with the content of a checksum."""
    return path.is_file() and file_checksum(path) == checksum


def require_as_written(folder: Path, owner: int, name: str) -> None:
    """Checks a file of a folder against its checksum.

    Raises:
      DamagedFileError: it is not as it was written, or of another owner.
    """
    checksums = read_checksums(folder, owner)
    if name not in checksums or not is_as_written(folder / name, checksums[name]):
        raise DamagedFileError(f"{folder / name} is damaged: it is not as it was written")
