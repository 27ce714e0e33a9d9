"""What contenders run in: the peers' virtual environments, made from pinned requirements, and JAX's platform."""

import hashlib
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "peers" / "requirements"
FOLDER = Path(__file__).parent / ".venvs"


class AbsentError(RuntimeError):
    """A peer can't be measured here; the message says why."""


def variables(device: str) -> dict[str, str]:
    """The environment variables of a process that is to use a "cpu" or a "gpu"."""
    return {**os.environ, "JAX_PLATFORMS": {"cpu": "cpu", "gpu": "cuda"}[device], "TF_CPP_MIN_LOG_LEVEL": "3"}


def python_of(peer: str | None, device: str) -> Path:
    """The Python to run a contender with: our own, or that of the peer's environment, made if need be.

    For a GPU the JAX of the requirements gets its CUDA plugin besides.

    Raises:
      AbsentError: the peer's packages can't be installed.
    """
    if peer is None:
        return Path(sys.executable)
    requirements = REQUIREMENTS / f"{peer}.txt"
    wanted = ["-r", str(requirements)]
    if device == "gpu":
        wanted += [f"jax[cuda12]=={pin}" for pin in re.findall(r"^jax==(\S+)", requirements.read_text(), re.MULTILINE)]
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    folder = FOLDER / f"{peer}-{device}-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    print(f"installing {peer} into {folder.relative_to(FOLDER.parent.parent)}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AbsentError(f"pip could not install {requirements.name}: {done.stderr.strip().splitlines()[-1:]}")
    (folder / "complete").touch()
    return python
