"""Text that a terminal may be given."""

import unicodedata

_PLAIN = "\n\t"
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that no one sees: controls, formats (which turn writing round), halves of pairs, breaks."""


def printable(text: object) -> str:
    r"""A text in which every character that a terminal would obey, and not show, is written as in a Python string.

    Whatever comes from a file, its names included, goes through this before it is printed: "\x1b[2J" would clear
    the screen, and other sequences set titles, colours, or what the keys mean. Line feeds and tabs stay.
    """
    return "".join(_shown(character) for character in str(text))


def _shown(character: str) -> str:
    if character in _PLAIN or unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode()
