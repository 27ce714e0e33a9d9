"""The checksum in a TFLite file, of all its bytes but its own: an interpreter notices few damages by itself.

It is an entry of the file's metadata, and is looked up by its mark instead of by the tables that lead to it: those
may be what is damaged.
"""

import struct
import zlib
from typing import Any

ENTRY = "jaxrl_checksum"
"""The name of the entry of a file's metadata."""
MARK = b"\xffjaxrl CRC-32\xff"
"""What the entry begins with. No JSON has such bytes, so metadata can't contain it."""
BLANK = MARK + bytes(4)
"""The entry of a file that has no checksum yet."""
_UNCHECKED = "jaxrl policy, version 1"
"""The format of files from before there were checksums."""


def with_checksum(content: bytes) -> bytes:
    """A TFLite file with an entry that is `BLANK`, with the checksum in it."""
    place = content.index(MARK) + len(MARK)
    return content[:place] + struct.pack("<I", _checksum(content, place)) + content[place + 4 :]


def is_damaged(content: bytes) -> bool:
    """Whether a file has a checksum, and is not as it was written."""
    place = content.find(MARK) + len(MARK)
    return place >= len(MARK) and content[place : place + 4] != struct.pack("<I", _checksum(content, place))


def lost_its_checksum(content: bytes, metadata: Any) -> bool:
    """Whether a file with such metadata (None for files of other tools) must have a checksum, and has none."""
    return metadata is not None and MARK not in content and metadata.get("format") != _UNCHECKED


def _checksum(content: bytes, place: int) -> int:
    return zlib.crc32(content[place + 4 :], zlib.crc32(bytes(4), zlib.crc32(content[:place])))
