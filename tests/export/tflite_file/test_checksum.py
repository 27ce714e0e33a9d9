"""Exported files know when they are damaged, and files that others wrote are read as before."""

import random
from pathlib import Path

import pytest
from export_helpers import decided

import jaxrl
from jaxrl.cli import main
from jaxrl.export import to_tflite
from jaxrl.export.tflite_file import PolicyFile, PolicyFileError, write_metadata
from jaxrl.export.tflite_file.checksum import ENTRY, MARK
from jaxrl.export.tflite_file.model import METADATA, with_entries

pytest.importorskip("ai_edge_litert")

REFERENCE = Path(__file__).parents[2] / "data" / "planestrike_tf.tflite"


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def test_any_flipped_bit_is_noticed() -> None:
    content = write_metadata(REFERENCE.read_bytes(), {"format": "jaxrl policy, version 2", "output": "logits"})
    assert PolicyFile(content).output == "logits"
    rng = random.Random(0)
    # The first bytes lead to everything else; without the mark, the metadata must miss the checksum.
    near = content.index(MARK)
    places = [*range(64), *range(near - 8, near + len(MARK) + 12), *(rng.randrange(len(content)) for _ in range(200))]
    for place in places:
        with pytest.raises(PolicyFileError, match=r"is damaged|is not a TFLite file"):
            PolicyFile(flipped(content, place, rng.randrange(8)))


def test_cut_and_prolonged_files_are_noticed() -> None:
    content = write_metadata(REFERENCE.read_bytes(), {"output": "logits"})
    for wrong in (content[:-1], content[: len(content) // 2], content + b"\0"):
        with pytest.raises(PolicyFileError, match="is damaged"):
            PolicyFile(wrong)


def test_metadata_may_quote_the_mark() -> None:
    content = write_metadata(REFERENCE.read_bytes(), {"output": "logits", "note": MARK.decode("latin-1"), ENTRY: "x"})
    assert PolicyFile(content).output == "logits"
    again = write_metadata(content, {"output": "probabilities"})
    assert PolicyFile(again).output == "probabilities"


def test_files_without_a_checksum_are_read() -> None:
    assert PolicyFile(REFERENCE).metadata is None
    older = with_entries(
        REFERENCE.read_bytes(), {METADATA: b'{"format": "jaxrl policy, version 1", "output": "logits"}'}
    )
    assert PolicyFile(older).output == "logits"


def test_a_flipped_weight_of_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorflow")
    member = decided(jaxrl.PPO(jaxrl.make("CartPole-v1"), hidden=(8,)))
    path = to_tflite(member, tmp_path / "pole.tflite").path
    assert main(["inspect", str(path)]) == 0
    capsys.readouterr()
    path.write_bytes(flipped(path.read_bytes(), path.stat().st_size // 2, 6))
    for command in (["inspect", str(path)], ["evaluate", str(path), "--env", "CartPole-v1"]):
        assert main(command) == 2
        assert capsys.readouterr().err == f"jaxrl: error: {path} is damaged: it is not as it was exported\n"
