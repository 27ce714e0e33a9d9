"""Pictures of worlds of square cells."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxrl.rendering import Color, picture

INK, FLOOR, AGENT, GOAL = (52, 64, 84), (250, 250, 247), (226, 138, 67), (163, 204, 170)
_MARGIN = 12


@dataclasses.dataclass(frozen=True)
class Brush:
    """Paints in cells of a picture.

    Attributes:
      draw: a `PIL.ImageDraw.ImageDraw`.
      cell: the width of a cell, in units of `draw`.
      margin: what lies around the cells, likewise.
    """

    draw: Any
    cell: float
    margin: float

    def points(self, row: float, column: float, *offsets: tuple[float, float]) -> list[tuple[float, float]]:
        """Places by offsets (right, down) from the middle of a cell, in cells."""
        return [(self.margin + (column + 0.5 + x) * self.cell, self.margin + (row + 0.5 + y) * self.cell)
                for x, y in offsets]  # fmt: skip

    def square(self, row: float, column: float, color: Color, half: float = 0.475) -> None:
        """A square in the middle of a cell, `half` as wide to each side."""
        self.draw.rectangle(self._box(row, column, half), fill=color)

    def disc(self, row: float, column: float, color: Color, radius: float = 0.28) -> None:
        """A disc in the middle of a cell."""
        self.draw.ellipse(self._box(row, column, radius), fill=color)

    def polygon(self, row: float, column: float, color: Color, *offsets: tuple[float, float]) -> None:
        """A polygon around the middle of a cell."""
        self.draw.polygon(self.points(row, column, *offsets), fill=color)

    def flag(self, row: float, column: float) -> None:
        """A flag on its pole."""
        self.polygon(row, column, INK, (-0.17, -0.32), (-0.12, -0.32), (-0.12, 0.32), (-0.17, 0.32))
        self.polygon(row, column, (205, 92, 92), (-0.12, -0.32), (0.26, -0.17), (-0.12, -0.02))

    def _box(self, row: float, column: float, half: float) -> list[tuple[float, float]]:
        return self.points(row, column, (-half, -half), (half, half))


def grid_picture(
    colors: list[list[Color]], paint: Callable[[Brush], None], background: Color = INK, largest: int = 64
) -> np.ndarray:
    """Draws cells of given colors, and what `paint` adds: uint8[height, width, 3].

    Args:
      colors: of every row, from the top.
      paint: draws on the cells.
      background: between the cells.
      largest: pixels of a cell; less where the picture would be larger than about 800 pixels.
    """
    rows, columns = len(colors), len(colors[0])
    cell = max(4, min(largest, 800 // max(rows, columns)))

    def all_cells(draw: Any, pixel: int) -> None:
        brush = Brush(draw, cell * pixel, _MARGIN * pixel)
        for row, line in enumerate(colors):
            for column, color in enumerate(line):
                brush.square(row, column, color)
        paint(brush)

    return picture(columns * cell + 2 * _MARGIN, rows * cell + 2 * _MARGIN, background, all_cells)
