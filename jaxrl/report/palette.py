"""The colours of all pictures: Okabe and Ito's, safe for the colour-blind."""

BLUE, ORANGE, GREEN, PURPLE, AMBER = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
GREY = "#4D4D4D"
SCALE = "Viridis"
"""From the worst to the best."""


def translucent(colour: str, opacity: float = 0.16) -> str:
    """A colour such as #0072B2 for areas that overlap, as CSS has it."""
    red, green, blue = bytes.fromhex(colour[1:])
    return f"rgba({red}, {green}, {blue}, {opacity})"
