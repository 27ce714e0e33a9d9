"""Helpers for tests of the command line."""

import re


def plain(text: str) -> str:
    """Text without the frames of tables, and with single spaces."""
    return " ".join(re.sub("[╭╮╰╯│─┬┴├┤┼•]", " ", text).split())
