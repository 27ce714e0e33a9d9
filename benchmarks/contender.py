"""How a contender is driven: a separate process that answers one JSON line a run.

`python -m benchmarks.peers.NAME OPTIONS`, OPTIONS a JSON object. The contender prepares and compiles,
prints one line of information, and then runs once for every line that it reads, printing one line each. So
contenders stay warm and can take turns. Only the standard library is needed here: a peer's virtual
environment holds nothing of jaxrl.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Run = Callable[[], dict[str, Any]]
"""Does the work once, and returns what is worth knowing of it besides the time."""


def sharing(members: int, devices: int) -> int:
    """The most devices, of those there are, that can share the members evenly."""
    return max(count for count in range(1, devices + 1) if members % count == 0)


def serve(prepare: Callable[..., tuple[Run, dict[str, Any]]]) -> None:
    """Prepares by the options of the command line, then answers requests until the input ends.

    Args:
      prepare: takes the options by name; returns the work and information about it (such as `versions`). Compiling
        belongs in here: its seconds, and those of one first run, are reported apart.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Whatever a library prints goes to the error stream.

    def answer(info: dict[str, Any]) -> None:
        answers.write(json.dumps(info) + "\n")
        answers.flush()

    begin = time.perf_counter()
    run, info = prepare(**json.loads(sys.argv[1]))
    prepared = time.perf_counter()
    run()
    answer({"prepare_seconds": prepared - begin, "first_run_seconds": time.perf_counter() - prepared, **info})
    for _ in sys.stdin:
        begin = time.perf_counter()
        result = run()
        answer({"seconds": time.perf_counter() - begin, **result})
