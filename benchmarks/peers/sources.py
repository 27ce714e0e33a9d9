"""Source files of peers that no package holds: fetched by git at a pinned commit, never committed here."""

import hashlib
import os
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".venvs"
PUREJAXRL = "https://github.com/luchris429/purejaxrl"
PUREJAXRL_COMMIT = "31756b197773a52db763fdbe6d635e4b46522a73"
PUREJAXRL_BLOBS = {
    "purejaxrl/ppo.py": "0c62cc8ca7cf78354022e8a40e3877de042f39f1",
    "purejaxrl/ppo_rnn.py": "816dd43e829c584c1019c4741748b9eda3e91eb9",
    "purejaxrl/wrappers.py": "09c520b1c876fbd675c1d798316d3901e1baedf9",
}
"""git's names of the files' contents at that commit."""


def purejaxrl() -> Path:
    """The folder of purejaxrl's files.

    It is that of a checkout which the environment variable `PUREJAXRL` names, else one that git fetches into the
    folder of the peers' virtual environments.

    Raises:
      RuntimeError: there is no checkout and none can be fetched, or its files are not those of the pinned commit.
    """
    named = os.environ.get("PUREJAXRL")
    folder = Path(named) if named else FOLDER / f"purejaxrl-{PUREJAXRL_COMMIT[:8]}"
    if not named and not (folder / "purejaxrl").is_dir():
        _fetch(folder)
    for name, blob in PUREJAXRL_BLOBS.items():
        if not (folder / name).is_file() or _blob(folder / name) != blob:
            raise RuntimeError(f"{name} in the folder of purejaxrl is not that of commit {PUREJAXRL_COMMIT[:8]}")
    return folder / "purejaxrl"


def _fetch(folder: Path) -> None:
    """Checks the pinned commit out into `folder`, without its history."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = (("init", "--quiet"), ("fetch", "--quiet", "--depth", "1", PUREJAXRL, PUREJAXRL_COMMIT))
    for step in (*steps, ("checkout", "--quiet", "--force", PUREJAXRL_COMMIT)):
        # Never asks for a password, and never finds the repository that the folder lies in.
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        done = subprocess.run(["git", *step], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"git could not fetch {PUREJAXRL} (PUREJAXRL=FOLDER names a checkout): "
                + " ".join(done.stderr.strip().splitlines()[:1])
            )


def _blob(path: Path) -> str:
    """The name that git gives to a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
