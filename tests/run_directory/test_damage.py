"""Damaged runs: nothing is trained over, and nothing is changed."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_run_directories import (
    BLOCK,
    SEEDS,
    assert_same,
    contents,
    dqn,
    interruption,
    refused,
    train,
    write_config,
)

import jaxrl
from jaxrl import checkpoints
from jaxrl.storage import RunDirectoryError

pytestmark = pytest.mark.usefixtures("fast_compilation")


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    flips = np.frombuffer(content, np.uint8).copy()
    flips[np.linspace(0, len(content) - 1, 9).astype(int)[1:-1]] ^= 1
    return flips.tobytes()


@pytest.mark.parametrize("damage", [truncated, flipped])
def test_a_damaged_block(damage: Any, whole: jaxrl.Result, copy: Path, never_trained: None) -> None:
    file = copy / "blocks" / "0001.npz"
    content = file.read_bytes()
    file.write_bytes(damage(content))
    refused(copy, "0001.npz.*Remove")
    file.write_bytes(content)
    assert_same(jaxrl.load(copy), whole)


def test_no_flipped_byte_of_a_block_gives_other_numbers(whole: jaxrl.Result, copy: Path, never_trained: None) -> None:
    file, result = copy / "blocks" / "0001.npz", 0
    content = file.read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=60):
        file.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        try:
            # Bytes of the file's directory may tell nothing that is needed: then the numbers are all there.
            assert_same(train(copy, resume=True), whole)
        except RunDirectoryError:
            result += 1
    assert result > 30


def test_a_block_that_was_removed_is_computed_again(whole: jaxrl.Result, copy: Path) -> None:
    (copy / "blocks" / "0000.npz").unlink()
    partial = jaxrl.load(copy)
    assert partial.seeds.tolist() == SEEDS[BLOCK:]
    assert not partial.complete
    assert_same(train(copy, resume=True), whole)


def test_blocks_in_the_wrong_place(copy: Path, never_trained: None) -> None:
    blocks = copy / "blocks"
    (blocks / "0000.npz").rename(blocks / "9")
    (blocks / "0001.npz").rename(blocks / "0000.npz")
    (blocks / "9").rename(blocks / "0001.npz")
    refused(copy, "0000.npz holds another block")


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after four log points of its first block."""
    with monkeypatch.context() as patch, interruption(4, monkeypatch):
        patch.setattr("jaxrl.trainer.PAUSE_SECONDS", 0.0)
        train(tmp_path / "stopped", progress=True)
    return tmp_path / "stopped"


def test_a_damaged_checkpoint(stopped: Path, never_trained: None) -> None:
    file = stopped / "checkpoint.npz"
    content = file.read_bytes()
    arrays = checkpoints.read_arrays(file)
    manifest = arrays.pop("manifest").tobytes()
    texts = (
        b"",
        b"{}",
        b"[1, 2]",
        b"\x00garbage",
        truncated(manifest),
        manifest.replace(b'"log_point": 4', b'"log_point": 5'),
    )
    for damaged in (b"", b"PK", truncated(content), flipped(content), *texts):
        file.write_bytes(damaged)
        if damaged in texts[1:]:
            with open(file, "wb") as out:
                checkpoints.write_arrays(out, {"manifest": np.frombuffer(damaged, np.uint8), **arrays})
        with pytest.raises(RunDirectoryError, match="no finished block yet"):
            jaxrl.load(stopped)
        refused(stopped, "checkpoint.*Remove", loads=True)


def test_a_checkpoint_of_other_shapes(stopped: Path, never_trained: None) -> None:
    note = checkpoints.read_note(stopped / "checkpoint.npz")
    checkpoints.save(stopped / "checkpoint.npz", {"x": np.zeros(3)}, note)
    refused(stopped, "not of this run", loads=True)


