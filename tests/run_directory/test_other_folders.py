"""Folders that are not the run's own: of other runs, with other files, in use."""

import dataclasses
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from small_run_directories import assert_same, contents, dqn, refused, train

import jaxrl
from jaxrl.storage import RunDirectoryError
from jaxrl.training import _as_begun

pytestmark = pytest.mark.usefixtures("fast_compilation")


def test_one_folder_takes_one_process_at_a_time(tmp_path: Path, never_trained: None) -> None:
    script = (
        "import sys; from jaxrl.storage import exclusive\n"
        "with exclusive(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for resume in (False, True):
            with pytest.raises(RunDirectoryError, match="run is in use: another training run writes to it"):
                train(tmp_path / "run", resume=resume)
        other.communicate("")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_class_that_only_this_script_knows_is_warned_of(tmp_path: Path) -> None:
    @jaxrl.pytree
    class Local(jaxrl.envs.CartPole):
        pass

    with pytest.warns(UserWarning, match=r"<locals>.Local can't be imported by other processes"):
        train(tmp_path / "run", dqn(env=Local(max_steps=20)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"agent": dqn(learning_rate=2e-3)}, r"agent.learning_rate: 0.003 there, 0.002 here"),
        ({"agent": dqn(env=jaxrl.make("CartPole-v1", max_steps=13))}, r"max_steps: 12 there, 13 here"),
        ({"steps": 61}, "iterations: 60 there, 61 here"),
        ({"seeds": [7, 3]}, r"seeds: \(7, 3, 11\) there, \(7, 3\) here"),
        ({"log_points": 5}, "log_points: 6 there, 5 here"),
        ({"vary": {"discount": [0.9, 0.9, 0.9]}}, "vary.*discount"),
    ],
)
def test_another_run_is_left_alone(arguments: Any, words: str, whole: Any, folder: Path, never_trained: None) -> None:
    refused(folder / "whole", "holds another run, and is left alone: .*" + words, loads=True, **arguments)


def test_the_size_of_blocks_is_that_of_the_run_on_disk(whole: jaxrl.Result, folder: Path, never_trained: None) -> None:
    assert_same(train(folder / "whole", resume=True, block_size=1), whole)


def test_devices_that_cannot_share_the_blocks_on_disk() -> None:
    @dataclasses.dataclass
    class Plan:
        mesh: Any
        block_size: int = 0

    assert _as_begun(Plan(types.SimpleNamespace(size=3)), 6).block_size == 6
    with pytest.raises(RunDirectoryError, match=r"blocks of 6 members, which 4 devices can't share .* devices=3"):
        _as_begun(Plan(types.SimpleNamespace(size=4)), 6)


def test_a_folder_with_other_files(tmp_path: Path, never_trained: None) -> None:
    (tmp_path / "thesis.txt").write_text("words")
    for resume in (False, True):
        with pytest.raises(RunDirectoryError, match="holds other files: give a folder that is new or empty"):
            train(tmp_path, resume=resume)
    assert contents(tmp_path) == {"thesis.txt": b"words"}
    with pytest.raises(RunDirectoryError, match="holds no run"):
        jaxrl.load(tmp_path)
    with pytest.raises(RunDirectoryError, match="holds no run"):
        jaxrl.load(tmp_path / "nowhere")


def test_a_folder_that_is_no_folder(tmp_path: Path, never_trained: None) -> None:
    file = tmp_path / "file"
    file.write_text("words")
    for resume in (False, True):
        with pytest.raises(RunDirectoryError, match="is a file: give a folder that is new or empty"):
            train(file, resume=resume)
        with pytest.raises(RunDirectoryError, match="can't be written"):
            train(file / "inside", resume=resume)
    assert file.read_text() == "words"


def test_bad_input_makes_no_folder(tmp_path: Path, never_trained: None) -> None:
    with pytest.raises(ValueError, match="steps = -1"):
        train(tmp_path / "run", steps=-1)
    with pytest.raises(ValueError, match=r"resume=True .* needs out"):
        train(None, resume=True)
    assert not (tmp_path / "run").exists()
