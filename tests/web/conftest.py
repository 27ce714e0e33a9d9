"""The browser and the pages that the tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from javascript import chromium
from web_pages import balancer, drawn_for_planes, planes, written


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of two games, by a name; "values" is Plane Strike by action values."""
    folder = tmp_path_factory.mktemp("pages")
    return {
        "planes": written(planes(), "probabilities", folder / "planes.html"),
        "cart": written(balancer(), "q-values", folder / "cart.html"),
        "values": written(drawn_for_planes(), "q-values", folder / "values.html"),
    }
