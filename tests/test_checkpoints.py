"""Checkpoints by themselves: what comes back, and what is found to be damaged."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxrl import checkpoints


def test_a_checkpoint_comes_back_with_its_note(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "checkpoint.npz"
    for log_point in (1, 2):
        checkpoints.save(file, {"x": np.arange(5) + log_point}, {"log_point": log_point})
        tree, note = checkpoints.restore(file, {"x": np.arange(5)})
        assert (tree["x"].tolist(), note) == ([log_point + i for i in range(5)], {"log_point": log_point})
        assert checkpoints.read_note(file) == note
    assert [path.name for path in file.parent.iterdir()] == ["checkpoint.npz"]


def test_numbers_that_the_format_does_not_know_come_back(tmp_path: Path) -> None:
    tree = {"half": np.arange(3).astype(jax.numpy.bfloat16), "key": jax.random.split(jax.random.key(0), 2)}
    checkpoints.save(tmp_path / "whole", tree, {})
    named = checkpoints.read_arrays(tmp_path / "whole")
    for again in (checkpoints.restore(tmp_path / "whole", tree)[0], checkpoints.from_named(tree, named)):
        assert again["half"].dtype == tree["half"].dtype
        assert again["half"].tolist() == [0, 1, 2]
        np.testing.assert_array_equal(jax.random.key_data(again["key"]), jax.random.key_data(tree["key"]))


def test_arrays_of_another_kind(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "file", {"x": np.zeros(3)}, {})
    for template in ({"x": np.zeros(4)}, {"x": np.zeros(3, np.float32)}):
        with pytest.raises(checkpoints.DamagedCheckpointError, match=r"x'. is not as it was written"):
            checkpoints.restore(tmp_path / "file", template)
    with pytest.raises(checkpoints.DamagedCheckpointError, match=r"'y'. is not in both"):
        checkpoints.restore(tmp_path / "file", {"x": np.zeros(3), "y": np.zeros(3)})


def test_every_flipped_byte_of_an_array_is_noticed(tmp_path: Path) -> None:
    array = np.arange(3, dtype=np.float64) + 1
    checkpoints.save(tmp_path / "file", {"x": array}, {})
    content = bytearray((tmp_path / "file").read_bytes())
    begin = content.index(array.tobytes())
    for place in range(begin, begin + array.nbytes):
        content[place] ^= 1
        (tmp_path / "flipped").write_bytes(content)
        content[place] ^= 1
        with pytest.raises(checkpoints.DamagedCheckpointError, match="can't be read back: BadZipFile"):
            checkpoints.restore(tmp_path / "flipped", {"x": array})
