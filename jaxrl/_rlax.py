"""rlax, imported when it is first needed, and without TensorFlow.

rlax imports distrax, and that the JAX half of TensorFlow Probability, which imports TensorFlow wherever it is
installed, only to copy docstrings from it: three seconds, and a page of log lines.
"""

import functools
import importlib
import sys
import threading
from types import ModuleType

_ONE_AT_A_TIME = threading.Lock()


@functools.cache
def rlax() -> ModuleType:
    """The module `rlax`; call it inside of what is traced, so that importing jaxrl stays quick.

    While it is imported for the first time, TensorFlow can't be, by any thread.
    """
    with _ONE_AT_A_TIME:
        present = sys.modules.get("tensorflow")
        # What Python's import system takes for a module that can't be imported.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("rlax")
        finally:
            if present is None:
                del sys.modules["tensorflow"]
            else:
                sys.modules["tensorflow"] = present
