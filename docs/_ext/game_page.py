"""The game on the home page, where this version of jaxrl can export one."""

from collections.abc import Callable
from pathlib import Path

_WITHOUT = """\
LiteRT.js and TensorFlow.js run the TFLite file. This version of jaxrl has no page of its own to play in.
"""


def write_game_page(folder: Path, write: Callable[[Path, str], None]) -> None:
    """Writes `parts/game.md` for the home page, and `parts/browser.md` for that on exports."""
    write(folder / "parts" / "game.md", "")
    write(folder / "parts" / "browser.md", _WITHOUT)
