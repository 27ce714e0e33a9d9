"""Sweeps that the tests of a module share."""

import pytest
from small_sweeps import sweep

from jaxrl.sweeps import SweepFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fast_compilation):
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def whole(folder):
    return sweep(out=folder / "whole", keep="best:3")


@pytest.fixture(scope="module")
def under_way(folder):
    """The folder of a sweep of which three batches are done."""
    save, saved = SweepFolder.save, []

    def save_three(self, batch, outcome):
        save(self, batch, outcome)
        saved.append(batch.name)
        if len(saved) == 3:
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SweepFolder, "save", save_three)
        with pytest.raises(OSError, match="No space"):
            sweep(out=folder / "under way", keep="best:3")
    return folder / "under way"
