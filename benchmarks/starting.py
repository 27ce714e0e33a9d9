"""How long it takes to import jaxrl, and to the first result of a program that the compilation cache has."""

import json
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.environments import variables

CODE = """
import json, sys, time
begin = time.perf_counter()
import jax, jax.numpy as jnp
jax.block_until_ready(jax.jit(lambda x: x + 1)(jnp.ones(3)))
started = time.perf_counter()
import jaxrl
imported = time.perf_counter()
jaxrl.use_compilation_cache(sys.argv[1])
agent = jaxrl.DQN(jaxrl.make("CartPole-v1"))
result = jaxrl.train(agent, 2_000, seeds=1, progress=False)
done = time.perf_counter()
print(json.dumps({"jax_start": started - begin, "import_after_jax": imported - started,
                  "first_result_after_jax": done - started, "training": result.seconds}))
"""
IMPORT = "import time; begin = time.perf_counter(); import jaxrl; print(time.perf_counter() - begin)"


def starting(rounds: int, device: str) -> dict[str, Any]:
    """Seconds, each the median of fresh processes: of the import, and of a first training without and with a cache."""
    imports = [float(_run(device, IMPORT)) for _ in range(rounds)]
    cold, warm = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(json.loads(_run(device, CODE, folder)))
            warm.append(json.loads(_run(device, CODE, folder)))
    result = {"import": statistics.median(imports)}
    for name, runs in (("cold", cold), ("cached", warm)):
        result |= {f"{name}_{part}": statistics.median(run[part] for run in runs) for part in runs[0]}
    print("  " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in result.items()), flush=True)
    return result


def _run(device: str, code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=variables(device), capture_output=True, text=True, check=True).stdout
