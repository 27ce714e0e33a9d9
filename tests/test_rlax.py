"""rlax comes quietly, and leaves TensorFlow as it was: here a stand-in, so that the test needs none and is quick."""

import importlib
import os
import subprocess
import sys

import pytest

from jaxrl import _rlax

FAKE = "import sys; print('a page of log lines', file=sys.stderr); VERSION = 7\n"


def run(code, tmp_path):
    """What a fresh interpreter prints, with a package called tensorflow in its path."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(FAKE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


def test_rlax_is_imported_without_tensorflow_which_can_be_imported_afterwards(tmp_path):
    code = (
        "import sys; from jaxrl._rlax import rlax; print('rlax' in sys.modules, rlax().__name__); "
        "print('tensorflow' in sys.modules); print('between', file=sys.stderr); "
        "import tensorflow; print(tensorflow.VERSION)"
    )
    process = run(code, tmp_path)
    assert process.stdout.split() == ["False", "rlax", "False", "7"], process.stderr
    assert process.stderr.split("\n") == ["between", "a page of log lines", ""]


def test_tensorflow_that_is_there_already_stays(tmp_path):
    code = (
        "import sys, tensorflow; from jaxrl._rlax import rlax; rlax(); print(sys.modules['tensorflow'] is tensorflow); "
        "import tensorflow as again; print(again.VERSION)"
    )
    process = run(code, tmp_path)
    assert process.stdout.split() == ["True", "7"], process.stderr


@pytest.mark.parametrize("present", [None, sys])
def test_tensorflow_comes_back_where_rlax_fails(present, monkeypatch):
    def fail(name):
        with pytest.raises(ImportError):
            __import__("tensorflow")
        raise ImportError(name)

    if present is None:
        monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "tensorflow", present)
    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match="rlax"):
        _rlax.rlax.__wrapped__()
    assert sys.modules.get("tensorflow") is present
    assert ("tensorflow" in sys.modules) == (present is not None)
