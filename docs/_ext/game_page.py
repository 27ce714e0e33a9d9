"""The game on the home page, where this version of jaxrl can export one."""

from collections.abc import Callable
from pathlib import Path


def write_game_page(folder: Path, write: Callable[[Path, str], None]) -> None:
    """Writes `parts/game.md`, which says where the game is."""
    write(folder / "parts" / "game.md", "")
