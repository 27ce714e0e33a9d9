"""Fails the build (with `-W`) where a page would fetch anything of another host."""

from pathlib import Path
from typing import Any

from remote_assets import remote_assets
from sphinx.application import Sphinx
from sphinx.util import logging


def check(app: Sphinx, error: Exception | None) -> None:
    """Looks at every page and style sheet."""
    if error is not None or app.builder.format != "html":
        return
    logger = logging.getLogger(__name__)
    for path in sorted(Path(app.outdir).rglob("*")):
        if path.suffix in (".html", ".css"):
            for asset in remote_assets(path.read_text(encoding="utf-8"), path.suffix == ".css"):
                logger.warning("%s needs another host: %s", path.relative_to(app.outdir), asset)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
