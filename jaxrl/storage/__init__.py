"""What reaches the disk: whole or not at all, and checked when it comes back."""

from jaxrl.storage.atomic import clear_leftovers, is_leftover, new_file, new_folder, sync, write_file
from jaxrl.storage.checksums import (
    CHECKSUMS,
    DamagedFileError,
    checksum_of,
    content_of,
    file_checksum,
    from_json,
    is_as_written,
    read_checksums,
    require_as_written,
    to_json,
    write_checksums,
)
from jaxrl.storage.folders import (
    RunDirectoryError,
    exclusive,
    read_config,
    require_empty,
    stored_format,
    write_config,
)

__all__ = [
    "CHECKSUMS",
    "DamagedFileError",
    "RunDirectoryError",
    "checksum_of",
    "clear_leftovers",
    "content_of",
    "exclusive",
    "file_checksum",
    "from_json",
    "is_as_written",
    "is_leftover",
    "new_file",
    "new_folder",
    "read_checksums",
    "read_config",
    "require_as_written",
    "require_empty",
    "stored_format",
    "sync",
    "to_json",
    "write_checksums",
    "write_config",
    "write_file",
]
