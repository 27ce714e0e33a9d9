"""Ctrl-C while `python -m jaxrl` imports the package, all of which it does before any of its modules can run.

`jaxrl` imports this module first. It does nothing in any other process.
"""

import sys

# While Python looks for the module to run, its arguments are "-m" and those after the module's name.
_module = sys.orig_argv[-len(sys.argv) :][0] if sys.argv[:1] == ["-m"] else ""
if _module.removeprefix("-m").partition(".")[0] == "jaxrl":
    from jaxrl_command import stop_at_interrupts

    stop_at_interrupts()
