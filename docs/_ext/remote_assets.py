"""What a page would fetch of other hosts."""

import re

_REMOTE = r"""["']?(?:https?:)?//[^"'\s>)]+"""
_TAGS = re.compile(
    rf"<(?:img|script|iframe|source|audio|video|embed|input)\b[^>]*\b(?:src|srcset)\s*=\s*{_REMOTE}"
    rf"|<object\b[^>]*\bdata\s*=\s*{_REMOTE}"
    rf"|<link\b(?=[^>]*\brel\s*=\s*[\"']?(?:stylesheet|icon|preload|prefetch|preconnect|dns-prefetch|modulepreload))"
    rf"[^>]*\bhref\s*=\s*{_REMOTE}",
    re.IGNORECASE,
)
_STYLES = re.compile(rf"(?:url\(\s*{_REMOTE}|@import\s+{_REMOTE})", re.IGNORECASE)


def remote_assets(text: str, style: bool = False) -> list[str]:
    """What a page, or a style sheet, would fetch of other hosts; links that people may follow are none of it."""
    inside = "\n".join(re.findall(r"<style\b.*?</style>|style\s*=\s*\"[^\"]*\"", text, re.DOTALL | re.IGNORECASE))
    return _STYLES.findall(text) if style else _TAGS.findall(text) + _STYLES.findall(inside)
