"""Plain data with a checksum, and the checksums of a folder's files beside them, tied to a run or sweep."""

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


def to_json(data: Mapping[str, Any], indent: int | None = None) -> bytes:
    """Plain data as JSON with its checksum, for `from_json`."""
    return json.dumps({**data, "checksum": checksum_of(data)}, indent=indent).encode()


def from_json(content: bytes) -> dict[str, Any]:
    """What `to_json` was given.

    Raises:
      DamagedFileError: it is not as it was written.
    """
    try:
        return intact(json.loads(content))
    except DamagedFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"it is not JSON ({type(error).__name__})") from error


def intact(noted: Any) -> dict[str, Any]:
    """Data that has its checksum in it, without that.

    Raises:
      DamagedFileError: it is not of this checksum.
    """
    if not isinstance(noted, dict) or "checksum" not in noted:
        raise DamagedFileError("it has no checksum")
    data = {name: value for name, value in noted.items() if name != "checksum"}
    if noted["checksum"] != checksum_of(data):
        raise DamagedFileError("it is not as it was written")
    return data


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
    write_file(folder / CHECKSUMS, to_json({"of": owner, "files": dict(checksums)}))


def read_checksums(folder: Path, owner: int) -> dict[str, int]:
    """What `write_checksums` noted.

    Raises:
      DamagedFileError: it can't be read, or is of another owner.
    """
    path = folder / CHECKSUMS
    try:
        noted = from_json(content_of(path))
        of, files = noted["of"], dict(noted["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error
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
