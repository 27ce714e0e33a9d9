"""Damaged runs: nothing is trained over, and nothing is changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_run_directories import BLOCK, SEEDS, assert_same, contents, dqn, interruption, refused, train

import jaxrl
from jaxrl import checkpoints
from jaxrl.runs import RunDirectoryError

pytestmark = pytest.mark.usefixtures("fast_compilation")


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    flips = np.frombuffer(content, np.uint8).copy()
    flips[np.linspace(0, len(content) - 1, 9).astype(int)[1:-1]] ^= 1
    return flips.tobytes()


@pytest.mark.parametrize("damage", [truncated, flipped])
def test_a_damaged_block(damage: Any, whole: jaxrl.Result, copy: Path, never_trained: None) -> None:
    block, found = copy / "blocks" / "0001", []
    for file in sorted(path for path in block.rglob("*") if path.is_file() and path.stat().st_size):
        content = file.read_bytes()
        file.write_bytes(damage(content))
        before = contents(copy)
        try:
            # Bytes of a file's directory may tell nothing that is needed: then the numbers are all there.
            assert_same(train(copy, resume=True), whole)
        except RunDirectoryError as error:
            found.append(file.name)
            assert "0001" in str(error)  # noqa: PT017
            assert "Remove" in str(error)  # noqa: PT017
        assert contents(copy) == before
        file.write_bytes(content)
    assert "manifest.json" in found
    assert "arrays.npz" in found
    assert_same(jaxrl.load(copy), whole)


def test_a_block_that_was_removed_is_computed_again(whole: jaxrl.Result, copy: Path) -> None:
    shutil.rmtree(copy / "blocks" / "0000")
    partial = jaxrl.load(copy)
    assert partial.seeds.tolist() == SEEDS[BLOCK:]
    assert not partial.complete
    assert_same(train(copy, resume=True), whole)


def test_blocks_in_the_wrong_place(copy: Path, never_trained: None) -> None:
    blocks = copy / "blocks"
    (blocks / "0000").rename(blocks / "9")
    (blocks / "0001").rename(blocks / "0000")
    (blocks / "9").rename(blocks / "0001")
    refused(copy, "0000 holds another block")


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after four slots of its first block."""
    with monkeypatch.context() as patch, interruption(4, monkeypatch):
        patch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
        train(tmp_path / "stopped", progress=True)
    return tmp_path / "stopped"


def test_a_damaged_checkpoint(stopped: Path, never_trained: None) -> None:
    manifest = stopped / "checkpoint" / "manifest.json"
    whole = manifest.read_text()
    for text in (
        "",
        "{}",
        "[1, 2]",
        "\x00garbage",
        truncated(whole.encode()).decode(),
        whole.replace('"slot": 4', '"slot": 5'),
    ):
        manifest.write_text(text)
        with pytest.raises(RunDirectoryError, match="no finished block yet"):
            jaxrl.load(stopped)
        refused(stopped, "checkpoint.*Remove", loads=True)


def test_a_checkpoint_of_other_shapes(stopped: Path, never_trained: None) -> None:
    note = checkpoints.read_note(stopped / "checkpoint")
    checkpoints.save(stopped / "checkpoint", {"x": np.zeros(3)}, note)
    refused(stopped, "not of this run", loads=True)


def test_a_checkpoint_of_another_run(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxrl.blocks.PAUSE_SECONDS", 0.0)
    with interruption(4, monkeypatch):
        train(tmp_path / "other", dqn(learning_rate=2e-3), progress=True)
    shutil.rmtree(stopped / "checkpoint")
    (tmp_path / "other" / "checkpoint").rename(stopped / "checkpoint")
    refused(stopped, "checkpoint is of another run", loads=True)


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
    (lambda _: "[]", "is not of a run that this jaxrl knows"),
    (lambda _: "{}", "is not of a run that this jaxrl knows"),
    (lambda _: '{"format": "another program"}', "is not of a run that this jaxrl knows"),
    # Its random numbers were drawn otherwise.
    (changed(format="jaxrl run, version 4"), "is not of a run that this jaxrl knows"),
    (changed(made_with=None), "made_with.block is no whole number"),
    (changed(made_with={"block": "2"}), "made_with.block is no whole number"),
    (changed(made_with={"block": -2}), "made_with.block is no whole number"),
    (changed(agent={"class": "jaxrl.agents.dqn.DQM", "fields": {}}), "another run|can't be used"),
    (changed(seeds=[7, 3, 12]), "another run"),
    (changed(seeds="x"), "another run|can't be used"),
    (changed(vary=None), "another run|can't be used"),
    (lambda text: text.replace('"learning_rate": 0.003', '"learning_rate": 0.002'), "another run"),
]


@pytest.mark.parametrize(("change", "words"), CONFIGURATIONS)
def test_a_damaged_configuration(change: Any, words: str, copy: Path, never_trained: None) -> None:
    file = copy / "config.json"
    text = change(file.read_text())
    assert text != file.read_text()
    file.write_text(text)
    refused(copy, words)
