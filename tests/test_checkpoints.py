"""Checkpoints by themselves: whole after any kill, for which every file operation is the last one once."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxrl import checkpoints


class Killed(BaseException):
    """Stands in for SIGKILL where nothing would catch it."""


def dying_at(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes the operation of that number, counted over all that change the disk, raise `Killed` instead."""
    seen: list[str] = []

    def wrap(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def wrapper(*arguments: Any, **options: Any) -> Any:
            seen.append(name)
            if len(seen) == number:
                raise Killed
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, wrapper)

    wrap(Path, "rename")
    wrap(Path, "write_text")
    wrap(Path, "mkdir")
    wrap(checkpoints.shutil, "rmtree")
    wrap(os, "fsync")
    return seen


def test_every_moment_of_a_checkpoint_leaves_a_whole_one(tmp_path: Path) -> None:
    place = tmp_path / "checkpoint"
    number, killed_moments = 0, 0
    checkpoints.save(place, {"x": np.arange(5)}, {"slot": 1})
    while number == killed_moments:
        number += 1
        with pytest.MonkeyPatch.context() as patch:
            dying_at(number, patch)
            try:
                checkpoints.save(place, {"x": np.arange(5) + 10}, {"slot": 2})
            except Killed:
                killed_moments += 1
        tree, note = checkpoints.restore(checkpoints.find(place), {"x": np.arange(5)})
        assert tree["x"].tolist() == [10 * (note["slot"] - 1) + i for i in range(5)]
        # The next one goes well, whatever was left.
        checkpoints.save(place, {"x": np.arange(5)}, {"slot": 1})
        assert checkpoints.read_note(checkpoints.find(place)) == {"slot": 1}
    assert killed_moments > 10


def test_every_moment_of_a_removal_leaves_a_whole_one_or_none(tmp_path: Path) -> None:
    place, found_nothing = tmp_path / "checkpoint", 0
    for number in range(1, 20):
        checkpoints.save(place, {"x": np.arange(5)}, {"slot": 1})
        # An older one that was removed in part, as a kill may leave it.
        (tmp_path / "checkpoint.old").mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            seen = dying_at(number, patch)
            try:
                checkpoints.discard(place)
            except Killed:
                pass
            else:
                assert len(seen) < number
                break
        found = checkpoints.find(place)
        if found is None:
            found_nothing += 1
        else:
            assert checkpoints.restore(found, {"x": np.arange(5)})[1] == {"slot": 1}
    assert found_nothing
    assert checkpoints.find(place) is None


def test_numbers_that_the_format_does_not_know_come_back(tmp_path: Path) -> None:
    tree = {"half": np.arange(3).astype(jax.numpy.bfloat16), "key": jax.random.split(jax.random.key(0), 2)}
    checkpoints.save(tmp_path / "whole", tree, {})
    named = checkpoints.read_arrays(tmp_path / "whole" / "arrays.npz")
    for again in (checkpoints.restore(tmp_path / "whole", tree)[0], checkpoints.from_named(tree, named)):
        assert again["half"].dtype == tree["half"].dtype
        assert again["half"].tolist() == [0, 1, 2]
        np.testing.assert_array_equal(jax.random.key_data(again["key"]), jax.random.key_data(tree["key"]))


def test_arrays_of_another_checkpoint(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("two", 2.0)):
        checkpoints.save(tmp_path / name, {"x": np.full(3, value)}, {"slot": 1})
    (tmp_path / "two" / "arrays.npz").replace(tmp_path / "one" / "arrays.npz")
    with pytest.raises(checkpoints.DamagedCheckpointError, match=r"x'. is not as it was written"):
        checkpoints.restore(tmp_path / "one", {"x": np.zeros(3)})
