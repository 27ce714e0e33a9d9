"""The virtual environments that peers run in, made from pinned requirements where they are missing."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "peers" / "requirements"
FOLDER = Path(__file__).parent / ".venvs"


class AbsentError(RuntimeError):
    """A peer can't be measured here; the message says why."""


def python_of(peer: str | None) -> Path:
    """The Python to run a contender with: our own, or that of the peer's environment, made if need be.

    Raises:
      AbsentError: the peer's packages can't be installed.
    """
    if peer is None:
        return Path(sys.executable)
    requirements = REQUIREMENTS / f"{peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    folder = FOLDER / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    print(f"installing {peer} into {folder.relative_to(FOLDER.parent.parent)}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AbsentError(f"pip could not install {requirements.name}: {done.stderr.strip().splitlines()[-1:]}")
    (folder / "complete").touch()
    return python
