"""The command `jaxrl`, from its first moment on: Ctrl-C during the imports, which take seconds, is one line and 130.

It stands beside the package, because importing any module of a package imports the whole of its `__init__` first.
"""

import os
import signal
import sys
from typing import Any

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell."""


def _stop(number: int, frame: Any) -> None:
    """Ends the process at once: an exception would pass through modules that are half imported, or be lost in one."""
    os.write(sys.stderr.fileno(), b"jaxrl: interrupted\n")
    os._exit(INTERRUPTED)


def stop_at_interrupts() -> None:
    """Lets Ctrl-C end the process, until `main` has imported what it runs."""
    # Where Ctrl-C is ignored, as of a process in the background of a shell, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def main() -> int:
    """Imports jaxrl, runs the command line of this process, and returns the exit code."""
    stop_at_interrupts()
    from jaxrl.cli import main as run

    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
