"""What all tests of runs on disk share."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from small_run_directories import train

import jaxrl
from jaxrl import loop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder: Path) -> jaxrl.Result:
    """The run that was never interrupted, in folder / "whole"."""
    return train(folder / "whole")


@pytest.fixture
def copy(whole: jaxrl.Result, folder: Path, tmp_path: Path) -> Path:
    """A copy of the complete run, to damage."""
    return Path(shutil.copytree(folder / "whole", tmp_path / "copy"))


@pytest.fixture
def never_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("this must not come as far as training")

    monkeypatch.setattr(loop, "run", refuse)