def test_a_checkpoint_of_another_run(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxrl.trainer.PAUSE_SECONDS", 0.0)
    with interruption(4, monkeypatch):
        train(tmp_path / "other", dqn(learning_rate=2e-3), progress=True)
    (tmp_path / "other" / "checkpoint.npz").rename(stopped / "checkpoint.npz")
    refused(stopped, "checkpoint.npz is of another run", loads=True)


@pytest.mark.parametrize("damage", [truncated, flipped])
def test_damaged_returns(damage: Any, copy: Path, never_trained: None) -> None:
    file = copy / "greedy_returns.npz"
    content = file.read_bytes()
    # In the middle of the numbers, not in what the format leaves unused.
    file.write_bytes(damage(content[: content.index(b"run.npy")]) + content[content.index(b"run.npy") :])
    refused(copy, "greedy_returns.npz is damaged .*: remove it")


def test_returns_of_another_run(copy: Path, never_trained: None) -> None:
    with np.load(copy / "greedy_returns.npz") as content:
        np.savez(copy / "greedy_returns.npz", returns=content["returns"], run=content["run"] + 1)
    refused(copy, "greedy_returns.npz is damaged .* of another run")


def changed(**changes: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | changes)


CONFIGURATIONS = [
    (lambda _: "", "can't be read"),
    (lambda _: "\x00\xff garbage", "can't be read"),
    (lambda text: text[: len(text) // 2], "can't be read"),
    (lambda _: 100_000 * "[", "can't be read"),
    (lambda _: "[]", "is not of a run that this jaxrl knows"),
    (lambda _: "{}", "is not of a run that this jaxrl knows"),
    (lambda _: '{"format": "another program"}', "is not of a run that this jaxrl knows"),
    # Its blocks were folders.
    (changed(format="jaxrl run, version 5"), "is not of a run that this jaxrl knows"),
    (changed(seeds=[7, 3, 12]), "is damaged or was changed"),
    (changed(checksum=None), "is damaged or was changed"),
    (changed(more=None), "is damaged or was changed"),
    (lambda text: text.replace('"learning_rate": 0.003', '"learning_rate": 0.002'), "is damaged or was changed"),
    (lambda text: text.replace('"block_size": 2', '"block_size": 3'), "is damaged or was changed"),
]


@pytest.mark.parametrize(("change", "words"), CONFIGURATIONS)
def test_a_damaged_configuration(change: Any, words: str, copy: Path, never_trained: None) -> None:
    file = copy / "config.json"
    text = change(file.read_text())
    assert text != file.read_text()
    file.write_text(text)
    refused(copy, words)


FORGED = [
    ({"made_with": None}, "made_with.block_size is not a whole number"),
    ({"made_with": {"block_size": "2"}}, "made_with.block_size is not a whole number"),
    ({"made_with": {"block_size": -2}}, "made_with.block_size is not a whole number"),
    ({"agent": {"class": "jaxrl.agents.dqn.DQM", "fields": {}}}, "another run|can't be used"),
    ({"seeds": [7, 3, 12]}, "another run"),
    ({"seeds": "x"}, "another run|can't be used"),
    ({"vary": None}, "another run|can't be used"),
]


@pytest.mark.parametrize(("changes", "words"), FORGED)
def test_a_configuration_of_something_else(changes: Any, words: str, copy: Path, never_trained: None) -> None:
    """Whose checksum is right, as one that was put there in place of the run's own."""
    write_config(copy, json.loads((copy / "config.json").read_text()) | changes)
    refused(copy, words)


@pytest.mark.parametrize("name", ["config.json", "blocks/0000.npz", "checksums.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_read(name: str, kind: str, copy: Path, never_trained: None) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name) if kind == "pipe" else (copy / name).mkdir()
    if name == "checksums.json":
        with pytest.warns(UserWarning, match=r"checksums\.json is not as it was written"):
            jaxrl.load(copy)
        return
    with pytest.raises(RunDirectoryError, match=f"{copy}.*(holds no run|Remove)"):
        jaxrl.load(copy)


@pytest.mark.parametrize("name", ["metrics.parquet", "curves.png", "checksums.json", "tensorboard"])
def test_damaged_reports_are_noticed_and_written_again(
    name: str, whole: jaxrl.Result, copy: Path, never_trained: None
) -> None:
    before = contents(copy)
    file = next((copy / name).glob("events*")) if name == "tensorboard" else copy / name
    file.write_bytes(flipped(file.read_bytes()))
    with pytest.warns(UserWarning, match=rf"{file.name} .*is not as it was written: train with resume=True"):
        assert_same(jaxrl.load(copy), whole)
    with pytest.warns(UserWarning, match=rf"{file.name} .*is not as it was written, and is written again"):
        assert_same(train(copy, resume=True), whole)
    after = contents(copy)
    for same in ("metrics.parquet", "curves.png", "config.json", "greedy_returns.npz"):
        assert before[same] == after[same]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jaxrl.load(copy)
        train(copy, resume=True)
    assert contents(copy) == after
