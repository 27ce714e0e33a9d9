"""Plain data with a checksum: read as it was written, or refused in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxrl.storage import CHECKSUMS, DamagedFileError, checksum_of, from_json, read_checksums, to_json, write_checksums

DATA = {"b": [1, None, "é"], "a": {"x": 0.1}}


def test_data_comes_back() -> None:
    for indent in (None, 2):
        content = to_json(DATA, indent)
        assert json.loads(content) == DATA | {"checksum": checksum_of(DATA)}
        assert from_json(content) == DATA


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"3", b"[]", b"null", b'"x"', b"{}", b"[" * 100_000])
def test_what_is_no_data(content: bytes) -> None:
    with pytest.raises(DamagedFileError, match=r"is not JSON|has no checksum"):
        from_json(content)


def test_any_flipped_bit_is_noticed() -> None:
    content = to_json(DATA)
    for place in range(len(content)):
        for bit in range(8):
            wrong = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
            try:
                assert from_json(wrong) == DATA  # Such as the case of a letter of an escaped character.
            except DamagedFileError:
                continue


@pytest.mark.parametrize("noted", [{}, {"of": 1}, {"of": 1, "files": 3}, {"of": 1, "files": [3]}, {"files": {}}])
def test_noted_checksums_of_the_wrong_form(noted: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / CHECKSUMS).write_bytes(to_json(noted))
    with pytest.raises(DamagedFileError, match=r"checksums\.json is damaged"):
        read_checksums(tmp_path, 1)
    write_checksums(tmp_path, 1, {"x": 2})
    assert read_checksums(tmp_path, 1) == {"x": 2}
    with pytest.raises(DamagedFileError, match="of another run or sweep"):
        read_checksums(tmp_path, 2)
